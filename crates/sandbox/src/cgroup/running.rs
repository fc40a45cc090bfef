//! What is changed of a session while it runs: whether it runs at all, and its share of the CPU.

use std::path::PathBuf;

use super::hierarchies::Hierarchies;
use super::session::shares;
use super::write;
use crate::WallError;

/// The parts of a session's cgroups that are written to while it runs.
#[derive(Debug, Clone)]
pub struct Controls {
    freeze: Option<PathBuf>,
    weight: Option<Weight>,
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
        let v1 = || {
            let (_, own) = hierarchies.v1.iter().find(|(controller, _)| controller == "cpu")?;
            there(own.join(parent).join(name).join("cpu.shares"))
        };
        Self {
            freeze: inside.and_then(|inside| there(inside.join("cgroup.freeze"))),
            weight: v2.map(Weight::V2).or_else(|| v1().map(Weight::Shares)),
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

    /// Gives the session another share of the CPU, on the scale of [`super::Limits::cpu_weight`].
    pub fn weigh(&self, weight: u64) -> Result<(), WallError> {
        match &self.weight {
            Some(Weight::V2(file)) => write(file, &weight.to_string()),
            Some(Weight::Shares(file)) => write(file, &shares(weight).to_string()),
            None => Ok(()),
        }
    }
}
