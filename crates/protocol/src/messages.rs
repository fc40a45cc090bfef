//! The lines that `serve`, a shim and its guest say to each other while a session lives.

use std::fmt;

use browserd_api::SessionId;
use browserd_api::browser::{EndReason, Viewport};
use serde::{Deserialize, Serialize};

use crate::Route;

/// Numbers a command, so that its answer can be told from all others: `serve` gives each command another
/// one, and the answer repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the guest tells the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "guest", rename_all = "snake_case")]
pub enum GuestReport {
    /// Chromium answers and its first page is there.
    Ready {
        /// Milliseconds since the guest started.
        after_ms: u64,
    },
    /// Chromium went away by itself; the guest is starting it again.
    BrowserLost {
        /// How it ended, in words.
        detail: String,
    },
    /// Chromium is back.
    BrowserBack,
    /// The answer to the [`GuestCommand`] of this number.
    Answered {
        /// The command's.
        request: RequestId,
        /// Why it was not carried out, in words; none: it was.
        failure: Option<String>,
    },
    /// The first wake lock was taken, or the last one released.
    WakeLock {
        /// Whether there is one now.
        held: bool,
    },
    /// The guest wants the disk measured. For the shim only.
    MeasureDisk {
        /// A number the answer repeats; the next one is larger.
        question: u64,
    },
    /// The guest gives up: the session cannot go on.
    Fatal {
        /// The reason to record.
        reason: EndReason,
        /// What happened, in words.
        detail: String,
    },
}

/// What the shim tells the server that is connected to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum ShimReport {
    /// First line of every connection: who this is and what state it is in.
    Hello {
        /// [`GENERATION`](crate::GENERATION) of the shim.
        generation: u32,
        /// The session.
        session_id: SessionId,
        /// The shim's pid.
        pid: i32,
        /// Whether the session is ready.
        ready: bool,
        /// Which walls stand, for logs and `doctor`.
        walls: Walls,
    },
    /// The guest said so.
    Guest {
        /// What it said.
        said: GuestReport,
    },
    /// The answer to the [`ShimCommand`] of this number, unless it was for the guest, which answers itself.
    Answered {
        /// The command's.
        request: RequestId,
        /// Why it was not carried out, in words; none: it was.
        failure: Option<String>,
    },
    /// The guest logged an error.
    GuestError {
        /// Its line.
        line: String,
    },
    /// The session is over its limit on the disk, and what clients started in it is killed.
    DiskOver {
        /// How much there is, in words.
        detail: String,
    },
    /// How much the session has on the disk: when it was asked for, and when it has become another
    /// amount.
    Disk {
        /// Bytes.
        bytes: u64,
    },
    /// The session is over; the shim exits after this line.
    Ended {
        /// Why.
        reason: EndReason,
        /// What happened, in words.
        detail: String,
    },
}

/// Commands of `serve` to a shim. Each is answered once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum ShimCommand {
    /// For the guest.
    Guest {
        /// What it is told.
        told: GuestCommand,
    },
    /// Another egress route; once it is answered nothing takes the old one any more.
    Route {
        /// Number of this command.
        request: RequestId,
        /// From now on.
        route: Route,
    },
    /// Count what the session has on the disk; answered at once. [`ShimReport::Disk`] follows.
    MeasureDisk {
        /// Number of this command.
        request: RequestId,
    },
    /// Kill what clients have started; answered when the guest is told.
    EndProcesses {
        /// Number of this command.
        request: RequestId,
        /// Why, in words, for the log inside.
        why: String,
    },
    /// End the session now; answered when the shim begins with it. [`ShimReport::Ended`] follows.
    End {
        /// Number of this command.
        request: RequestId,
        /// The reason to record.
        reason: EndReason,
        /// What happened, in words; empty where the reason says all.
        #[serde(default)]
        detail: String,
    },
}

/// What the shim tells the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to_guest", rename_all = "snake_case")]
pub enum GuestCommand {
    /// A session that was started ahead of its client becomes that client's.
    Assign {
        /// Number of this command.
        request: RequestId,
        /// What it is to be.
        to: Assignment,
    },
    /// Nothing is wanted but the answer.
    Ping {
        /// Number of this command.
        request: RequestId,
    },
    /// How much the session has on the disk; not answered.
    Disk {
        /// Bytes.
        bytes: u64,
        /// Names of files and folders.
        files: u64,
        /// Bytes free on the file system when counting began.
        free: u64,
        /// Files there was room for then.
        free_files: u64,
        /// The last [`GuestReport::MeasureDisk`] that came before this was counted.
        question: u64,
    },
    /// Kill what clients have started; not answered.
    EndProcesses {
        /// Why, in words, for the session's log.
        why: String,
    },
}

/// What a running session takes over from its client's wishes; everything else was settled when it
/// was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Window size.
    pub viewport: Viewport,
    /// Hide the browser's own interface.
    pub kiosk_mode: bool,
    /// Page to open. A page that does not load is no failure of the assignment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_url: Option<String>,
}

/// Which walls stand around a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// `root` or `rootless`.
    pub mode: String,
    /// Whether a cgroup holds the session (else the tree under the shim does).
    pub cgroup: bool,
    /// Who enforces the memory limit: `cgroup` or `guest`.
    pub memory: String,
    /// Whether / and /usr are overlays (else a read-only /usr and a private folder).
    pub overlay: bool,
    /// Number of uids mapped into the session.
    pub uids: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GENERATION;

    /// Tags of nested messages must not collide.
    #[test]
    fn every_report_and_command_survives_the_wire() {
        let session_id = SessionId::generate();
        let walls = Walls { mode: "root".to_owned(), ..Walls::default() };
        let detail = || "a \"detail\"\n".to_owned();
        let said = [
            GuestReport::Ready { after_ms: 7 },
            GuestReport::BrowserLost { detail: detail() },
            GuestReport::BrowserBack,
            GuestReport::Answered { request: RequestId(u64::MAX), failure: Some(detail()) },
            GuestReport::WakeLock { held: true },
            GuestReport::MeasureDisk { question: 3 },
            GuestReport::Fatal { reason: EndReason::Crashed, detail: detail() },
        ];
        let hello =
            ShimReport::Hello { generation: GENERATION, session_id, pid: 1, ready: true, walls };
        let ended = ShimReport::Ended { reason: EndReason::OutOfMemory, detail: detail() };
        let reports = said.into_iter().map(|said| ShimReport::Guest { said });
        let over = ShimReport::DiskOver { detail: detail() };
        let disk = ShimReport::Disk { bytes: u64::MAX };
        let answered = ShimReport::Answered { request: RequestId(7), failure: None };
        let error = ShimReport::GuestError { line: detail() };
        for report in reports.chain([hello, error, over, disk, answered, ended]) {
            let line = serde_json::to_string(&report).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<ShimReport>(&line).unwrap(), report);
        }
        let assign = GuestCommand::Assign {
            request: RequestId(u64::MAX),
            to: Assignment {
                viewport: Viewport::default(),
                kiosk_mode: true,
                start_url: Some(detail()),
            },
        };
        let disk = GuestCommand::Disk { bytes: 1, files: 2, free: 4, free_files: 5, question: 3 };
        let kill = GuestCommand::EndProcesses { why: detail() };
        let told = [assign, disk, kill].map(|told| ShimCommand::Guest { told });
        let request = RequestId(8);
        let route = ShimCommand::Route { request, route: Route::Closed };
        let measure = ShimCommand::MeasureDisk { request };
        let kill = ShimCommand::EndProcesses { request, why: detail() };
        let end = ShimCommand::End { request, reason: EndReason::Deleted, detail: detail() };
        for command in told.into_iter().chain([route, measure, kill, end]) {
            let line = serde_json::to_string(&command).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<ShimCommand>(&line).unwrap(), command);
        }
    }
}
