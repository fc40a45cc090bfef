//! Telling whether programs were replaced on disk.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A number that changes when one of the files is another, or has been written to.
pub(super) fn of<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let about = std::fs::metadata(file).ok();
        let about = about.map(|about| {
            (about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec())
        });
        about.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let (file, new) = (folder.path().join("chromium"), folder.path().join("new"));
        std::fs::write(&file, "old").unwrap();
        let before = of([&file]);
        assert_eq!(of([&file]), before);
        std::fs::write(&new, "new").unwrap();
        std::fs::rename(&new, &file).unwrap();
        assert_ne!(of([&file]), before);
    }
}
