//! Which locale programs are told to use.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the C library keeps locales.
const LOCALES: &str = "/usr/lib/locale";
/// Most bytes of names read from a locale archive.
const NAMES_LIMIT: usize = 1 << 20;
/// First number of a locale archive.
const MAGIC: u32 = 0xde02_0109;

/// `LANG` for a BCP 47 tag such as `de-DE`: that locale in UTF-8 where it is installed, `C.UTF-8`
/// otherwise, because programs complain about a locale that is not there.
#[must_use]
pub(crate) fn lang(tag: &str) -> String {
    installed(tag, Path::new(LOCALES)).unwrap_or_else(|| "C.UTF-8".into())
}

pub(crate) fn installed(tag: &str, locales: &Path) -> Option<String> {
    let mut parts = tag.split('-');
    let language = parts.next().filter(|part| is_word(part, 2..=3))?.to_ascii_lowercase();
    let territory = parts.next_back().filter(|part| is_word(part, 2..=2))?.to_ascii_uppercase();
    let name = format!("{language}_{territory}");
    let file = format!("{name}.utf8");
    let there = locales.join(&file).is_dir() || in_archive(&file, &locales.join("locale-archive"));
    there.then(|| format!("{name}.UTF-8"))
}

fn is_word(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// Whether the archive's table of names has `name`. Header: magic, serial, three numbers of the
/// hash table, then offset and length of the names, 32 bits each.
fn in_archive(name: &str, archive: &Path) -> bool {
    let Ok(file) = File::open(archive) else { return false };
    let mut header = [0; 28];
    if file.read_exact_at(&mut header, 0).is_err() {
        return false;
    }
    let number = |at: usize| {
        u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if number(0) != MAGIC {
        return false;
    }
    let mut names = vec![0; (number(24) as usize).min(NAMES_LIMIT)];
    let Ok(read) = file.read_at(&mut names, u64::from(number(20))) else { return false };
    names[..read].split(|b| *b == 0).any(|known| known == name.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_installed_locales_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(installed("de-DE", dir.path()), None);
        std::fs::create_dir(dir.path().join("de_DE.utf8")).unwrap();
        assert_eq!(installed("de-DE", dir.path()).as_deref(), Some("de_DE.UTF-8"));
        assert_eq!(installed("de-Latn-DE", dir.path()).as_deref(), Some("de_DE.UTF-8"));
        for odd in ["de", "", "-", "../x-DE", "de-DE-", "xx-DE"] {
            assert_eq!(installed(odd, dir.path()), None, "{odd}");
        }
        let mut archive = Vec::new();
        for number in [MAGIC, 0, 0, 0, 0, 28, 24] {
            archive.extend(u32::to_ne_bytes(number));
        }
        archive.extend(b"C.utf8\0fr_FR.utf8\0xxxxxxxxxx");
        std::fs::write(dir.path().join("locale-archive"), archive).unwrap();
        assert_eq!(installed("fr-FR", dir.path()).as_deref(), Some("fr_FR.UTF-8"));
        assert_eq!(installed("fr-CA", dir.path()), None);
    }

    proptest! {
        #[test]
        fn any_tag_and_archive_are_harmless(tag in ".*", archive in proptest::collection::vec(any::<u8>(), 0..64)) {
            let dir = tempfile::tempdir().unwrap();
            let mut bytes = MAGIC.to_ne_bytes().to_vec();
            bytes.extend(archive);
            std::fs::write(dir.path().join("locale-archive"), bytes).unwrap();
            prop_assert_eq!(installed(&tag, dir.path()), None);
        }
    }
}
