//! A guest without walls: real Chromium in temporary folders, the guest's parts in this process.
//!
//! There is one table of children a process, so each test has a process of its own: see [`alone`].

pub(crate) mod screen;

use std::collections::HashSet;
use std::fs::Permissions;
use std::io::{IoSliceMut, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use browserd_api::SessionId;
use browserd_api::browser::{LocationRequest, Memory, Region, SessionConfig, Viewport};
use browserd_chromium::cdp::Cdp;
use browserd_guest::raise_descriptor_limit;
use browserd_guest_browser::{Browser, Running};
use browserd_guest_fs::Offers;
use browserd_guest_session::location::InForce;
use browserd_guest_session::{Children, Places, Session, ShimLine};
use browserd_protocol::{GuestReport, GuestSpec, HandoffReply, Programs};
use browserd_sandbox::leaf::Leaves;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};

/// What a test may wait for one thing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn config() -> SessionConfig {
    SessionConfig {
        headless: true,
        viewport: Viewport { width: 1280, height: 800, refresh_rate: None },
        kiosk_mode: false,
        stealth: false,
        start_url: None,
        location: LocationRequest::default(),
        chrome_policy: None,
        memory: Memory::Gib1,
        region: Region::UsEast,
        timeout_seconds: 60,
        proxy: None,
        profile: None,
    }
}

pub(crate) fn spec(config: SessionConfig) -> GuestSpec {
    GuestSpec {
        session_id: SessionId::generate(),
        config,
        timezone: "Asia/Tokyo".into(),
        locale: "fr-FR".into(),
        programs: Programs {
            headless_shell: None,
            headless_version: None,
            chromium: "/usr/lib/chromium/chromium".into(),
            xvfb: Some("/usr/bin/Xvfb".into()),
            chromedriver: Some("/usr/bin/chromedriver".into()),
            ffmpeg: Some("/usr/bin/ffmpeg".into()),
            pulseaudio: None,
            node: None,
            node_runners: None,
        },
        // Chromium refuses to run as root; as another user there is nobody to become.
        many_uids: rustix::process::geteuid().is_root(),
        has_cgroup: false,
        watch_memory: None,
        disk_limit: 0,
        disk_reserve: 0,
        log: String::new(),
    }
}

pub(crate) struct Guest {
    pub(crate) session: Arc<Session>,
    pub(crate) browser: Browser,
    pub(crate) dir: tempfile::TempDir,
    reports: Lines<BufReader<tokio::net::UnixStream>>,
}

impl Guest {
    pub(crate) fn start(spec: GuestSpec) -> Self {
        Self::start_in(spec, None)
    }

    /// Starts with leaves in this cgroup.
    pub(crate) fn start_in(spec: GuestSpec, cgroup: Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        for folder in [dir.path().to_owned(), home.clone(), dir.path().join("state")] {
            if !folder.exists() {
                std::fs::create_dir(&folder).unwrap();
            }
            std::fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        }
        if spec.many_uids {
            std::os::unix::fs::chown(&home, Some(1000), Some(1000)).unwrap();
        }
        let places = Places {
            etc: dir.path().join("etc"),
            user_data: home.join("user-data"),
            downloads: home.join("Downloads"),
            home,
            state: dir.path().join("state"),
            logs: dir.path().join("logs"),
            // Test runs on one host must not meet on a display.
            display: 1000 + std::process::id() % 50_000,
        };
        let session = Arc::new(Session {
            location: InForce::at_start(&spec),
            spec,
            places,
            children: Children::new().unwrap(),
            leaves: cgroup
                .as_ref()
                .map(|path| Leaves::new(std::fs::File::open(path).unwrap().into())),
            wake_locks: browserd_guest_session::wake_lock::WakeLocks::default(),
            disk: browserd_guest_session::disk::Disk::unlimited(),
            descriptor_limit: raise_descriptor_limit(),
        });
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = tokio::net::UnixStream::from_std(ours).unwrap();
        let (shim, _gone) = ShimLine::new(theirs).unwrap();
        let browser = Browser::start(Arc::clone(&session), shim);
        Self { session, browser, dir, reports: BufReader::new(ours).lines() }
    }

    pub(crate) async fn report(&mut self) -> GuestReport {
        let line = tokio::time::timeout(PATIENCE, self.reports.next_line()).await;
        serde_json::from_str(&line.expect("no report in time").unwrap().unwrap()).unwrap()
    }

    /// After the browser was stopped: a report nobody has read yet.
    pub(crate) async fn unread(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.reports.next_line()).await;
        line.expect("somebody may still report").unwrap()
    }

    pub(crate) async fn running(&self) -> Running {
        self.browser.running().await.unwrap()
    }

    pub(crate) fn log(&self, name: &str) -> String {
        let bytes = std::fs::read(self.session.places.logs.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Serves the descriptor-passing socket and answers where it is.
    pub(crate) fn handoff_socket(&self) -> PathBuf {
        let path = self.dir.path().join("fd.sock");
        let listener = UnixListener::bind(&path).unwrap();
        tokio::spawn(browserd_guest::handoff::serve(
            listener,
            self.browser.clone(),
            Offers::default(),
        ));
        path
    }

    /// Serves the routes of the driver on a port of its own.
    pub(crate) async fn webdriver(&self) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router =
            browserd_guest_web::webdriver::router(Arc::clone(&self.session), self.browser.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let stream = hyper_util::rt::TokioIo::new(stream);
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(stream, service)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        port
    }
}

impl Drop for Guest {
    /// A test that fails leaves nothing behind either: all of it is below this process.
    fn drop(&mut self) {
        for (pid, _) in descendants() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// Evaluates an expression in the first page.
pub(crate) async fn evaluate(cdp: &Cdp, expression: &str) -> Value {
    let page = cdp.pages().await.unwrap().remove(0);
    let session = cdp.attach(&page.target_id).await.unwrap();
    let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
    let result: Value = cdp.call(Some(&session), "Runtime.evaluate", params).await.unwrap();
    cdp.detach(&session).await.unwrap();
    result["result"]["value"].clone()
}

/// Sends the first page to `url` and waits until it is loaded.
pub(crate) async fn go(cdp: &Cdp, url: &str) {
    let page = cdp.pages().await.unwrap().remove(0);
    let session = cdp.attach(&page.target_id).await.unwrap();
    let mut events = cdp.events();
    let _: Value = cdp.call(Some(&session), "Page.enable", json!({})).await.unwrap();
    assert_eq!(cdp.navigate(&session, url).await.unwrap(), None);
    let loaded = async { while events.recv().await.unwrap().method != "Page.loadEventFired" {} };
    tokio::time::timeout(PATIENCE, loaded).await.expect("the page did not load");
    cdp.detach(&session).await.unwrap();
}

/// Asks a descriptor-passing socket; answers with the reply and the socket.
pub(crate) async fn request_descriptor(
    path: PathBuf,
    byte: u8,
) -> (HandoffReply, Option<TcpStream>) {
    let ask = move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(&[byte]).unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut line = vec![0; 4096];
        let received = rustix::net::recvmsg(
            &stream,
            &mut [IoSliceMut::new(&mut line)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
        .unwrap();
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        assert!(fds.len() <= 1);
        let line = line[..received.bytes].strip_suffix(b"\n").expect("one whole line");
        (serde_json::from_slice(line).unwrap(), fds.pop().map(TcpStream::from))
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// One GET on a connection.
pub(crate) async fn get(mut stream: TcpStream, host: &str, path: &str) -> (String, Value) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let exchange = move || {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        // Chromium keeps the connection, so the length says where the answer ends.
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|l| {
                        l.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
                    })
                    .unwrap_or(0usize);
                if body.len() >= length {
                    let body = serde_json::from_str(body).unwrap_or(Value::Null);
                    return (head.lines().next().unwrap_or_default().to_owned(), body);
                }
            }
            let read = stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the answer is incomplete: {text}");
            answer.extend_from_slice(&chunk[..read]);
        }
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

/// A cgroup (v2) of this process's own; `None` only for users that may not make one.
pub(crate) fn cgroup() -> Option<PathBuf> {
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let root = roots.into_iter().find(|path| path.join("cgroup.procs").exists())?;
    let path = root.join(format!("browserd-browser-test-{}", std::process::id()));
    match std::fs::create_dir(&path) {
        Ok(()) => Some(path),
        Err(error) => {
            assert!(!rustix::process::geteuid().is_root(), "{}: {error}", path.display());
            None
        }
    }
}

/// Everything below this process: pid and command line.
pub(crate) fn descendants() -> Vec<(i32, String)> {
    let mut parents: Vec<(i32, i32)> = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap();
        parents.push((pid, parent.parse().unwrap()));
    }
    let mut family = HashSet::from([std::process::id() as i32]);
    loop {
        let before = family.len();
        family.extend(
            parents
                .iter()
                .filter(|(_, p)| family.contains(p))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            break;
        }
    }
    family.remove(&(std::process::id() as i32));
    let name = |pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    family.into_iter().map(|pid| (pid, name(pid).replace('\0', " "))).collect()
}

/// Runs a test on a runtime like the guest's.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

/// Names the test that a process was started for.
const ALONE: &str = "BROWSERD_TEST_ALONE";

/// Runs a test in a process of its own, which is this binary, started again for that test.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some_and(|alone| *alone == *name) {
        return test();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{name}: {}", output.status);
}
