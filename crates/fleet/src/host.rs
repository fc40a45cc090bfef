//! What the host has left.

use std::fs;

/// The host's memory, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host {
    total: u64,
    available: u64,
}

/// What is never given to new sessions: a twentieth of the memory, 256 MiB at least.
const RESERVE_SHARE: u64 = 20;
const LEAST_RESERVE: u64 = 256 << 20;

impl Host {
    /// As it is now; nothing where /proc/meminfo cannot be read.
    pub(crate) fn now() -> Self {
        Self::parse(&fs::read_to_string("/proc/meminfo").unwrap_or_default())
    }

    fn parse(meminfo: &str) -> Self {
        let of = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            number.unwrap_or(0) << 10
        };
        Self { total: of("MemTotal:"), available: of("MemAvailable:") }
    }

    /// Memory that new sessions may take.
    pub(crate) fn memory_for_sessions(self) -> u64 {
        self.available.saturating_sub((self.total / RESERVE_SHARE).max(LEAST_RESERVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept() {
        let host = Host::parse(
            "MemTotal:       10485760 kB\nMemFree: 1 kB\nMemAvailable:    1048576 kB\n",
        );
        assert_eq!(host.memory_for_sessions(), 512 << 20);
        assert_eq!(Host::parse("").memory_for_sessions(), 0);
    }
}
