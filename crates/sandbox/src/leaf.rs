//! Leaf cgroups (v2): one for each command a session runs, made below a directory the guest
//! inherited as a descriptor.
//!
//! Owns accounting and killing by leaf. Everything goes through the descriptor, because inside a
//! session no cgroup filesystem is mounted. Needs no controller: `cpu.stat`, `cgroup.procs`,
//! `cgroup.kill` and `cgroup.events` are there without any.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// Most bytes read of one `cgroup.procs`: about 16,000 processes.
const PROCS_LIMIT: usize = 128 * 1024;

/// The directory leaves are made in.
#[derive(Debug, Clone)]
pub struct Leaves {
    dir: Arc<OwnedFd>,
}

impl Leaves {
    /// Leaves below `dir`, an open cgroup directory.
    #[must_use]
    pub fn new(dir: OwnedFd) -> Self {
        Self { dir: Arc::new(dir) }
    }

    /// Makes an empty leaf.
    ///
    /// # Errors
    ///
    /// What the kernel says: the name is taken, a limit is reached, the directory is not delegated.
    pub fn create(&self, name: &str) -> io::Result<Leaf> {
        rustix::fs::mkdirat(&self.dir, name, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.dir, name, flags, Mode::empty()) {
            Ok(dir) => Ok(Leaf {
                dir,
                parent: Arc::clone(&self.dir),
                name: name.to_owned(),
                cpu: OnceLock::new(),
            }),
            Err(error) => {
                let _ = rustix::fs::unlinkat(&self.dir, name, AtFlags::REMOVEDIR);
                Err(error.into())
            }
        }
    }
}

/// One leaf. Dropping it closes descriptors and removes nothing; see [`Leaf::remove`].
#[derive(Debug)]
pub struct Leaf {
    dir: OwnedFd,
    parent: Arc<OwnedFd>,
    name: String,
    cpu: OnceLock<OwnedFd>,
}

impl Leaf {
    /// The directory, for [`crate::child::Launch::cgroup`].
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    fn open(&self, file: &str, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&self.dir, file, flags | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// CPU time everything in the leaf has used so far, microseconds, including what has ended.
    ///
    /// # Errors
    ///
    /// When the leaf is gone or the kernel's answer cannot be understood.
    pub fn cpu_usec(&self) -> io::Result<u64> {
        let file = match self.cpu.get() {
            Some(file) => file,
            None => {
                let file = self.open("cpu.stat", OFlags::RDONLY)?;
                self.cpu.get_or_init(|| file)
            }
        };
        let mut bytes = [0u8; 256];
        let n = rustix::io::pread(file, &mut bytes, 0)?;
        parse_usage(&bytes[..n]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The processes in it.
    ///
    /// # Errors
    ///
    /// When the leaf is gone.
    pub fn procs(&self) -> io::Result<Vec<i32>> {
        let file = self.open("cgroup.procs", OFlags::RDONLY)?;
        let mut bytes = [0u8; 4096];
        let mut pids = Vec::new();
        let (mut number, mut total) = (0i32, 0);
        loop {
            let n = rustix::io::read(&file, &mut bytes)?;
            for byte in &bytes[..n] {
                match byte {
                    b'0'..=b'9' => {
                        number = number.saturating_mul(10).saturating_add(i32::from(byte - b'0'));
                    }
                    _ => {
                        // 0 is a process of another pid namespace: not one of ours to look at.
                        if number > 0 {
                            pids.push(number);
                        }
                        number = 0;
                    }
                }
            }
            total += n;
            if n == 0 || total > PROCS_LIMIT {
                return Ok(pids);
            }
        }
    }

    /// Whether a process is alive in it.
    ///
    /// # Errors
    ///
    /// When the leaf is gone.
    pub fn populated(&self) -> io::Result<bool> {
        let file = self.open("cgroup.events", OFlags::RDONLY)?;
        let mut bytes = [0u8; 128];
        let n = rustix::io::read(&file, &mut bytes)?;
        Ok(!bytes[..n].split(|b| *b == b'\n').any(|line| line == b"populated 0"))
    }

    /// Kills everything in it, also what forks meanwhile.
    ///
    /// # Errors
    ///
    /// When the leaf is gone.
    pub fn kill(&self) -> io::Result<()> {
        rustix::io::write(self.open("cgroup.kill", OFlags::WRONLY)?, b"1")?;
        Ok(())
    }

    /// Removes the leaf if nothing is alive in it; `false` when something is.
    ///
    /// # Errors
    ///
    /// What the kernel says, except that the leaf is busy or gone already.
    pub fn remove(&self) -> io::Result<bool> {
        match rustix::fs::unlinkat(&self.parent, self.name.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::BUSY) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

pub(crate) fn parse_usage(text: &[u8]) -> Option<u64> {
    let line = text.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(b"usage_usec "))?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use rustix::process::Pid;

    use super::*;
    use crate::child::{Launch, start};

    /// A cgroup of this test below the v2 hierarchy; `None` only where there is none to write to.
    fn parent(name: &str) -> Option<(Leaves, std::path::PathBuf)> {
        let root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .map(std::path::Path::new)
            .find(|path| path.join("cgroup.procs").exists())?;
        let path = root.join(format!("browserd-leaf-test-{name}-{}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) => {
                assert!(!rustix::process::geteuid().is_root(), "{}: {error}", path.display());
                return None;
            }
        }
        let dir = std::fs::File::open(&path).unwrap();
        Some((Leaves::new(dir.into()), path))
    }

    fn wait(pid: i32) {
        let pid = Pid::from_raw(pid).unwrap();
        let options = rustix::process::WaitOptions::empty();
        rustix::process::waitpid(Some(pid), options).unwrap();
    }

    #[test]
    fn usage_is_found_among_the_lines() {
        let text = b"nr_x 1\nusage_usec 1234567\nuser_usec 1\n";
        assert_eq!(parse_usage(text), Some(1_234_567));
        assert_eq!(parse_usage(b"usage_usec \n"), None);
        assert_eq!(parse_usage(b""), None);
    }

    #[test]
    fn holds_accounts_and_kills_what_is_started_in_it() {
        let Some((leaves, path)) = parent("holds") else { return };
        let leaf = leaves.create("one").unwrap();
        assert!(leaves.create("one").is_err());
        assert!(!leaf.populated().unwrap());
        assert_eq!(leaf.procs().unwrap(), [0; 0]);
        let mut launch = Launch::new(c"/bin/sh".to_owned())
            .arg(c"-c")
            .arg(c"sh -c 'while :; do :; done' & while :; do :; done");
        launch.cgroup = Some(leaf.dir().try_clone_to_owned().unwrap());
        let started = start(&launch).unwrap();
        assert!(leaf.populated().unwrap());
        assert!(leaf.procs().unwrap().contains(&started));
        assert!(!leaf.remove().unwrap());
        while leaf.cpu_usec().unwrap() < 20_000 {
            std::thread::yield_now();
        }
        leaf.kill().unwrap();
        wait(started);
        while !leaf.remove().unwrap() {
            std::thread::yield_now();
        }
        assert!(leaf.remove().unwrap(), "removing twice is fine");
        std::fs::remove_dir(path).unwrap();
    }
}
