//! What spawned processes wrote, kept on disk: every subscriber reads all of it at its own pace.
//!
//! Owns the files below the guest's state folder and the limits of what is kept. Knows no process
//! and no HTTP.
//!
//! ```text
//!  pump ──append──▶ <output>.<segment> files, 8 MiB each ◀──pread── reader 1, reader 2 …
//!                   [frame][frame][frame]…                 each with a place of its own
//!                        oldest segment dropped first       a reader left behind sees a gap
//! ```
//!
//! Memory does not grow with output: a segment is one small record, the bytes are in files.

mod frame;
mod reader;
mod store;

pub(crate) use reader::{Chunk, Reader};
pub use store::Retention;
pub(crate) use store::{Output, Spool};

pub(crate) use frame::{MAX_PAYLOAD, Stream};
