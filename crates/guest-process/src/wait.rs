//! `GET /process/{process_id}/wait`.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use browserd_api::process::ProcessStatus;
use browserd_guest_http::refusals::Refusals;
use browserd_rest::{Error, Result};

use super::Processes;
use super::path::Id;

/// Seconds waited when the query does not say.
const DEFAULT: u64 = 30;
/// Most seconds one request waits.
const LIMIT: u64 = 300;

/// Extension: wait for a process to exit.
///
/// Answers with the status as soon as the process has exited, at once if it has already. After
/// `timeout` seconds (default 30, at most 300, 0 does not wait) the answer is the status at that
/// time, with `state` still `running`: ask again.
#[utoipa::path(
    get,
    path = "/process/{process_id}/wait",
    operation_id = "browsers_process_wait",
    tag = "browsers/process",
    params(
        ("process_id" = Uuid, Path, description = "Handle of the process."),
        ("timeout" = Option<u64>, Query, description = "Seconds to wait.", minimum = 0, maximum = 300),
    ),
    responses(
        (status = 200, description = "The status at the exit, or when the time was up.", body = ProcessStatus),
        Refusals,
    ),
)]
pub(super) async fn wait(
    State(processes): State<Processes>,
    Id(id): Id,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<ProcessStatus>> {
    let process = processes.find(id)?;
    let seconds = timeout(query.as_deref().unwrap_or(""))?;
    let _ = tokio::time::timeout(Duration::from_secs(seconds), process.ending.wait()).await;
    Ok(axum::Json(processes.status(&process)))
}

fn timeout(query: &str) -> Result<u64> {
    let given = query.split('&').find_map(|pair| pair.strip_prefix("timeout="));
    let Some(text) = given else { return Ok(DEFAULT) };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(seconds) if digits && seconds <= LIMIT => Ok(seconds),
        _ => Err(Error::field("timeout", format!("must be whole seconds from 0 to {LIMIT}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::timeout;

    #[test]
    fn timeouts_are_whole_seconds_up_to_the_limit() {
        assert_eq!(timeout("").unwrap(), 30);
        assert_eq!(timeout("jwt=x&timeout=0").unwrap(), 0);
        assert_eq!(timeout("timeout=300").unwrap(), 300);
        for bad in
            ["timeout=", "timeout=301", "timeout=-1", "timeout=+1", "timeout=1.5", "timeout=x"]
        {
            assert!(timeout(bad).is_err(), "{bad}");
        }
    }
}
