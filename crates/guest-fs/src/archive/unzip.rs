//! Unpacking zip.

use std::fs::File;
use std::io::{BufReader, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::limits::watched;
use super::staging::Staging;
use super::{Refused, entry};

/// Longest target of a link, bytes.
const TARGET: u64 = 4095;

/// Unpacks `archive` into `staging`.
pub(crate) fn unpack(archive: &File, staging: &mut Staging) -> Result<(), Refused> {
    let (reader, watch) = watched(BufReader::with_capacity(64 << 10, archive));
    let mut zip = ZipArchive::new(reader).map_err(refused)?;
    for index in 0..zip.len() {
        staging.count()?;
        watch.bookkeeping();
        let mut file = zip.by_index(index).map_err(refused)?;
        watch.content();
        let name = file.name_raw().to_vec();
        let parts = staging.parts(&name, 0)?;
        let mode = file.unix_mode();
        if parts.is_empty() {
            continue;
        }
        if file.is_dir() {
            staging.folder(&parts, mode)?;
        } else if file.is_symlink() {
            let mut target = Vec::new();
            file.by_ref()
                .take(TARGET + 1)
                .read_to_end(&mut target)
                .map_err(|error| entry(&name, &format!("cannot be unpacked: {error}")))?;
            if target.len() as u64 > TARGET {
                return Err(entry(&name, "is a link with a target that is too long"));
            }
            staging.link(&parts, &target)?;
        } else {
            if mode.is_some_and(|mode| !matches!(mode & 0o170_000, 0 | 0o100_000)) {
                return Err(entry(&name, "is neither a file nor a folder nor a link"));
            }
            staging.file(&parts, mode, None, &mut file)?;
        }
    }
    Ok(())
}

fn refused(error: ZipError) -> Refused {
    match error {
        ZipError::Io(error) if error.raw_os_error().is_some() => Refused::Disk(error),
        ZipError::Io(error) => Refused::Archive(format!("it cannot be read: {error}")),
        other => Refused::Archive(other.to_string()),
    }
}
