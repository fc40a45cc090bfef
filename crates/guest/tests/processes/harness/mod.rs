//! A real guest without walls, as a process of its own, and a small client for it.
//!
//! The guest is this very test binary, started again to run the test `serve_as_guest`. Two ways are tested:
//!
//! * [`Way::Leaf`], as root: the guest is PID 1 of a pid namespace and makes leaf cgroups below one
//!   of its own; several uids exist.
//! * [`Way::Tree`]: the guest is an ordinary process of an ordinary user, without a cgroup.

mod client;

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use browserd_api::browser::{LocationRequest, Memory, Region, SessionConfig, Viewport};
use browserd_guest::Guest;
use browserd_guest_process::Retention;
use browserd_guest_session::Places;
use browserd_protocol::{GuestSpec, Programs};
use serde::{Deserialize, Serialize};

pub(crate) use client::{Client, Events, Transcript, output};

const SETUP: &str = "BROWSERD_TEST_GUEST";
/// An ordinary user that every system has, for [`Way::Tree`] when the tests run as root.
const NOBODY: u32 = 65534;

/// How the guest holds its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Leaf,
    Tree,
}

#[derive(Serialize, Deserialize)]
struct Setup {
    dir: PathBuf,
    cgroup: Option<PathBuf>,
    /// Kept output is limited to a few MiB, so that tests reach the limits.
    small: bool,
    spec: GuestSpec,
}

/// A running guest; ended, and checked for leftovers, by [`TestGuest::end`].
pub(crate) struct TestGuest {
    pub(crate) way: Way,
    dir: tempfile::TempDir,
    cgroup: Option<PathBuf>,
    process: Child,
    line: std::os::unix::net::UnixStream,
    ended: bool,
}

fn cgroup2() -> Option<PathBuf> {
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .map(PathBuf::from)
        .find(|root| root.join("cgroup.procs").exists())
}

impl TestGuest {
    /// Starts a guest; `None` where the way needs root and there is none.
    pub(crate) async fn start(way: Way) -> Option<Self> {
        Self::start_keeping(way, true).await
    }

    /// As [`Self::start`]; with the limits of kept output that real sessions have unless `small`.
    pub(crate) async fn start_keeping(way: Way, small: bool) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = rustix::process::geteuid().is_root();
        if way == Way::Leaf && !root {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        for folder in ["home", "state", "logs"] {
            let path = dir.path().join(folder);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        }
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let cgroup = (way == Way::Leaf).then(|| {
            let root = cgroup2().expect("root needs a cgroup v2 hierarchy for these tests");
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = root.join(format!("browserd-guest-test-{}-{number}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            path
        });
        let spec = GuestSpec {
            session_id: browserd_api::SessionId::generate(),
            config: session_config(),
            timezone: "Europe/Berlin".into(),
            locale: "de-DE".into(),
            programs: Programs {
                headless_shell: None,
                headless_version: None,
                chromium: "/nonexistent".into(),
                xvfb: None,
                chromedriver: None,
                ffmpeg: None,
                pulseaudio: None,
                node: None,
                node_runners: None,
            },
            many_uids: way == Way::Leaf,
            has_cgroup: cgroup.is_some(),
            watch_memory: None,
            disk_limit: 0,
            disk_reserve: 0,
            log: "info".into(),
        };
        let setup = Setup { dir: dir.path().into(), cgroup: cgroup.clone(), small, spec };
        // The line to the shim: when this test dies, so does the guest.
        let (line, their_line) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut command = command(way, root, dir.path());
        command
            .args(["serve_as_guest", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(SETUP, serde_json::to_string(&setup).unwrap())
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(their_line)))
            .stdout(Stdio::null());
        let process = loop {
            match command.spawn() {
                Ok(process) => break process,
                // Another test forked while the copy was being written, and has not executed yet.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        drop(command);
        let guest = Self { way, dir, cgroup, process, line, ended: false };
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::UnixStream::connect(guest.socket()).await.is_err() {
            assert!(Instant::now() < deadline, "the guest did not come up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(guest)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("guest.sock")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn output_files(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("state/output")).unwrap().count()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.socket())
    }

    /// Pid of the guest itself as seen from here.
    fn guest_pid(&self) -> u32 {
        match self.way {
            Way::Tree => self.process.id(),
            // `unshare` waits for it: its only child.
            Way::Leaf => {
                let id = self.process.id();
                let text = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
                text.unwrap().split_whitespace().next().unwrap().parse().unwrap()
            }
        }
    }

    /// Resident set of the guest, bytes.
    pub(crate) fn resident(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.guest_pid())).unwrap();
        text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    /// CPU time of everything below the guest, microseconds, from the kernel's own accounts.
    pub(crate) fn cpu_truth(&self, pid: i64) -> u64 {
        match &self.cgroup {
            Some(path) => {
                let text = std::fs::read_to_string(path.join("cpu.stat")).unwrap();
                text.lines().find_map(|l| l.strip_prefix("usage_usec ")).unwrap().parse().unwrap()
            }
            None => {
                let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
                let fields: Vec<u64> = text
                    .rsplit(')')
                    .next()
                    .unwrap()
                    .split_whitespace()
                    .skip(11)
                    .take(2)
                    .map(|f| f.parse().unwrap())
                    .collect();
                (fields[0] + fields[1]) * 10_000
            }
        }
    }

    /// Leaf cgroups there are.
    pub(crate) fn leaves(&self) -> usize {
        let Some(path) = &self.cgroup else { return 0 };
        std::fs::read_dir(path).unwrap().flatten().filter(|e| e.path().is_dir()).count()
    }

    /// Processes that run with this guest's environment, whoever their parent is now.
    pub(crate) fn processes(&self) -> usize {
        let home = format!("HOME={}\0", self.home().display());
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|entry| {
                let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                environ.windows(home.len()).any(|window| window == home.as_bytes())
            })
            .count()
    }

    /// Zombies whose parent is the guest or a supervisor of it.
    pub(crate) fn zombies(&self) -> usize {
        let guest = self.guest_pid().to_string();
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
            .filter(|stat| {
                let mut fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
                fields.next() == Some("Z") && fields.next() == Some(&guest)
            })
            .count()
    }

    /// Waits until the guest has nothing left of what was started.
    pub(crate) async fn quiet(&self) {
        eventually("nothing is left", || {
            self.processes() == 0 && self.zombies() == 0 && self.leaves() == 0
        })
        .await;
    }

    /// Ends the guest and checks that nothing of it is left.
    pub(crate) async fn end(mut self) {
        // What has just answered may be on its way out; what stays was never reaped.
        eventually("everything is reaped", || self.zombies() == 0).await;
        self.line.shutdown(std::net::Shutdown::Both).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
        self.ended = true;
        eventually("no process is left", || self.processes() == 0).await;
    }
}

impl Drop for TestGuest {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        if let Some(path) = &self.cgroup {
            let _ = std::fs::write(path.join("cgroup.kill"), "1");
            let deadline = Instant::now() + Duration::from_secs(5);
            while !remove_tree(path) && Instant::now() < deadline {
                std::thread::yield_now();
            }
            assert!(!path.exists() || std::thread::panicking(), "{} is left", path.display());
        }
    }
}

fn remove_tree(path: &Path) -> bool {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
    std::fs::remove_dir(path).is_ok()
}

fn command(way: Way, root: bool, dir: &Path) -> Command {
    let this = std::env::current_exe().unwrap();
    match way {
        Way::Leaf => {
            let mut command = Command::new("unshare");
            command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(this);
            command
        }
        Way::Tree if root => {
            // The user may not be able to reach the build folder.
            let copy = dir.join("guest");
            std::fs::copy(this, &copy).unwrap();
            let mut command = Command::new(copy);
            command.uid(NOBODY).gid(NOBODY);
            command
        }
        Way::Tree => Command::new(this),
    }
}

fn session_config() -> SessionConfig {
    SessionConfig {
        headless: true,
        viewport: Viewport::default(),
        kiosk_mode: false,
        stealth: false,
        start_url: None,
        location: LocationRequest::default(),
        chrome_policy: None,
        memory: Memory::Gib4,
        region: Region::default(),
        timeout_seconds: 60,
        proxy: None,
        profile: None,
    }
}

/// Waits until `condition` holds; panics when it does not within a generous time.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The guest's side: what the test `serve_as_guest` runs.
pub(crate) fn guest_main() {
    let Ok(setup) = std::env::var(SETUP) else { return };
    let Setup { dir, cgroup, small, spec } = serde_json::from_str(&setup).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let few = Retention { segment: 1 << 20, process: 16 << 20, session: 64 << 20 };
    let retention = if small { few } else { Retention::default() };
    let served = runtime.block_on(async {
        // The socket appears only once it is listened on by its final name.
        let http = std::os::unix::net::UnixListener::bind(dir.join("guest.sock")).unwrap();
        Guest {
            spec,
            places: Places {
                home: dir.join("home"),
                etc: dir.join("etc"),
                user_data: dir.join("home/user-data"),
                downloads: dir.join("home/Downloads"),
                state: dir.join("state"),
                logs: dir.join("logs"),
                display: 1,
            },
            shim: Some(std::io::stdin().as_fd().try_clone_to_owned().unwrap().into()),
            http,
            handoff: None,
            retention,
            cgroup: cgroup.map(|path| std::fs::File::open(path).unwrap().into()),
        }
        .run()
        .await
    });
    served.unwrap();
}

/// One test for every way there is.
macro_rules! both_ways {
    ($($name:ident),* $(,)?) => {
        mod leaf {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(guest) = crate::harness::TestGuest::start(crate::harness::Way::Leaf).await {
                    super::$name(&guest).await;
                    guest.end().await;
                }
            })*
        }
        mod tree {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let guest = crate::harness::TestGuest::start(crate::harness::Way::Tree).await.unwrap();
                super::$name(&guest).await;
                guest.end().await;
            })*
        }
    };
}
