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
//!
//! Writing and reading happen on the guest's one thread. They mean the page cache: 256 KiB are
//! written in about 0.07 ms and read in a third of that, and a status asked for while a process
//! floods is answered in about 0.3 ms. (Freeing a file of megabytes takes milliseconds; that is done
//! on another thread.) A disk that takes less than processes write, and for long, makes the kernel
//! hold the writer, and with it the guest. A thread for writing would end that, at the price of a
//! queue that readers have to look into, because what they wait for may not be written yet, and of
//! gaps for what fails after it was taken: too much that can go wrong, as long as nobody has met
//! such a disk.

mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod reader;
mod store;

pub(crate) use reader::{Chunk, Reader};
pub use store::Retention;
pub(crate) use store::{Output, Spool};

pub(crate) use frame::{MAX_PAYLOAD, Stream};
