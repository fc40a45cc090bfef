//! Whether the machine, and not the session, ran out of memory.

/// How often the kernel has killed a process of this host for memory (/proc/vmstat), including those
/// of cgroups at their own limit.
pub(crate) fn kills() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}
