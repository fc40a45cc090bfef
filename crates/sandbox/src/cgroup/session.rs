//! The cgroups of one session.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::clear::kill_and_wait;
use super::hierarchies::Hierarchies;
use super::{counter, enable_controllers, make_folder, write};
use crate::WallError;
use crate::error::Step;

/// Memory of a shim: its own few megabytes, and for each of the gateway's 256 connections two
/// heads, two buffers and what the kernel holds in two sockets (with v2 it counts those).
const SHIM_MEMORY: u64 = 512 << 20;

/// Groups below each other inside: the session's own, then its leaves.
const DEPTH: &str = "2";

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

/// The cgroups of one session.
#[derive(Debug, Clone)]
pub struct Session {
    /// `<place>/<parent>/<session>` in the v2 tree.
    v2: Option<PathBuf>,
    /// The same in each v1 tree, with the controller's name.
    v1: Vec<(String, PathBuf)>,
    limits_memory: bool,
    limits_pids: bool,
    limits: Limits,
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
            limits_pids: hierarchies.limits_pids(),
            limits: *limits,
        };
        if let Some(folder) = &session.v2 {
            make_folder(folder)?;
            if hierarchies.v2_controllers {
                enable_controllers(folder)
                    .step(format!("turn controllers on in {}", folder.display()))?;
            }
            let (shim, inside) = (folder.join("shim"), folder.join("inside"));
            make_folder(&shim)?;
            make_folder(&inside)?;
            if hierarchies.v2_controllers {
                write(&shim.join("memory.max"), &SHIM_MEMORY.to_string())?;
                limit_v2(&inside, limits)?;
            }
            // Groups cost the kernel memory too. Besides the first two there is one a command, so
            // no use for more of them than processes.
            write(&inside.join("cgroup.max.depth"), DEPTH)?;
            let most = limits.pids.saturating_add(2).to_string();
            write(&inside.join("cgroup.max.descendants"), &most)?;
            let own = inside.join("own");
            make_folder(&own)?;
            make_folder(&own.join("init"))?;
            if let Some(owner) = owner {
                delegate(&own, owner)?;
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

    /// The limit of processes, where no cgroup enforces it.
    pub(crate) fn unenforced_pids(&self) -> Option<u64> {
        (!self.limits_pids).then_some(self.limits.pids)
    }

    /// Whether there is a v2 folder, so that the session can be killed as one and have leaves.
    #[must_use]
    pub fn tracks(&self) -> bool {
        self.v2.is_some()
    }

    /// Moves PID 1 into the v1 trees, and this process into the shim's place if it is the shim. The
    /// first move waits some milliseconds for the kernel (an RCU grace period, `cgroup_attach_lock` in
    /// kernel/cgroup/cgroup.c), those that follow soon do not: what can be done meanwhile should be.
    pub(crate) fn settle(&self, pid: i32, is_shim: bool) -> Result<(), WallError> {
        if let Some(folder) = self.v2.as_ref().filter(|_| is_shim) {
            write(&folder.join("shim/cgroup.procs"), "0")?;
        }
        for (_, folder) in &self.v1 {
            write(&folder.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    /// The folder PID 1 is born into, to hand to `clone3`: the one that is to be the root of its
    /// cgroup namespace.
    pub(crate) fn own_folder(&self) -> Result<Option<OwnedFd>, WallError> {
        let Some(path) = self.own() else { return Ok(None) };
        rustix::fs::open(&path, FOLDER, Mode::empty())
            .step(format!("open {}", path.display()))
            .map(Some)
    }

    /// The same folder as the root of a mount of its own, in this process's mount namespace and
    /// attached nowhere, for the guest to make leaves in: `..` leads nowhere from there, whereas
    /// from a folder of the host's tree it leads to the host's root.
    pub(crate) fn detached_folder(&self) -> Result<Option<OwnedFd>, WallError> {
        let Some(path) = self.own() else { return Ok(None) };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree =
            open_tree(CWD, &path, flags).step(format!("clone the mount of {}", path.display()))?;
        rustix::fs::openat(&tree, ".", FOLDER, Mode::empty())
            .step(format!("open {} by itself", path.display()))
            .map(Some)
    }

    fn own(&self) -> Option<PathBuf> {
        self.v2.as_ref().map(|folder| folder.join("inside/own"))
    }

    /// The file by which PID 1 moves from the root of its cgroup namespace to the guest's leaf: it writes 0
    /// to it. It has to be born in that root and go from there: where namespaces are boundaries of
    /// delegation (the mount option `nsdelegate`, set by systemd) a process is never moved to a group
    /// that its namespace does not show, so the namespace of a guest made in the leaf would know no
    /// other leaf.
    pub(crate) fn way_to_init(&self) -> Result<Option<fs::File>, WallError> {
        let Some(own) = self.own() else { return Ok(None) };
        let path = own.join("init/cgroup.procs");
        let opened = fs::OpenOptions::new().write(true).open(&path);
        opened.step(format!("open {}", path.display())).map(Some)
    }

    /// How often the kernel killed something inside for memory, be it this session's or the
    /// machine's that ran out.
    #[must_use]
    pub fn oom_kills(&self) -> u64 {
        let v2 = self.v2.as_ref().map(|folder| folder.join("inside/memory.events"));
        let v1 = self.v1_memory().map(|folder| folder.join("memory.oom_control"));
        [v2, v1].into_iter().flatten().map(|file| counter(&file, "oom_kill")).sum()
    }

    /// Whether the session ever was at its own memory limit with nothing left to give back.
    #[must_use]
    pub fn reached_memory_limit(&self) -> bool {
        let v2 = self.v2.as_ref().map(|folder| folder.join("inside/memory.events"));
        let v1 = self.v1_memory().map(|folder| folder.join("memory.failcnt"));
        v2.is_some_and(|file| counter(&file, "oom") > 0)
            // Version 1 counts every touch of the limit, also those that freed page cache.
            || v1.and_then(|file| fs::read_to_string(file).ok()).is_some_and(|n| n.trim() != "0")
    }

    fn v1_memory(&self) -> Option<&Path> {
        let memory = self.v1.iter().find(|(name, _)| name == "memory");
        memory.map(|(_, folder)| folder.as_path())
    }

    /// Kills everything inside (not the shim) and waits until it is gone.
    pub fn kill_inside(&self) -> Result<(), WallError> {
        match &self.v2 {
            Some(folder) => kill_and_wait(&folder.join("inside")),
            None => Ok(()),
        }
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

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
        "memory" => {
            write(&folder.join("memory.limit_in_bytes"), &limits.memory.to_string())?;
            // Memory and swap together, where the kernel counts swap: as much swap as memory, as
            // in v2.
            let both = folder.join("memory.memsw.limit_in_bytes");
            match both.exists() {
                true => write(&both, &limits.memory.saturating_mul(2).to_string()),
                false => Ok(()),
            }
        }
        "pids" => write(&folder.join("pids.max"), &limits.pids.to_string()),
        "cpu" => {
            write(&folder.join("cpu.shares"), &shares(limits.cpu_weight).to_string())?;
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

/// Shares of version 1: 1024 where the weight of version 2 is 100.
pub(super) fn shares(weight: u64) -> u64 {
    (weight * 1024 / 100).clamp(2, 262_144)
}

/// Lets `owner` make leaves below `folder` and move its own processes among them
/// (cgroup-v2.rst, "Delegation").
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
