//! What belongs to a profile.
//!
//! `Service Worker/Database` and `ScriptCache` do not: put below a running Chromium, they break its
//! service workers. Pages register theirs again.

/// Where the cookies are, at the top of the archive.
pub(super) const COOKIES: &str = "cookies.json";

/// A folder of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folder {
    /// The folder it is in, in the archive as below Chromium's own folder.
    pub(super) above: &'static str,
    /// Its name, of which there is one.
    pub(super) name: &'static str,
    /// When it is open.
    pub(super) open: Open,
}

/// When Chromium has a folder open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// From its start, in a process of its own.
    Always,
    /// When a site has used its part of it, until what the site keeps is deleted.
    Used,
    /// When any site has used it, until Chromium ends. What sites keep is there under numbers, and which
    /// number is whose Chromium has in memory: under another profile's files, one site would be given
    /// what is another's.
    Numbered,
}

/// The folders.
pub(super) const FOLDERS: [Folder; 5] = [
    Folder { above: "Default", name: "Local Storage", open: Open::Always },
    Folder { above: "Default", name: "IndexedDB", open: Open::Used },
    Folder { above: "Default", name: "WebStorage", open: Open::Numbered },
    Folder { above: "Default", name: "File System", open: Open::Numbered },
    Folder { above: "Default/Service Worker", name: "CacheStorage", open: Open::Used },
];

impl Folder {
    /// Its path.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.above, self.name)
    }

    /// Whether these are the parts of its path, or of one below it.
    fn has(&self, parts: &[&[u8]]) -> bool {
        let mut parts = parts.iter().copied();
        self.above.split('/').chain([self.name]).all(|part| parts.next() == Some(part.as_bytes()))
    }
}

/// Whether an entry with these parts of its name belongs to a profile.
pub(super) fn belongs(parts: &[&[u8]]) -> bool {
    parts == [COOKIES.as_bytes()] || FOLDERS.iter().any(|folder| folder.has(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(path: &str) -> bool {
        belongs(&path.split('/').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn what_belongs() {
        for path in [
            "cookies.json",
            "Default/Local Storage",
            "Default/Local Storage/leveldb/000003.log",
            "Default/IndexedDB/http_a_80.indexeddb.blob/1/00/1",
            "Default/WebStorage/QuotaManager",
            "Default/File System/Origins/LOCK",
            "Default/Service Worker/CacheStorage/x/index.txt",
        ] {
            assert!(takes(path), "{path}");
        }
        for path in [
            "",
            "cookies.json/x",
            "Default",
            "Default/Cookies",
            "Default/cookies.json",
            "Default/Preferences",
            "Default/Service Worker",
            "Default/Service Worker/Database/LOCK",
            "Default/Service Worker/ScriptCache/index",
            "Default/Local Storage2/x",
            "Local Storage/leveldb/LOCK",
            "Profile 1/IndexedDB/x",
            "Local State",
        ] {
            assert!(!takes(path), "{path}");
        }
    }

    #[test]
    fn names_differ() {
        let names: std::collections::HashSet<_> =
            FOLDERS.iter().map(|folder| folder.name).collect();
        assert_eq!(names.len(), FOLDERS.len());
    }
}
