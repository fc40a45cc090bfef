//! Files that must survive: written once, read often, named by a key.
//!
//! ```text
//!  Blobs (trait)
//!    └─ DiskBlobs   <folder>/<key>, made complete under another name first
//! ```

mod disk;
mod key;

use std::fs::File;
use std::io;

use async_trait::async_trait;
use tokio::io::AsyncRead;

pub use disk::DiskBlobs;
pub use key::{BlobKey, InvalidKey};

/// What a blob is read from.
pub type BlobReader = Box<dyn AsyncRead + Send + Unpin>;

/// The blobs, wherever they are kept.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Keeps what `from` gives under `key`, in place of what was there; answers its size. Until it
    /// is whole nobody sees anything of it; a failure of `from`, or more than `limit` bytes
    /// (`FileTooLarge`), leaves what was there.
    async fn put(
        &self,
        key: &BlobKey,
        from: &mut (dyn AsyncRead + Send + Unpin),
        limit: u64,
    ) -> io::Result<u64>;

    /// Keeps an open file, which nobody writes to any more, under `key`; answers its size. Where that
    /// can be it is not copied; its other name stays. What is no regular file, or larger than `limit`
    /// (`FileTooLarge`), is refused.
    async fn put_file(&self, key: &BlobKey, file: File, limit: u64) -> io::Result<u64>;

    /// Size of the blob; none: there is none.
    async fn size(&self, key: &BlobKey) -> io::Result<Option<u64>>;

    /// Reads `length` bytes from `start` on; what lies beyond the end is left out. None: there is no
    /// such blob. What is open is read to its end, even if the blob is replaced or deleted meanwhile.
    async fn read(&self, key: &BlobKey, start: u64, length: u64) -> io::Result<Option<BlobReader>>;

    /// The keys of all blobs below a folder, in no order; none where there is no such folder.
    async fn keys(&self, folder: &str) -> io::Result<Vec<BlobKey>>;

    /// Takes the blob away; one that is not there is no error.
    async fn delete(&self, key: &BlobKey) -> io::Result<()>;
}
