//! How what came into being in a folder is looked at.

use std::fs;
use std::path::Path;

/// What is below a folder.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Files, folders and links.
    pub(crate) entries: usize,
    /// Of all files together.
    pub(crate) bytes: u64,
    /// Folders within folders.
    pub(crate) depth: usize,
}

impl Tree {
    /// Looks at everything below `top`. There must be nothing but files and folders, and links that
    /// stay below it where `links` may be.
    pub(crate) fn of(top: &Path, links: bool) -> Self {
        let mut tree = Self::default();
        let mut waiting = vec![(top.to_owned(), 0)];
        let real = fs::canonicalize(top).unwrap();
        while let Some((folder, depth)) = waiting.pop() {
            tree.depth = tree.depth.max(depth);
            let found = match fs::read_dir(&folder) {
                Ok(found) => found,
                // Too deep for a path, and not for what made it.
                Err(error) if error.kind() == std::io::ErrorKind::InvalidFilename => continue,
                Err(error) => panic!("{}: {error}", folder.display()),
            };
            for found in found {
                let path = found.unwrap().path();
                let Ok(about) = fs::symlink_metadata(&path) else { continue };
                tree.entries += 1;
                if about.is_dir() {
                    waiting.push((path, depth + 1));
                } else if about.is_symlink() {
                    assert!(links, "{} is a link", path.display());
                    // One that leads nowhere leads nowhere else.
                    if let Ok(end) = fs::canonicalize(&path) {
                        assert!(end.starts_with(&real), "{} leads out", path.display());
                    }
                } else {
                    assert!(about.is_file(), "{} is no file", path.display());
                    tree.bytes += about.len();
                }
            }
        }
        tree
    }
}
