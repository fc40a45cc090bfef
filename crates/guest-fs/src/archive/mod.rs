//! Archives: folders packed while the client reads, and unpacked where nothing can go wrong half-way.
//!
//! Knows zip and tar with zstd; knows no HTTP but the refusals it makes.
//!
//! ```text
//!  folder ─▶ Walk ─▶ zip │ tar+zstd ─▶ Outlet ─▶ frames of the body
//!  spooled archive ─▶ unzip │ untar ─▶ Staging (limits, names, links) ─▶ merged into its place,
//!                                                                      or into a fresh folder
//! ```

mod fresh;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod limits;
mod names;
mod outlet;
mod staging;
mod tar_pack;
#[cfg(test)]
mod tests;
mod untar;
mod unzip;
mod zip_pack;

pub use fresh::{untar_fresh, unzip_fresh};
pub use limits::Limits;
pub(super) use outlet::{Outlet, body, outlet};
pub(super) use staging::Staging;
pub(super) use tar_pack::{Level, pack as pack_tar};
pub use tar_pack::{Packer, body as tar_body};
pub(super) use untar::unpack as untar;
pub(super) use unzip::unpack as unzip;
pub(super) use zip_pack::pack as pack_zip;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Its content is not acceptable, in words.
    #[error("{0}")]
    Archive(String),
    /// The kernel refused something.
    #[error(transparent)]
    Disk(#[from] std::io::Error),
}

impl From<rustix::io::Errno> for Refused {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Disk(errno.into())
    }
}

/// A refusal about one entry.
pub(super) fn entry(name: &[u8], what: &str) -> Refused {
    let name: String = String::from_utf8_lossy(name).chars().take(200).collect();
    Refused::Archive(format!("its entry {name:?} {what}"))
}
