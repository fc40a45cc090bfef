//! Packing a folder as tar with zstd.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use axum::body::Body;
use rustix::fs::{FileType, Stat, readlinkat};
use rustix::io::Errno;
use tar::{EntryType, Header};

use super::super::place::kind;
use super::super::walk::{Step, Walk};
use super::outlet::{self, Outlet};
use super::zip_pack::{is_kernels_folder, open};

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Fastest,
    Default,
    Better,
    Best,
}

impl Level {
    /// Reads a level's name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "fastest" => Self::Fastest,
            "default" => Self::Default,
            "better" => Self::Better,
            "best" => Self::Best,
            _ => return None,
        })
    }

    fn of_zstd(self) -> i32 {
        match self {
            Self::Fastest => 1,
            Self::Default => 3,
            Self::Better => 7,
            Self::Best => 11,
        }
    }
}

/// A tar with zstd being packed.
pub struct Packer<'a>(tar::Builder<zstd::Encoder<'static, &'a mut Outlet>>);

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    Packed,
    LeftOut,
}

impl<'a> Packer<'a> {
    fn new(level: Level, outlet: &'a mut Outlet) -> io::Result<Self> {
        let mut encoder = zstd::Encoder::new(outlet, level.of_zstd())?;
        encoder.include_checksum(true)?;
        Ok(Self(tar::Builder::new(encoder)))
    }

    /// Packs a file that is in memory.
    pub fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        self.0.append_data(&mut header, name, content)
    }

    /// Packs the files and folders in `dir` below `name`; links and everything else are left out.
    pub fn folder(&mut self, name: &str, dir: OwnedFd) -> io::Result<()> {
        let stat = rustix::fs::fstat(&dir)?;
        self.0.append_data(&mut header(&stat, EntryType::Directory, 0), name, io::empty())?;
        self.tree(Path::new(name), dir, Links::LeftOut)
    }

    fn tree(&mut self, below: &Path, dir: OwnedFd, links: Links) -> io::Result<()> {
        let tar = &mut self.0;
        let mut walk = Walk::new(dir)?;
        while let Some(step) = walk.next()? {
            let path = below.join(walk.path());
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", walk.path().to_string_lossy()))
            };
            match step {
                Step::Leave => {}
                Step::Enter(stat) => {
                    if is_kernels_folder(&walk)? {
                        walk.skip();
                        continue;
                    }
                    let mut header = header(&stat, EntryType::Directory, 0);
                    tar.append_data(&mut header, path, io::empty())?;
                }
                Step::Leaf(stat) => match kind(&stat) {
                    FileType::RegularFile => {
                        let Some(file) = open(&walk).map_err(|errno| named(errno.into()))? else {
                            continue;
                        };
                        let size = file.metadata()?.len();
                        let mut header = header(&stat, EntryType::Regular, size);
                        // Exactly as long as announced, whatever happens to the file meanwhile.
                        let content = file.take(size).chain(io::repeat(0)).take(size);
                        tar.append_data(&mut header, path, content).map_err(named)?;
                    }
                    FileType::Symlink if links == Links::Packed => {
                        let target = match readlinkat(walk.dir(), walk.name(), Vec::new()) {
                            Ok(target) => target.into_bytes(),
                            Err(Errno::NOENT | Errno::INVAL) => continue,
                            Err(errno) => return Err(named(errno.into())),
                        };
                        let mut header = header(&stat, EntryType::Symlink, 0);
                        tar.append_link(&mut header, path, OsStr::from_bytes(&target))?;
                    }
                    _ => {}
                },
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        self.0.into_inner()?.finish()?.flush()
    }
}

/// Packs what is in `dir`, as the zip packer does. Owners are kept as numbers.
pub(crate) fn pack(dir: OwnedFd, level: Level, outlet: &mut Outlet) -> io::Result<()> {
    let mut packer = Packer::new(level, outlet)?;
    packer.tree(Path::new(""), dir, Links::Packed)?;
    packer.finish()
}

/// A body of what `fill` packs on a thread of its own, while it is read.
///
/// # Errors
///
/// When packing fails before anything was sent; later the body breaks off.
pub async fn body(
    fill: impl FnOnce(&mut Packer<'_>) -> io::Result<()> + Send + 'static,
) -> io::Result<Body> {
    let (mut outlet, mut pieces) = outlet::outlet();
    tokio::task::spawn_blocking(move || {
        let packed = Packer::new(Level::Default, &mut outlet).and_then(|mut packer| {
            fill(&mut packer)?;
            packer.finish()
        });
        if let Err(error) = packed {
            tracing::warn!(%error, "an archive could not be packed to its end; the client's download fails");
            outlet.fail(error);
        }
    });
    let first = pieces.recv().await.transpose()?;
    Ok(outlet::body(first, pieces))
}

#[expect(clippy::unnecessary_cast, reason = "the fields differ between architectures")]
fn header(stat: &Stat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(stat.st_mode & 0o777);
    header.set_uid(u64::from(stat.st_uid));
    header.set_gid(u64::from(stat.st_gid));
    header.set_mtime(u64::try_from(stat.st_mtime as i64).unwrap_or(0));
    header
}
