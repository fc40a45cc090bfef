//! The limits of a session and the cgroups they stand in, seen from inside and from outside: as root,
//! as an ordinary user who may not make cgroups, and as one to whom a cgroup is delegated.
//!
//! Needs root to become those; what only a v2 tree with controllers shows is skipped without one.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::PROCESSES;
use browserd_sandbox::cgroup;

/// Raising walls needs a process with one thread, so each scene has a process of its own.
const SCENE: &str = "BROWSERD_LIMITS_SCENE";
/// The same for trials, which move the process.
const TRIAL: &str = "BROWSERD_LIMITS_TRIAL";

const NOBODY: u32 = 65_534;

/// Plays the scene or the trial this process was started for; `false` when it was not.
pub(crate) fn play() -> bool {
    if let Ok(scene) = std::env::var(SCENE) {
        print!("{}", raise_and_run(&scene));
    } else if std::env::var_os(TRIAL).is_some() {
        print!("{:?} {}", cgroup::trial().unwrap(), own_cgroups());
    } else {
        return false;
    }
    true
}

fn own_cgroups() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap().replace('\n', ";")
}

/// What a shell prints that stands where the guest would.
fn raise_and_run(script: &str) -> String {
    match crate::support::stand("limits", script, &[], &[], &[]) {
        Ok(stood) => format!(
            "tracks {} memory {} pids {}\n{}",
            stood.tracks,
            stood.hierarchies.limits_memory(),
            stood.hierarchies.limits_pids(),
            stood.text
        ),
        Err(error) => format!("NOT RAISED {error}\n"),
    }
}

/// As whom a scene is played.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Root,
    /// An ordinary user.
    User,
    /// An ordinary user in a cgroup of its own, as `systemd-run --user -p Delegate=yes` makes it.
    Delegated,
}

/// The v2 tree of this host.
fn v2() -> PathBuf {
    let trees = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    trees.into_iter().find(|at| at.join("cgroup.controllers").exists()).expect("a v2 tree")
}

/// A cgroup below the v2 tree, removed in the end with those in it.
struct Group(PathBuf);

impl Group {
    fn new(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn give_to_nobody(&self) {
        for name in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            std::os::unix::fs::chown(self.0.join(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// Starts a command in it.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]);
        command.arg(self.0.join("cgroup.procs")).arg(program);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        cgroup::clear(std::slice::from_ref(&self.0)).unwrap();
    }
}

fn unique(name: &str) -> String {
    format!("browserd-test-{name}-{}", std::process::id())
}

/// Whether the v2 tree has the controllers, as it has on every host of today but those that ask for
/// the old ones.
fn has_controllers() -> bool {
    let offered = fs::read_to_string(v2().join("cgroup.controllers")).unwrap();
    ["memory", "pids"].iter().all(|name| offered.split_whitespace().any(|other| other == *name))
}

fn scene(who: Who, script: &str) -> String {
    // A copy, because the build folder need not be open to everyone.
    let folder = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let program = folder.path().join("limits");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let group = (who == Who::Delegated).then(|| Group::new(v2().join(unique("delegated"))));
    let mut command = match &group {
        Some(group) => {
            group.give_to_nobody();
            let mut command = group.command(Path::new("/usr/bin/setpriv"));
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
            command
        }
        None => Command::new(&program),
    };
    if who == Who::User {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.env(SCENE, script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("NOT RAISED"), "{text}");
    if let Some(group) = &group {
        let left: Vec<_> = fs::read_dir(&group.0).unwrap().flatten().collect();
        assert!(left.iter().all(|entry| !entry.path().is_dir()), "{left:?}");
    }
    text
}

/// Asks for a trial from inside a group; what it says, and whether it came back to where it was.
fn trial(group: &Group) -> String {
    let mut command = group.command(&std::env::current_exe().unwrap());
    let output = command.env(TRIAL, "").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let name = group.0.file_name().unwrap().to_string_lossy().into_owned();
    assert!(text.trim_end().ends_with(&format!("{name};")), "moved for good: {text}");
    let left: Vec<_> =
        fs::read_dir(&group.0).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.iter().all(|path| !path.is_dir()), "{left:?}");
    text
}

/// A process that is in a group and stays there.
struct Resident(std::process::Child);

impl Resident {
    fn of(group: &Group) -> Self {
        let mut command = group.command(Path::new("/bin/sh"));
        let script = "echo there; read line";
        let mut child = command
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        Self(child)
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The descriptor the guest makes leaves through is the first after the ones it is given.
const LEAVES: &str = "/proc/self/fd/3";

fn the_tree_ends_at_the_sessions_own_group(who: Who) {
    let text = scene(
        who,
        &format!(
            "for up in . .. ../.. ../../../../../../../../..; do echo \"at $(ls {LEAVES}/$up | tr '\\n' ' ')\"; done; \
             cd {LEAVES} && cd -P .. && cd -P ../../.. && echo \"went to $(ls | tr '\\n' ' ')\"; \
             cat {LEAVES}/../../../../../etc/passwd {LEAVES}/../../memory.max {LEAVES}/../cgroup.kill 2>&1"
        ),
    );
    let seen: Vec<_> = text.lines().filter(|line| line.starts_with("at ")).collect();
    assert_eq!(seen.len(), 4, "{text}");
    assert!(seen.iter().all(|line| *line == seen[0]), "{text}");
    assert!(seen[0].contains("cgroup.procs") && seen[0].contains(" init "), "{text}");
    let at = seen[0].trim_start_matches("at ");
    assert!(text.contains(&format!("went to {at}")), "{text}");
    assert!(text.contains("passwd: No such file") && !text.contains("root:x"), "{text}");
    assert!(text.contains("memory.max: No such file"), "{text}");
}

fn leaves_can_be_made_and_entered(who: Who) {
    let text = scene(
        who,
        &format!(
            "cat /proc/self/cgroup | grep ^0; mkdir {LEAVES}/one && \
             (echo $BASHPID > {LEAVES}/one/cgroup.procs && cat /proc/self/cgroup | grep ^0)"
        ),
    );
    assert!(text.contains("0::/init\n0::/one\n"), "{text}");
}

fn leaves_are_few_and_flat(who: Who) {
    let text = scene(
        who,
        &format!(
            "mkdir {LEAVES}/one; mkdir {LEAVES}/one/below 2>&1; \
             for i in {{1..100}}; do mkdir {LEAVES}/n$i 2>/dev/null || break; done; echo made $i"
        ),
    );
    assert!(
        text.contains("below’: Resource temporarily unavailable")
            || text.contains("below': Resource temporarily unavailable"),
        "{text}"
    );
    // All but the session's own, the guest's and `one`; the last number is the refused one.
    assert!(text.contains(&format!("made {}\n", PROCESSES)), "{text}");
}

fn limits_are_out_of_reach(who: Who) {
    let text = scene(
        who,
        &format!(
            "find {LEAVES}/ -name 'memory.*' -o -name 'pids.*' -o -name 'cpu.max' -o -name 'cpu.weight' | grep -v pressure; \
             for c in memory pids cpu; do echo +$c > {LEAVES}/cgroup.subtree_control && echo got $c; done 2>/dev/null; \
             echo max > {LEAVES}/../pids.max && echo lifted; echo done"
        ),
    );
    let said = text.lines().skip(1).filter(|line| !line.contains("pids.max"));
    assert_eq!(said.collect::<Vec<_>>(), ["done"], "{text}");
}

/// Starts more processes than there may be; they end with the scene.
const CROWD: &str = "for i in {1..200}; do sleep 300 & done";

fn processes_are_limited(who: Who) {
    let text = scene(who, &format!("{{ {CROWD}; }} 2>&1 | head -1"));
    assert!(text.contains("Resource temporarily unavailable"), "{text}");
}

fn nested_user_namespaces_do_not_lift_the_limit_of_processes(who: Who) {
    let text = scene(
        who,
        &format!(
            "[ $(id -u) = 0 ] && become='setpriv --reuid 1000 --regid 1000 --clear-groups'; \
             $become unshare -Ur bash -c 'ulimit -u unlimited 2>/dev/null; {CROWD}' 2>&1 | head -1"
        ),
    );
    assert!(text.contains("Resource temporarily unavailable"), "{text}");
}

fn no_cores_few_terminals_and_an_ordinary_number_of_files(who: Who) {
    let text = scene(
        who,
        "grep -E 'core file|open files' /proc/self/limits; grep ' /dev/pts ' /proc/self/mountinfo",
    );
    let core: Vec<_> =
        text.lines().find(|l| l.contains("core file")).unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["1", "1"], "{text}");
    let files: Vec<_> =
        text.lines().find(|l| l.contains("open files")).unwrap().split_whitespace().collect();
    assert_eq!(files[3], "1024", "{text}");
    assert!(text.contains("max=256"), "{text}");
}

fn a_trial_leaves_nothing(shared: bool) {
    let scope = Group::new(v2().join(unique("scope")));
    let _resident = shared.then(|| Resident::of(&scope));
    let before = fs::read_to_string(v2().join("cgroup.subtree_control")).unwrap();
    let text = trial(&scope);
    assert_eq!(fs::read_to_string(v2().join("cgroup.subtree_control")).unwrap(), before);
    assert!(text.contains("v2: true"), "{text}");
    // Alone it steps aside, in company it goes further out; either way there are limits.
    assert!(text.contains(&format!("v2_controllers: {}", has_controllers())), "{text}");
}

type Scene = (&'static str, fn(Who));

pub(crate) fn harness() -> i32 {
    if !rustix::process::geteuid().is_root() {
        println!("limits: skipped, because it needs root to become others");
        return 0;
    }
    let scenes: [Scene; 7] = [
        ("the_tree_ends_at_the_sessions_own_group", the_tree_ends_at_the_sessions_own_group),
        ("leaves_can_be_made_and_entered", leaves_can_be_made_and_entered),
        ("leaves_are_few_and_flat", leaves_are_few_and_flat),
        ("limits_are_out_of_reach", limits_are_out_of_reach),
        ("processes_are_limited", processes_are_limited),
        (
            "nested_user_namespaces_do_not_lift_the_limit_of_processes",
            nested_user_namespaces_do_not_lift_the_limit_of_processes,
        ),
        (
            "no_cores_few_terminals_and_an_ordinary_number_of_files",
            no_cores_few_terminals_and_an_ordinary_number_of_files,
        ),
    ];
    let (mut passed, mut failed) = (0, 0);
    let mut report = |name: String, test: &dyn Fn()| {
        let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        *if ok { &mut passed } else { &mut failed } += 1;
    };
    for (who, whose) in [(Who::Root, "root"), (Who::User, "user"), (Who::Delegated, "delegated")] {
        // The first four are about leaves, which a user without a cgroup has not.
        let from = if who == Who::User { 4 } else { 0 };
        for (name, run) in &scenes[from..] {
            report(format!("{whose}: {name}"), &|| run(who));
        }
    }
    report("a_trial_in_a_group_of_ones_own".to_owned(), &|| a_trial_leaves_nothing(false));
    report("a_trial_in_a_shared_group".to_owned(), &|| a_trial_leaves_nothing(true));
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed",
        if failed == 0 { "ok" } else { "FAILED" }
    );
    i32::from(failed > 0)
}
