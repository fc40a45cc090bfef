//! The body of an answer, read from Chromium piece by piece, as fast as the client takes it.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::exchange::Navigation;
use super::failure::Failure;
use super::pool::Pool;
use super::target::Target;

/// Most bytes of a piece.
const PIECE: usize = 256 << 10;
/// How long a target may take to be ready for the next request.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// What an answer under way holds. Dropped before its end, the target is closed and the request
/// given up.
pub(super) struct Held {
    pub(super) target: Target,
    pub(super) pool: Pool,
    pub(super) navigation: Option<Navigation>,
    pub(super) request_id: String,
    pub(super) _slot: OwnedSemaphorePermit,
}

pub(super) struct Body {
    /// Gone once the body has ended.
    held: Option<Held>,
    stream: Option<String>,
    /// How many bytes are still to come, where the target has said.
    left: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Piece {
    #[serde(default)]
    base64_encoded: bool,
    data: String,
    eof: bool,
}

impl Body {
    /// `stream` is Chromium's handle; without one the body is empty. `length` is what the target has
    /// said: Chromium ends a body that breaks off like any other.
    pub(super) fn new(held: Held, stream: Option<String>, length: Option<u64>) -> Self {
        let mut body = Self { held: Some(held), stream, left: length };
        if body.stream.is_none() {
            body.finish();
        }
        body
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let (Some(held), Some(stream)) = (&self.held, &self.stream) else { return Ok(None) };
            let params = json!({ "handle": stream, "size": PIECE });
            let session = Some(&held.target.session);
            let read = held.target.cdp.call(session, "IO.read", params).await;
            let piece: Piece = match read {
                Ok(piece) => piece,
                Err(error) => {
                    self.held = None;
                    return Err(error.into());
                }
            };
            if piece.eof {
                self.finish();
            }
            let bytes = if piece.base64_encoded {
                base64_simd::STANDARD
                    .decode_to_vec(piece.data)
                    .map_err(|_| Failure::Net("ERR_UNEXPECTED".into()))?
            } else {
                piece.data.into_bytes()
            };
            self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
            if piece.eof && self.left.is_some_and(|left| left > 0) {
                return Err(Failure::Net("ERR_CONTENT_LENGTH_MISMATCH".into()));
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes.into()));
            }
        }
    }

    /// All of it, unless it is larger than `limit`.
    pub(super) async fn whole(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > limit {
                return Err(Failure::TooLarge(limit));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// Ends the navigation and keeps the target for the next request, in the background.
    fn finish(&mut self) {
        let Some(held) = self.held.take() else { return };
        let stream = self.stream.take();
        tokio::spawn(async move {
            let Held { target, pool, navigation, request_id, _slot } = held;
            if let Some(stream) = stream {
                let _ = target.call("IO.close", json!({ "handle": stream })).await;
            }
            let params = json!({ "requestId": request_id, "errorReason": "Aborted" });
            let failed = target.call("Fetch.failRequest", params).await.is_ok();
            let Some(navigation) = navigation.filter(|_| failed) else { return };
            if let Ok(Ok(Ok(_))) = tokio::time::timeout(SETTLES_WITHIN, navigation).await {
                pool.put(target);
            }
        });
    }
}
