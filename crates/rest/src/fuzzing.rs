//! Fuzz targets of the JSON bodies clients send. See `docs/fuzzing.md`.

use browserd_api::{ErrorBody, computer, curl, fs, playwright, process, repl};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json;

#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[("json_bodies", json_bodies)];

/// Any body for every route that reads one: taken, and then it means the same when it is written
/// again, or refused in words that name a field.
fn json_bodies(data: &[u8]) {
    body::<computer::BatchRequest>(data);
    body::<computer::ClickMouseRequest>(data);
    body::<computer::DragMouseRequest>(data);
    body::<computer::PressKeyRequest>(data);
    body::<computer::ScreenshotRequest>(data);
    body::<computer::ScrollRequest>(data);
    body::<computer::TypeTextRequest>(data);
    body::<computer::WriteClipboardRequest>(data);
    body::<curl::CurlRequest>(data);
    body::<fs::CreateDirectoryRequest>(data);
    body::<fs::MoveRequest>(data);
    body::<fs::SetPermissionsRequest>(data);
    body::<fs::WatchRequest>(data);
    body::<playwright::ExecuteRequest>(data);
    body::<process::AttachMessage>(data);
    body::<process::ExecRequest>(data);
    body::<process::KillRequest>(data);
    body::<process::ResizeRequest>(data);
    body::<process::SpawnRequest>(data);
    body::<process::StdinRequest>(data);
    body::<repl::ReplRequest>(data);
}

fn body<T: DeserializeOwned + Serialize>(data: &[u8]) {
    match json::parse::<T>(data) {
        Ok(taken) => {
            let written = serde_json::to_value(&taken).unwrap();
            let again: T = json::parse(written.to_string().as_bytes()).unwrap();
            assert_eq!(serde_json::to_value(&again).unwrap(), written);
        }
        Err(refusal) => names_a_field(refusal.0.body()),
    }
}

fn names_a_field(refusal: &ErrorBody) {
    assert_eq!(refusal.code.status(), 400);
    assert!(!refusal.message.is_empty());
    assert!(refusal.details.iter().all(|detail| !detail.code.is_empty()), "{refusal:?}");
    serde_json::from_str::<Value>(&serde_json::to_string(&refusal).unwrap()).unwrap();
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
