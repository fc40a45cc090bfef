//! The walls themselves, seen from inside by a shell that stands where the guest would.
//!
//! Needs root, a v2 cgroup tree and /usr with a shell; that is what the test machine has.

use std::fs;
use std::path::Path;
use std::process::Command;

use browserd_sandbox::walls::PlantedFile;

/// The parent test runs each scene in a process of its own, because raising walls needs a process
/// with one thread and the test harness has several.
const SCENE: &str = "BROWSERD_WALLS_SCENE";
/// Folders made before, separated by spaces.
const AHEAD: &str = "BROWSERD_WALLS_AHEAD";

/// Plays the scene this process was started for; `false` when it was not.
pub(crate) fn play() -> bool {
    let Ok(scene) = std::env::var(SCENE) else { return false };
    print!("{}", raise_and_run(&scene));
    true
}

/// What the shell prints inside; nothing of it is left outside.
fn raise_and_run(script: &str) -> String {
    let planted =
        [planted("/etc/planted/deep", b"here"), planted("/etc/localtime", b"a zone of its own")];
    let bound = [(Path::new("/usr/share"), "/opt/bound/share")];
    let ahead = std::env::var(AHEAD).unwrap_or_default();
    let ahead: Vec<&str> = ahead.split_whitespace().collect();
    let stood = match crate::support::stand("walls", script, &planted, &bound, &ahead) {
        Ok(stood) => stood,
        Err(error) => return format!("NOT RAISED {error}\n"),
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*stood.session.to_string_lossy()), "a mount is left");
    stood.text
}

fn scene(script: &str) -> String {
    scene_ahead(script, "")
}

fn scene_ahead(script: &str, ahead: &str) -> String {
    let program = std::env::current_exe().unwrap();
    printed(Command::new(program).env(SCENE, script).env(AHEAD, ahead))
}

/// What a scene's process prints; it is not to fail.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// As [`scene`], with the session's folder on a filesystem that holds no upper layer, as in a container.
fn scene_in_a_container(script: &str) -> String {
    let mounted = "mount -t tmpfs none /mnt && mkdir /mnt/lower /mnt/upper /mnt/work /mnt/root && \
                   mount -t overlay none /mnt/root \
                   -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work && exec \"$0\"";
    printed(
        Command::new("unshare")
            .args(["--mount", "sh", "-c", mounted])
            .arg(std::env::current_exe().unwrap())
            .env(SCENE, script)
            .env(AHEAD, "/home/kernel")
            .env("TMPDIR", "/mnt/root"),
    )
}

fn planted(path: &str, content: &[u8]) -> PlantedFile {
    PlantedFile { path: path.into(), content: content.to_vec(), mode: 0o644 }
}

type Scene = (&'static str, fn());

/// Runs a command as the session's user; as an ordinary user everything inside is that already.
const USER: &str = "user() { [ $(id -u) = 0 ] || { \"$@\"; return; }; \
                    setpriv --reuid 1000 --regid 1000 --clear-groups \"$@\"; }; ";

/// Calls with arguments that the kernel would accept, or refuse otherwise than with EPERM; in Perl,
/// which every Debian has, with `t` for text and `$room` for memory.
const CALLS: [(&str, libc::c_long, &str); 20] = [
    ("mount", libc::SYS_mount, "t('none'), t('/mnt'), t('tmpfs'), 0, 0"),
    ("fsopen", libc::SYS_fsopen, "t('tmpfs'), 0"),
    ("open_tree", libc::SYS_open_tree, "-100, t('/'), 1"),
    ("unshare", libc::SYS_unshare, "0x20000"),
    ("pivot_root", libc::SYS_pivot_root, "t('/tmp'), t('/tmp')"),
    ("sethostname", libc::SYS_sethostname, "t('mine'), 4"),
    ("finit_module", libc::SYS_finit_module, "0, t(''), 0"),
    ("kexec_load", libc::SYS_kexec_load, "0, 0, 0, 0"),
    ("syslog", libc::SYS_syslog, "3, $room, 4096"),
    ("acct", libc::SYS_acct, "0"),
    ("bpf", libc::SYS_bpf, "0, t(pack('L5', 2, 4, 4, 1, 0)), 20"),
    ("perf_event_open", libc::SYS_perf_event_open, "t(pack('LLQx96', 1, 112, 1)), 0, -1, -1, 0"),
    ("io_uring_setup", libc::SYS_io_uring_setup, "4, $room"),
    ("io_setup", libc::SYS_io_setup, "1, $room"),
    ("userfaultfd", libc::SYS_userfaultfd, "1"),
    ("add_key", libc::SYS_add_key, "t('user'), t('a'), t('b'), 1, -3"),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, "-100, $room, 0"),
    ("fanotify_init", libc::SYS_fanotify_init, "0, 0"),
    // RLIMIT_NOFILE of PID 1, which the script's shell is
    ("prlimit64", libc::SYS_prlimit64, "1, 7, t(pack('Q2', 9, 9)), 0"),
    // AF_VSOCK
    ("socket", libc::SYS_socket, "40, 1, 0"),
];

/// What root inside must never have, by its number in linux/capability.h.
const POWERS: [(&str, u32); 14] = [
    ("NET_ADMIN", 12),
    ("NET_RAW", 13),
    ("SYS_MODULE", 16),
    ("SYS_RAWIO", 17),
    ("SYS_PTRACE", 19),
    ("SYS_ADMIN", 21),
    ("SYS_BOOT", 22),
    ("SYS_RESOURCE", 24),
    ("SYS_TIME", 25),
    ("MKNOD", 27),
    ("MAC_ADMIN", 33),
    ("SYSLOG", 34),
    ("PERFMON", 38),
    ("BPF", 39),
];

pub(crate) fn harness() -> i32 {
    let root = rustix::process::geteuid().is_root();
    let scenes: [Scene; 14] = [
        ("pid_1_sees_only_itself", || {
            let text = scene("echo pid=$$; ls /proc | grep -c '^[0-9]'");
            assert!(text.starts_with("pid=1\n"), "{text}");
            let processes: u32 = text.lines().nth(1).unwrap().parse().unwrap();
            assert!(processes <= 4, "{text}");
        }),
        ("the_hosts_files_are_not_there", || {
            let text = scene(
                "ls -A /home /root /srv; cat /etc/shadow 2>&1; cat /etc/planted/deep /etc/localtime; echo; \
                 ls -d /usr/bin && hostname; touch /home/kernel/x && echo wrote",
            );
            // The session's own, in which nobody has a password.
            assert!(text.contains("kernel:*:20000:") && !text.contains(":$"), "{text}");
            assert!(
                text.contains("herea zone of its own\n") && text.contains("inside\n"),
                "{text}"
            );
            assert!(text.contains("wrote"), "{text}");
        }),
        ("folders_made_ahead_are_as_the_others", || {
            let script = "find / -xdev -path /tmp/\\* -prune -o -printf '%p %y %U %G %m\\n' | sort";
            let text = scene(script);
            assert!(text.contains("/home/kernel d 1000 1000 755\n"), "{text}");
            let ahead = "/home/kernel /var/lib/browserd /opt/bound/share /etc/planted";
            assert_eq!(scene_ahead(script, ahead), text);
        }),
        ("they_stand_without_overlays", || {
            let script =
                "touch /usr/x 2>&1; touch /home/kernel/x && echo wrote; cat /etc/planted/deep";
            if rustix::process::geteuid().is_root() {
                let text = scene_in_a_container(script);
                assert!(text.contains("Read-only") && text.ends_with("wrote\nhere"), "{text}");
            }
        }),
        ("no_new_privileges_and_a_filter", || {
            let text = scene("grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status");
            assert!(text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t2"), "{text}");
        }),
        ("capabilities_are_bounded", || {
            let text = scene("grep -E 'Cap(Bnd|Prm|Eff|Inh|Amb):' /proc/self/status");
            assert_eq!(text.lines().count(), 5, "{text}");
            for line in text.lines() {
                let set = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
                for (name, number) in POWERS {
                    assert_eq!(set >> number & 1, 0, "{name} in {line}");
                }
            }
        }),
        ("setuid_programs_gain_nothing", || {
            let text = scene(&format!(
                "{USER} cp /usr/bin/id /tmp/gain && chmod 6755 /tmp/gain && stat -c %a /tmp/gain; \
                 user /tmp/gain -u; user /tmp/gain -g; user grep CapEff /proc/self/status"
            ));
            assert_eq!(text, "6755\n1000\n1000\nCapEff:\t0000000000000000\n");
        }),
        ("pid_1_cannot_be_overwritten", || {
            let before = fs::read("/bin/bash").unwrap();
            let text = scene(
                "[ $(id -u) = 0 ] && cmp /.browserd/guest /bin/bash 2>&1; \
                 for file in /proc/1/exe /.browserd/guest; do (: >> $file) 2>/dev/null && echo opened; done; \
                 chmod 777 /.browserd/guest 2>/dev/null && echo changed; \
                 rm -f /.browserd/guest 2>/dev/null && echo removed; \
                 mv /bin/true /.browserd/guest 2>/dev/null && echo replaced; \
                 umount /.browserd/guest 2>/dev/null && echo unmounted",
            );
            let unreadable = "cmp: /.browserd/guest: Permission denied\n";
            let root = rustix::process::geteuid().is_root();
            assert_eq!(text, if root { unreadable } else { "" });
            assert!(fs::read("/bin/bash").unwrap() == before);
        }),
        ("system_calls_are_refused", || {
            let calls = CALLS.map(|(name, number, arguments)| {
                format!("say {name} => syscall({number}, {arguments});\n")
            });
            let text = scene(&format!(
                "perl - <<'END'\n\
                 use Errno;\n\
                 sub t {{ my $text = shift; $text }}\n\
                 sub say {{ print \"$_[0] \", $_[1] >= 0 ? 'done' : $!{{EPERM}} ? 'EPERM' : $!, \"\\n\" }}\n\
                 my $room = \"\\0\" x 4096;\n\
                 {}END\n",
                calls.concat()
            ));
            let expected = CALLS.map(|(name, ..)| format!("{name} EPERM\n")).concat();
            assert_eq!(text, expected);
        }),
        ("mounting_is_refused_even_in_a_namespace_of_ones_own", || {
            let text = scene(&format!(
                "{USER} user unshare -Ur true && echo userns; user unshare -Urm true 2>&1; \
                 mount -t tmpfs none /mnt 2>&1; echo x 2>&1 >/proc/sys/kernel/hostname"
            ));
            assert!(text.contains("userns\n"), "Chromium needs user namespaces: {text}");
            assert!(text.contains("unshare failed: Operation not permitted"), "{text}");
            assert!(
                text.contains("permission denied") || text.contains("must be superuser"),
                "{text}"
            );
            assert!(text.contains("hostname: Read-only file system"), "{text}");
        }),
        ("a_network_that_leads_to_the_gateway_alone", || {
            let text = scene(
                "open() { (exec 3<>/dev/$1) 2>/dev/null && echo open || echo refused; }
                 send() { (exec 3<>/dev/$1 && echo x >&3) 2>/dev/null && echo sent || echo unsent; }
                 tail -n +3 /proc/net/dev | cut -d: -f1
                 open tcp/127.0.0.1/3128; open tcp/192.0.2.1/80; open tcp/198.18.0.1/22
                 open tcp/198.18.0.2/80; open tcp/127.0.0.1/80
                 send udp/198.18.0.1/53; send udp/192.0.2.1/9; send udp/224.0.0.1/5353",
            );
            assert_eq!(
                text.split_whitespace().collect::<Vec<_>>(),
                [
                    "lo", "eth0", "open", "open", "open", "refused", "refused", "sent", "unsent",
                    "unsent"
                ],
                "{text}"
            );
        }),
        ("memory_is_limited", || {
            // tail keeps all of a file without newlines
            let text = scene(
                "head -c 400000000 /dev/zero | tail -n 1 >/dev/null; echo ${PIPESTATUS[1]}; echo on",
            );
            assert!(text.ends_with("\n137\non\n"), "{text}");
        }),
        ("processes_are_limited", || {
            let text = scene(
                "i=0; while [ $i -lt 200 ]; do (read -t 5 < /dev/zero) & i=$((i+1)); done 2>&1 | head -3; kill %% 2>/dev/null",
            );
            assert!(text.contains("Resource temporarily unavailable"), "{text}");
        }),
        ("devices_are_few_and_work", || {
            let text = scene(
                "ls /dev | tr '\\n' ' '; echo x > /dev/null && echo null; head -c 4 /dev/urandom | wc -c; cat /proc/kcore 2>&1 | head -c 200; cat /proc/keys | wc -c",
            );
            assert!(text.contains("null\n4\n"), "{text}");
            assert!(!text.contains("vda") && !text.contains("mem "), "{text}");
        }),
    ];
    let total = scenes.len();
    let (mut failed, mut ignored) = (0, 0);
    for (name, run) in scenes {
        // Without root the cgroup of the test has no controllers.
        if !root && matches!(name, "memory_is_limited" | "processes_are_limited") {
            println!("test {name} ... ignored, needs root");
            ignored += 1;
            continue;
        }
        let result = std::panic::catch_unwind(run);
        println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        failed += usize::from(result.is_err());
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed; {ignored} ignored",
        if failed == 0 { "ok" } else { "FAILED" },
        total - failed - ignored
    );
    i32::from(failed > 0)
}
