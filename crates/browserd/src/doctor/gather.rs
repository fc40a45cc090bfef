//! Reads the facts off this host.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use browserd_sandbox::{cgroup, proc};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Access;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::facts::{Cgroups, Disk, Distribution, Facts, Kernel, Memory, Namespaces};
use super::{fonts, probe};
use crate::programs::{Found, Search};
use crate::settings::Settings;

/// How long a program may take to say its version. A cold disk reads 300 MB of Chromium first.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };
/// Most we read of what it says.
const SAID_LIMIT: u64 = 4096;
const FONT_FOLDERS: [&str; 2] = ["/usr/share/fonts", "/usr/local/share/fonts"];
/// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h.
const OVERLAY_MAGIC: u64 = 0x794c_7630;
/// `TMPFS_MAGIC` of linux/magic.h.
const TMPFS_MAGIC: u64 = 0x0102_1994;

pub(super) fn facts(settings: &Settings) -> Facts {
    let programs = Search::on_this_host(settings);
    Facts {
        distribution: distribution(&fs::read_to_string("/etc/os-release").unwrap_or_default()),
        is_root: rustix::process::geteuid().is_root(),
        kernel: kernel(),
        chromium_version: version(&programs.chromium),
        headless_shell_version: programs.headless_shell.as_ref().map(version),
        chromedriver_version: version(&programs.chromedriver),
        node_version: version(&programs.node),
        languages: programs.chromium.as_deref().map(languages).unwrap_or_default(),
        locale: settings.locale.clone(),
        fonts: fonts::below(&FONT_FOLDERS),
        time_zones: Path::new("/usr/share/zoneinfo/Europe/Paris").exists(),
        namespaces: namespaces(),
        cgroups: cgroups(),
        disk: disk(settings),
        memory: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        merging: settings.merge_memory.then(merging),
        max_sessions: settings.max_sessions,
        programs,
    }
}

/// From os-release(5): `ID`, and what it is like.
pub(super) fn distribution(os_release: &str) -> Distribution {
    let fields: BTreeMap<&str, &str> = os_release
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key, value.trim_matches('"')))
        .collect();
    let field = |key| fields.get(key).copied().unwrap_or_default();
    let is =
        |name| std::iter::once(field("ID")).chain(field("ID_LIKE").split(' ')).any(|id| id == name);
    // Ubuntu says it is like Debian, so it comes first.
    match () {
        () if is("ubuntu") => Distribution::Ubuntu,
        () if is("debian") => Distribution::Debian,
        () if is("fedora") || is("rhel") => Distribution::Fedora,
        () if is("arch") => Distribution::Arch,
        () => Distribution::Other,
    }
}

fn kernel() -> Kernel {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    // A module that is not loaded yet is loaded by the first mount.
    let modules = fs::read_to_string(format!("/lib/modules/{release}/modules.dep"));
    let loadable = modules.is_ok_and(|list| list.contains("/overlay.ko"));
    Kernel {
        seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
        overlay: filesystems.split_whitespace().any(|name| name == "overlay") || loadable,
        ptrace_scope: knob("kernel/yama/ptrace_scope"),
        shared_memory: filesystem("/dev/shm".as_ref()) == Some(TMPFS_MAGIC),
        release,
    }
}

fn namespaces() -> Namespaces {
    let flag = |name| knob::<u32>(name).map(|value| value != 0);
    Namespaces {
        most: knob("user/max_user_namespaces"),
        unprivileged_allowed: flag("kernel/unprivileged_userns_clone"),
        apparmor_restricts: flag("kernel/apparmor_restrict_unprivileged_userns"),
        tried: probe::try_user_namespaces(),
        network: probe::try_network(),
    }
}

fn cgroups() -> Cgroups {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Cgroups {
        v2_mounted: mounts.contains(" - cgroup2 "),
        tried: cgroup::trial().map_err(|why| why.to_string()),
    }
}

fn disk(settings: &Settings) -> Disk {
    let state_dir = &settings.state_dir;
    let there = state_dir.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let free = rustix::fs::statvfs(there)
        .map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize))
        .map_err(|why| format!("{}: {why}", there.display()));
    Disk {
        state_dir: state_dir.to_owned(),
        free,
        is_overlay: filesystem(there) == Some(OVERLAY_MAGIC),
        writable: there.is_dir()
            && rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK).is_ok(),
        session_limit: settings.session_disk,
        reserve: settings.disk_reserve(),
    }
}

fn filesystem(path: &Path) -> Option<u64> {
    rustix::fs::statfs(path).ok().and_then(|fs| u64::try_from(fs.f_type).ok())
}

/// From the text of /proc/meminfo.
pub(super) fn memory(text: &str) -> Memory {
    let bytes = |name| proc::meminfo(text, name).unwrap_or(0);
    Memory { total: bytes("MemTotal"), available: bytes("MemAvailable"), swap: bytes("SwapTotal") }
}

/// A number below /proc/sys.
fn knob<T: FromStr>(name: &str) -> Option<T> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}

/// Chromium keeps one `.pak` a language beside its binary, some in variants by gender.
fn languages(chromium: &Path) -> Vec<String> {
    let Some(folder) = chromium.parent() else { return Vec::new() };
    let files = fs::read_dir(folder.join("locales")).into_iter().flatten().flatten();
    files
        .map(|file| PathBuf::from(file.file_name()))
        .filter(|name| name.extension() == Some(OsStr::new("pak")))
        .filter_map(|name| name.file_stem()?.to_str().map(str::to_owned))
        .filter(|name| !name.contains('_'))
        .collect()
}

/// What a program says with `--version`.
pub(crate) fn version(program: &Found) -> Result<String, String> {
    let Ok(path) = program else { return Err("not found".to_owned()) };
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null());
    match run_bounded(command) {
        Ok(said) if said.is_empty() => Err("says no version".to_owned()),
        Ok(said) => Ok(said),
        Err(why) => Err(why.to_string()),
    }
}

/// Whether the kernel merges equal pages; none where it cannot.
fn merging() -> Option<bool> {
    let run = fs::read_to_string("/sys/kernel/mm/ksm/run").ok()?;
    Some(run.trim() == "1")
}

/// Runs a program to its end and gives the first line it wrote. One that takes too long is killed.
pub(super) fn run_bounded(mut command: Command) -> io::Result<String> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let waited = pid.ok_or(rustix::io::Errno::SRCH).and_then(|pid| {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&PATIENCE))
    });
    if !matches!(waited, Ok(1..)) {
        child.kill()?;
    }
    let status = child.wait()?;
    waited?;
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(SAID_LIMIT).read_to_end(&mut said)?;
    }
    if !status.success() {
        return Err(io::Error::other(format!("{status}")));
    }
    let said = String::from_utf8_lossy(&said);
    Ok(said.lines().next().unwrap_or_default().trim().to_owned())
}
