//! Fuzz targets of what Chromium says, and so whatever has taken over Chromium. See
//! `docs/fuzzing.md`.

use std::io::Write;

use serde_json::Value;
use tokio::sync::broadcast::error::TryRecvError;

use self::runtime::block_on;
use crate::cdp::{Cdp, CdpError};
use crate::devtools::announced;

#[path = "../../../fuzz/common/runtime.rs"]
mod runtime;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] =
    &[("cdp_messages", cdp_messages), ("devtools_announcement", devtools_announcement)];

/// Messages over the pipe: every call gets an answer or an error, and after the first message that
/// is none, or the end, no call waits.
fn cdp_messages(data: &[u8]) {
    // No more than a pipe holds.
    let data = &data[..data.len().min(60_000)];
    let (answers, mut chromium) = std::io::pipe().unwrap();
    chromium.write_all(data).unwrap();
    drop(chromium);
    let (_commands, commands) = std::io::pipe().unwrap();
    block_on(async {
        let cdp = Cdp::over(commands.into(), answers.into()).unwrap();
        let mut events = cdp.events();
        // Their numbers are 1 to 4.
        let (version, pages, session, bounds) =
            tokio::join!(cdp.version(), cdp.pages(), cdp.attach("t"), cdp.window_bounds("t"));
        for failure in
            [version.err(), pages.err(), session.err(), bounds.err()].into_iter().flatten()
        {
            assert!(!matches!(failure, CdpError::TimedOut { .. } | CdpError::Busy { .. }));
        }
        cdp.closed().await;
        assert!(matches!(cdp.version().await, Err(CdpError::Closed { .. })));
        loop {
            match events.try_recv() {
                Ok(event) => {
                    if let Some(params) = &event.params {
                        serde_json::from_str::<Value>(params.get()).unwrap();
                    }
                }
                Err(TryRecvError::Lagged(_)) => {}
                Err(_) => break,
            }
        }
    });
}

/// The line with the debugging port: what is read of it can be put into a request as it is.
fn devtools_announcement(data: &[u8]) {
    let Some(endpoint) = announced(data) else { return };
    let line = format!("DevTools listening on {}", endpoint.url());
    assert_eq!(announced(line.as_bytes()), Some(endpoint.clone()));
    let path = endpoint.browser_path;
    assert!(path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-".contains(&byte)));
    assert!(data.len() >= line.len() && endpoint.port != 0);
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
