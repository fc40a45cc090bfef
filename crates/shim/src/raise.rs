//! From a session's spec to a session with its walls up.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use browserd_chromium::policy;
use browserd_protocol::{
    GENERATION, GUEST_SPEC_ENV, GuestSpec, LedgerEntry, LedgerProcess, SessionSpec, Walls, file,
    inside,
};
use browserd_sandbox::cgroup::{self, Hierarchies, Limits};
use browserd_sandbox::network::Network;
use browserd_sandbox::walls::{self, Identity, Plan, PlantedFile, Raised};
use browserd_sandbox::{WallError, proc, uids};
use rustix::rand::GetRandomFlags;

/// What the network of every session is like.
pub const NETWORK: Network = Network {
    proxy: SocketAddr::V4(inside::PROXY),
    redirected: inside::REDIRECTED,
    address: inside::ADDRESS,
    prefix: inside::NETWORK.1,
    router: inside::ROUTER,
};

/// Why the session did not come to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RaiseError {
    #[error(transparent)]
    Wall(#[from] WallError),
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
}

trait During<T> {
    fn during(self, what: &'static str) -> Result<T, RaiseError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: &'static str) -> Result<T, RaiseError> {
        self.map_err(|error| RaiseError::Io(what, error))
    }
}

/// A session with its walls up, and the shim's ends of what leads to it.
pub(crate) struct Session {
    pub(crate) raised: Raised,
    pub(crate) cgroup: cgroup::Session,
    pub(crate) walls: Walls,
    /// `GuestReport` lines come from here.
    pub(crate) guest: UnixStream,
    /// What the guest writes to stderr.
    pub(crate) guest_log: OwnedFd,
    /// Where a later `serve` connects.
    pub(crate) control: UnixListener,
    /// The uid range, leased while this lives.
    pub(crate) _identity: Identity,
}

/// Raises the walls described by `spec`; the session's folder is left to us alone once `folders_made`
/// returns. Single-threaded.
pub(crate) fn raise(
    spec: &SessionSpec,
    folders_made: impl FnOnce() -> io::Result<()>,
) -> Result<Session, RaiseError> {
    if spec.merge_memory {
        // What is started from here on inherits it.
        browserd_sandbox::merge_memory()
            .during("let the kernel merge equal pages of memory (--ksm)")?;
    }
    // Sockets are bound by a short relative name: their paths have 107 bytes at most.
    rustix::process::chdir(&spec.dir)
        .map_err(io::Error::from)
        .during("enter the session folder")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let identity = if rustix::process::geteuid().is_root() {
        Identity::Range(uids::lease()?)
    } else {
        Identity::Own { inside_uid: inside::UID }
    };
    let hierarchies = Hierarchies {
        v2: spec.cgroups.v2.clone(),
        v2_controllers: spec.cgroups.v2_controllers,
        v1: spec.cgroups.v1.clone(),
    };
    let memory = spec.config.memory.bytes();
    let limits = Limits {
        memory,
        pids: spec.pids_max,
        cpu_weight: spec.cpu_weight,
        cpu_max_pct: spec.cpu_max_pct,
    };
    let owner = match &identity {
        Identity::Range(range) => Some(range.base),
        Identity::Own { .. } => None,
    };
    let name = spec.session_id.as_str();
    let places = cgroup::Session::places(&hierarchies, &spec.cgroups.parent, name);
    write_ledger(spec, &places, None)?;
    let cgroup = cgroup::Session::create(&hierarchies, &spec.cgroups.parent, name, &limits, owner)?;

    let http = UnixListener::bind(file::GUEST_SOCK).during("listen on guest.sock")?;
    let handoff = UnixListener::bind(file::HANDOFF_SOCK).during("listen on fd.sock")?;
    let control = UnixListener::bind(file::SHIM_SOCK).during("listen on shim.sock")?;
    let (guest, guest_end) = UnixStream::pair().during("make the guest's channel")?;
    let (guest_log, log_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(io::Error::from)
        .during("make the log pipe")?;

    let guest_spec = GuestSpec {
        session_id: spec.session_id.clone(),
        config: spec.config.clone(),
        timezone: spec.timezone.clone(),
        locale: spec.locale.clone(),
        programs: spec.programs.clone(),
        many_uids: identity.uids() > 1,
        has_cgroup: cgroup.tracks(),
        disk_limit: spec.disk_limit,
        disk_reserve: spec.disk_reserve,
        watch_memory: (!cgroup.limits_memory()).then_some(memory),
        log: spec.log.clone(),
    };
    // Policies are files by now and may be large; the environment is not the place for them.
    let guest_spec = GuestSpec {
        config: browserd_api::browser::SessionConfig { chrome_policy: None, ..guest_spec.config },
        ..guest_spec
    };
    let guest_spec = serde_json::to_string(&guest_spec)
        .map_err(io::Error::other)
        .during("write the guest's spec")?;
    let planted = planted(spec)?;
    let runners = spec.programs.node_runners.as_deref();
    let bound: Vec<_> = runners.map(|host| (host, inside::NODE_RUNNERS)).into_iter().collect();
    let program = walls::own_program().during("find this program")?;
    folders_made().during("wait until the session's folders are made")?;
    let raised = walls::raise(&Plan {
        dir: &spec.dir,
        skeleton: &spec.skeleton,
        identity: &identity,
        cgroup: &cgroup,
        is_shim: true,
        hostname: inside::HOST_NAME,
        user_uid: inside::UID,
        planted: &planted,
        user_folders: &inside::USER_FOLDERS,
        guest_folders: &[inside::STATE_DIR],
        bound: &bound,
        program: &program,
        arguments: &["browserd", "guest"],
        environment: &[
            (GUEST_SPEC_ENV, &guest_spec),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ],
        descriptors: &[guest_end.as_fd(), http.as_fd(), handoff.as_fd()],
        log: log_end.as_fd(),
        network: NETWORK,
        shm_bytes: memory / 2,
    })?;
    write_ledger(spec, &places, Some(raised.pid))?;
    let walls = Walls {
        mode: if owner.is_some() { "root" } else { "rootless" }.to_owned(),
        cgroup: cgroup.tracks(),
        memory: if cgroup.limits_memory() { "cgroup" } else { "guest" }.to_owned(),
        overlay: raised.overlay,
        uids: identity.uids(),
    };
    Ok(Session { raised, cgroup, walls, guest, guest_log, control, _identity: identity })
}

/// What the next `serve` needs to clear this session away, whatever happens from here on. Written
/// before there is anything to clear away, and again with the guest once that runs.
fn write_ledger(
    spec: &SessionSpec,
    cgroups: &[PathBuf],
    guest: Option<i32>,
) -> Result<(), RaiseError> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let process =
        |pid| proc::start_ticks(pid).map(|start_ticks| LedgerProcess { pid, start_ticks });
    let entry = LedgerEntry {
        generation: GENERATION,
        session_id: spec.session_id.clone(),
        shim_pid: pid,
        shim_start_ticks: proc::start_ticks(pid).during("read own start time")?,
        guest: guest.map(process).transpose().during("read the guest's start time")?,
        cgroups: cgroups.to_owned(),
    };
    let text = serde_json::to_vec(&entry).map_err(io::Error::other).during("write the ledger")?;
    let fresh = format!("{}.new", file::LEDGER);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options.open(&fresh).during("write the ledger")?;
    io::Write::write_all(&mut out, &text).during("write the ledger")?;
    fs::rename(&fresh, file::LEDGER).during("write the ledger")
}

/// Files that differ from session to session.
fn planted(spec: &SessionSpec) -> Result<Vec<PlantedFile>, RaiseError> {
    let mut random = [0u8; 16];
    // The kernel's, at once: a generator of our own would first gather randomness for 30 ms.
    // So few bytes come whole (getrandom(2)).
    rustix::rand::getrandom(&mut random, GetRandomFlags::empty())
        .map_err(io::Error::from)
        .during("make a machine id")?;
    let machine_id: String =
        random.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect();
    let file =
        |path: &str, content: Vec<u8>| PlantedFile { path: path.into(), content, mode: 0o644 };
    // Time zone and language are planted by the guest, which can change them.
    Ok(vec![
        file("/etc/machine-id", machine_id.into_bytes()),
        file("/etc/hostname", format!("{}\n", inside::HOST_NAME).into_bytes()),
        file(
            &format!("{}/{}", policy::MANAGED_DIR, policy::MANAGED_FILE),
            policy::merged(spec.config.chrome_policy.as_ref()),
        ),
    ])
}
