//! The system's time zone, as Chromium and the C library find it.
//!
//! The link leads to a copy below /etc: ICU takes a zone's name from what follows `/zoneinfo/` in the
//! link's true end, and in a host's own database that may be an alias of the zone asked for, or nothing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use super::{remove_stale, replace};

/// Where the C library keeps zones.
const DATABASE: &str = "/usr/share/zoneinfo";
/// Most bytes of a zone; the largest have four thousand.
const ZONE_LIMIT: u64 = 256 << 10;

/// Makes `zone` the system's.
pub(super) fn plant(etc: &Path, zone: &str) -> io::Result<()> {
    if !is_name(zone) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no name of a time zone"));
    }
    let copy = etc.join("zoneinfo").join(zone);
    if let Some(folder) = copy.parent() {
        fs::create_dir_all(folder)?;
    }
    replace(&copy, &data(&Path::new(DATABASE).join(zone))?)?;
    replace(&etc.join("timezone"), format!("{zone}\n").as_bytes())?;
    point(etc, zone)
}

/// Sets the link anew, which whoever watches it takes for a change.
pub fn point(etc: &Path, zone: &str) -> io::Result<()> {
    let fresh = etc.join("localtime.browserd-new");
    remove_stale(&fresh)?;
    symlink(etc.join("zoneinfo").join(zone), &fresh)?;
    fs::rename(&fresh, etc.join("localtime"))
}

/// The zone's rules. Without a database on the host the C library knows UTC only; Chromium has its
/// own and needs the name.
fn data(path: &Path) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    // Root inside may have put a pipe there.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => {
            file.take(ZONE_LIMIT).read_to_end(&mut data)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(data)
}

/// Whether `zone` stays in its folder.
fn is_name(zone: &str) -> bool {
    zone.split('/').all(|part| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-+".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_has_the_zones_own_name() {
        let etc = tempfile::tempdir().unwrap();
        for zone in ["Asia/Tokyo", "UTC", "America/Argentina/Buenos_Aires"] {
            plant(etc.path(), zone).unwrap();
            let end = fs::canonicalize(etc.path().join("localtime")).unwrap();
            assert!(end.ends_with(format!("zoneinfo/{zone}")), "{}", end.display());
            let named = fs::read_to_string(etc.path().join("timezone")).unwrap();
            assert_eq!(named, format!("{zone}\n"));
        }
        let left_over = fs::read_dir(etc.path()).unwrap().filter(|entry| {
            entry.as_ref().unwrap().file_name().to_string_lossy().contains("browserd-new")
        });
        assert_eq!(left_over.count(), 0);
    }

    #[test]
    fn what_is_no_name_touches_nothing() {
        let etc = tempfile::tempdir().unwrap();
        for zone in ["", "/", "../passwd", "Europe/../../x", "Europe/", "a b", "a\n"] {
            assert!(plant(etc.path(), zone).is_err(), "{zone}");
        }
        assert_eq!(fs::read_dir(etc.path()).unwrap().count(), 0);
    }
}
