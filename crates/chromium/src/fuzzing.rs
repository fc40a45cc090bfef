//! Fuzz targets of what Chromium says, and so whatever has taken over Chromium. See
//! `docs/fuzzing.md`.

use std::io::Write;

use serde_json::Value;
use tokio::sync::broadcast::error::TryRecvError;

use self::runtime::block_on;
use crate::cdp::{Cdp, CdpError};
use crate::devtools::announced;
use crate::packed::{crx, manifest};

#[path = "../../../fuzz/common/runtime.rs"]
mod runtime;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("cdp_messages", cdp_messages),
    ("devtools_announcement", devtools_announcement),
    ("packed_extension", packed_extension),
    ("update_manifest", update_manifest),
];

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

/// A packed extension: one that is taken has an id of 32 letters from a to p, and its zip begins within
/// it; a refusal is short.
fn packed_extension(data: &[u8]) {
    match crx::read(data) {
        Ok(found) => {
            assert!(found.id.len() == 32 && is_id(&found.id), "{found:?}");
            assert!(found.zip_at <= data.len() as u64);
        }
        Err(refused) => assert!(refused.to_string().len() < 400),
    }
}

fn is_id(text: &str) -> bool {
    text.bytes().all(|letter| (b'a'..=b'p').contains(&letter))
}

/// An update manifest: a file that is offered is no path, and a refusal is short.
fn update_manifest(data: &[u8]) {
    const ID: &str = "abcdefghijklmnopabcdefghijklmnop";
    let text = String::from_utf8_lossy(data);
    match manifest::offers(&text, ID) {
        Ok(offers) => {
            assert!(!offers.is_empty() && text.contains(ID));
            assert!(offers.iter().all(|offer| !offer.file.contains('/')));
        }
        Err(refused) => assert!(refused.to_string().len() < 4096),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
