//! Sound: a `PulseAudio` with one sink that leads nowhere, for the browser to play into and the
//! encoder to listen to.
//!
//! It starts with the first recording that wants sound and lives as long as the session. Chromium
//! looks for it when it first makes a sound; one that has looked before it was there plays into
//! nothing, so its audio process is ended, and the one that follows finds it.

use std::ffi::CString;
use std::fs::Permissions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use browserd_guest_browser::{Browser, pump};
use browserd_guest_session::environment::{self, User};
use browserd_guest_session::{Child, Session, procfs};
use browserd_protocol::inside;
use browserd_sandbox::child::{Input, Launch};
use browserd_sandbox::leaf::Leaf;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};
use tokio::sync::{Mutex, oneshot};

/// What the encoder listens to.
pub(super) const MONITOR: &str = "browser.monitor";
/// How long the start may take.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// What `PulseAudio` says when it is ready.
const READY: &[u8] = b"Daemon startup complete";
/// On the command line of Chromium's audio process.
const AUDIO_PROCESS: &[u8] = b"--utility-sub-type=audio.mojom.AudioService";

/// Why there is no sound.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAudio {
    #[error(
        "this host has no PulseAudio, which recordings with sound need; install it (Debian: pulseaudio), or leave record_audio out"
    )]
    NotInstalled,
    #[error("PulseAudio does not start: {0}")]
    Failed(#[from] io::Error),
}

/// The session's sound. Cheap to clone.
#[derive(Clone)]
pub(super) struct Audio {
    session: Arc<Session>,
    browser: Browser,
    running: Arc<Mutex<Running>>,
}

#[derive(Default)]
struct Running {
    starts: u32,
    child: Option<(Child, Option<Leaf>)>,
}

impl Audio {
    /// Starts nothing yet.
    pub(super) fn new(session: Arc<Session>, browser: Browser) -> Self {
        Self { session, browser, running: Arc::default() }
    }

    /// The address of the running server; starts it if need be.
    pub(super) async fn server(&self) -> Result<&'static str, NoAudio> {
        let mut running = self.running.lock().await;
        if let Some((child, _)) = &running.child
            && child.exit.borrow().is_none()
        {
            return Ok(inside::PULSE_SERVER);
        }
        if let Some((_, Some(leaf))) = running.child.take() {
            let _ = leaf.kill();
            let _ = leaf.remove();
        }
        running.starts += 1;
        let started = self.start(running.starts).await?;
        running.child = Some(started);
        self.end_audio_processes();
        Ok(inside::PULSE_SERVER)
    }

    async fn start(&self, nth: u32) -> Result<(Child, Option<Leaf>), NoAudio> {
        let session = &self.session;
        let program = session.spec.programs.pulseaudio.as_deref().ok_or(NoAudio::NotInstalled)?;
        let folder = Path::new(inside::PULSE_DIR);
        make_folder(session, folder)?;
        let socket = inside::PULSE_SERVER.trim_start_matches("unix:");
        // A server that was killed has left it.
        let _ = std::fs::remove_file(socket);
        let mut launch =
            Launch::new(CString::new(program.as_os_str().as_bytes()).map_err(io::Error::from)?);
        let protocol = format!("module-native-protocol-unix auth-anonymous=1 socket={socket}");
        for argument in [
            "-n",
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--realtime=no",
            "--high-priority=no",
            "--disable-shm=yes",
            "--log-target=stderr",
            "--log-level=info",
            "-L",
            "module-null-sink sink_name=browser rate=48000 channels=2",
            "-L",
            protocol.as_str(),
        ] {
            launch = launch.arg(CString::new(argument).map_err(io::Error::from)?);
        }
        let mut env = environment::base(session, &User::browser(session));
        for name in ["PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "XDG_RUNTIME_DIR"] {
            env.push((name.to_owned(), inside::PULSE_DIR.to_owned()));
        }
        launch.envp = environment::to_envp(&env);
        launch.ids = session.browser_ids();
        launch.limits = vec![session.descriptor_limit];
        let (output, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        launch.stderr = Input::Fd(theirs);
        let name = format!("pulseaudio-{nth}");
        let leaf = session.leaves.as_ref().map(|leaves| leaves.create(&name)).transpose()?;
        launch.cgroup = match &leaf {
            Some(leaf) => Some(leaf.dir().try_clone_to_owned()?),
            None => None,
        };
        let mut child = session.children.start(&launch).map_err(io::Error::other)?;
        drop(launch);
        let (sender, ready) = oneshot::channel();
        let mut sender = Some(sender);
        tokio::spawn(pump(output, self.browser.logs().file("pulseaudio.log"), move |line| {
            if line.windows(READY.len()).any(|part| part == READY)
                && let Some(sender) = sender.take()
            {
                let _ = sender.send(());
            }
        }));
        if let Ok(Ok(())) = tokio::time::timeout(READY_WITHIN, ready).await {
            return Ok((child, leaf));
        }
        session.children.kill(&child);
        child.wait().await;
        if let Some(leaf) = leaf {
            let _ = leaf.remove();
        }
        Err(io::Error::other("it was not ready in time; see pulseaudio.log").into())
    }

    /// Ends Chromium's audio process, if there is one; Chromium starts another when it needs it.
    fn end_audio_processes(&self) {
        let Ok(processes) = std::fs::read_dir("/proc") else { return };
        for process in processes.flatten() {
            let name = process.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            let Some(pid) = pid else { continue };
            if procfs::has_argument(pid.as_raw_nonzero().get(), AUDIO_PROCESS) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn make_folder(session: &Session, folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if let Some(ids) = session.browser_ids() {
        std::os::unix::fs::lchown(folder, Some(ids.uid), Some(ids.gid))?;
    }
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}
