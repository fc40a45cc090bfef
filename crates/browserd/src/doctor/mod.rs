//! Whether this host can run sessions, and how to mend what is missing.
//!
//! ```text
//!  host ──gather──▶ Facts ──check (pure)──▶ [Check] ──▶ lines or JSON   (browserd doctor)
//!                                               └─────▶ refuse to start (browserd serve)
//! ```
//!
//! A failed check means that sessions cannot work; a warning that they work with something missing,
//! which the line names. Both carry a command that mends it, where there is one.

mod checks;
mod facts;
mod fonts;
mod gather;
mod probe;
mod report;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::settings::{Environment, Host, Settings, resolve};

pub(crate) use gather::version;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Sessions work, but something is missing.
    Warn,
    /// Sessions do not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What, in one or two words.
    pub(crate) name: &'static str,
    /// How it stands.
    pub(crate) level: Level,
    /// What was found, and what follows from it.
    pub(crate) message: String,
    /// Commands that mend it, to be pasted into a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, message: message.into(), fix: None }
    }

    fn warn(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, message: message.into(), fix: Some(fix.into()) }
    }

    fn fail(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Fail, ..Self::warn(name, message, fix) }
    }
}

/// Looks at this host.
pub(crate) fn examine(settings: &Settings) -> Vec<Check> {
    checks::check(&gather::facts(settings))
}

/// The lines with which `serve` refuses to start: `doctor`'s own. Empty when it may.
pub(crate) fn hard_failures(checks: &[Check]) -> Vec<String> {
    checks.iter().filter(|check| check.level == Level::Fail).map(report::lines).collect()
}

/// What `serve` says when it starts although something is missing, in `doctor`'s own words.
pub(crate) fn warnings(checks: &[Check]) -> impl Iterator<Item = &Check> {
    checks.iter().filter(|check| check.level == Level::Warn)
}

/// `browserd doctor`. Exits with 1 when a hard requirement is not met.
pub(crate) fn run(args: DoctorArgs) -> Result<ExitCode> {
    if args.probe_userns {
        return probe::run(probe::user_namespaces);
    }
    if args.probe_network {
        return probe::run(probe::network);
    }
    let settings = resolve(args.flags, &Environment::of_process(), &Host::this())?;
    let checks = examine(&settings);
    let text = if args.json { report::json(&checks)? } else { report::text(&checks) };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write the report")?;
    let failed = checks.iter().any(|check| check.level == Level::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
