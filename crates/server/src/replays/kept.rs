//! Where recordings are kept, and for how long.

use std::sync::Arc;
use std::time::Duration;

use browserd_store::Blobs;

/// Where recordings are kept.
#[derive(Clone)]
pub struct Recordings {
    /// Their files.
    pub blobs: Arc<dyn Blobs>,
    /// Bytes at which a recording ends.
    pub limit_bytes: u64,
    /// How long and how much is kept.
    pub retention: Retention,
}

/// When finished recordings are removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retention {
    /// So long after they ended; none: never for their age.
    pub age: Option<Duration>,
    /// When all together take more bytes than this, the first to end are; none: never for their size.
    pub bytes: Option<u64>,
}
