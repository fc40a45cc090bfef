//! The memory limit where no cgroup enforces it: the sum over all processes inside, sampled.
//!
//! Counted is what the session alone has: private memory, shared memory, and what lies in
//! `/dev/shm`; not the text of programs, which is the host's page cache. What several processes
//! share is first counted once for each, which is quick and never too little. Only when that is over
//! the limit the kernel is asked to divide it among its sharers, which makes it walk page tables.
//!
//! A process can hide memory from this (a memfd it keeps without mapping it, data in pipes and
//! sockets): it is what can be had without a cgroup, and `doctor` says so.

use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_guest_session::procfs::field;
use browserd_guest_session::{Children, ShimLine};
use browserd_protocol::GuestReport;
use tokio::time::Instant;

/// Time between two samples. A sample costs about 0.04 ms a process.
const PERIOD: Duration = Duration::from_millis(500);
/// A close look is followed by a pause of at least so many times what it took.
const REST: u32 = 9;
/// Where shared memory has names.
const SHM: &str = "/dev/shm";

/// Watches until the session is over its limit, then reports that it must end.
pub(crate) async fn watch(limit: u64, children: Children, shim: ShimLine) {
    loop {
        tokio::time::sleep(PERIOD).await;
        if used(&children, rough) <= limit {
            continue;
        }
        let began = Instant::now();
        // On a thread of its own: it may take as long as the session is large.
        let look = {
            let children = children.clone();
            tokio::task::spawn_blocking(move || used(&children, close))
        };
        let Ok(used) = look.await else { continue };
        if used > limit {
            let detail = format!("the session used {used} bytes of memory, its limit is {limit}");
            shim.report(GuestReport::Fatal { reason: EndReason::OutOfMemory, detail }).await;
            return;
        }
        tokio::time::sleep(began.elapsed() * REST).await;
    }
}

/// Memory of one process, or of several, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Memory {
    private: u64,
    shared: u64,
}

/// Bytes the session uses, with `look` asking about one process.
fn used(children: &Children, look: fn(&str) -> Option<Memory>) -> u64 {
    // They live in the guest's memory, which is counted once, at the guest itself.
    let supervisors = children.supervisors();
    let mut all = Memory::default();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if supervisors.contains(&pid) {
            continue;
        }
        // One that ended meanwhile uses nothing.
        let one = look(&format!("/proc/{pid}")).unwrap_or_default();
        all.private += one.private;
        all.shared += one.shared;
    }
    // Files in /dev/shm are mapped by someone or not, which cannot be told; adding them to what is
    // mapped could count them twice and end a session that has done nothing wrong.
    all.private + all.shared.max(files())
}

/// What the process at `proc` has, shared memory in full.
fn rough(proc: &str) -> Option<Memory> {
    // Bytes, because a name stands in it that is whatever the process likes, and need not be text.
    let text = std::fs::read(format!("{proc}/status")).ok()?;
    Some(Memory { private: field(&text, "RssAnon:")?, shared: field(&text, "RssShmem:")? })
}

/// The same, with what it shares divided among the sharers.
fn close(proc: &str) -> Option<Memory> {
    let divided = std::fs::read(format!("{proc}/smaps_rollup")).ok().and_then(|text| {
        Some(Memory { private: field(&text, "Pss_Anon:")?, shared: field(&text, "Pss_Shmem:")? })
    });
    // Of one that does not let us look (another user's) the sharers are unknown.
    divided.or_else(|| rough(proc))
}

/// Bytes of the files in [`SHM`], which is a filesystem of the session's own.
fn files() -> u64 {
    let Ok(shm) = rustix::fs::statvfs(SHM) else { return 0 };
    shm.f_blocks.saturating_sub(shm.f_bfree).saturating_mul(shm.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 64 << 20;

    /// What a process calls itself hides nothing.
    #[test]
    fn a_process_whose_name_is_no_text_counts() {
        use std::io::{Read, Write};
        use std::os::unix::ffi::OsStrExt;
        use std::process::Stdio;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
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
        let memory = rough(&format!("/proc/{}", child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(name, b"\xff\n");
        assert!(memory.unwrap().private > 0);
    }

    #[test]
    fn private_memory_of_this_process_counts() {
        let before = (rough("/proc/self").unwrap(), close("/proc/self").unwrap());
        let block = vec![1u8; SIZE as usize];
        std::hint::black_box(&block);
        let after = (rough("/proc/self").unwrap(), close("/proc/self").unwrap());
        // Other tests run beside this one and may give memory back.
        assert!(after.0.private >= before.0.private + SIZE / 2, "{before:?} {after:?}");
        assert!(after.1.private >= before.1.private + SIZE / 2, "{before:?} {after:?}");
    }

    #[test]
    fn shared_memory_counts_for_each_at_first_and_once_at_a_close_look() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        // Two processes map the same 64 MiB. Each says its number in one write: what they write in two
        // may come mixed, and Python without buffers writes the end of a line on its own.
        let script = "import mmap, os, sys\n\
            memory = mmap.mmap(-1, 64 << 20)\n\
            memory.write(b'x' * (64 << 20))\n\
            child = os.fork()\n\
            sum(memory[::4096])\n\
            os.write(1, b'%d\\n' % os.getpid())\n\
            sys.stdin.read()\n";
        let mut parent = Command::new("python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(parent.stdout.take().unwrap()));
        let pids = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
        let sum = |look: fn(&str) -> Option<Memory>| {
            pids.iter().map(|pid| look(&format!("/proc/{pid}")).unwrap().shared).sum::<u64>()
        };
        let (rough, close) = (sum(rough), sum(close));
        parent.stdin.take().unwrap().flush().unwrap();
        parent.wait().unwrap();
        assert!((2 * SIZE..2 * SIZE + SIZE / 2).contains(&rough), "{rough}");
        assert!((SIZE..SIZE + SIZE / 2).contains(&close), "{close}");
    }
}
