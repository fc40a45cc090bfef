//! The `BROWSERD_*` variables.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use secrecy::SecretString;

use super::layer::{Layer, region};
use super::pool::pool;
use super::{HeadlessEngine, LogFormat, SettingsError, Switch};

const PREFIX: &str = "BROWSERD_";

/// Every variable there is, in the order of `--help`.
pub(super) const VARIABLES: [&str; 37] = [
    "BROWSERD_CONFIG",
    "BROWSERD_API_KEY",
    "BROWSERD_LISTEN",
    "BROWSERD_STATE_DIR",
    "BROWSERD_PUBLIC_URL",
    "BROWSERD_REGION",
    "BROWSERD_MAX_SESSIONS",
    "BROWSERD_POOL",
    "BROWSERD_POOL_MEMORY_MIB",
    "BROWSERD_CREATE_WAIT_SECONDS",
    "BROWSERD_STANDBY_SECONDS",
    "BROWSERD_PAGE_OUT_SECONDS",
    "BROWSERD_ALLOWED_PRIVATE_HOSTS",
    "BROWSERD_PROXY_CHECK_URL",
    "BROWSERD_STANDBY_SILENT_SECONDS",
    "BROWSERD_HEADLESS_ENGINE",
    "BROWSERD_HEADLESS_SHELL",
    "BROWSERD_KSM",
    "BROWSERD_CHROMIUM",
    "BROWSERD_XVFB",
    "BROWSERD_CHROMEDRIVER",
    "BROWSERD_FFMPEG",
    "BROWSERD_PULSEAUDIO",
    "BROWSERD_REPLAY_LIMIT_MIB",
    "BROWSERD_RECORDING_RETENTION_DAYS",
    "BROWSERD_SESSION_RETENTION_DAYS",
    "BROWSERD_RECORDINGS_LIMIT_MIB",
    "BROWSERD_NODE",
    "BROWSERD_RUNNERS_DIR",
    "BROWSERD_TIMEZONE",
    "BROWSERD_LOCALE",
    "BROWSERD_PIDS_MAX",
    "BROWSERD_CPU_MAX_PCT",
    "BROWSERD_SESSION_DISK_MIB",
    "BROWSERD_DISK_RESERVE_MIB",
    "BROWSERD_LOG",
    "BROWSERD_LOG_FORMAT",
];

/// The variables of ours that are set. An empty one counts as not set.
///
/// Holds the API key as it came, so it does not print.
#[derive(Default)]
pub(crate) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// From all variables of this process.
    pub(crate) fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// Variables with our prefix that we do not know: misspelt ones, most likely.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| !VARIABLES.contains(name))
    }

    pub(super) fn config(&self) -> Option<PathBuf> {
        self.path("BROWSERD_CONFIG")
    }

    pub(super) fn api_key(&self) -> Result<Option<SecretString>, SettingsError> {
        Ok(self.text("BROWSERD_API_KEY")?.map(SecretString::from))
    }

    pub(super) fn layer(&self) -> Result<Layer, SettingsError> {
        Ok(Layer {
            listen: self.parsed("BROWSERD_LISTEN")?,
            state_dir: self.path("BROWSERD_STATE_DIR"),
            public_url: self.text("BROWSERD_PUBLIC_URL")?.map(str::to_owned),
            region: self.read("BROWSERD_REGION", region)?,
            max_sessions: self.parsed("BROWSERD_MAX_SESSIONS")?,
            pool: self.read("BROWSERD_POOL", pool)?,
            pool_memory_mib: self.parsed("BROWSERD_POOL_MEMORY_MIB")?,
            create_wait_seconds: self.parsed("BROWSERD_CREATE_WAIT_SECONDS")?,
            standby_seconds: self.parsed("BROWSERD_STANDBY_SECONDS")?,
            standby_silent_seconds: self.parsed("BROWSERD_STANDBY_SILENT_SECONDS")?,
            page_out_seconds: self.parsed("BROWSERD_PAGE_OUT_SECONDS")?,
            allowed_private_hosts: self.text("BROWSERD_ALLOWED_PRIVATE_HOSTS")?.map(list),
            proxy_check_url: self.text("BROWSERD_PROXY_CHECK_URL")?.map(str::to_owned),
            headless_engine: self
                .read("BROWSERD_HEADLESS_ENGINE", |text| HeadlessEngine::from_str(text, false))?,
            headless_shell: self.path("BROWSERD_HEADLESS_SHELL"),
            ksm: self.read("BROWSERD_KSM", |text| Switch::from_str(text, false))?,
            chromium: self.path("BROWSERD_CHROMIUM"),
            xvfb: self.path("BROWSERD_XVFB"),
            chromedriver: self.path("BROWSERD_CHROMEDRIVER"),
            ffmpeg: self.path("BROWSERD_FFMPEG"),
            pulseaudio: self.path("BROWSERD_PULSEAUDIO"),
            replay_limit_mib: self.parsed("BROWSERD_REPLAY_LIMIT_MIB")?,
            recording_retention_days: self.parsed("BROWSERD_RECORDING_RETENTION_DAYS")?,
            session_retention_days: self.parsed("BROWSERD_SESSION_RETENTION_DAYS")?,
            recordings_limit_mib: self.parsed("BROWSERD_RECORDINGS_LIMIT_MIB")?,
            node: self.path("BROWSERD_NODE"),
            runners_dir: self.path("BROWSERD_RUNNERS_DIR"),
            timezone: self.text("BROWSERD_TIMEZONE")?.map(str::to_owned),
            locale: self.text("BROWSERD_LOCALE")?.map(str::to_owned),
            pids_max: self.parsed("BROWSERD_PIDS_MAX")?,
            cpu_max_pct: self.parsed("BROWSERD_CPU_MAX_PCT")?,
            session_disk_mib: self.parsed("BROWSERD_SESSION_DISK_MIB")?,
            disk_reserve_mib: self.parsed("BROWSERD_DISK_RESERVE_MIB")?,
            log: self.text("BROWSERD_LOG")?.map(str::to_owned),
            log_format: self
                .read("BROWSERD_LOG_FORMAT", |text| LogFormat::from_str(text, false))?,
        })
    }

    fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.0.get(name).map(PathBuf::from)
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, SettingsError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(value) => match value.to_str() {
                Some(text) => Ok(Some(text)),
                None => Err(SettingsError::new(name, "is not UTF-8")),
            },
        }
    }

    fn read<T, E: Display>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, SettingsError> {
        self.text(name)?
            .map(|text| {
                read(text).map_err(|why| SettingsError::new(name, format!("{text:?}: {why}")))
            })
            .transpose()
    }

    fn parsed<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, SettingsError> {
        self.read(name, T::from_str)
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let (name, value) = (name.into().into_string().ok()?, value.into());
            (name.starts_with(PREFIX) && !value.is_empty()).then_some((name, value))
        });
        Self(ours.collect())
    }
}
