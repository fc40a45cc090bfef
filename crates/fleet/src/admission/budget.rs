//! What a session takes and what a host has left: the pure core of admission.

use browserd_api::browser::SessionConfig;

use crate::{Class, Headroom};

/// What kept a session from being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// As many as the operator allows.
    MaxSessions,
    /// The host's memory, or that of the cgroup the server is in.
    Memory,
    /// As many are being started as the CPU can take at a time.
    Cpu,
    /// Processes and threads of the host, or of the cgroup the server is in.
    Processes,
    /// The disk that holds the sessions.
    Disk,
}

impl Limit {
    /// Its name on the wire and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxSessions => "max_sessions",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Processes => "processes",
            Self::Disk => "disk",
        }
    }
}

/// What a session takes while it is young, beyond what it takes already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Need {
    /// Bytes.
    pub(crate) memory: u64,
    /// Processes and threads.
    pub(crate) processes: u64,
    /// Bytes.
    pub(crate) disk: u64,
}

/// Memory a session takes at its first page beyond an idle one, bytes: a plain article; published
/// measurements of others are between 75 and 150 MiB.
const WORK: u64 = 128 << 20;
/// Processes and threads of a session with one page, rounded up: Chromium has 110 to 160, a screen,
/// sound, shim and guest some tens.
const PROCESSES: u64 = 256;
/// Those of another page or two.
const MORE_PROCESSES: u64 = 64;
/// A fresh profile and caches, bytes, rounded up.
const PROFILE: u64 = 64 << 20;

impl Need {
    /// What `config` takes: everything, or only what comes with its use when it is `running`
    /// already and waits in the pool.
    pub(crate) fn of(config: &SessionConfig, running: bool) -> Self {
        let class = Class { headless: config.headless, memory: config.memory };
        match running {
            true => Self { memory: WORK, processes: MORE_PROCESSES, disk: PROFILE },
            false => {
                Self { memory: class.idle_bytes() + WORK, processes: PROCESSES, disk: 2 * PROFILE }
            }
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            processes: self.processes.saturating_add(other.processes),
            disk: self.disk.saturating_add(other.disk),
        }
    }

    /// The first limit that keeps this out of `headroom`.
    pub(crate) fn short_of(self, headroom: Headroom) -> Option<Limit> {
        [
            (Limit::Memory, self.memory, headroom.memory),
            (Limit::Processes, self.processes, headroom.processes),
            (Limit::Disk, self.disk, headroom.disk),
        ]
        .into_iter()
        .find_map(|(limit, need, left)| (need > left).then_some(limit))
    }
}

/// What a host has left once everything promised is taken from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spare {
    pub(super) headroom: Headroom,
    pub(super) promised: Need,
}

impl Spare {
    /// Its memory, with `held` bytes more than the host says, bytes.
    pub(crate) fn memory_with(self, held: u64) -> u64 {
        self.headroom.memory.saturating_add(held).saturating_sub(self.promised.memory)
    }

    /// Whether `need` fits as well.
    pub(crate) fn holds(self, need: Need) -> bool {
        self.promised.and(need).short_of(self.headroom).is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ready_session_takes_less() {
        for class in [Class::HEADLESS, Class::HEADFUL] {
            let [ready, new] = [true, false].map(|running| Need::of(&class.template(), running));
            assert!(ready.memory < new.memory && ready.processes < new.processes);
        }
    }

    #[test]
    fn the_limit_that_is_hit_is_named() {
        let need = Need { memory: 10, processes: 10, disk: 10 };
        let left = |memory, processes, disk| Headroom { memory, processes, disk };
        assert_eq!(need.short_of(left(10, 10, 10)), None);
        assert_eq!(need.short_of(left(9, 10, 10)), Some(Limit::Memory));
        assert_eq!(need.short_of(left(10, 9, 10)), Some(Limit::Processes));
        assert_eq!(need.short_of(left(10, 10, 9)), Some(Limit::Disk));
    }

    proptest! {
        #[test]
        fn what_is_promised_never_fits_twice(first in 0u64..1000, second in 0u64..1000, left in 0u64..1000) {
            let need = |memory| Need { memory, ..Need::default() };
            let headroom = Headroom { memory: left, ..Headroom::PLENTY };
            let both = need(first).and(need(second)).short_of(headroom).is_none();
            prop_assert_eq!(both, first + second <= left);
        }
    }
}
