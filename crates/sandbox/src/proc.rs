//! What /proc says: of a process, to tell it from others for good, and of the host.

use std::io;

/// Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat), which with the
/// pid names a process for good.
pub fn start_ticks(pid: i32) -> io::Result<u64> {
    // Bytes, because the name in it is whatever the process likes, and need not be text.
    parse_start(&std::fs::read(format!("/proc/{pid}/stat"))?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc stat"))
}

pub(crate) fn parse_start(stat: &[u8]) -> Option<u64> {
    // The second field is the name in parentheses, which may itself hold spaces and parentheses.
    let after = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(stat.get(after + 1..)?).ok()?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Bytes of one line of /proc/meminfo, by its name without the colon (`proc_meminfo(5)`).
#[must_use]
pub fn meminfo(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::ffi::OsStrExt;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields_behind_it() {
        let fields = "S 7 12 12 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 999 0 0";
        let forged = format!("12 (a) R 1 2 3) {fields}");
        assert_eq!(parse_start(forged.as_bytes()), Some(999));
        assert_eq!(parse_start(b"12 (a"), None);
        assert_eq!(parse_start(b"12 (a) S 7"), None);
    }

    /// A session's PID 1 may call itself what it likes, and must be found by who cleans up.
    #[test]
    fn a_process_whose_name_is_no_text_is_told_apart_too() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff)"));
        std::fs::copy("/bin/cat", &program).unwrap();
        let mut child = std::process::Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // What it says back it says under its own name: one that has just been started may still have
        // the name of who started it.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let name = std::fs::read(format!("/proc/{}/comm", child.id())).unwrap();
        assert_eq!(name, b"\xff)\n");
        let ticks = start_ticks(i32::try_from(child.id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ticks.unwrap() > 0);
    }
}
