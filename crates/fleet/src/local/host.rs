//! What this host has left for more sessions.

use std::fs;
use std::path::Path;

use browserd_protocol::DiskReserve;
use browserd_sandbox::cgroup::Hierarchies;
use browserd_sandbox::proc::meminfo;

use crate::Headroom;

/// What is never given to new sessions: a twentieth of the memory, 256 MiB at least.
const MEMORY_RESERVE_SHARE: u64 = 20;
const LEAST_MEMORY_RESERVE: u64 = 256 << 20;
/// The same of the disk that holds the sessions, unless the operator says otherwise; 4 GiB at most.
const DISK_RESERVE_SHARE: u64 = 20;
const LEAST_DISK_RESERVE: u64 = 256 << 20;
const MOST_DISK_RESERVE: u64 = 4 << 30;
/// Processes and threads left to everything else on the host.
const PROCESS_RESERVE: u64 = 512;

/// As it is now. What cannot be read does not limit.
pub(super) fn headroom(
    state_dir: &Path,
    reserve: Option<DiskReserve>,
    hierarchies: &Hierarchies,
) -> Headroom {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let allowed = hierarchies.allowance();
    Headroom {
        memory: memory(&read("/proc/meminfo")).min(allowed.memory),
        processes: processes(
            &read("/proc/loadavg"),
            &[read("/proc/sys/kernel/threads-max"), read("/proc/sys/kernel/pid_max")],
        )
        .min(allowed.processes)
        .saturating_sub(PROCESS_RESERVE),
        disk: available(state_dir).map_or(u64::MAX, |available| disk_left(reserve, available)),
    }
}

/// Bytes of the file system `folder` is on that anybody but root may still write.
pub(super) fn available(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What is kept free on the file system `folder` is on when the operator does not say, bytes.
#[must_use]
pub fn default_disk_reserve(folder: &Path) -> u64 {
    let total =
        rustix::fs::statvfs(folder).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
    (total / DISK_RESERVE_SHARE).clamp(LEAST_DISK_RESERVE, MOST_DISK_RESERVE)
}

/// Bytes of swap that are free.
pub(super) fn swap_left() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    meminfo(&text, "SwapFree").unwrap_or(0)
}

/// Bytes that new sessions may take, by /proc/meminfo.
fn memory(text: &str) -> u64 {
    let (Some(total), Some(available)) = (meminfo(text, "MemTotal"), meminfo(text, "MemAvailable"))
    else {
        return u64::MAX;
    };
    available.saturating_sub((total / MEMORY_RESERVE_SHARE).max(LEAST_MEMORY_RESERVE))
}

/// Processes and threads that may still be made, by the fourth field of /proc/loadavg
/// (`runnable/all`) and the kernel's limits.
fn processes(loadavg: &str, limits: &[String]) -> u64 {
    let all = loadavg.split(' ').nth(3).and_then(|field| field.split('/').nth(1)?.parse().ok());
    let most = limits.iter().filter_map(|text| text.trim().parse::<u64>().ok()).min();
    match (all, most) {
        (Some(all), Some(most)) => most.saturating_sub(all),
        _ => u64::MAX,
    }
}

/// Bytes of the disk that new sessions may take.
fn disk_left(reserve: Option<DiskReserve>, available: u64) -> u64 {
    available.saturating_sub(reserve.map_or(0, DiskReserve::with_margin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept() {
        let text = "MemTotal:       10485760 kB\nMemFree: 1 kB\nMemAvailable:    1048576 kB\n";
        assert_eq!(memory(text), 512 << 20);
        let reserve = DiskReserve::of(256 << 20);
        assert_eq!(disk_left(reserve, 1 << 30), (1024 - 256 - 64) << 20);
        assert_eq!((disk_left(reserve, 1 << 20), disk_left(None, 7)), (0, 7));
        let default = default_disk_reserve(Path::new("/"));
        assert!((LEAST_DISK_RESERVE..=MOST_DISK_RESERVE).contains(&default), "{default}");
    }

    #[test]
    fn processes_are_bounded_by_the_lower_limit() {
        let limits = ["100000\n".to_owned(), "32768\n".to_owned()];
        assert_eq!(processes("0.1 0.2 0.3 2/768 99\n", &limits), 32_000);
        assert_eq!(processes("0.1 0.2 0.3 2/40000 99\n", &limits), 0);
    }

    #[test]
    fn what_cannot_be_read_does_not_limit() {
        assert_eq!((memory(""), processes("", &[])), (u64::MAX, u64::MAX));
    }
}
