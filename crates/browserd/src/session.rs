//! The two hidden commands a session consists of. Both are started by our own program, never by
//! people, and say what goes wrong to standard error, which the shim's log collects.

use std::process::ExitCode;

use anyhow::{Context, Result};
use browserd_protocol::{GUEST_SPEC_ENV, GuestSpec};

use crate::logs;
use crate::settings::LogFormat;

/// `browserd shim`: holds one session. Its instructions come from standard input.
pub(crate) fn shim() -> ExitCode {
    browserd_shim::run(|filter| {
        // Without a log a session still works, and is better than none.
        let _ = logs::start(filter, LogFormat::Json);
    })
}

/// `browserd guest`: PID 1 of one session. Its instructions come from one variable.
pub(crate) fn guest() -> Result<ExitCode> {
    let spec = std::env::var(GUEST_SPEC_ENV)
        .with_context(|| format!("{GUEST_SPEC_ENV} is not set; only a shim starts a guest"))?;
    let spec: GuestSpec =
        serde_json::from_str(&spec).with_context(|| format!("{GUEST_SPEC_ENV} cannot be read"))?;
    // The shim puts these lines into records of its own.
    logs::start(&spec.log, LogFormat::Text)?;
    browserd_guest::run(spec).context("the guest ended early")?;
    Ok(ExitCode::SUCCESS)
}
