//! Fuzz targets of what the guest reads of the system inside. See `docs/fuzzing.md`.

#[path = "../../../fuzz/common/scratch.rs"]
mod scratch;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

use crate::locale;
use crate::procfs::{Stat, field, parse_stat, parse_statm};
use scratch::Scratch;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[("locale_archive", locale_archive), ("proc_files", proc_files)];

/// A locale archive, which root inside may write: a name is in it or is not.
fn locale_archive(data: &[u8]) {
    let scratch = Scratch::new();
    let archive = scratch.path().join("locale-archive");
    std::fs::write(&archive, data).unwrap();
    let named = data.windows(10).any(|name| name == b"de_DE.utf8");
    match locale::installed("de-DE", scratch.path()) {
        Some(lang) => assert!(named && lang == "de_DE.UTF-8"),
        None => {
            let tag = std::str::from_utf8(data).unwrap_or_default();
            assert_eq!(locale::installed(tag, &scratch.path().join("none")), None);
        }
    }
}

/// What `/proc/PID/stat` looks like behind the name.
const REST: &[u8] = b") S 7 12 12 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 999 0 0";

/// Lines of /proc: whatever a process calls itself, its figures are the kernel's.
fn proc_files(data: &[u8]) {
    let _ = (parse_stat(data), parse_statm(data));
    let named = [b"12 (", data, REST].concat();
    assert_eq!(parse_stat(&named), Some(Stat { parent: 7, ticks: 100, start: 999 }));
    status_fields(data);
}

/// `/proc/PID/status` of a process that calls itself `name`, of which the kernel writes line breaks
/// in another way: the memory it has is the kernel's figure.
fn status_fields(name: &[u8]) {
    let _ = field(name, "RssAnon:");
    let name: Vec<u8> = name.iter().copied().filter(|byte| *byte != b'\n').collect();
    let status = [b"Name:\t", &name[..], b"\nRssAnon:\t  312 kB\nRssShmem:\t  4 kB\n"].concat();
    assert_eq!(field(&status, "RssAnon:"), Some(312 << 10));
    assert_eq!(field(&status, "RssShmem:"), Some(4 << 10));
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
