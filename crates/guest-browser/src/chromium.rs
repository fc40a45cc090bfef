//! One life of Chromium: its start, and what makes it ready.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use browserd_chromium::cdp::{Cdp, CdpError};
use browserd_chromium::devtools::{self, Endpoint};
use browserd_chromium::flags::{self, Engine, LaunchConfig};
use browserd_chromium::locale;
use browserd_guest_session::environment::{self, User};
use browserd_guest_session::{Child, Session};
use browserd_protocol::inside;
use browserd_sandbox::child::{Input, Launch};
use browserd_sandbox::leaf::Leaf;
use parking_lot::Mutex;
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::{Value, json};
use tokio::sync::{broadcast, oneshot};

use super::desired_state::DesiredState;
use super::logs::{Logs, pump};
use super::policy_extensions;

/// Links that tie a profile to a running Chromium; after a crash they stay.
const SINGLETONS: [&str; 3] = ["SingletonLock", "SingletonSocket", "SingletonCookie"];

/// What on stderr explains no end of Chromium's: noise, and what pages say.
const NOISE: [&[u8]; 4] = [b"dbus/", b"gpu/", b":INFO:", b":VERBOSE"];

/// A started Chromium.
pub(super) struct Chromium {
    pub(super) locale: Arc<str>,
    pub(super) child: Child,
    pub(super) cdp: Cdp,
    /// Width and height of its windows when they open.
    pub(super) window: (u32, u32),
    announced: oneshot::Receiver<Endpoint>,
    last_words: Arc<Mutex<String>>,
}

/// Why a started Chromium is not ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReady {
    #[error("it did not announce its debugging port")]
    NotAnnounced,
    #[error(transparent)]
    Cdp(#[from] CdpError),
    #[error("it did not open its first page")]
    NoPage,
}

/// Starts Chromium on the session's profile.
pub(super) fn start(
    session: &Session,
    desired_state: &DesiredState,
    leaf: Option<&Leaf>,
    logs: &Logs,
) -> io::Result<Chromium> {
    prepare_profile(session)?;
    let location = session.location.get();
    location.plant(&session.places.etc)?;
    policy_extensions::plant(&session.places.etc, &desired_state.policy_extensions())?;
    let (commands_theirs, commands) = pipe_with(PipeFlags::CLOEXEC)?;
    let (answers, answers_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    let (output, output_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    let viewport = desired_state.viewport();
    let bare = session.spec.runs_shell() || desired_state.kiosk();
    let window = (viewport.width, flags::headless_window_height(viewport.height, bare));
    let mut launch = launch(session, desired_state, &location.locale)?;
    launch.extra_fds = vec![(commands_theirs, 3), (answers_theirs, 4)];
    launch.stdout = Input::Fd(output_theirs.try_clone()?);
    launch.stderr = Input::Fd(output_theirs);
    launch.cgroup = leaf.map(|leaf| leaf.dir().try_clone_to_owned()).transpose()?;
    // Before the start: what fails after it would leave a Chromium without a supervisor.
    let cdp = Cdp::over(commands, answers)?;
    let child = session.children.start(&launch).map_err(io::Error::other)?;
    // Closes our copies of Chromium's ends, so that its end is the pipes' end.
    drop(launch);
    let (announced, last_words) = listen(output, logs, desired_state.complaints().clone());
    Ok(Chromium { locale: location.locale.into(), child, cdp, window, announced, last_words })
}

fn launch(session: &Session, desired_state: &DesiredState, locale: &str) -> io::Result<Launch> {
    let spec = &session.spec;
    let viewport = desired_state.viewport();
    let program = CString::new(spec.browser().as_os_str().as_bytes())?;
    let mut launch = Launch::new(program);
    let languages = locale::accept_languages(locale);
    let engine = match spec.config.headless {
        _ if spec.runs_shell() => Engine::Shell { languages: &languages },
        true => Engine::Headless,
        false => Engine::Headful,
    };
    let arguments = flags::arguments(&LaunchConfig {
        engine,
        version: spec.programs.headless_version.as_deref(),
        width: viewport.width,
        height: viewport.height,
        kiosk: desired_state.kiosk(),
        memory: spec.config.memory.bytes(),
        user_data_dir: &session.places.user_data,
        proxy: Some(inside::PROXY_ADDR),
    });
    for argument in arguments {
        launch = launch.arg(CString::new(argument.as_bytes())?);
    }
    let mut env = environment::base(session, &User::browser(session));
    // With it Chromium would not look at /etc/localtime, and not follow it.
    env.retain(|(name, _)| name != "TZ");
    for (name, value) in locale::environment(locale) {
        env.retain(|(known, _)| known != name);
        env.push((name.to_owned(), value));
    }
    // Nothing listens there until a recording wants sound.
    env.push(("PULSE_SERVER".to_owned(), inside::PULSE_SERVER.to_owned()));
    launch.envp = environment::to_envp(&env);
    launch.cwd = CString::new(session.places.home.as_os_str().as_bytes())?;
    launch.ids = session.browser_ids();
    launch.limits = vec![session.descriptor_limit];
    // No oom_score_adj: Chromium sets it itself, 300 for renderers, 200 for its services, 0 for the
    // browser process, so that tabs go before anything else of the session when memory runs out.
    Ok(launch)
}

/// Makes the folders Chromium writes to, owned by its user, and unties the profile from a
/// Chromium that is gone.
fn prepare_profile(session: &Session) -> io::Result<()> {
    for folder in [&session.places.user_data, &session.places.downloads] {
        make_folder(folder, session).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
        })?;
    }
    for name in SINGLETONS {
        // Mostly there is none. Should one resist, Chromium says so on stderr.
        let _ = std::fs::remove_file(session.places.user_data.join(name));
    }
    Ok(())
}

fn make_folder(folder: &Path, session: &Session) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Ok(()) => match session.browser_ids() {
            Some(ids) => std::os::unix::fs::lchown(folder, Some(ids.uid), Some(ids.gid)),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Logs what Chromium prints; answers with its first announcement and its last words, and passes on
/// what it complains about extensions.
fn listen(
    output: OwnedFd,
    logs: &Logs,
    complaints: broadcast::Sender<String>,
) -> (oneshot::Receiver<Endpoint>, Arc<Mutex<String>>) {
    let (sender, announced) = oneshot::channel();
    let mut sender = Some(sender);
    let last_words = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&last_words);
    tokio::spawn(pump(output, logs.file("chromium.log"), move |line| {
        if sender.is_some()
            && let Some(endpoint) = devtools::announced(line)
            && let Some(sender) = sender.take()
        {
            let _ = sender.send(endpoint);
        } else if let Some(complaint) = policy_extensions::complaint(line) {
            // Usually there is no listener.
            let _ = complaints.send(complaint);
        } else if !NOISE.iter().any(|noise| line.windows(noise.len()).any(|part| part == *noise)) {
            let words = String::from_utf8_lossy(&line[..line.len().min(400)]);
            if !words.trim().is_empty() {
                *heard.lock() = words.into_owned();
            }
        }
    }));
    (announced, last_words)
}

impl Chromium {
    /// The last line it printed that may explain its end.
    pub(super) fn last_words(&self) -> String {
        self.last_words.lock().clone()
    }

    /// Waits until clients can use it: the port is announced, the pipe answers, and there is
    /// exactly one page.
    pub(super) async fn ready(&mut self, downloads: &Path) -> Result<(Endpoint, String), NotReady> {
        let announced = async { (&mut self.announced).await.map_err(|_| NotReady::NotAnnounced) };
        // Asked all at once: each answer of a browser that is starting takes its time.
        let answers = async {
            tokio::try_join!(self.cdp.version(), self.cdp.download_to(downloads))?;
            Ok(())
        };
        let (endpoint, (), page) = tokio::try_join!(announced, answers, first_page(&self.cdp))?;
        Ok((endpoint, page))
    }
}

/// The first page's target id. Chromium opens it a little after it answers; further pages are
/// closed.
async fn first_page(cdp: &Cdp) -> Result<String, NotReady> {
    let mut events = cdp.events();
    // Announces the targets there are, and those to come, as events.
    discover(cdp, true).await?;
    let first = loop {
        match events.recv().await {
            Ok(event) if event.method == "Target.targetCreated" => {
                let params = event.params.as_ref().map_or("null", |params| params.get());
                let params: Value = serde_json::from_str(params).unwrap_or_default();
                let info = &params["targetInfo"];
                if let ("page", Some(id)) =
                    (info["type"].as_str().unwrap_or_default(), info["targetId"].as_str())
                {
                    break id.to_owned();
                }
            }
            // There is at least one more to come, or a listing will tell.
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let pages = cdp.pages().await?;
                if let Some(page) = pages.into_iter().next() {
                    break page.target_id;
                }
            }
            Err(broadcast::error::RecvError::Closed) => return Err(NotReady::NoPage),
        }
    };
    let ((), pages) = tokio::try_join!(discover(cdp, false), cdp.pages())?;
    for page in pages {
        if page.target_id != first {
            cdp.close_page(&page.target_id).await?;
        }
    }
    Ok(first)
}

async fn discover(cdp: &Cdp, on: bool) -> Result<(), CdpError> {
    let _: Value = cdp.call(None, "Target.setDiscoverTargets", json!({ "discover": on })).await?;
    Ok(())
}
