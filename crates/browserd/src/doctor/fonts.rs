//! Which scripts the fonts of this host have letters for.
//!
//! Read off the fonts themselves (`OpenType` 1.9, tables `cmap`), so that whichever fonts somebody has installed
//! count, and no program is needed to ask.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Most files looked at in search of fonts.
const FILES_LIMIT: usize = 20_000;
/// Most bytes of one `cmap`; that of the largest fonts has some hundred thousand.
const CMAP_LIMIT: u32 = 4 << 20;

/// Scripts, each with a letter that every font for it has.
const SCRIPTS: [(&str, char); 11] = [
    ("Arabic", 'س'),
    ("Bengali", 'ক'),
    ("Chinese", '汉'),
    ("Cyrillic", 'Ж'),
    ("Greek", 'Ω'),
    ("Hebrew", 'ש'),
    ("Hindi", 'ह'),
    ("Japanese", 'あ'),
    ("Korean", '한'),
    ("Tamil", 'க'),
    ("Thai", 'ก'),
];

/// What there is of fonts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fonts {
    /// Number of scalable fonts.
    pub(crate) count: usize,
    /// Scripts that none of them has letters for.
    pub(crate) without: Vec<&'static str>,
}

/// The scalable fonts below some folders.
pub(super) fn below(folders: &[&str]) -> Fonts {
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| files(Path::new(folder))).collect();
    let mut without = SCRIPTS.to_vec();
    for file in &files {
        if without.is_empty() {
            break;
        }
        // One that cannot be read is one that Chromium cannot read either.
        if let Some(letters) = Letters::of(file) {
            without.retain(|(_, letter)| !letters.have(*letter));
        }
    }
    Fonts { count: files.len(), without: without.into_iter().map(|(script, _)| script).collect() }
}

/// Scalable fonts below a folder. Links to folders are not followed.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let (mut looked_at, mut found) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            looked_at += 1;
            if looked_at > FILES_LIMIT {
                return found;
            }
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Some(kind) = path.extension().and_then(OsStr::to_str) {
                let scalable = ["ttf", "ttc", "otf", "otc"];
                if scalable.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
                    found.push(path);
                }
            }
        }
    }
    found
}

/// The table of a font that says which letters it has.
struct Letters(Vec<u8>);

impl Letters {
    /// Of the first font in a file.
    fn of(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let read = |at: u64, length: u32| {
            let mut bytes = vec![0; length as usize];
            file.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
        };
        let head = read(0, 16)?;
        let start = if head.starts_with(b"ttcf") { u64::from(u32_at(&head, 12)?) } else { 0 };
        let tables = u32::from(u16_at(&read(start, 6)?, 4)?);
        let directory = read(start + 12, tables * 16)?;
        let cmap = directory.chunks_exact(16).find(|table| table.starts_with(b"cmap"))?;
        let (at, length) = (u32_at(cmap, 8)?, u32_at(cmap, 12)?);
        read(at.into(), length.min(CMAP_LIMIT)).map(Self)
    }

    /// Whether there is a glyph for a letter.
    fn have(&self, letter: char) -> bool {
        let Some(tables) = u16_at(&self.0, 2) else { return false };
        (0..usize::from(tables)).any(|table| {
            let table = u32_at(&self.0, 4 + 8 * table + 4).and_then(|at| self.0.get(at as usize..));
            table.is_some_and(|table| in_table(table, letter.into()).unwrap_or(false))
        })
    }
}

/// Whether a table of a `cmap` has a code point; none: it is cut off, or of a form that Unicode is not in.
fn in_table(table: &[u8], code: u32) -> Option<bool> {
    match u16_at(table, 0)? {
        // Segments: last codes, a gap, first codes, differences, places of glyphs.
        4 => {
            let code = u16::try_from(code).ok()?;
            let width = usize::from(u16_at(table, 6)?);
            let (last, first) = (14, 16 + width);
            let segment = (0..width)
                .step_by(2)
                .find(|at| u16_at(table, last + at).is_some_and(|last| code <= last));
            let Some(at) = segment else { return Some(false) };
            let start = u16_at(table, first + at)?;
            if code < start {
                return Some(false);
            }
            let difference = u16_at(table, first + width + at)?;
            let places = first + 2 * width + at;
            let glyph = match u16_at(table, places)? {
                0 => code.wrapping_add(difference),
                // Counted from where it stands.
                place => {
                    u16_at(table, places + usize::from(place) + 2 * usize::from(code - start))?
                }
            };
            Some(glyph != 0)
        }
        // Groups: first code, last code, first glyph.
        12 => {
            let groups = u32_at(table, 12)? as usize;
            let group = table
                .get(16..)?
                .chunks_exact(12)
                .take(groups)
                .find(|group| u32_at(group, 4).is_some_and(|last| code <= last));
            Some(group.and_then(|group| u32_at(group, 0)).is_some_and(|first| first <= code))
        }
        _ => None,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// A table of 16-bit codes with `first..=last`, whose first glyph is `glyph`.
    fn segments(first: u16, last: u16, glyph: u16) -> Vec<u8> {
        let head = [4, 32, 0, 4, 0, 0, 0];
        let segments = [last, 0xffff, 0, first, 0xffff, glyph.wrapping_sub(first), 1, 0, 0];
        words(&[&head[..], &segments[..]].concat())
    }

    /// A table of 32-bit codes with `first..=last`.
    fn groups(first: u32, last: u32) -> Vec<u8> {
        let mut table = words(&[12, 0]);
        table.extend([28, 0, 1, first, last, 7].into_iter().flat_map(u32::to_be_bytes));
        table
    }

    /// A font that has these tables of letters and nothing else.
    fn font(tables: &[Vec<u8>]) -> Vec<u8> {
        let mut cmap = words(&[0, u16::try_from(tables.len()).unwrap()]);
        let mut at = 4 + 8 * tables.len();
        for table in tables {
            cmap.extend(words(&[3, 10]));
            cmap.extend(u32::try_from(at).unwrap().to_be_bytes());
            at += table.len();
        }
        cmap.extend(tables.concat());
        let mut font = b"\0\x01\0\0".to_vec();
        font.extend(words(&[1, 0, 0, 0]));
        font.extend(b"cmap");
        font.extend(
            [0, 28, u32::try_from(cmap.len()).unwrap()].into_iter().flat_map(u32::to_be_bytes),
        );
        font.extend(cmap);
        font
    }

    #[test]
    fn letters_are_found_in_both_forms() {
        let table = segments(0x0400, 0x04ff, 9);
        for (code, there) in [(0x03ff, false), (0x0400, true), (0x04ff, true), (0x0500, false)] {
            assert_eq!(in_table(&table, code), Some(there), "{code:#x}");
        }
        assert_eq!(
            in_table(&segments(0x0400, 0x04ff, 0), 0x0400),
            Some(false),
            "glyph 0 is the box"
        );
        let table = groups(0x1_0000, 0x1_00ff);
        for (code, there) in
            [(0xffff, false), (0x1_0000, true), (0x1_00ff, true), (0x1_0100, false)]
        {
            assert_eq!(in_table(&table, code), Some(there), "{code:#x}");
        }
        assert_eq!(in_table(&words(&[0, 0]), 65), None);
    }

    #[test]
    fn what_the_fonts_of_a_folder_lack() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let all: Vec<&str> = SCRIPTS.iter().map(|(script, _)| *script).collect();
        assert_eq!(below(&[path]), Fonts { count: 0, without: all.clone() });
        fs::write(folder.path().join("broken.ttf"), b"OTTO").unwrap();
        fs::create_dir(folder.path().join("more")).unwrap();
        let some = font(&[segments(0x0370, 0x04ff, 1), groups(0x0e00, 0xd7ff)]);
        fs::write(folder.path().join("more/some.TTF"), some).unwrap();
        let lacking = ["Arabic", "Bengali", "Hebrew", "Hindi", "Tamil"].to_vec();
        assert_eq!(below(&[path]), Fonts { count: 2, without: lacking.clone() });
        // In a collection the offsets of the fonts come first.
        let mut collection = b"ttcf\0\x01\0\0\0\0\0\x01".to_vec();
        collection.extend(16_u32.to_be_bytes());
        let mut rest = font(&[segments(0x0590, 0x06ff, 1)]);
        rest[20..24].copy_from_slice(&44_u32.to_be_bytes());
        collection.extend(rest);
        fs::write(folder.path().join("more/many.ttc"), collection).unwrap();
        let found = below(&[path]);
        assert_eq!((found.count, found.without), (3, ["Bengali", "Hindi", "Tamil"].to_vec()));
    }

    proptest! {
        #[test]
        fn any_table_is_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..200), code in any::<char>(), form in any::<bool>()) {
            let mut table = words(&[if form { 4 } else { 12 }]);
            table.extend(bytes);
            let _ = in_table(&table, code.into());
            let _ = Letters(table).have(code);
        }
    }
}
