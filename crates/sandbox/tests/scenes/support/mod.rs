//! A session's walls around a shell that stands where the guest would.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use browserd_sandbox::cgroup::{self, Hierarchies, Limits};
use browserd_sandbox::network::Network;
use browserd_sandbox::walls::{self, Identity, Plan, PlantedFile};
use browserd_sandbox::{skeleton, uids};
use rustix::process::{WaitId, WaitIdOptions, waitid};

/// Processes a session may have.
pub(crate) const PROCESSES: u64 = 64;

/// As sessions have it.
const NETWORK: Network = Network {
    proxy: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3128)),
    redirected: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3129),
    address: Ipv4Addr::new(198, 18, 0, 2),
    prefix: 15,
    router: Ipv4Addr::new(198, 18, 0, 1),
};

/// What came of it, when all is cleared away but the session's folder.
pub(crate) struct Stood {
    /// What the shell printed.
    pub(crate) text: String,
    /// Whether a cgroup knew of all that ran inside.
    pub(crate) tracks: bool,
    pub(crate) hierarchies: Hierarchies,
    pub(crate) session: PathBuf,
    _dir: tempfile::TempDir,
}

/// Raises walls and has `script` run inside; an error when they do not stand. `name` tells the
/// cgroups of tests apart; the folders `ahead`, if any, are made before. For a process with one thread.
pub(crate) fn stand(
    name: &str,
    script: &str,
    planted: &[PlantedFile],
    bound: &[(&Path, &str)],
    ahead: &[&str],
) -> Result<Stood, String> {
    let dir = tempfile::tempdir().unwrap();
    let skeleton_folder = dir.path().join("skeleton");
    skeleton::build(&skeleton_folder, NETWORK.router).unwrap();
    let session = dir.path().join("session");
    fs::create_dir(&session).unwrap();
    let (identity, owner) = match rustix::process::geteuid().is_root() {
        true => {
            let range = uids::lease().unwrap();
            let base = range.base;
            (Identity::Range(range), Some(base))
        }
        false => (Identity::Own { inside_uid: 1000 }, None),
    };
    let mut hierarchies = Hierarchies::detect();
    let parent = format!("browserd-{name}-{}", std::process::id());
    cgroup::prepare_parent(&mut hierarchies, &parent).unwrap();
    let limits = Limits { memory: 256 << 20, pids: PROCESSES, cpu_weight: 100, cpu_max_pct: None };
    let places = cgroup::Session::places(&hierarchies, &parent, "one");
    let group = cgroup::Session::create(&hierarchies, &parent, "one", &limits, owner).unwrap();
    if !ahead.is_empty() {
        walls::make_folders(&session, ahead).unwrap();
    }
    let (output, log) = rustix::pipe::pipe().unwrap();
    let raised = walls::raise(&Plan {
        dir: &session,
        skeleton: &skeleton_folder,
        identity: &identity,
        cgroup: &group,
        is_shim: false,
        hostname: "inside",
        user_uid: 1000,
        planted,
        user_folders: &["/home/kernel"],
        guest_folders: &["/var/lib/browserd"],
        bound,
        program: Path::new("/bin/bash"),
        arguments: &["bash", "-c", script],
        environment: &[("PATH", "/usr/bin:/bin")],
        descriptors: &[],
        log: log.as_fd(),
        network: NETWORK,
        shm_bytes: 1 << 20,
    });
    drop(log);
    let raised = raised.map_err(|error| error.to_string())?;
    let mut text = String::new();
    fs::File::from(output).read_to_string(&mut text).unwrap();
    let tracks = group.tracks();
    group.kill_inside().unwrap();
    waitid(WaitId::PidFd(raised.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
    cgroup::clear(&places).unwrap();
    cgroup::remove_parent(&hierarchies, &parent).unwrap();
    Ok(Stood { text, tracks, hierarchies, session, _dir: dir })
}
