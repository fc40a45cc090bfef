//! Fuzz targets of what the kernel says of a session's processes, as far as they can put words into
//! it. See `docs/fuzzing.md`.

use crate::child::SupervisorReport;
use crate::{leaf, proc};

#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[("kernel_files", kernel_files)];

/// What `/proc/PID/stat` looks like behind the name.
const REST: &[u8] = b") S 7 12 12 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 999 0 0";

/// Lines of /proc and of cgroups: whatever a process calls itself, it has the start the kernel says.
fn kernel_files(data: &[u8]) {
    let _ = proc::parse_start(data);
    let named = [b"12 (", data, REST].concat();
    assert_eq!(proc::parse_start(&named), Some(999));
    let _ = leaf::parse_usage(data);
    let counted = [b"usage_usec 5\n", data].concat();
    assert_eq!(leaf::parse_usage(&counted), Some(5));
    if let Some(report) = data.first_chunk() {
        let _ = SupervisorReport::parse(report);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
