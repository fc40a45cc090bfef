//! Log lines, to standard error.

use std::io::{IsTerminal, stderr};

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::LogFormat;

/// Sets logging up for the whole process; once.
///
/// `filter` has the syntax of `RUST_LOG`. Standard output stays free for what commands print.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<()> {
    let filter = EnvFilter::try_new(filter).context("the log filter cannot be read")?;
    let lines = fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        LogFormat::Text => {
            let colours = stderr().is_terminal();
            lines.with_ansi(colours).finish().try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    }
    .context("logging is already set up")
}
