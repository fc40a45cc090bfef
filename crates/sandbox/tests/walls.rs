//! The walls themselves, seen from inside by a shell that stands where the guest would.
//!
//! Needs root, a v2 cgroup tree and /usr with a shell; that is what the test machine has.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "a test harness of its own")]

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use browserd_sandbox::cgroup::{self, Hierarchies, Limits};
use browserd_sandbox::walls::{self, Identity, Plan, PlantedFile};
use browserd_sandbox::{skeleton, uids};
use rustix::process::{WaitId, WaitIdOptions, waitid};

/// The parent test runs each scene in a process of its own, because raising walls needs a process
/// with one thread and the test harness has several.
const SCENE: &str = "BROWSERD_WALLS_SCENE";

fn main() {
    match std::env::var(SCENE) {
        Ok(scene) => print!("{}", raise_and_run(&scene)),
        Err(_) => std::process::exit(harness()),
    }
}

/// What the shell prints inside, and afterwards what is left outside.
fn raise_and_run(script: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let skeleton_folder = dir.path().join("skeleton");
    skeleton::build(&skeleton_folder).unwrap();
    let session = dir.path().join("session");
    fs::create_dir(&session).unwrap();
    let root = rustix::process::geteuid().is_root();
    let identity = if root {
        Identity::Range(uids::lease().unwrap())
    } else {
        Identity::Own { inside_uid: 1000 }
    };
    let mut hierarchies = Hierarchies::detect();
    let parent = format!("browserd-walls-{}", std::process::id());
    cgroup::prepare_parent(&mut hierarchies, &parent).unwrap();
    let limits = Limits { memory: 256 << 20, pids: 64, cpu_weight: 100, cpu_max_pct: None };
    let owner = match &identity {
        Identity::Range(range) => Some(range.base),
        Identity::Own { .. } => None,
    };
    let places = cgroup::Session::places(&hierarchies, &parent, "one");
    let group = cgroup::Session::create(&hierarchies, &parent, "one", &limits, owner).unwrap();
    let (output, log) = rustix::pipe::pipe().unwrap();
    let planted =
        [planted("/etc/planted/deep", b"here"), planted("/etc/localtime", b"a zone of its own")];
    let raised = walls::raise(&Plan {
        dir: &session,
        skeleton: &skeleton_folder,
        identity: &identity,
        cgroup: &group,
        hostname: "inside",
        user_uid: 1000,
        planted: &planted,
        user_folders: &["/home/kernel"],
        guest_folders: &["/var/lib/browserd"],
        bound: &[(Path::new("/usr/share"), "/opt/bound/share")],
        program: Path::new("/bin/bash"),
        arguments: &["bash", "-c", script],
        environment: &[("PATH", "/usr/bin:/bin")],
        descriptors: &[],
        log: log.as_fd(),
        gateway: "127.0.0.1:3128".parse().unwrap(),
        shm_bytes: 1 << 20,
    });
    drop(log);
    let raised = match raised {
        Ok(raised) => raised,
        Err(error) => return format!("NOT RAISED {error}\n"),
    };
    let mut text = String::new();
    fs::File::from(output).read_to_string(&mut text).unwrap();
    group.kill_inside().unwrap();
    waitid(WaitId::PidFd(raised.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
    cgroup::clear(&places).unwrap();
    cgroup::remove_parent(&hierarchies, &parent).unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*session.to_string_lossy()), "a mount is left");
    text
}

fn scene(script: &str) -> String {
    let output =
        Command::new(std::env::current_exe().unwrap()).env(SCENE, script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn planted(path: &str, content: &[u8]) -> PlantedFile {
    PlantedFile { path: path.into(), content: content.to_vec(), mode: 0o644 }
}

type Scene = (&'static str, fn());

fn harness() -> i32 {
    let root = rustix::process::geteuid().is_root();
    let scenes: [Scene; 7] = [
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
            assert!(text.contains("/etc/shadow: No such file"), "{text}");
            assert!(
                text.contains("herea zone of its own\n") && text.contains("inside\n"),
                "{text}"
            );
            assert!(text.contains("wrote"), "{text}");
        }),
        ("no_new_privileges_and_a_filter", || {
            let text = scene("grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status");
            assert!(text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t2"), "{text}");
        }),
        ("mounting_is_refused_even_in_a_namespace_of_ones_own", || {
            let text = scene(
                "user() { [ $(id -u) = 0 ] || { \"$@\"; return; }; setpriv --reuid 1000 --regid 1000 --clear-groups \"$@\"; }; \
                 user unshare -Ur true && echo userns; user unshare -Urm true 2>&1; \
                 mount -t tmpfs none /mnt 2>&1; echo x 2>&1 >/proc/sys/kernel/hostname",
            );
            assert!(text.contains("userns\n"), "Chromium needs user namespaces: {text}");
            assert!(text.contains("unshare failed: Operation not permitted"), "{text}");
            assert!(
                text.contains("permission denied") || text.contains("must be superuser"),
                "{text}"
            );
            assert!(text.contains("hostname: Read-only file system"), "{text}");
        }),
        ("only_a_loopback", || {
            let text = scene(
                "cat /proc/net/dev | tail -n +3 | cut -d: -f1; (exec 3<>/dev/tcp/127.0.0.1/3128) && echo gateway",
            );
            assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["lo", "gateway"], "{text}");
        }),
        ("limits_hold", || {
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
    if !root {
        println!("walls: running as an ordinary user; limits are not this test's to see");
    }
    let mut failed = 0;
    for (name, run) in scenes {
        if !root && name == "limits_hold" {
            continue;
        }
        let result = std::panic::catch_unwind(run);
        println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        failed += i32::from(result.is_err());
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed",
        if failed == 0 { "ok" } else { "FAILED" },
        7 - failed
    );
    i32::from(failed > 0)
}
