//! From a request to a [`Launch`]: every rule of `exec` and `spawn` that can be checked before
//! anything starts.

mod command;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod identity;
mod variables;

use std::ffi::CString;

use browserd_api::process::ExecRequest;
use browserd_api::{ApiError, ErrorCode};
use browserd_guest_session::{Session, environment};
use browserd_rest::Error;
use browserd_sandbox::child::{Launch, LaunchError, Stage};

/// Longest `timeout_sec`, the longest a session may last.
const TIMEOUT_LIMIT: u64 = 259_200;

/// A checked request.
#[derive(Debug)]
pub(super) struct Plan {
    /// Ready but for streams, terminal and group.
    pub(super) launch: Launch,
    /// When to kill it.
    pub(super) timeout: Option<std::time::Duration>,
    /// Who it runs as, for the owner of its terminal.
    pub(super) owner: Option<(u32, u32)>,
}

/// Checks a request. `tty` adds `TERM`.
///
/// # Errors
///
/// 400 naming the field.
pub(super) fn plan(session: &Session, request: &ExecRequest, tty: bool) -> Result<Plan, Error> {
    if let Some(seconds) = request.timeout_sec.filter(|s| *s > TIMEOUT_LIMIT) {
        return Err(Error::field(
            "timeout_sec",
            format!("{seconds} is more than {TIMEOUT_LIMIT} seconds; leave it out for no limit"),
        ));
    }
    let runner = identity::resolve(session, request.as_user.as_deref(), request.as_root)?;
    let mut env = environment::base(session, &runner.user);
    if tty {
        env.push(("TERM".into(), "xterm-256color".into()));
    }
    variables::merge(&mut env, &request.env)?;
    let path = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let command = command::resolve(&request.command, &request.args, path)?;
    let cwd = match &request.cwd {
        Some(cwd) => working_directory(cwd)?,
        None => home_or_root(&runner.user.home),
    };
    let launch = Launch {
        programs: command.programs,
        argv: command.argv,
        envp: environment::to_envp(&env),
        cwd,
        root_caps: runner.root,
        limits: vec![session.descriptor_limit],
        ids: runner.ids.clone(),
        ..Launch::new(CString::default())
    };
    let owner = runner.ids.map(|ids| (ids.uid, ids.gid));
    let timeout = request.timeout_sec.filter(|s| *s > 0).map(std::time::Duration::from_secs);
    Ok(Plan { launch, timeout, owner })
}

fn working_directory(cwd: &str) -> Result<CString, Error> {
    if !cwd.starts_with('/') {
        return Err(Error::field("cwd", format!("{cwd:?} is not an absolute path")));
    }
    c_string("cwd", cwd)
}

/// The home, or `/` for users without one.
fn home_or_root(home: &str) -> CString {
    let usable = home.starts_with('/') && std::path::Path::new(home).is_dir();
    let dir = if usable { home } else { "/" };
    CString::new(dir).unwrap_or_else(|_| c"/".to_owned())
}

fn c_string(field: &str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::field(field, "must not contain a NUL character"))
}

/// What a failed start means for the client: 400 where the request is to blame, with the system's
/// words; 500 otherwise.
pub(super) fn refusal(error: LaunchError, request: &ExecRequest) -> Error {
    let words = error.os_text();
    let blame = |field: &str, message: String| {
        Error(ApiError::field(field, message).inner(error.stage.to_string(), words.clone()))
    };
    match (error.stage, error.errno) {
        (Stage::WorkingDirectory, _) => {
            let cwd = request.cwd.as_deref().unwrap_or("the home directory");
            blame("cwd", format!("{cwd}: {words}"))
        }
        (Stage::Program, E2BIG) => blame(
            "args",
            format!("{words}; pass long input through stdin or a file"),
        ),
        (Stage::Program, ENOMEM | EIO | ENFILE | EMFILE) => Error::internal(error),
        (Stage::Program, ENOEXEC) => blame(
            "command",
            format!("{}: {words}; a script needs a #! line, or run it through sh", request.command),
        ),
        (Stage::Program, _) => blame("command", format!("{}: {words}", request.command)),
        (Stage::Identity, EINVAL | EPERM) => blame(
            "as_user",
            format!("{words}: this uid or gid does not exist inside the session"),
        ),
        (Stage::Clone, EAGAIN | ENOMEM) => Error(
            ApiError::new(
                ErrorCode::TooManyRequests,
                "the session has no room for another process: its limit of processes or memory is reached; end some and try again",
            )
            .inner(error.stage.to_string(), words),
        ),
        _ => Error::internal(error),
    }
}

const EPERM: i32 = 1;
const EIO: i32 = 5;
const E2BIG: i32 = 7;
const ENOEXEC: i32 = 8;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
