//! From layers to settings.

use std::io::{IsTerminal, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use browserd_egress::policy::Policy;
use browserd_fleet::Standby;
use browserd_fleet::local::STATE_DIR_LIMIT;
use browserd_protocol::EgressPolicy;
use browserd_server::{Retention, ServerConfig};
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::environment::Environment;
use super::layer::{Flags, Layer};
use super::listen::{Listen, is_local};
use super::{LogFormat, Settings, Switch};

const DEFAULT_LISTEN: Listen =
    Listen::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7878));
const DEFAULT_PIDS_MAX: u64 = 2048;
/// Seconds.
const DEFAULT_CREATE_WAIT: u64 = 10;
/// The official SDKs give up on a request after 60 s, and starting may take long on a busy host.
const MOST_CREATE_WAIT: u64 = 30;
/// Seconds, as the original.
const DEFAULT_STANDBY: u32 = 5;
/// Seconds.
const DEFAULT_PAGE_OUT: u32 = 30;
/// MiB.
const DEFAULT_REPLAY_LIMIT: u64 = 2048;
/// A TiB.
const MOST_REPLAY_LIMIT: u64 = 1 << 20;
/// MiB.
const DEFAULT_SESSION_DISK: u64 = 10 << 10;
/// Chromium's profile alone has some tens.
const LEAST_SESSION_DISK: u64 = 64;
/// What the server itself writes in a while.
const LEAST_DISK_RESERVE: u64 = 64;
/// A PiB.
const MOST_SESSION_DISK: u64 = 1 << 30;
const DEFAULT_RETENTION_DAYS: u64 = 30;
/// A century.
const MOST_RETENTION_DAYS: u64 = 36_525;
/// Below this Chromium does not start reliably.
const LEAST_PIDS: u64 = 256;
/// The kernel's own limit of pids on 64-bit machines.
const MOST_PIDS: u64 = 4_194_304;
/// One session for each so many bytes of memory, unless the operator says otherwise.
const MEMORY_A_SESSION: u64 = 1 << 30;
const MOST_SESSIONS: u32 = 1000;
/// A configuration file is a page of text.
const FILE_LIMIT: u64 = 1 << 20;
/// A key shorter than this can be guessed.
const SHORTEST_KEY: usize = 16;
const LONGEST_KEY: usize = 512;

/// A value that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SettingsError {
    key: String,
    detail: String,
}

impl SettingsError {
    pub(super) fn new(key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { key: key.into(), detail: detail.into() }
    }
}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.detail)
    }
}

impl std::error::Error for SettingsError {}

/// What defaults depend on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    pub(crate) is_root: bool,
    pub(crate) stderr_is_terminal: bool,
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) home: Option<PathBuf>,
    pub(crate) xdg_state_home: Option<PathBuf>,
}

impl Host {
    /// This one.
    pub(crate) fn this() -> Self {
        let folder = |name| std::env::var_os(name).map(PathBuf::from);
        Self {
            is_root: rustix::process::geteuid().is_root(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            memory: total_memory(),
            home: folder("HOME"),
            xdg_state_home: folder("XDG_STATE_HOME"),
        }
    }
}

fn total_memory() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit))
}

/// Reads and checks everything, once.
pub(crate) fn resolve(
    flags: Flags,
    environment: &Environment,
    host: &Host,
) -> Result<Settings, SettingsError> {
    let file = match flags.config.or_else(|| environment.config()) {
        Some(path) => read_file(&path)?,
        None => Layer::default(),
    };
    let layer = flags.layer.over(environment.layer()?).over(file);
    let listen = layer.listen.unwrap_or(DEFAULT_LISTEN);
    let public_url = layer.public_url.map(public_url).transpose()?;
    if listen.is_everywhere() && public_url.is_none() {
        return Err(everywhere(&listen));
    }
    let misspelt = environment
        .unknown()
        .map(|name| format!("{name} is set, but no setting has this name; misspelt?"));
    let settings = Settings {
        warnings: misspelt.chain(in_the_clear(&listen, public_url.as_ref())).collect(),
        listen,
        public_url,
        state_dir: state_dir(layer.state_dir, host)?,
        api_key: environment.api_key()?.map(api_key).transpose()?,
        region: layer.region.unwrap_or_default(),
        max_sessions: match layer.max_sessions {
            Some(0) => return Err(SettingsError::new("max_sessions", "must be at least 1")),
            Some(most) => most,
            None => default_max_sessions(host.memory),
        },
        pool: layer.pool.unwrap_or_default().0,
        pool_memory: layer.pool_memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
        create_wait: Duration::from_secs(in_range(
            "create_wait_seconds",
            layer.create_wait_seconds.map_or(DEFAULT_CREATE_WAIT, u64::from),
            0,
            MOST_CREATE_WAIT,
        )?),
        standby: Standby {
            after: seconds(layer.standby_seconds.unwrap_or(DEFAULT_STANDBY)),
            page_out_after: seconds(layer.page_out_seconds.unwrap_or(DEFAULT_PAGE_OUT)),
        },
        allowed_private_hosts: private_hosts(layer.allowed_private_hosts.unwrap_or_default())?,
        proxy_check_url: match layer.proxy_check_url {
            Some(text) => web_url("proxy_check_url", &text)?,
            None => ServerConfig::proxy_check_url(),
        },
        silent_after: seconds(layer.standby_silent_seconds.unwrap_or(0)),
        headless_engine: layer.headless_engine.unwrap_or_default(),
        headless_shell: layer.headless_shell,
        merge_memory: layer.ksm == Some(Switch::On),
        chromium: layer.chromium,
        xvfb: layer.xvfb,
        chromedriver: layer.chromedriver,
        ffmpeg: layer.ffmpeg,
        pulseaudio: layer.pulseaudio,
        replay_limit: in_range(
            "replay_limit_mib",
            layer.replay_limit_mib.unwrap_or(DEFAULT_REPLAY_LIMIT),
            1,
            MOST_REPLAY_LIMIT,
        )? << 20,
        retention: retention(layer.recording_retention_days, layer.recordings_limit_mib)?,
        remembered: days("session_retention_days", layer.session_retention_days)?,
        node: layer.node,
        runners_dir: layer.runners_dir,
        timezone: timezone(layer.timezone.unwrap_or_else(|| "UTC".to_owned()))?,
        locale: locale(layer.locale.unwrap_or_else(|| "en-US".to_owned()))?,
        pids_max: in_range(
            "pids_max",
            layer.pids_max.unwrap_or(DEFAULT_PIDS_MAX),
            LEAST_PIDS,
            MOST_PIDS,
        )?,
        cpu_max_pct: layer
            .cpu_max_pct
            .map(|percent| in_range("cpu_max_pct", percent, 1, 100_000))
            .transpose()?,
        session_disk: match layer.session_disk_mib.unwrap_or(DEFAULT_SESSION_DISK) {
            0 => 0,
            mib => in_range("session_disk_mib", mib, LEAST_SESSION_DISK, MOST_SESSION_DISK)? << 20,
        },
        disk_reserve: match layer.disk_reserve_mib {
            None => None,
            Some(0) => Some(0),
            Some(mib) => Some(
                in_range("disk_reserve_mib", mib, LEAST_DISK_RESERVE, MOST_SESSION_DISK)? << 20,
            ),
        },
        log: log_filter(layer.log.unwrap_or_else(|| "info".to_owned()))?,
        log_format: layer.log_format.unwrap_or(if host.stderr_is_terminal {
            LogFormat::Text
        } else {
            LogFormat::Json
        }),
    };
    Ok(settings)
}

/// A time, where 0 is never.
fn seconds(number: u32) -> Option<Duration> {
    (number > 0).then(|| Duration::from_secs(number.into()))
}

fn read_file(path: &Path) -> Result<Layer, SettingsError> {
    let refuse =
        |why: String| SettingsError::new(format!("configuration file {}", path.display()), why);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|why| refuse(why.to_string()))?;
    file.take(FILE_LIMIT + 1).read_to_string(&mut text).map_err(|why| refuse(why.to_string()))?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(refuse("larger than 1 MiB".to_owned()));
    }
    // The parser's message quotes the line with the key.
    toml::from_str(&text).map_err(|why| refuse(format!("\n{why}")))
}

fn state_dir(named: Option<PathBuf>, host: &Host) -> Result<PathBuf, SettingsError> {
    let folder = match named {
        Some(folder) => std::path::absolute(&folder)
            .map_err(|why| SettingsError::new("state_dir", why.to_string()))?,
        None => default_state_dir(host)?,
    };
    if folder.as_os_str().len() > STATE_DIR_LIMIT {
        let detail = format!(
            "{} is too long: the sockets of sessions need a path of at most {STATE_DIR_LIMIT} bytes",
            folder.display()
        );
        return Err(SettingsError::new("state_dir", detail));
    }
    Ok(folder)
}

fn default_state_dir(host: &Host) -> Result<PathBuf, SettingsError> {
    if host.is_root {
        return Ok("/var/lib/browserd".into());
    }
    // The base directory specification says to ignore relative paths.
    let is_absolute = |folder: &&PathBuf| folder.is_absolute();
    if let Some(folder) = host.xdg_state_home.as_ref().filter(is_absolute) {
        return Ok(folder.join("browserd"));
    }
    match host.home.as_ref().filter(is_absolute) {
        Some(home) => Ok(home.join(".local/state/browserd")),
        None => Err(SettingsError::new(
            "state_dir",
            "no default, because neither XDG_STATE_HOME nor HOME is set; name a folder with \
             --state-dir or BROWSERD_STATE_DIR",
        )),
    }
}

fn default_max_sessions(memory: u64) -> u32 {
    u32::try_from(memory / MEMORY_A_SESSION).unwrap_or(MOST_SESSIONS).clamp(1, MOST_SESSIONS)
}

fn api_key(key: SecretString) -> Result<SecretString, SettingsError> {
    let refuse = |why| Err(SettingsError::new("BROWSERD_API_KEY", why));
    let text = key.expose_secret();
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("must consist of printable ASCII characters without spaces");
    }
    if text.len() < SHORTEST_KEY {
        return refuse(
            "is shorter than 16 characters and could be guessed; make one with: \
             echo sk_$(head -c 24 /dev/urandom | base64 | tr -dc a-zA-Z0-9)",
        );
    }
    if text.len() > LONGEST_KEY {
        return refuse("is longer than 512 characters");
    }
    Ok(key)
}

/// Clients of other machines would be handed URLs that lead to their own.
fn everywhere(listen: &Listen) -> SettingsError {
    let detail = format!(
        "{listen} is every address of this machine, and the URLs handed to clients need one that they can reach: \
         say which with --public-url http://HOST:PORT (or https:// behind a proxy), or listen on one address"
    );
    SettingsError::new("listen", detail)
}

/// What to say when keys and what clients do would cross a network as they are.
fn in_the_clear(listen: &Listen, public_url: Option<&Url>) -> Option<String> {
    let stays_here = match public_url {
        None => listen.is_loopback(),
        Some(url) => {
            url.scheme() == "https"
                || match url.host() {
                    Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
                    Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
                    Some(url::Host::Domain(name)) => is_local(name),
                    None => false,
                }
        }
    };
    (!stays_here).then(|| {
        "API keys, and all that clients send and see, cross the network without encryption: put a proxy that \
         speaks TLS in front of this server and set --public-url https://…"
            .to_owned()
    })
}

fn public_url(text: String) -> Result<Url, SettingsError> {
    let url = web_url("public_url", &text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(not_as("public_url", &text, "must have no query and no fragment"));
    }
    Ok(url)
}

fn web_url(setting: &str, text: &str) -> Result<Url, SettingsError> {
    let Ok(url) = Url::parse(text) else { return Err(not_as(setting, text, "is no URL")) };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(not_as(setting, text, "must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(not_as(setting, text, "must have no user name and no password"));
    }
    Ok(url)
}

fn not_as(setting: &str, text: &str, why: &str) -> SettingsError {
    SettingsError::new(setting, format!("{text:?} {why}; write it like https://host"))
}

fn private_hosts(hosts: Vec<String>) -> Result<Vec<String>, SettingsError> {
    let policy = EgressPolicy { allowed_private_hosts: hosts };
    match Policy::parse(&policy) {
        Ok(_) => Ok(policy.allowed_private_hosts),
        Err(why) => {
            let detail = format!("{:?}: {}", why.entry, why.problem);
            Err(SettingsError::new("allowed_private_hosts", detail))
        }
    }
}

fn timezone(name: String) -> Result<String, SettingsError> {
    // In the database's own spelling, because files are looked up by it.
    let zone = jiff::tz::TimeZone::get(&name).ok();
    match zone.as_ref().and_then(|zone| zone.iana_name()) {
        Some(known) if known != "Etc/Unknown" => Ok(known.to_owned()),
        _ => Err(SettingsError::new(
            "timezone",
            format!(
                "{name:?} is no time zone this host knows; write an IANA name like Europe/Paris, \
                 and install tzdata if that does not help"
            ),
        )),
    }
}

fn locale(tag: String) -> Result<String, SettingsError> {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    let is_tag = (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        && tag.len() <= 35;
    if is_tag {
        Ok(tag)
    } else {
        Err(SettingsError::new(
            "locale",
            format!("{tag:?} is no language tag; write one like en-US or fr"),
        ))
    }
}

fn log_filter(filter: String) -> Result<String, SettingsError> {
    match EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(why) => Err(SettingsError::new("log", format!("{filter:?}: {why}"))),
    }
}

fn retention(days: Option<u64>, mib: Option<u64>) -> Result<Retention, SettingsError> {
    let mib = in_range("recordings_limit_mib", mib.unwrap_or(0), 0, MOST_SESSION_DISK)?;
    Ok(Retention {
        age: self::days("recording_retention_days", days)?,
        bytes: (mib > 0).then_some(mib << 20),
    })
}

/// For how long something is kept; 0 is for ever.
fn days(key: &str, days: Option<u64>) -> Result<Option<Duration>, SettingsError> {
    let days = in_range(key, days.unwrap_or(DEFAULT_RETENTION_DAYS), 0, MOST_RETENTION_DAYS)?;
    Ok((days > 0).then(|| Duration::from_secs(days * 24 * 3600)))
}

fn in_range<T: PartialOrd + std::fmt::Display>(
    key: &str,
    value: T,
    least: T,
    most: T,
) -> Result<T, SettingsError> {
    if value < least || value > most {
        return Err(SettingsError::new(key, format!("{value} is not from {least} to {most}")));
    }
    Ok(value)
}
