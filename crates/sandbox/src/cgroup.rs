//! A session's cgroups: one tree to count, limit and kill everything it is.
//!
//! ```text
//!  v2    <own>/<parent>/<session>/          cgroup.kill here ends shim and inside alike
//!                        ├─ shim/           the shim
//!                        └─ inside/         memory.max, pids.max, cpu.*; delegated to the guest
//!                            ├─ init/       the guest
//!                            └─ …           the guest's leaves: chromium, one a process
//!  v1    <own>/<parent>/<session>/          memory, pids, cpu: limits on a hybrid host, where
//!                                           the v2 tree has no controllers but tracks and kills
//! ```
//!
//! Which of the two enforces a limit depends on the host; [`Hierarchies::detect`] finds out.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};

use crate::WallError;
use crate::error::Step;

/// The v1 controllers a session is limited by.
const V1_CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// Limits of one session.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of memory, page cache included.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u64,
    /// CPU weight, 1-10000, 100 by default.
    pub cpu_weight: u64,
    /// Upper bound of CPU in percent of one core.
    pub cpu_max_pct: Option<u32>,
}

/// The cgroup trees of this host that we may use, as folders of our own cgroup.
#[derive(Debug, Clone, Default)]
pub struct Hierarchies {
    /// Our folder in the v2 tree, when we may make children there.
    pub v2: Option<PathBuf>,
    /// Whether the v2 tree offers us memory and pids.
    pub v2_controllers: bool,
    /// Our folder in each v1 tree we may make children in, with the controller's name.
    pub v1: Vec<(String, PathBuf)>,
}

impl Hierarchies {
    /// Finds out what this process may use.
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
            if mount.fstype == "cgroup2"
                && found.v2.is_none()
                && let Some(folder) = usable_folder("")
            {
                let controllers =
                    fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
                let has = |name| controllers.split_whitespace().any(|c| c == name);
                found.v2_controllers = has("memory") && has("pids");
                found.v2 = Some(folder);
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
        self.v2_controllers || self.v1.iter().any(|(name, _)| name == "memory")
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

fn may_make_children(folder: &Path) -> bool {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(folder, access).is_ok()
        && rustix::fs::access(folder.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok()
}

/// Makes the folder that holds all sessions of one server, and turns the controllers on down to
/// it. Called by `serve` once, before it starts threads that would have to move along.
pub fn prepare_parent(hierarchies: &mut Hierarchies, name: &str) -> Result<(), WallError> {
    if let Some(own) = hierarchies.v2.clone() {
        if hierarchies.v2_controllers && enable_controllers(&own).is_err() {
            // A cgroup with processes cannot hand controllers down: step into a leaf first.
            let leaf = own.join("browserd-serve");
            make_folder(&leaf)?;
            write(&leaf.join("cgroup.procs"), "0")?;
            hierarchies.v2_controllers = enable_controllers(&own).is_ok();
        }
        let parent = own.join(name);
        make_folder(&parent)?;
        if hierarchies.v2_controllers {
            enable_controllers(&parent)
                .step(format!("turn controllers on in {}", parent.display()))?;
        }
    }
    for (_, own) in &hierarchies.v1 {
        make_folder(&own.join(name))?;
    }
    Ok(())
}

/// Removes what [`prepare_parent`] made; fails when sessions are left.
pub fn remove_parent(hierarchies: &Hierarchies, name: &str) -> Result<(), WallError> {
    for own in hierarchies.v2.iter().chain(hierarchies.v1.iter().map(|(_, folder)| folder)) {
        remove_folder(&own.join(name))?;
    }
    Ok(())
}

/// The session folders below a server's own, in every tree; what no ledger names is a leftover too.
#[must_use]
pub fn children(hierarchies: &Hierarchies, name: &str) -> Vec<PathBuf> {
    let own = hierarchies.v2.iter().chain(hierarchies.v1.iter().map(|(_, folder)| folder));
    own.filter_map(|own| fs::read_dir(own.join(name)).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn enable_controllers(folder: &Path) -> io::Result<()> {
    let file = folder.join("cgroup.subtree_control");
    for controller in ["+memory", "+pids"] {
        fs::write(&file, controller)?;
    }
    // Without cpu a session has no weight, which is a loss and not a hole.
    let _ = fs::write(&file, "+cpu");
    Ok(())
}

fn make_folder(folder: &Path) -> Result<(), WallError> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(WallError::new(format!("create cgroup {}", folder.display()), error))
        }
        _ => Ok(()),
    }
}

fn remove_folder(folder: &Path) -> Result<(), WallError> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(WallError::new(format!("remove cgroup {}", folder.display()), error))
        }
        _ => Ok(()),
    }
}

fn write(file: &Path, text: &str) -> Result<(), WallError> {
    fs::write(file, text).step(format!("write {text:?} to {}", file.display()))
}

/// The cgroups of one session.
#[derive(Debug, Clone)]
pub struct Session {
    /// `<own>/<parent>/<session>` in the v2 tree.
    v2: Option<PathBuf>,
    /// The same in each v1 tree, with the controller's name.
    v1: Vec<(String, PathBuf)>,
    limits_memory: bool,
}

impl Session {
    /// Makes the folders and sets the limits; `owner` (uid and gid outside) may make leaves.
    pub fn create(
        hierarchies: &Hierarchies,
        parent: &str,
        name: &str,
        limits: &Limits,
        owner: Option<u32>,
    ) -> Result<Self, WallError> {
        let session = Self {
            v2: hierarchies.v2.as_ref().map(|own| own.join(parent).join(name)),
            v1: hierarchies
                .v1
                .iter()
                .map(|(controller, own)| (controller.clone(), own.join(parent).join(name)))
                .collect(),
            limits_memory: hierarchies.limits_memory(),
        };
        if let Some(folder) = &session.v2 {
            make_folder(folder)?;
            if hierarchies.v2_controllers {
                enable_controllers(folder)
                    .step(format!("turn controllers on in {}", folder.display()))?;
            }
            for leaf in ["shim", "inside", "inside/init"] {
                make_folder(&folder.join(leaf))?;
            }
            let inside = folder.join("inside");
            if hierarchies.v2_controllers {
                limit_v2(&inside, limits)?;
            }
            if let Some(owner) = owner {
                delegate(&inside, owner)?;
            }
        }
        for (controller, folder) in &session.v1 {
            make_folder(folder)?;
            limit_v1(controller, folder, limits)?;
        }
        Ok(session)
    }

    /// The folders a session of this name has or will have, v2 first, for the ledger.
    #[must_use]
    pub fn places(hierarchies: &Hierarchies, parent: &str, name: &str) -> Vec<PathBuf> {
        let v1 = hierarchies.v1.iter().map(|(_, own)| own);
        hierarchies.v2.iter().chain(v1).map(|own| own.join(parent).join(name)).collect()
    }

    /// Whether a cgroup enforces the memory limit.
    #[must_use]
    pub fn limits_memory(&self) -> bool {
        self.limits_memory
    }

    /// Whether there is a v2 folder, so that the session can be killed as one and have leaves.
    #[must_use]
    pub fn tracks(&self) -> bool {
        self.v2.is_some()
    }

    /// Moves this process into the shim's place.
    pub fn enter_shim(&self) -> Result<(), WallError> {
        match &self.v2 {
            Some(folder) => write(&folder.join("shim/cgroup.procs"), "0"),
            None => Ok(()),
        }
    }

    /// The folder PID 1 is born into, to hand to `clone3`.
    pub(crate) fn init_folder(&self) -> Result<Option<OwnedFd>, WallError> {
        self.open("inside/init")
    }

    /// The folder the guest makes leaves in.
    pub(crate) fn inside_folder(&self) -> Result<Option<OwnedFd>, WallError> {
        self.open("inside")
    }

    fn open(&self, below: &str) -> Result<Option<OwnedFd>, WallError> {
        let Some(folder) = &self.v2 else { return Ok(None) };
        let path = folder.join(below);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, Mode::empty())
            .step(format!("open {}", path.display()))
            .map(Some)
    }

    /// Moves this process into the v1 trees; called by PID 1 before it gives up its powers.
    pub(crate) fn join_v1(&self) -> Result<(), WallError> {
        for (_, folder) in &self.v1 {
            write(&folder.join("cgroup.procs"), "0")?;
        }
        Ok(())
    }

    /// How often the kernel killed something inside for memory.
    #[must_use]
    pub fn oom_kills(&self) -> u64 {
        let v2 = self.v2.as_ref().map(|folder| folder.join("inside/memory.events"));
        let v1 = self.v1.iter().find(|(name, _)| name == "memory");
        let v1 = v1.map(|(_, folder)| folder.join("memory.oom_control"));
        [v2, v1].into_iter().flatten().map(|file| counter(&file, "oom_kill")).sum()
    }

    /// Kills everything inside (not the shim) and waits until it is gone.
    pub fn kill_inside(&self) -> Result<(), WallError> {
        match &self.v2 {
            Some(folder) => kill_and_wait(&folder.join("inside")),
            None => Ok(()),
        }
    }
}

/// Clears away a session's cgroups, given as in [`Session::places`]: kills what is in them, waits
/// for it to be gone and removes them. Missing ones are fine. Not for the shim itself, which is in
/// the first.
pub fn clear(folders: &[PathBuf]) -> Result<(), WallError> {
    for folder in folders.iter().filter(|folder| folder.exists()) {
        if folder.join("cgroup.kill").exists() {
            kill_and_wait(folder)?;
        }
        remove_tree(folder)?;
    }
    Ok(())
}

/// Removes a cgroup and its children, deepest first.
fn remove_tree(folder: &Path) -> Result<(), WallError> {
    let children = match fs::read_dir(folder) {
        Ok(children) => children,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(WallError::new(format!("list {}", folder.display()), error)),
    };
    for child in children.flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&child.path())?;
        }
    }
    remove_folder(folder)
}

fn kill_and_wait(folder: &Path) -> Result<(), WallError> {
    let events = folder.join("cgroup.events");
    let file = match fs::File::open(&events) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(WallError::new(format!("open {}", events.display()), error)),
    };
    write(&folder.join("cgroup.kill"), "1")?;
    while counter(&events, "populated") != 0 {
        // The kernel raises POLLPRI on every change of the file (cgroup-v2.rst, "cgroup.events").
        // The bound only guards against an event between the read and the poll.
        let bound = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let mut fds = [PollFd::new(&file, PollFlags::PRI)];
        match poll(&mut fds, Some(&bound)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(WallError::new("wait for the cgroup to empty", error)),
        }
    }
    Ok(())
}

/// The number behind `name` in a flat keyed file; 0 where there is none.
fn counter(file: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

fn limit_v2(folder: &Path, limits: &Limits) -> Result<(), WallError> {
    write(&folder.join("memory.max"), &limits.memory.to_string())?;
    // A renderer that is killed leaves the others alone; see docs/decisions.
    write(&folder.join("memory.oom.group"), "0")?;
    if folder.join("memory.swap.max").exists() {
        write(&folder.join("memory.swap.max"), &limits.memory.to_string())?;
    }
    write(&folder.join("pids.max"), &limits.pids.to_string())?;
    if folder.join("cpu.weight").exists() {
        write(&folder.join("cpu.weight"), &limits.cpu_weight.to_string())?;
        if let Some(pct) = limits.cpu_max_pct {
            write(&folder.join("cpu.max"), &format!("{} 100000", u64::from(pct) * 1000))?;
        }
    }
    Ok(())
}

fn limit_v1(controller: &str, folder: &Path, limits: &Limits) -> Result<(), WallError> {
    match controller {
        "memory" => write(&folder.join("memory.limit_in_bytes"), &limits.memory.to_string()),
        "pids" => write(&folder.join("pids.max"), &limits.pids.to_string()),
        "cpu" => {
            // Shares are 1024 where the v2 weight is 100.
            let shares = (limits.cpu_weight * 1024 / 100).clamp(2, 262_144);
            write(&folder.join("cpu.shares"), &shares.to_string())?;
            match limits.cpu_max_pct {
                Some(pct) => {
                    write(&folder.join("cpu.cfs_quota_us"), &(u64::from(pct) * 1000).to_string())
                }
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Lets `owner` make leaves below `folder` and move its own processes among them, but not touch
/// the limits (cgroup-v2.rst, "Delegation").
fn delegate(folder: &Path, owner: u32) -> Result<(), WallError> {
    let give = |path: PathBuf| {
        std::os::unix::fs::chown(&path, Some(owner), Some(owner))
            .step(format!("give {} to the session", path.display()))
    };
    for at in [folder.to_owned(), folder.join("init")] {
        give(at.join("cgroup.procs"))?;
        give(at.join("cgroup.threads"))?;
        fs::set_permissions(&at, fs::Permissions::from_mode(0o755))
            .step(format!("chmod {}", at.display()))?;
        give(at)?;
    }
    Ok(())
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
        assert!(!found.v2_controllers);
        assert_eq!(
            found.v1,
            [
                ("memory".to_owned(), PathBuf::from("/sys/fs/cgroup/memory/job/7")),
                ("cpu".to_owned(), PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/")),
            ]
        );
        assert!(found.limits_memory());
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
