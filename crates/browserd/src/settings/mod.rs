//! All that can be set, resolved once.
//!
//! ```text
//!  flags ──▶ BROWSERD_* ──▶ --config file ──▶ defaults (from the host)
//!    └───────── Layer ─────────┘                  │
//!                 └────────── resolve ────────────┴──▶ Settings
//! ```
//!
//! What stands further left wins, value by value (a list as a whole). Nothing else in the program
//! reads the environment or knows where a value came from.

mod environment;
mod layer;
mod listen;
mod pool;
mod resolve;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use browserd_api::browser::Region;
use browserd_fleet::Standby;
use browserd_fleet::local::default_disk_reserve;
use browserd_protocol::DiskReserve;
use browserd_server::Retention;
use clap::ValueEnum;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

pub(crate) use environment::Environment;
pub(crate) use layer::Flags;
pub(crate) use listen::Listen;
pub(crate) use resolve::{Host, SettingsError, resolve};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which browser runs headless sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HeadlessEngine {
    /// Chromium itself.
    #[default]
    Chromium,
    /// `chromium-headless-shell`.
    Shell,
}

/// Something that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Switch {
    /// It is on.
    On,
    /// It is off.
    Off,
}

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where the API listens.
    pub(crate) listen: Listen,
    /// Where database, keys and sessions are kept.
    pub(crate) state_dir: PathBuf,
    /// The first API key, if the operator chose it.
    pub(crate) api_key: Option<SecretString>,
    /// What clients reach us at, if it is not the listener itself; see [`Settings::public_url`].
    pub(crate) public_url: Option<Url>,
    /// The label of this place, given to sessions that ask for none.
    pub(crate) region: Region,
    /// Most sessions at once.
    pub(crate) max_sessions: u32,
    /// Sessions that are kept ready.
    pub(crate) pool: browserd_fleet::PoolSize,
    /// The most memory those may take, bytes, if the operator says so.
    pub(crate) pool_memory: Option<u64>,
    /// How long a creation may wait until there is room for it.
    pub(crate) create_wait: Duration,
    /// When quiet sessions are suspended.
    pub(crate) standby: Standby,
    /// Private destinations sessions may reach.
    pub(crate) allowed_private_hosts: Vec<String>,
    /// What a proxy is checked with when a check names no URL.
    pub(crate) proxy_check_url: Url,
    /// Silence after which a CDP client no longer keeps its session awake.
    pub(crate) silent_after: Option<Duration>,
    /// Which browser runs headless sessions.
    pub(crate) headless_engine: HeadlessEngine,
    /// `chromium-headless-shell`, when it should not be looked for.
    pub(crate) headless_shell: Option<PathBuf>,
    /// Whether the kernel may merge equal pages of sessions' memory.
    pub(crate) merge_memory: bool,
    /// Chromium's binary, when it should not be looked for.
    pub(crate) chromium: Option<PathBuf>,
    /// Xvfb, when it should not be looked for.
    pub(crate) xvfb: Option<PathBuf>,
    /// chromedriver, when it should not be looked for.
    pub(crate) chromedriver: Option<PathBuf>,
    /// ffmpeg, when it should not be looked for.
    pub(crate) ffmpeg: Option<PathBuf>,
    /// `PulseAudio`, when it should not be looked for.
    pub(crate) pulseaudio: Option<PathBuf>,
    /// Bytes at which a recording ends.
    pub(crate) replay_limit: u64,
    /// When finished recordings are removed.
    pub(crate) retention: Retention,
    /// How long sessions are remembered once they have ended; none: for ever.
    pub(crate) remembered: Option<Duration>,
    /// Node, when it should not be looked for.
    pub(crate) node: Option<PathBuf>,
    /// The folder of runners, when it should not be looked for.
    pub(crate) runners_dir: Option<PathBuf>,
    /// Time zone (IANA) of sessions that ask for none.
    pub(crate) timezone: String,
    /// Language (BCP 47) of sessions that ask for none.
    pub(crate) locale: String,
    /// Most processes and threads in a session.
    pub(crate) pids_max: u64,
    /// Most CPU a session may use, in percent of one core; none: the host's.
    pub(crate) cpu_max_pct: Option<u32>,
    /// Bytes a session may have on the disk; 0 is no limit.
    pub(crate) session_disk: u64,
    /// Bytes of the state folder's disk that are kept free, if the operator says so; 0 is nothing. See
    /// [`Settings::disk_reserve`].
    pub(crate) disk_reserve: Option<u64>,
    /// Which log lines are written, in the syntax of `RUST_LOG`.
    pub(crate) log: String,
    /// How they are written.
    pub(crate) log_format: LogFormat,
    /// What looks like a mistake and does not keep the server from starting.
    pub(crate) warnings: Vec<String>,
}

impl Settings {
    /// What is kept free on the disk of the state folder, or of where it will be, if anything is.
    pub(crate) fn disk_reserve(&self) -> Option<DiskReserve> {
        let there = self.state_dir.ancestors().find(|folder| folder.exists());
        let bytes = self
            .disk_reserve
            .unwrap_or_else(|| default_disk_reserve(there.unwrap_or_else(|| Path::new("/"))));
        DiskReserve::of(bytes)
    }

    /// What the URLs we hand out begin with, given the address the listener got (the port may have
    /// been left to the kernel). A wildcard address stands for this machine; [`resolve()`] takes one only with
    /// a URL.
    pub(crate) fn public_url(&self, bound: SocketAddr) -> Url {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let ip = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let mut url = Url::parse("http://127.0.0.1").expect("a constant");
        url.set_ip_host(ip).expect("http URLs have hosts");
        url.set_port(Some(bound.port())).expect("http URLs have ports");
        url
    }
}
