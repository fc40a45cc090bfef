//! What `serve`, the shim and the guest say to each other.
//!
//! Owns the message types of the inner protocol and its generation number, and reads them off lines;
//! opens nothing.
//!
//! ```text
//!  serve ──SessionSpec line, once──▶ shim ──GuestSpec (environment, once)──▶ guest
//!  serve ◀──ShimReport lines──────── shim ◀──GuestReport lines── socketpair
//!  serve ──ShimCommand lines───────▶ shim ──GuestCommand lines──▶ guest
//!         └ a socket pair, the shim's stdin; a later serve connects to shim.sock instead
//!  serve ──HTTP──▶ guest.sock (a listener the shim made and the guest inherited)
//!  serve ──one Door byte──▶ door.sock ──HandoffReply + descriptor (SCM_RIGHTS)──▶ serve
//! ```
//!
//! Everything that comes from the guest is hostile: readers bound every line by [`LINE_LIMIT`] and
//! treat what does not parse as a reason to end the session.

#[cfg(feature = "lines")]
pub mod lines;
mod offer;
pub mod replay;

pub use offer::FileOffer;

use std::path::{Path, PathBuf};

use browserd_api::SessionId;
use browserd_api::browser::{EndReason, SessionConfig, Viewport};
use browserd_api::proxies::Upstream;
use serde::{Deserialize, Serialize};

/// Changes with every incompatible change of a type in this crate. A `serve` that meets a shim of
/// another generation ends its session.
pub const GENERATION: u32 = 3;

/// Longest line either side may send, bytes.
pub const LINE_LIMIT: usize = 64 * 1024;

/// Fixed places inside a session.
pub mod inside {
    /// Where the gateway listens, inside the session's network namespace.
    pub const PROXY_ADDR: &str = "127.0.0.1:3128";
    /// The browser user's name.
    pub const USER: &str = "kernel";
    /// Its uid and gid.
    pub const UID: u32 = 1000;
    /// Its home.
    pub const HOME: &str = "/home/kernel";
    /// Chromium's profile.
    pub const USER_DATA_DIR: &str = "/home/kernel/user-data";
    /// Where downloads go.
    pub const DOWNLOADS: &str = "/home/kernel/Downloads";
    /// Where the guest keeps process output; only the guest may read it.
    pub const STATE_DIR: &str = "/var/lib/browserd";
    /// Where recordings are written; only the guest may read it.
    pub const REPLAYS: &str = "/var/lib/browserd/replays";
    /// Where the sound server has its socket.
    pub const PULSE_DIR: &str = "/run/pulse";
    /// The sound server's address; it is there while a recording wants sound, and after.
    pub const PULSE_SERVER: &str = "unix:/run/pulse/native";
    /// Where the guest keeps its own log and those of Chromium, the X server and the driver, readable
    /// by everyone inside.
    pub const LOG_DIR: &str = "/var/log/browserd";
    /// Where the runners for Node are, read-only.
    pub const NODE_RUNNERS: &str = "/opt/browserd/runners/node";
}

/// File descriptors the guest inherits from the shim.
pub mod guest_fd {
    /// Stream socket to the shim: `GuestReport` lines out, `GuestCommand` lines in; its end is the
    /// guest's end.
    pub const SHIM: i32 = 3;
    /// Unix listener for the guest's HTTP API.
    pub const HTTP: i32 = 4;
    /// Unix listener for handing out sockets.
    pub const DOOR: i32 = 5;
    /// Directory of the session's own cgroup (v2), when there is one to make leaves in.
    pub const CGROUP: i32 = 6;
}

/// How a session's egress gateway decides. Public addresses are allowed and everything else is
/// refused, except what is listed here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressPolicy {
    /// Private destinations that are allowed nevertheless: `host`, `host:port`, `IP`, `IP:port`,
    /// `CIDR` or `*.suffix`. A listed name may resolve to private and loopback addresses.
    #[serde(default)]
    pub allowed_private_hosts: Vec<String>,
}

/// The way out of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The host's own network.
    #[default]
    Direct,
    /// A proxy. What is private goes the direct way all the same, where the policy allows it.
    Upstream(Box<Upstream>),
    /// None: the proxy it had is gone, and nothing is to leave by another way.
    Closed,
}

/// All a shim needs to know; `serve` writes it to the shim's stdin as one line of JSON, of
/// [`SPEC_LIMIT`] bytes at most.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionSpec {
    /// [`GENERATION`] of the writer.
    pub generation: u32,
    /// The session.
    pub session_id: SessionId,
    /// The session's folder, made by `serve`: sockets, ledger entry, overlay upper. Mode 0700.
    pub dir: PathBuf,
    /// Read-only skeleton of the session's root (filtered /etc and the like).
    pub skeleton: PathBuf,
    /// Where the session's cgroups go.
    pub cgroups: CgroupPlaces,
    /// Seconds the session may live without a `serve` connected to its shim.
    pub orphan_seconds: u64,
    /// Limit of processes and threads.
    pub pids_max: u64,
    /// CPU weight (1-10000, cgroup v2 scale; 100 is the default of the kernel).
    pub cpu_weight: u64,
    /// Upper bound of CPU in percent of one core; none: the host's.
    #[serde(default)]
    pub cpu_max_pct: Option<u32>,
    /// What the session may have on the disk, bytes; 0 is no limit.
    #[serde(default)]
    pub disk_limit: u64,
    /// What the session is.
    pub config: SessionConfig,
    /// Time zone in force (IANA).
    pub timezone: String,
    /// Language in force (BCP 47).
    pub locale: String,
    /// Programs found on this host.
    pub programs: Programs,
    /// Whether the kernel may merge equal pages of the session's memory (KSM).
    #[serde(default)]
    pub merge_memory: bool,
    /// How the gateway decides.
    pub egress: EgressPolicy,
    /// Where what it allows goes.
    #[serde(default)]
    pub route: Route,
    /// Log filter of shim and guest, in the syntax of `RUST_LOG`.
    pub log: String,
}

/// Longest [`SessionSpec`] line: the largest `chrome_policy` and room for the rest.
pub const SPEC_LIMIT: usize = 16 * 1024 * 1024;

/// Where a session's cgroups go, as `serve` found it before it moved into a leaf of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlaces {
    /// Folder in the v2 tree below which `parent` is.
    #[serde(default)]
    pub v2: Option<PathBuf>,
    /// Whether the v2 tree limits memory and pids.
    #[serde(default)]
    pub v2_controllers: bool,
    /// Folder in each v1 tree below which `parent` is, with the controller's name.
    #[serde(default)]
    pub v1: Vec<(String, PathBuf)>,
    /// Name of this server's folder; a session's cgroup is a child of it.
    pub parent: String,
}

/// Programs a session runs, as paths inside it (below /usr).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Programs {
    /// Chromium's binary itself, not the shell wrapper.
    pub chromium: PathBuf,
    /// `chromium-headless-shell`, where it runs headless sessions in Chromium's place.
    #[serde(default)]
    pub headless_shell: Option<PathBuf>,
    /// `Xvfb`, for headful sessions.
    #[serde(default)]
    pub xvfb: Option<PathBuf>,
    /// `chromedriver`, for `WebDriver` `BiDi`.
    #[serde(default)]
    pub chromedriver: Option<PathBuf>,
    /// `ffmpeg`, for recordings.
    #[serde(default)]
    pub ffmpeg: Option<PathBuf>,
    /// `pulseaudio`, for recordings with sound.
    #[serde(default)]
    pub pulseaudio: Option<PathBuf>,
    /// `node`, for Playwright code and the REPL.
    #[serde(default)]
    pub node: Option<PathBuf>,
    /// The host's folder of the runners for Node, prepared; the shim binds it at
    /// [`inside::NODE_RUNNERS`].
    #[serde(default)]
    pub node_runners: Option<PathBuf>,
}

/// All a guest needs to know; the shim passes it as JSON in [`GUEST_SPEC_ENV`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GuestSpec {
    /// The session.
    pub session_id: SessionId,
    /// What the session is (policies are already files by now).
    pub config: SessionConfig,
    /// Time zone in force.
    pub timezone: String,
    /// Language in force.
    pub locale: String,
    /// Programs to run.
    pub programs: Programs,
    /// Whether other uids than the guest's own exist inside (false when rootless without subuids:
    /// then everything runs as [`inside::UID`] and `as_root` is refused).
    pub many_uids: bool,
    /// Whether [`guest_fd::CGROUP`] is there.
    pub has_cgroup: bool,
    /// Memory limit the guest watches itself because no cgroup enforces it, bytes.
    #[serde(default)]
    pub watch_memory: Option<u64>,
    /// What the session may have on the disk, bytes; 0 is no limit. See [`DiskLimit`].
    #[serde(default)]
    pub disk_limit: u64,
    /// Log filter.
    pub log: String,
}

impl GuestSpec {
    /// Whether the session's browser is `chromium-headless-shell`, which has neither policies nor
    /// extensions.
    #[must_use]
    pub fn runs_shell(&self) -> bool {
        self.config.headless && self.programs.headless_shell.is_some()
    }

    /// The program of the session's browser.
    #[must_use]
    pub fn browser(&self) -> &Path {
        let shell = self.programs.headless_shell.as_ref().filter(|_| self.config.headless);
        shell.unwrap_or(&self.programs.chromium)
    }
}

/// What a session may have on the host's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLimit {
    /// Bytes, in blocks.
    pub bytes: u64,
    /// Names of files and folders.
    pub files: u64,
}

impl DiskLimit {
    /// The limit of `bytes`, and of as many files as a file system of this size is made for; none
    /// for 0.
    #[must_use]
    pub fn of(bytes: u64) -> Option<Self> {
        (bytes > 0).then(|| Self { bytes, files: (bytes / (16 << 10)).max(1 << 16) })
    }
}

/// Environment variable with the [`GuestSpec`]; the guest removes it from what children see.
pub const GUEST_SPEC_ENV: &str = "BROWSERD_GUEST_SPEC";

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
    /// The answer to [`GuestCommand::Assign`].
    Assigned {
        /// Why the session could not become what was asked for, in words; none: it is now.
        failure: Option<String>,
    },
    /// Processes asked that the session stays awake, or none does any more.
    StayAwake {
        /// Whether one does.
        wanted: bool,
    },
    /// The guest asks what is on the disk. For the shim only.
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

/// What the shim tells whoever is connected to `shim.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum ShimReport {
    /// First line of every connection: who this is and what state it is in.
    Hello {
        /// [`GENERATION`] of the shim.
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
    /// The answer to [`ShimCommand::Route`]: nothing goes the old way any more.
    Routed {
        /// Why it could not be changed, in words; none: it has been.
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
    /// The session is over; the shim exits after this line.
    Ended {
        /// Why.
        reason: EndReason,
        /// What happened, in words.
        detail: String,
    },
}

/// What `serve` asks of a shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum ShimCommand {
    /// For the guest.
    Guest {
        /// What it is told.
        told: GuestCommand,
    },
    /// Another way out; the shim answers [`ShimReport::Routed`].
    Route {
        /// From now on.
        route: Route,
    },
    /// End the session now; the shim answers `Ended` and exits.
    End {
        /// The reason to record.
        reason: EndReason,
    },
}

/// What the shim tells the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to_guest", rename_all = "snake_case")]
pub enum GuestCommand {
    /// A session that was started ahead of its client becomes that client's; answered with
    /// [`GuestReport::Assigned`].
    Assign(Assignment),
    /// So much does the session have on the disk.
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
        /// What clients have started is to be killed: it writes past the limit.
        end_processes: bool,
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
    /// Page to open; its failure is nobody's failure.
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
    /// Whether / and /usr are overlays (else read-only binds and a private folder).
    pub overlay: bool,
    /// Number of uids mapped into the session.
    pub uids: u32,
}

/// What is wanted, the first byte written to `door.sock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Door {
    /// A connection to Chromium's remote debugging port.
    Cdp = b'c',
    /// A file that was offered; the ticket of its [`FileOffer`] follows, big-endian.
    File = b'f',
}

/// The JSON line answered on `door.sock`, with the descriptor attached when `ok`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoffReply {
    /// Whether a descriptor is attached.
    pub ok: bool,
    /// `host:port` Chromium listens on, for the `Host` header; empty for a file.
    #[serde(default)]
    pub host: String,
    /// Path of the browser endpoint, `/devtools/browser/<uuid>`; empty for a file.
    #[serde(default)]
    pub browser_path: String,
    /// What went wrong, when not `ok`.
    #[serde(default)]
    pub error: String,
}

/// Names of the files in a session's folder.
pub mod file {
    /// The shim's control socket.
    pub const SHIM_SOCK: &str = "shim.sock";
    /// The guest's HTTP socket.
    pub const GUEST_SOCK: &str = "guest.sock";
    /// The socket that hands out sockets.
    pub const DOOR_SOCK: &str = "door.sock";
    /// The ledger entry, a [`crate::LedgerEntry`].
    pub const LEDGER: &str = "ledger.json";
    /// Log of the shim and, until it serves logs itself, of the guest.
    pub const SHIM_LOG: &str = "shim.log";
}

/// What the next `serve` needs to find or clear away a session; written by the shim before it
/// starts anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// [`GENERATION`] of the shim.
    pub generation: u32,
    /// The session.
    pub session_id: SessionId,
    /// The shim's pid, with its start time (clock ticks since boot) against reuse.
    pub shim_pid: i32,
    /// Field 22 of /proc/PID/stat.
    pub shim_start_ticks: u64,
    /// PID 1 of the session, once there is one: with it ends all that is inside, also where no
    /// cgroup holds it together.
    #[serde(default)]
    pub guest: Option<LedgerProcess>,
    /// Every cgroup folder of the session, v2 first.
    pub cgroups: Vec<PathBuf>,
}

/// A process for the next `serve` to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerProcess {
    /// Its pid as the host sees it.
    pub pid: i32,
    /// Field 22 of /proc/PID/stat.
    pub start_ticks: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

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
            GuestReport::Assigned { failure: Some(detail()) },
            GuestReport::StayAwake { wanted: true },
            GuestReport::MeasureDisk { question: 3 },
            GuestReport::Fatal { reason: EndReason::Crashed, detail: detail() },
        ];
        let hello =
            ShimReport::Hello { generation: GENERATION, session_id, pid: 1, ready: true, walls };
        let ended = ShimReport::Ended { reason: EndReason::OutOfMemory, detail: detail() };
        let reports = said.into_iter().map(|said| ShimReport::Guest { said });
        let over = ShimReport::DiskOver { detail: detail() };
        let error = ShimReport::GuestError { line: detail() };
        for report in reports.chain([hello, error, over, ended]) {
            let line = serde_json::to_string(&report).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<ShimReport>(&line).unwrap(), report);
        }
        let assign = GuestCommand::Assign(Assignment {
            viewport: Viewport::default(),
            kiosk_mode: true,
            start_url: Some(detail()),
        });
        let disk = GuestCommand::Disk {
            bytes: 1,
            files: 2,
            free: 4,
            free_files: 5,
            question: 3,
            end_processes: true,
        };
        let told = [assign, disk].map(|told| ShimCommand::Guest { told });
        for command in told.into_iter().chain([ShimCommand::End { reason: EndReason::Deleted }]) {
            let line = serde_json::to_string(&command).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<ShimCommand>(&line).unwrap(), command);
        }
    }
}
