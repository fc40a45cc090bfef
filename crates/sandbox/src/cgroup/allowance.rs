//! What the cgroups above ours leave us: a container's or a service's limits, which the host's own
//! figures say nothing of.

use std::fs;
use std::path::Path;

use super::counter;
use super::hierarchies::Hierarchies;

/// What may still be taken. `u64::MAX` where nothing is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes of memory.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u64,
}

/// Names of a controller's files, which differ between the versions.
struct Files {
    limit: &'static str,
    used: &'static str,
    /// What of it is cache that is not in use, in `memory.stat`: given back when it is wanted.
    cache: Option<&'static str>,
}

const MEMORY_V2: Files =
    Files { limit: "memory.max", used: "memory.current", cache: Some("inactive_file") };
const MEMORY_V1: Files = Files {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: Some("total_inactive_file"),
};
const PIDS: Files = Files { limit: "pids.max", used: "pids.current", cache: None };

impl Hierarchies {
    /// The least that any of the cgroups we are in leaves, as it is now.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        let v2 = self.v2.as_deref();
        let memory = left(v2, &MEMORY_V2).min(left(self.own_v1("memory"), &MEMORY_V1));
        let processes = left(v2, &PIDS).min(left(self.own_v1("pids"), &PIDS));
        Allowance { memory, processes }
    }
}

/// What `own` and every cgroup above it leave. The one at the top of a mount has no such files.
fn left(own: Option<&Path>, files: &Files) -> u64 {
    let Some(own) = own else { return u64::MAX };
    own.ancestors()
        .take_while(|folder| folder.join("cgroup.procs").exists())
        .filter_map(|folder| {
            let limit = number(&folder.join(files.limit))?;
            let used = number(&folder.join(files.used))?;
            let cache = files.cache.map_or(0, |name| counter(&folder.join("memory.stat"), name));
            Some(limit.saturating_sub(used.saturating_sub(cache)))
        })
        .min()
        .unwrap_or(u64::MAX)
}

/// A file's number; none where it says `max` or is not there.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_tightest_of_all_above_counts() {
        let root = tree(&[
            ("cgroup.procs", ""),
            ("box/cgroup.procs", ""),
            ("box/memory.max", "1000\n"),
            ("box/memory.current", "900\n"),
            ("box/memory.stat", "anon 500\ninactive_file 300\n"),
            ("box/pids.max", "100\n"),
            ("box/pids.current", "40\n"),
            ("box/job/cgroup.procs", ""),
            ("box/job/memory.max", "max\n"),
            ("box/job/memory.current", "10\n"),
            ("box/job/pids.max", "50\n"),
            ("box/job/pids.current", "20\n"),
        ]);
        let v2 = Some(root.path().join("box/job"));
        let found = Hierarchies { v2, ..Hierarchies::default() }.allowance();
        assert_eq!(found, Allowance { memory: 400, processes: 30 });
    }

    #[test]
    fn no_cgroup_is_no_limit() {
        let none = Allowance { memory: u64::MAX, processes: u64::MAX };
        assert_eq!(Hierarchies::default().allowance(), none);
    }

    #[test]
    fn the_old_tree_counts_too() {
        let root = tree(&[
            ("cgroup.procs", ""),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.usage_in_bytes", "5\n"),
            ("a/cgroup.procs", ""),
            ("a/memory.limit_in_bytes", "64\n"),
            ("a/memory.usage_in_bytes", "70\n"),
        ]);
        let v1 = vec![("memory".to_owned(), root.path().join("a"))];
        let found = Hierarchies { v1, ..Hierarchies::default() }.allowance();
        assert_eq!(found, Allowance { memory: 0, processes: u64::MAX });
    }
}
