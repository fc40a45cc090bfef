//! What is asked and answered at `fd.sock`.

use serde::{Deserialize, Serialize};

/// What is wanted, the first byte written to `fd.sock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HandoffRequest {
    /// A connection to Chromium's remote debugging port.
    Cdp = b'c',
    /// A file that was offered; the ticket of its [`FileOffer`](crate::FileOffer) follows, big-endian.
    File = b'f',
}

/// The JSON line answered on `fd.sock`, with the descriptor attached when `ok`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoffReply {
    /// Whether a descriptor is attached.
    pub ok: bool,
    /// `host:port` Chromium listens on, for the `Host` header; empty for a file.
    #[serde(default)]
    pub host: String,
    /// Path of the browser endpoint, `/devtools/browser/<uuid>`; empty for a file.
    #[serde(default)]
    pub browser_path: String,
    /// What went wrong, when not `ok`.
    #[serde(default)]
    pub error: String,
}
