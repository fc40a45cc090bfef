//! A headful session's X server, driven through one connection of the guest's own.
//!
//! ```text
//!   Display::call ── job ──▶ queue ─▶ thread: Server (one X connection, blocking)
//!        ▲                                │  XTEST, XFIXES, SHM, selections
//!        └──────── answer, or the deadline: hang up, forget the thread
//! ```
//!
//! Programs of the session can take the X server's place and stop answering. Every call has a
//! deadline; when it passes, the connection is shut down, which ends the thread, and the next call
//! makes another. So it is when the server was started again. What the lost connection held down is
//! let go of before anything else is done on the next one.

mod capture;
mod clipboard;
mod keyboard;
mod ping;
mod pointer;
mod server;
mod thread;

use std::sync::Arc;
use std::time::Duration;

use browserd_guest_browser::DesiredState;
use tokio::sync::oneshot;

pub(super) use capture::Picture;

use server::Server;
use thread::Thread;

/// How long the X server may take for one call.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server is not there, or the connection to it broke off.
    #[error("the X server cannot be reached: {0}")]
    Lost(String),
    /// It did not answer in time.
    #[error("the X server did not answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
    /// It refused, or lacks something.
    #[error("the X server refused: {0}")]
    Refused(String),
}

type Result<T> = std::result::Result<T, Failure>;

impl From<x11rb::errors::ConnectionError> for Failure {
    fn from(error: x11rb::errors::ConnectionError) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<x11rb::errors::ReplyError> for Failure {
    fn from(error: x11rb::errors::ReplyError) -> Self {
        match error {
            x11rb::errors::ReplyError::ConnectionError(error) => error.into(),
            x11rb::errors::ReplyError::X11Error(error) => {
                Self::Refused(format!("{:?} of {:?}", error.error_kind, error.request_name))
            }
        }
    }
}

impl From<x11rb::errors::ReplyOrIdError> for Failure {
    fn from(error: x11rb::errors::ReplyOrIdError) -> Self {
        match error {
            x11rb::errors::ReplyOrIdError::ConnectionError(error) => error.into(),
            x11rb::errors::ReplyOrIdError::X11Error(error) => {
                x11rb::errors::ReplyError::X11Error(error).into()
            }
            x11rb::errors::ReplyOrIdError::IdsExhausted => Self::Lost("out of ids".into()),
        }
    }
}

/// The display of the session.
pub(super) struct Display {
    number: u32,
    thread: Option<Thread>,
    /// A connection was lost; keys and buttons may be down since.
    lost: bool,
    /// Tells whether the pointer is hidden; a new connection has to hide it again.
    desired_state: Arc<DesiredState>,
}

impl Display {
    pub(super) fn new(number: u32, desired_state: &Arc<DesiredState>) -> Self {
        Self { number, thread: None, lost: false, desired_state: Arc::clone(desired_state) }
    }

    /// Does `job` on the connection.
    async fn call<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut Server) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.thread.as_ref().is_none_or(Thread::ended) {
            self.hang_up();
            let connect =
                Thread::start(self.number, self.desired_state.pointer_hidden(), self.lost);
            let thread = tokio::time::timeout(ANSWER_WITHIN, connect).await;
            self.thread = Some(thread.map_err(|_| Failure::Silent)??);
            self.lost = false;
        }
        let thread = self.thread.as_ref().ok_or(Failure::Silent)?;
        let (tell, told) = oneshot::channel();
        let sent = thread.send(Box::new(move |server| {
            let result = job(server);
            let lost = matches!(result, Err(Failure::Lost(_)));
            // Whoever asked may have gone.
            let _ = tell.send(result);
            !lost
        }));
        let answer =
            if sent { tokio::time::timeout(ANSWER_WITHIN, told).await } else { Ok(told.await) };
        match answer {
            Ok(Ok(result)) => {
                if matches!(result, Err(Failure::Lost(_))) {
                    self.hang_up();
                }
                result
            }
            Ok(Err(_)) => {
                self.hang_up();
                Err(Failure::Lost("the connection broke off".into()))
            }
            Err(_) => {
                self.hang_up();
                Err(Failure::Silent)
            }
        }
    }

    /// Gives the connection up, if there is one.
    fn hang_up(&mut self) {
        self.lost |= self.thread.take().is_some();
    }

    /// Whether there is nothing to let go of here, because the next connection begins with that.
    fn lets_go_later(&self) -> bool {
        self.lost && self.thread.is_none()
    }
}
