//! Unpacking tar with zstd.

use std::fs::File;
use std::io::{BufReader, Read};

use tar::{Archive, EntryType};

use super::limits::watched;
use super::staging::Staging;
use super::{Refused, entry};

/// Largest window a stream may ask for, as a power of two: memory of the decoder.
const WINDOW_LOG: u32 = 27;

/// Unpacks `archive` into `staging`; the first `strip` parts of every name are taken away.
pub(crate) fn unpack(archive: &File, strip: usize, staging: &mut Staging) -> Result<(), Refused> {
    let mut decoder = zstd::Decoder::new(BufReader::with_capacity(64 << 10, archive))?;
    decoder.window_log_max(WINDOW_LOG)?;
    let (reader, watch) = watched(decoder);
    let mut tar = Archive::new(reader);
    for next in tar.entries().map_err(refused)? {
        let mut file = next.map_err(refused)?;
        staging.count()?;
        watch.content();
        let name = file.path_bytes().into_owned();
        let parts = staging.parts(&name, strip)?;
        let mode = file.header().mode().ok();
        let kind = file.header().entry_type();
        let target = file.link_name_bytes().map(std::borrow::Cow::into_owned);
        match kind {
            _ if parts.is_empty() => {}
            EntryType::Directory
            | EntryType::Regular
            | EntryType::Continuous
            | EntryType::GNUSparse
                if !staging.wants(&parts) => {}
            EntryType::Directory => staging.folder(&parts, mode)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let modified = file.header().mtime().ok().and_then(|time| i64::try_from(time).ok());
                staging.file(&parts, mode, modified, &mut file)?;
            }
            EntryType::Symlink => staging.link(&parts, &target.unwrap_or_default())?,
            EntryType::Link => {
                let target = target.unwrap_or_default();
                let target = staging.parts(&target, strip)?;
                staging.hard_link(&parts, &target)?;
            }
            EntryType::XGlobalHeader => {}
            _ => return Err(entry(&name, "is neither a file nor a folder nor a link")),
        }
        // What a client packed is read to its end, counted like everything else: nothing of it is
        // left to be skipped as bookkeeping.
        staging.skip(&mut file)?;
        watch.bookkeeping();
    }
    // Damage after the last entry is damage too.
    watch.content();
    let mut rest = tar.into_inner();
    let mut buffer = [0; 4096];
    for _ in 0..(64 << 10) {
        if rest.read(&mut buffer).map_err(refused)? == 0 {
            return Ok(());
        }
    }
    Err(Refused::Archive("it has too much behind its last entry".into()))
}

fn refused(error: std::io::Error) -> Refused {
    // The decoder's errors have no number of the kernel's.
    if error.raw_os_error().is_some() {
        return Refused::Disk(error);
    }
    Refused::Archive(format!("it cannot be read: {error}"))
}
