//! What is changed of a session while it runs: whether it runs at all, and its share of the CPU.

use std::path::PathBuf;
use std::{fs, io};

use super::hierarchies::Hierarchies;
use super::session::shares;
use super::write;
use crate::WallError;
use crate::error::Step;

/// The parts of a session's cgroups that are written to while it runs.
#[derive(Debug, Clone)]
pub struct Controls {
    freeze: Option<PathBuf>,
    weight: Option<Weight>,
    reclaim: Option<Reclaim>,
}

/// Where the kernel is asked to take a session's memory back.
#[derive(Debug, Clone)]
enum Reclaim {
    /// `memory.reclaim` and `memory.current` of cgroup v2, Linux 5.19.
    V2 { ask: PathBuf, used: PathBuf },
    /// `memory.force_empty` of v1.
    V1(PathBuf),
}

#[derive(Debug, Clone)]
enum Weight {
    V2(PathBuf),
    Shares(PathBuf),
}

impl Controls {
    /// Those of the session `name`, which is there.
    #[must_use]
    pub fn of(hierarchies: &Hierarchies, parent: &str, name: &str) -> Self {
        let inside = hierarchies.v2.as_ref().map(|own| own.join(parent).join(name).join("inside"));
        let there = |file: PathBuf| file.exists().then_some(file);
        let v2 = inside.as_ref().and_then(|inside| there(inside.join("cpu.weight")));
        let v1 = |controller, file| {
            there(hierarchies.own_v1(controller)?.join(parent).join(name).join(file))
        };
        let reclaim_v2 = inside.as_ref().and_then(|inside| {
            let (ask, used) = (inside.join("memory.reclaim"), inside.join("memory.current"));
            Some(Reclaim::V2 { ask: there(ask)?, used })
        });
        let reclaim_v1 = || v1("memory", "memory.force_empty").map(Reclaim::V1);
        Self {
            reclaim: reclaim_v2.or_else(reclaim_v1),
            freeze: inside.and_then(|inside| there(inside.join("cgroup.freeze"))),
            weight: v2.map(Weight::V2).or_else(|| v1("cpu", "cpu.shares").map(Weight::Shares)),
        }
    }

    /// Whether the session can be frozen: it has a v2 cgroup.
    #[must_use]
    pub fn can_freeze(&self) -> bool {
        self.freeze.is_some()
    }

    /// Stops everything inside, or lets it go on; does not wait for the last of it to have stopped.
    /// Sockets, timers and memory stay as they are (cgroup-v2.rst, "cgroup.freeze"), and a frozen
    /// session can be killed.
    pub fn freeze(&self, frozen: bool) -> Result<(), WallError> {
        match &self.freeze {
            Some(file) => write(file, if frozen { "1" } else { "0" }),
            None => Ok(()),
        }
    }

    /// Asks the kernel to take back what memory it can: what is in files it has on disk, the rest it
    /// pushes out to swap. Takes as long as that takes. Answers whether it could be asked.
    pub fn reclaim(&self) -> Result<bool, WallError> {
        match &self.reclaim {
            Some(Reclaim::V2 { ask, used }) => {
                let bytes = fs::read_to_string(used).step(format!("read {}", used.display()))?;
                match fs::write(ask, bytes.trim()) {
                    // Some of it cannot be taken (locked, or swap is full).
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
                    other => other.map(|()| true).step(format!("write to {}", ask.display())),
                }
            }
            Some(Reclaim::V1(file)) => write(file, "0").map(|()| true),
            None => Ok(false),
        }
    }

    /// Gives the session another share of the CPU, on the scale of [`super::Limits::cpu_weight`].
    pub fn weigh(&self, weight: u64) -> Result<(), WallError> {
        match &self.weight {
            Some(Weight::V2(file)) => write(file, &weight.to_string()),
            Some(Weight::Shares(file)) => write(file, &shares(weight).to_string()),
            None => Ok(()),
        }
    }
}
