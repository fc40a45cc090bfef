//! Processes inside a session: the wire types of `/browsers/{id_or_name}/process`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ProcessId, Timestamp};

/// What to run, and how. Shared by `exec` and `spawn`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ExecRequest {
    /// Program name (looked up in the session's `PATH`) or absolute path. A string with shell
    /// syntax and no `args` runs through `/bin/sh -c`.
    #[schema(min_length = 1, max_length = 131_072)]
    pub command: String,
    /// Arguments, passed as they are; no shell sees them.
    #[serde(default)]
    pub args: Vec<String>,
    /// Absolute working directory, which must exist. Default: the user's home.
    #[serde(default)]
    pub cwd: Option<String>,
    /// Variables laid over the session's clean environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// User name, uid or `uid:gid` to run as. Default: `kernel`. Excludes `as_root`.
    #[serde(default)]
    pub as_user: Option<String>,
    /// Run as the session's root, which has no power outside the session.
    #[serde(default)]
    pub as_root: bool,
    /// Seconds until the whole process group is killed; 0 or absent: never.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 259_200)]
    pub timeout_sec: Option<u64>,
}

/// `exec` plus a terminal.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct SpawnRequest {
    /// What to run.
    #[serde(flatten)]
    pub exec: ExecRequest,
    /// Give the process a pseudo-terminal as stdin, stdout and stderr.
    #[serde(default)]
    pub allocate_tty: bool,
    /// Terminal height in rows; needs `allocate_tty`. Default 24.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 65535)]
    pub rows: Option<u16>,
    /// Terminal width in columns; needs `allocate_tty`. Default 80.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 65535)]
    pub cols: Option<u16>,
    /// Extension: while the process runs, the session does not go into standby, so that the process
    /// goes on without a client. The session still times out. Default true.
    #[serde(default = "keep_awake")]
    #[schema(default = true)]
    pub keep_awake: bool,
}

/// Whether a process keeps its session out of standby, where the request says nothing of it.
#[must_use]
pub fn keep_awake() -> bool {
    true
}

/// What a finished `exec` left.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExecResponse {
    /// Exit status; 128+n when signal n ended the process, 124 when `timeout_sec` did.
    pub exit_code: i32,
    /// Standard output, base64.
    pub stdout_b64: String,
    /// Standard error, base64.
    pub stderr_b64: String,
    /// Wall time from start to exit, milliseconds.
    pub duration_ms: u64,
    /// Present and true when `timeout_sec` ended the process (extension).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// Bytes of standard output left out because the output limit was reached (extension).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stdout_truncated_bytes: u64,
    /// Bytes of standard error left out because the output limit was reached (extension).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stderr_truncated_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A process that was started and runs on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SpawnResponse {
    /// Handle for the other operations.
    pub process_id: ProcessId,
    /// Process id inside the session.
    pub pid: i32,
    /// When it started.
    pub started_at: Timestamp,
}

/// Whether a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It has exited; what it started may live on.
    Exited,
}

/// The status of a process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProcessStatus {
    /// Whether it runs.
    pub state: ProcessState,
    /// Exit status: null while running, 128+n when signal n ended it.
    pub exit_code: Option<i32>,
    /// Percent of one core used by the process and everything it started, over the last sampling
    /// window (at most one second). May exceed 100. 0 once exited.
    pub cpu_pct: f64,
    /// Resident memory of the same set of processes, bytes. 0 once exited.
    pub mem_bytes: u64,
}

/// Input for a process.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct StdinRequest {
    /// Bytes to write, standard base64. May be left out when `eof` is true.
    #[serde(default)]
    pub data_b64: Option<String>,
    /// Close the input after the bytes (extension). On a terminal this sends Ctrl-D.
    #[serde(default)]
    pub eof: bool,
}

/// How much input was taken.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct StdinResponse {
    /// Bytes the process's pipe or terminal took. Fewer than sent when the process did not read
    /// for the documented time: send the rest again.
    pub written_bytes: u64,
}

/// A signal clients may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGKILL.
    Kill,
    /// SIGINT.
    Int,
    /// SIGHUP.
    Hup,
}

/// Which signal to send to the process's group.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
pub struct KillRequest {
    /// Default TERM.
    #[serde(default)]
    pub signal: Signal,
}

/// A new terminal size.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct ResizeRequest {
    /// Height in rows.
    #[schema(minimum = 1, maximum = 65535)]
    pub rows: u16,
    /// Width in columns.
    #[schema(minimum = 1, maximum = 65535)]
    pub cols: u16,
}

/// Done.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct OkResponse {
    /// Always true.
    pub ok: bool,
}

/// Where a chunk of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One event of `stdout/stream`: a chunk (`stream`, `data_b64`), a gap (`stream`, empty `data_b64`,
/// `dropped_bytes`) or the end (`event`, `exit_code`).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OutputEvent {
    /// Where the chunk came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<OutputStream>,
    /// The chunk, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_b64: Option<String>,
    /// Bytes that were dropped from retention before this subscriber read them (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
    /// `exit`, last of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<ExitEvent>,
    /// Exit status, as in the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// The name of the last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitEvent {
    /// The process has exited and all its output was sent.
    Exit,
}

/// One process of a listing (extension).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProcessInfo {
    /// Handle for the other operations.
    pub process_id: ProcessId,
    /// Process id inside the session.
    pub pid: i32,
    /// What was asked to run.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exited_at: Option<Timestamp>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// What it does right now.
    pub status: ProcessStatus,
}

/// A text message of the interactive WebSocket (extension); bytes travel as binary messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AttachMessage {
    /// Client to server: a new terminal size.
    Resize {
        /// Height in rows.
        rows: u16,
        /// Width in columns.
        cols: u16,
    },
    /// Client to server: close the input.
    Eof,
    /// Server to client: the process has exited; the socket closes after this.
    Exit {
        /// Exit status, as in the status.
        #[serde(rename = "exitCode")]
        exit_code: i32,
    },
}
