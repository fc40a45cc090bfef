//! The X server of a headful session.

use std::ffi::CString;
use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use browserd_guest_session::environment::{self, User};
use browserd_guest_session::{Child, Session};
use browserd_sandbox::child::{Input, Launch};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::logs::{Logs, pump};

/// Where X servers have their sockets; must exist before one starts that is not root.
const SOCKETS: &str = "/tmp/.X11-unix";
/// How long the start may take.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Most bytes read of what the server writes to its `-displayfd`.
const NUMBER_LIMIT: u64 = 16;

/// Starts the X server and answers when it takes clients.
///
/// Its screen can take any size up to the one it has now, `width` by `height`.
pub(super) async fn start(
    session: &Session,
    (width, height): (u32, u32),
    logs: &Logs,
) -> io::Result<Child> {
    let xvfb = session.spec.programs.xvfb.as_deref().ok_or_else(|| {
        io::Error::other("no X server was found on the host; a headful session needs Xvfb")
    })?;
    prepare_sockets(Path::new(SOCKETS))?;
    let (number, number_in) = pipe_with(PipeFlags::CLOEXEC)?;
    let (output, output_in) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut child = session
        .children
        .start(&launch(session, xvfb, (width, height), number_in, output_in)?)
        .map_err(io::Error::other)?;
    tokio::spawn(pump(output, logs.file("xserver.log"), |_| {}));

    let answer = async {
        let mut text = String::new();
        pipe::Receiver::from_owned_fd(number)?.take(NUMBER_LIMIT).read_to_string(&mut text).await?;
        // An empty answer: the server has closed its end without being ready.
        let number = text.trim_end();
        if number != session.places.display.to_string() {
            return Err(io::Error::other("the X server did not come up; see xserver.log"));
        }
        Ok(())
    };
    let result = tokio::select! {
        answer = tokio::time::timeout(READY_WITHIN, answer) => answer.unwrap_or_else(|_| {
            Err(io::Error::other(format!("the X server was not ready within {READY_WITHIN:?}")))
        }),
        status = child.wait() => Err(io::Error::other(format!(
            "the X server ended with status {}; see xserver.log", status.code
        ))),
    };
    match result {
        Ok(()) => Ok(child),
        Err(error) => {
            session.children.kill(&child);
            child.wait().await;
            Err(error)
        }
    }
}

/// Takes away what a server of ours that was killed left behind: by then its pid, which its lock
/// file names, may be another process's.
pub(super) fn forget_dead(session: &Session) {
    let number = session.places.display;
    for path in [format!("{SOCKETS}/X{number}"), format!("/tmp/.X{number}-lock")] {
        // Mostly the server itself has removed them.
        let _ = std::fs::remove_file(path);
    }
}

fn launch(
    session: &Session,
    xvfb: &Path,
    (width, height): (u32, u32),
    number: OwnedFd,
    output: OwnedFd,
) -> io::Result<Launch> {
    let screen = CString::new(format!("{width}x{height}x24"))?;
    let display = CString::new(environment::display(session))?;
    let mut launch = Launch::new(CString::new(xvfb.as_os_str().as_bytes())?)
        .arg(display)
        .arg(c"-displayfd")
        .arg(c"3")
        .arg(c"-screen")
        .arg(c"0")
        .arg(screen)
        // No client may come over the network, even the session's own.
        .arg(c"-nolisten")
        .arg(c"tcp")
        // Without it the server starts over whenever its last client goes.
        .arg(c"-noreset")
        .arg(c"-dpi")
        .arg(c"96");
    launch.envp = environment::to_envp(&environment::base(session, &User::browser(session)));
    launch.ids = session.browser_ids();
    launch.limits = vec![session.descriptor_limit];
    launch.extra_fds = vec![(number, 3)];
    launch.stderr = Input::Fd(output);
    Ok(launch)
}

/// Makes the folder of sockets as every system has it: everyone may add, nobody may take away what
/// is another's.
fn prepare_sockets(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Ok(()) => std::fs::set_permissions(folder, Permissions::from_mode(0o1777)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
