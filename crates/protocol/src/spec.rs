//! What a session is to be: what `serve` hands to a shim, and a shim to the guest.

use std::path::{Path, PathBuf};

use browserd_api::SessionId;
use browserd_api::browser::SessionConfig;
use browserd_api::proxies::Upstream;
use serde::{Deserialize, Serialize};

/// How a session's egress gateway decides. Public addresses are allowed and everything else is
/// refused, except what is listed here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressPolicy {
    /// Private destinations that are allowed nevertheless: `host`, `host:port`, `IP`, `IP:port`,
    /// `CIDR` or `*.suffix`. A listed name may resolve to private and loopback addresses.
    #[serde(default)]
    pub allowed_private_hosts: Vec<String>,
}

/// The egress route of a session.
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
    /// [`GENERATION`](crate::GENERATION) of the writer.
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
    /// What is kept free on that disk, bytes; 0 is nothing. See [`DiskReserve`].
    #[serde(default)]
    pub disk_reserve: u64,
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
    /// Version of what runs headless sessions, e.g. `156.0.8078.108`, where it says one.
    #[serde(default)]
    pub headless_version: Option<String>,
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
    /// [`inside::NODE_RUNNERS`](crate::inside::NODE_RUNNERS).
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
    /// then everything runs as [`inside::UID`](crate::inside::UID) and `as_root` is refused).
    pub many_uids: bool,
    /// Whether [`guest_fd::CGROUP`](crate::guest_fd::CGROUP) is there.
    pub has_cgroup: bool,
    /// Memory limit the guest watches itself because no cgroup enforces it, bytes.
    #[serde(default)]
    pub watch_memory: Option<u64>,
    /// What the session may have on the disk, bytes; 0 is no limit. See [`DiskLimit`].
    #[serde(default)]
    pub disk_limit: u64,
    /// What is kept free on that disk, bytes; 0 is nothing. See [`DiskReserve`].
    #[serde(default)]
    pub disk_reserve: u64,
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
    /// As much as there is.
    pub const NONE: Self = Self { bytes: u64::MAX, files: u64::MAX };

    /// The limit of `bytes`, and of as many files as a file system of this size is made for; none
    /// for 0.
    #[must_use]
    pub fn of(bytes: u64) -> Option<Self> {
        (bytes > 0).then(|| Self { bytes, files: (bytes / (16 << 10)).max(1 << 16) })
    }
}

/// What is kept free on the disk that holds the sessions, for the server and everything else on the
/// host.
///
/// ```text
///  free ──────────────────┬───────────────┬──────────▶ 0
///   anybody may write     │ margin        │ reserve
///                         │ refused: creates, writes through the API
///                         │ stopped: who writes nevertheless, the biggest first
///                         │               │ refused: blobs too
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskReserve(u64);

impl DiskReserve {
    /// Least and most of the margin; a quarter of the reserve in between.
    const MARGIN: (u64, u64) = (64 << 20, 1 << 30);

    /// A reserve of `bytes`; none for 0.
    #[must_use]
    pub fn of(bytes: u64) -> Option<Self> {
        (bytes > 0).then_some(Self(bytes))
    }

    /// What is to stay free whatever happens.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// What may still be written while a session that writes is found and stopped.
    #[must_use]
    pub fn margin(self) -> u64 {
        (self.0 / 4).clamp(Self::MARGIN.0, Self::MARGIN.1)
    }

    /// What everybody who asks first leaves free: the reserve and the margin.
    #[must_use]
    pub fn with_margin(self) -> u64 {
        self.0.saturating_add(self.margin())
    }
}

/// Environment variable with the [`GuestSpec`]; the guest removes it from what children see.
pub const GUEST_SPEC_ENV: &str = "BROWSERD_GUEST_SPEC";
