//! One source's values: the same names, types and words for flags and file.

#![expect(clippy::doc_markdown, reason = "the comments are the text of --help")]
#![allow(rustdoc::bare_urls, reason = "the comments are the text of --help")]

use std::path::PathBuf;

use browserd_api::browser::Region;
use clap::Args;
use serde::Deserialize;

use super::listen::Listen;
use super::pool::{PoolSize, pool};
use super::{HeadlessEngine, LogFormat, Switch};

/// What the command line adds to a [`Layer`].
#[derive(Debug, Default, Args)]
pub(crate) struct Flags {
    /// Read further settings from this TOML file; its keys are the names of these flags with
    /// underscores [env: BROWSERD_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) layer: Layer,
}

/// What one source says; nothing where it is silent. The comments are the text of `--help`.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Layer {
    /// Address or name, and port, the API listens on; :7878 is every address, which takes --public-url
    /// [env: BROWSERD_LISTEN] [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<Listen>,

    /// Folder for the database, keys and sessions [env: BROWSERD_STATE_DIR] [default:
    /// /var/lib/browserd for root, else $XDG_STATE_HOME/browserd or ~/.local/state/browserd]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// What the URLs handed to clients begin with, behind a reverse proxy for example [env:
    /// BROWSERD_PUBLIC_URL] [default: http:// and the listening address]
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,

    /// Region label of sessions that ask for none: us-east, us-west, eu-west or ap-southeast [env:
    /// BROWSERD_REGION] [default: us-east]
    #[arg(long, value_name = "LABEL", value_parser = region)]
    pub(crate) region: Option<Region>,

    /// Most sessions at once; more are refused with 529 [env: BROWSERD_MAX_SESSIONS] [default: one
    /// for each GiB of the host's memory, 1 to 1000]
    #[arg(long, value_name = "N")]
    pub(crate) max_sessions: Option<u32>,

    /// Sessions that are started ahead and wait, frozen, for whoever asks: auto (as many as were asked
    /// for at a time lately), off, or how many of each kind, like headless=4,headful=1 [env: BROWSERD_POOL] [default: auto]
    #[arg(long, value_name = "SIZE", value_parser = pool)]
    pub(crate) pool: Option<PoolSize>,

    /// MiB of memory that sessions waiting ready may take [env: BROWSERD_POOL_MEMORY_MIB] [default: a
    /// quarter of the free memory for auto, else all of it]
    #[arg(long, value_name = "MIB")]
    pub(crate) pool_memory_mib: Option<u64>,

    /// Seconds a creation may wait for another session to end, for memory or its turn to be started
    /// before it is refused; 0: none [env: BROWSERD_CREATE_WAIT_SECONDS] [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) create_wait_seconds: Option<u32>,

    /// Seconds without a client, a call or a recording after which a session is suspended, frozen until
    /// the next one; 0: never [env: BROWSERD_STANDBY_SECONDS] [default: 5]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) standby_seconds: Option<u32>,

    /// Seconds after which a CDP client that neither sends nor is sent anything no longer keeps its
    /// session from being suspended; its connection stays, and its next byte is answered. What its page
    /// would have done meanwhile waits too. 0: never [env: BROWSERD_STANDBY_SILENT_SECONDS]
    /// [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) standby_silent_seconds: Option<u32>,

    /// Seconds a session is suspended before its memory is pushed out to the host's swap, if there is any;
    /// 0: never [env: BROWSERD_PAGE_OUT_SECONDS] [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) page_out_seconds: Option<u32>,

    /// Private destinations sessions may reach nevertheless, separated by commas: host, host:port,
    /// IP, IP:port, CIDR or *.suffix [env: BROWSERD_ALLOWED_PRIVATE_HOSTS] [default: none]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) allowed_private_hosts: Option<Vec<String>>,

    /// What a proxy is checked with when a check names no URL: https for a connection, http for a
    /// request [env: BROWSERD_PROXY_CHECK_URL] [default: https://example.com/]
    #[arg(long, value_name = "URL")]
    pub(crate) proxy_check_url: Option<String>,

    /// What runs headless sessions: chromium, or shell for chromium-headless-shell, which takes half of
    /// the memory and has no extensions, no policies and no notion of a tab in front [env:
    /// BROWSERD_HEADLESS_ENGINE] [default: chromium]
    #[arg(long, value_name = "ENGINE", hide_possible_values = true)]
    pub(crate) headless_engine: Option<HeadlessEngine>,

    /// chromium-headless-shell, below /usr [env: BROWSERD_HEADLESS_SHELL] [default: looked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) headless_shell: Option<PathBuf>,

    /// Let the kernel merge equal pages of memory (KSM): on or off. It saves memory and costs CPU time,
    /// and who is in one session can measure which pages others have [env: BROWSERD_KSM]
    /// [default: off]
    #[arg(long, value_name = "SWITCH", hide_possible_values = true)]
    pub(crate) ksm: Option<Switch>,

    /// Chromium's binary itself (not a wrapper script), below /usr [env: BROWSERD_CHROMIUM]
    /// [default: looked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) chromium: Option<PathBuf>,

    /// Xvfb, the X server of headful sessions, below /usr [env: BROWSERD_XVFB] [default: looked
    /// for]
    #[arg(long, value_name = "FILE")]
    pub(crate) xvfb: Option<PathBuf>,

    /// chromedriver, for WebDriver BiDi, below /usr [env: BROWSERD_CHROMEDRIVER] [default: looked
    /// for]
    #[arg(long, value_name = "FILE")]
    pub(crate) chromedriver: Option<PathBuf>,

    /// ffmpeg, for recordings, below /usr [env: BROWSERD_FFMPEG] [default: looked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) ffmpeg: Option<PathBuf>,

    /// pulseaudio, for recordings with sound, below /usr [env: BROWSERD_PULSEAUDIO] [default:
    /// looked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) pulseaudio: Option<PathBuf>,

    /// MiB at which a recording ends [env: BROWSERD_REPLAY_LIMIT_MIB] [default: 2048]
    #[arg(long, value_name = "MIB")]
    pub(crate) replay_limit_mib: Option<u64>,

    /// Days after its end that a recording is removed; 0 is never [env:
    /// BROWSERD_RECORDING_RETENTION_DAYS] [default: 30]
    #[arg(long, value_name = "DAYS")]
    pub(crate) recording_retention_days: Option<u64>,

    /// Days after its end that a session is forgotten, once it has no recordings any more; 0 is never
    /// [env: BROWSERD_SESSION_RETENTION_DAYS] [default: 30]
    #[arg(long, value_name = "DAYS")]
    pub(crate) session_retention_days: Option<u64>,

    /// MiB all finished recordings may take; when they take more, the first to end are removed; 0 is
    /// no limit [env: BROWSERD_RECORDINGS_LIMIT_MIB] [default: 0]
    #[arg(long, value_name = "MIB")]
    pub(crate) recordings_limit_mib: Option<u64>,

    /// Node 18 or later, for Playwright code and the REPL, below /usr [env: BROWSERD_NODE]
    /// [default: looked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) node: Option<PathBuf>,

    /// Folder of the programs that run code inside sessions (prepared by scripts/runners) [env:
    /// BROWSERD_RUNNERS_DIR] [default: `runners` beside this program or in the checkout it was
    /// built in]
    #[arg(long, value_name = "DIR")]
    pub(crate) runners_dir: Option<PathBuf>,

    /// Time zone of sessions that ask for none, an IANA name [env: BROWSERD_TIMEZONE] [default:
    /// UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) timezone: Option<String>,

    /// Language of sessions that ask for none, a BCP 47 tag [env: BROWSERD_LOCALE] [default: en-US]
    #[arg(long, value_name = "TAG")]
    pub(crate) locale: Option<String>,

    /// Most processes and threads in a session, 256 or more (Chromium alone has about 100) [env:
    /// BROWSERD_PIDS_MAX] [default: 2048]
    #[arg(long, value_name = "N")]
    pub(crate) pids_max: Option<u64>,

    /// Most CPU a session may use, in percent of one core: 150 is one and a half cores [env:
    /// BROWSERD_CPU_MAX_PCT] [default: no limit but the host's]
    #[arg(long, value_name = "PERCENT")]
    pub(crate) cpu_max_pct: Option<u32>,

    /// MiB a session may have on the disk, 64 or more, and a file for each 16 KiB of it; 0 is no
    /// limit [env: BROWSERD_SESSION_DISK_MIB] [default: 10240]
    #[arg(long, value_name = "MIB")]
    pub(crate) session_disk_mib: Option<u64>,

    /// MiB of the state folder's disk that are kept free for the server and the host: with little
    /// more left, creations, uploads, recordings and profiles are refused and the sessions that write
    /// most are stopped; 64 or more, 0 is nothing [env: BROWSERD_DISK_RESERVE_MIB] [default: a
    /// twentieth of the disk, 256 to 4096]
    #[arg(long, value_name = "MIB")]
    pub(crate) disk_reserve_mib: Option<u64>,

    /// Which log lines are written, in the syntax of RUST_LOG: info,browserd_fleet=debug [env:
    /// BROWSERD_LOG] [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    /// How log lines are written, to standard error [env: BROWSERD_LOG_FORMAT] [default: text on a
    /// terminal, else json]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,
}

impl Layer {
    /// This layer over `below`.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            state_dir: self.state_dir.or(below.state_dir),
            public_url: self.public_url.or(below.public_url),
            region: self.region.or(below.region),
            max_sessions: self.max_sessions.or(below.max_sessions),
            pool: self.pool.or(below.pool),
            pool_memory_mib: self.pool_memory_mib.or(below.pool_memory_mib),
            create_wait_seconds: self.create_wait_seconds.or(below.create_wait_seconds),
            standby_seconds: self.standby_seconds.or(below.standby_seconds),
            standby_silent_seconds: self.standby_silent_seconds.or(below.standby_silent_seconds),
            page_out_seconds: self.page_out_seconds.or(below.page_out_seconds),
            allowed_private_hosts: self.allowed_private_hosts.or(below.allowed_private_hosts),
            proxy_check_url: self.proxy_check_url.or(below.proxy_check_url),
            headless_engine: self.headless_engine.or(below.headless_engine),
            headless_shell: self.headless_shell.or(below.headless_shell),
            ksm: self.ksm.or(below.ksm),
            chromium: self.chromium.or(below.chromium),
            xvfb: self.xvfb.or(below.xvfb),
            chromedriver: self.chromedriver.or(below.chromedriver),
            ffmpeg: self.ffmpeg.or(below.ffmpeg),
            pulseaudio: self.pulseaudio.or(below.pulseaudio),
            replay_limit_mib: self.replay_limit_mib.or(below.replay_limit_mib),
            recording_retention_days: self
                .recording_retention_days
                .or(below.recording_retention_days),
            session_retention_days: self.session_retention_days.or(below.session_retention_days),
            recordings_limit_mib: self.recordings_limit_mib.or(below.recordings_limit_mib),
            node: self.node.or(below.node),
            runners_dir: self.runners_dir.or(below.runners_dir),
            timezone: self.timezone.or(below.timezone),
            locale: self.locale.or(below.locale),
            pids_max: self.pids_max.or(below.pids_max),
            cpu_max_pct: self.cpu_max_pct.or(below.cpu_max_pct),
            session_disk_mib: self.session_disk_mib.or(below.session_disk_mib),
            disk_reserve_mib: self.disk_reserve_mib.or(below.disk_reserve_mib),
            log: self.log.or(below.log),
            log_format: self.log_format.or(below.log_format),
        }
    }
}

/// A region by its wire form.
pub(super) fn region(text: &str) -> Result<Region, String> {
    Region::ALL.into_iter().find(|region| region.as_str() == text).ok_or_else(|| {
        let known: Vec<_> = Region::ALL.iter().map(|region| region.as_str()).collect();
        format!("not a region; write one of {}", known.join(", "))
    })
}
