//! The few files of /proc that tell what processes use. Everything in them may change between two
//! reads; a process that is gone counts nothing.

use std::collections::HashSet;
use std::fmt::Write;
use std::io::Read;

use rustix::fs::{CWD, Mode, OFlags};

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The process that started it, or the one that adopted it.
    pub parent: i32,
    /// CPU time of the process and the children it has waited for, clock ticks.
    pub ticks: u64,
    /// When it started, clock ticks since boot: tells two processes of one pid apart.
    pub start: u64,
}

/// Most processes looked at in one tree.
const TREE_LIMIT: usize = 16_384;
/// Longest command line looked at, bytes; Chromium's have a few KiB.
const COMMAND_LINE: u64 = 64 << 10;

fn read<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file =
        rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::read(&file, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(_) => return None,
        }
    }
    Some(&buffer[..filled])
}

/// Resident memory of a process, bytes; 0 when it is gone.
#[must_use]
pub fn resident_bytes(pid: i32, page_size: u64) -> u64 {
    let mut path = String::with_capacity(24);
    let _ = write!(path, "/proc/{pid}/statm");
    let mut buffer = [0; 128];
    read(&path, &mut buffer).and_then(parse_statm).unwrap_or(0).saturating_mul(page_size)
}

pub(crate) fn parse_statm(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// What `/proc/PID/stat` says; `None` when the process is gone.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    let mut path = String::with_capacity(24);
    let _ = write!(path, "/proc/{pid}/stat");
    let mut buffer = [0; 1024];
    parse_stat(read(&path, &mut buffer)?)
}

pub(crate) fn parse_stat(text: &[u8]) -> Option<Stat> {
    // The name in parentheses may contain anything, parentheses too: go on after the last one.
    let after = text.iter().rposition(|b| *b == b')')?;
    let text = std::str::from_utf8(text.get(after + 1..)?).ok()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().take(20).collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = [14, 15, 16, 17]
        .into_iter()
        .try_fold(0u64, |sum, field| Some(sum.saturating_add(number(field)?)))?;
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks, start: number(22)? })
}

/// A line `Name:   12 kB`, in bytes.
#[must_use]
pub fn field(text: &[u8], name: &str) -> Option<u64> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(name.as_bytes()))?;
    let line = std::str::from_utf8(line).ok()?;
    let kib = line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?;
    kib.checked_mul(1024)
}

/// Every living descendant of `root`, without `root` itself.
#[must_use]
pub fn descendants(root: i32) -> Vec<i32> {
    let mut seen = HashSet::from([root]);
    let mut order = vec![root];
    let mut next = 0;
    while let Some(pid) = order.get(next).copied() {
        next += 1;
        let Some(children) = children(pid) else {
            if pid == root {
                // A kernel without this file: look at every process instead.
                return scan(root);
            }
            continue;
        };
        for child in children {
            if order.len() < TREE_LIMIT && seen.insert(child) {
                order.push(child);
            }
        }
    }
    order.swap_remove(0);
    order
}

/// Whether a process has this argument on its command line; not, when it is gone.
#[must_use]
pub fn has_argument(pid: i32, argument: &[u8]) -> bool {
    names(&command_line(pid), argument)
}

/// The command line of a process as it is in memory; empty when the process is gone.
#[must_use]
pub fn command_line(pid: i32) -> Vec<u8> {
    let mut line = Vec::new();
    if let Ok(file) = std::fs::File::open(format!("/proc/{pid}/cmdline")) {
        let _ = file.take(COMMAND_LINE).read_to_end(&mut line);
    }
    line
}

/// Arguments end with NUL, or with a blank in processes that were forked and have written their own.
fn names(command_line: &[u8], argument: &[u8]) -> bool {
    command_line.split(|byte| matches!(byte, 0 | b' ')).any(|other| other == argument)
}

/// The children of all threads of `pid`.
#[must_use]
pub fn children(pid: i32) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    for task in tasks.flatten() {
        let Ok(text) = std::fs::read_to_string(task.path().join("children")) else {
            // A thread that has just ended is fine, a missing file of a living one is not.
            if task.path().join("stat").exists() {
                return None;
            }
            continue;
        };
        found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Some(found)
}

/// A thread of a process, at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thread {
    /// Its id.
    pub id: i32,
    /// What it does: `S` sleeps, `T` is stopped, `R` runs; see `proc_pid_stat(5)` for others.
    pub state: char,
    /// How often it has given its processor away so far.
    pub switches: u64,
}

/// The threads of a process; none when it is gone.
#[must_use]
pub fn threads(pid: i32) -> Vec<Thread> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut threads: Vec<Thread> = tasks
        .flatten()
        // One that has ended is not there, or waits for its parent to hear of it.
        .filter_map(|task| parse_thread(&std::fs::read(task.path().join("status")).ok()?))
        .filter(|thread| thread.state != 'Z')
        .collect();
    threads.sort_unstable();
    threads
}

/// A thread's `status`.
pub(crate) fn parse_thread(status: &[u8]) -> Option<Thread> {
    let status = String::from_utf8_lossy(status);
    let after = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let count = |name: &str| after(name)?.parse::<u64>().ok();
    let switches =
        count("voluntary_ctxt_switches:")?.checked_add(count("nonvoluntary_ctxt_switches:")?)?;
    Some(Thread {
        id: after("Pid:")?.parse().ok()?,
        state: after("State:")?.chars().next()?,
        switches,
    })
}

fn scan(root: i32) -> Vec<i32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let parents: Vec<(i32, i32)> = all
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(pid) = tree.get(next).copied() {
        next += 1;
        let children = parents.iter().filter(|(_, parent)| *parent == pid);
        tree.extend(children.map(|(child, _)| *child));
    }
    tree.swap_remove(0);
    tree
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        const STORAGE: &[u8] = b"--utility-sub-type=storage.mojom.StorageService";
        let names = |line: &[u8]| names(line, STORAGE);
        assert!(names(
            b"/usr/lib/chromium/chromium\0--type=utility\0\
              --utility-sub-type=storage.mojom.StorageService\0--lang=fr\0"
        ));
        assert!(names(b"/x --type=utility --utility-sub-type=storage.mojom.StorageService --y"));
        for other in [
            &b""[..],
            b"/x\0--utility-sub-type=network.mojom.NetworkService\0",
            b"/x\0--utility-sub-type=storage.mojom.StorageServiceOfMine\0",
            b"/x\0a--utility-sub-type=storage.mojom.StorageService\0",
        ] {
            assert!(!names(other));
        }
    }

    #[test]
    fn a_name_cannot_forge_the_fields_behind_it() {
        let text = b"12 (a) R 1 2 3) S 7 12 12 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 999 0 0";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, ticks: 100, start: 999 }));
        assert_eq!(parse_stat(b"12 (a"), None);
        assert_eq!(parse_statm(b"100 25 3 1 0 4 0\n"), Some(25));
    }

    #[test]
    fn fields() {
        let text = b"Name:\t\xff\nRssAnon:\t     312 kB\nRssShmem:\t       4 kB\nPss_Anon: 1 MB\n";
        assert_eq!(field(text, "RssAnon:"), Some(312 * 1024));
        assert_eq!(field(text, "RssShmem:"), Some(4096));
        assert_eq!(field(text, "Pss_Anon:"), None);
        assert_eq!(field(text, "Rss:"), None);
        assert_eq!(field(b"RssAnon: 18446744073709551615 kB", "RssAnon:"), None);
    }

    #[test]
    fn threads_are_read() {
        let status = b"Name:\t\xff\nState:\tS (sleeping)\nTgid:\t3\nPid:\t7\nThreads:\t3\n\
                       voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(parse_thread(status), Some(Thread { id: 7, state: 'S', switches: 9 }));
        assert_eq!(parse_thread(b"State:\tS (sleeping)\nPid:\t7\n"), None);
        assert_eq!(threads(i32::MAX), []);
        let mine = threads(rustix::process::getpid().as_raw_nonzero().get());
        // This very thread.
        assert!(mine.iter().any(|thread| thread.state == 'R'), "{mine:?}");
    }

    #[test]
    fn this_process_is_found_both_ways() {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
        assert!(stat(me).unwrap().start > 0);
        assert_eq!(stat(me).unwrap().parent, parent);
        assert!(resident_bytes(me, 4096) > 100_000);
        assert!(descendants(parent).contains(&me));
        assert!(scan(parent).contains(&me));
        assert_eq!(stat(i32::MAX), None);
        assert_eq!(resident_bytes(i32::MAX, 4096), 0);
        assert_eq!(descendants(i32::MAX), [0; 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_understood_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_stat(&text);
            let _ = parse_statm(&text);
            let _ = parse_thread(&text);
        }
    }
}
