//! Packing a folder as zip, without knowing any size beforehand.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, OFlags, Stat, readlinkat};
use rustix::io::Errno;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::super::place::{is_kernels, kind, open_plain};
use super::super::walk::{Step, Walk};
use super::outlet::Outlet;

/// Size from which the large form of an entry is used; it may grow while it is read.
const LARGE: i64 = 2 << 30;

/// Packs what is in `dir`; its own name is no part of the names. Links are packed as links; pipes,
/// sockets and devices, and what vanishes meanwhile, are left out. What cannot be read breaks the
/// archive off.
pub(crate) fn pack(dir: OwnedFd, outlet: &mut Outlet) -> io::Result<()> {
    let mut zip = ZipWriter::new_stream(outlet);
    let mut walk = Walk::new(dir)?;
    while let Some(step) = walk.next()? {
        let name = walk.path().to_string_lossy();
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        match step {
            Step::Leave => {}
            Step::Enter(stat) => {
                if is_kernels_folder(&walk)? {
                    walk.skip();
                    continue;
                }
                zip.add_directory(&*name, options(&stat))?;
            }
            Step::Leaf(stat) => match kind(&stat) {
                FileType::RegularFile => {
                    let Some(mut file) = open(&walk).map_err(|errno| named(errno.into()))? else {
                        continue;
                    };
                    zip.start_file(&*name, options(&stat).large_file(stat.st_size >= LARGE))?;
                    io::copy(&mut file, &mut zip).map_err(named)?;
                }
                FileType::Symlink => {
                    let target = match readlinkat(walk.dir(), walk.name(), Vec::new()) {
                        Ok(target) => target,
                        Err(Errno::NOENT | Errno::INVAL) => continue,
                        Err(errno) => return Err(named(errno.into())),
                    };
                    zip.add_symlink(&*name, target.to_string_lossy(), options(&stat))?;
                }
                _ => {}
            },
        }
    }
    let outlet = zip.finish()?.into_inner();
    outlet.flush()
}

/// Opens the file met last; `None` when it is not there any more, or no file any more.
pub(super) fn open(walk: &Walk) -> rustix::io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    match open_plain(walk.dir(), walk.name(), flags) {
        Ok(fd) => {
            let regular = kind(&rustix::fs::fstat(&fd)?) == FileType::RegularFile;
            Ok(regular.then(|| fd.into()))
        }
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether the folder met last shows the kernel's inside.
pub(super) fn is_kernels_folder(walk: &Walk) -> rustix::io::Result<bool> {
    match open_plain(walk.dir(), walk.name(), OFlags::PATH | OFlags::DIRECTORY) {
        Ok(fd) => is_kernels(fd),
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[expect(clippy::unnecessary_cast, reason = "the fields differ between architectures")]
fn options(stat: &Stat) -> SimpleFileOptions {
    let options = SimpleFileOptions::default()
        .compression_level(Some(1))
        .unix_permissions(stat.st_mode & 0o777);
    match jiff::Timestamp::from_second(stat.st_mtime as i64).ok().and_then(dos_time) {
        Some(time) => options.last_modified_time(time),
        None => options,
    }
}

/// The time as zip has it: from 1980 to 2107, in UTC here.
fn dos_time(time: jiff::Timestamp) -> Option<zip::DateTime> {
    let time = jiff::tz::TimeZone::UTC.to_datetime(time);
    zip::DateTime::from_date_and_time(
        u16::try_from(time.year()).ok()?,
        u8::try_from(time.month()).ok()?,
        u8::try_from(time.day()).ok()?,
        u8::try_from(time.hour()).ok()?,
        u8::try_from(time.minute()).ok()?,
        u8::try_from(time.second()).ok()?,
    )
    .ok()
}
