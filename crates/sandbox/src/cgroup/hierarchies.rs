//! Which cgroup trees this host has, and our place in them.

use std::fs;
use std::path::{Path, PathBuf};

/// The v1 controllers a session is limited by.
const V1_CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The cgroup trees of this host that sessions can be put in.
#[derive(Debug, Clone, Default)]
pub struct Hierarchies {
    /// A folder in the v2 tree that we may make children in: our own, until
    /// [`super::prepare_parent`] finds one whose children can be limited.
    pub v2: Option<PathBuf>,
    /// Whether sessions there are limited in memory and processes; known once
    /// [`super::prepare_parent`] has tried.
    pub v2_controllers: bool,
    /// Our folder in each v1 tree we may make children in, with the controller's name.
    pub v1: Vec<(String, PathBuf)>,
}

impl Hierarchies {
    /// Finds our own place in every tree.
    #[must_use]
    pub fn detect() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::from_texts(&mounts, &own, may_make_children)
    }

    fn from_texts(mountinfo: &str, own: &str, usable: impl Fn(&Path) -> bool) -> Self {
        let mut found = Self::default();
        for mount in mountinfo.lines().filter_map(Mount::parse) {
            let usable_folder =
                |controller| mount.folder_of(own, controller).filter(|folder| usable(folder));
            if mount.fstype == "cgroup2" && found.v2.is_none() {
                found.v2 = usable_folder("");
            }
            for name in V1_CONTROLLERS {
                let is_it = mount.fstype == "cgroup"
                    && mount.options.split(',').any(|option| option == name)
                    && !found.v1.iter().any(|(known, _)| known == name);
                if is_it && let Some(folder) = usable_folder(name) {
                    found.v1.push((name.to_owned(), folder));
                }
            }
        }
        found
    }

    /// Whether some cgroup enforces the memory limit.
    #[must_use]
    pub fn limits_memory(&self) -> bool {
        self.v2_controllers || self.has_v1("memory")
    }

    /// Whether some cgroup enforces the limit of processes.
    #[must_use]
    pub fn limits_pids(&self) -> bool {
        self.v2_controllers || self.has_v1("pids")
    }

    pub(super) fn has_v1(&self, controller: &str) -> bool {
        self.own_v1(controller).is_some()
    }

    /// Our folder in the v1 tree of `controller`.
    pub(super) fn own_v1(&self, controller: &str) -> Option<&Path> {
        let found = self.v1.iter().find(|(name, _)| name == controller);
        found.map(|(_, own)| own.as_path())
    }
}

/// One line of mountinfo.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    fstype: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        Some(Self {
            root: left.get(3)?,
            point: left.get(4)?,
            fstype: right.first()?,
            options: right.get(2)?,
        })
    }

    /// Where our own cgroup of `controller` (empty: v2) is below this mount.
    fn folder_of(&self, own: &str, controller: &str) -> Option<PathBuf> {
        let path = own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let is_it = controllers.split(',').any(|name| name == controller);
            is_it.then_some(path)
        })?;
        let below = if self.root == "/" { path } else { path.strip_prefix(self.root)? };
        Some(Path::new(self.point).join(below.trim_start_matches('/')))
    }
}

pub(super) fn may_make_children(folder: &Path) -> bool {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(folder, access).is_ok()
        && rustix::fs::access(folder.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    #[test]
    fn finds_our_place_in_every_tree_of_a_hybrid_host() {
        let own = "4:memory:/job/7\n3:cpu,cpuacct:/\n0::/user.slice";
        let found = Hierarchies::from_texts(HYBRID, own, |_| true);
        assert_eq!(found.v2, Some("/sys/fs/cgroup/unified/user.slice".into()));
        assert_eq!(
            found.v1,
            [
                ("memory".to_owned(), PathBuf::from("/sys/fs/cgroup/memory/job/7")),
                ("cpu".to_owned(), PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/")),
            ]
        );
        assert!(found.limits_memory() && !found.limits_pids());
    }

    #[test]
    fn a_container_sees_its_own_part_of_the_tree() {
        let mounts = "40 30 0:29 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw";
        let found = Hierarchies::from_texts(mounts, "0::/docker/abc/job", |_| true);
        assert_eq!(found.v2, Some("/sys/fs/cgroup/job".into()));
    }

    #[test]
    fn what_we_may_not_write_is_not_used() {
        let found = Hierarchies::from_texts(HYBRID, "4:memory:/\n0::/", |_| false);
        assert!(found.v2.is_none() && found.v1.is_empty() && !found.limits_memory());
    }
}
