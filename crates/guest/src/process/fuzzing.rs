//! The targets of this module.

use super::procfs::{Stat, parse_stat, parse_statm};
pub(crate) use super::request::fuzzing::{exec_request, session_accounts};
pub(crate) use super::spool::fuzzing::spool_frames;

/// What `/proc/PID/stat` looks like behind the name.
const REST: &[u8] = b") S 7 12 12 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 999 0 0";

/// Lines of /proc: whatever a process calls itself, its figures are the kernel's.
pub(crate) fn proc_files(data: &[u8]) {
    let _ = (parse_stat(data), parse_statm(data));
    let named = [b"12 (", data, REST].concat();
    assert_eq!(parse_stat(&named), Some(Stat { parent: 7, ticks: 100, start: 999 }));
    crate::browser::fuzzing::status_fields(data);
}
