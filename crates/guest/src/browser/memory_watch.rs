//! The memory limit where no cgroup enforces it: the sum over all processes inside, sampled.

use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_protocol::GuestReport;
use tokio::time::MissedTickBehavior;

use crate::init::ShimLine;

/// Time between two samples. A sample costs about 0.02 ms a process.
const PERIOD: Duration = Duration::from_millis(500);

/// Watches until the session is over its limit, then reports that it must end.
pub(crate) async fn watch(limit: u64, shim: ShimLine) {
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let used = used();
        if used > limit {
            let detail = format!("the session used {used} bytes of memory, its limit is {limit}");
            shim.report(GuestReport::Fatal { reason: EndReason::OutOfMemory, detail }).await;
            return;
        }
    }
}

/// Bytes of memory that belong to one process alone, summed over all processes in sight. Shared
/// pages (program text, shared memory) are left out, since every process would count them again.
fn used() -> u64 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let pages: u64 = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        // One that ended meanwhile uses nothing.
        .filter_map(|entry| own_pages(&std::fs::read_to_string(entry.path().join("statm")).ok()?))
        .sum();
    pages * rustix::param::page_size() as u64
}

/// Resident minus shared pages, from a line of `statm`.
fn own_pages(statm: &str) -> Option<u64> {
    let mut fields = statm.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statm() {
        assert_eq!(own_pages("100 50 20 1 0 3 0\n"), Some(30));
        assert_eq!(own_pages("100 50"), None);
        assert_eq!(own_pages(""), None);
    }

    #[test]
    fn memory_of_this_process_counts() {
        let block = vec![1u8; 64 << 20];
        std::hint::black_box(&block);
        assert!(used() >= 64 << 20);
    }
}
