//! Sessions on this host: one shim process each.
//!
//! Owns the session folders and the cgroup that holds all sessions; what happens inside a session
//! is the shim's and the guest's affair.

mod calls;
mod freezer;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handoff;
mod host;
mod instance;
mod ledger;
mod rescue;
mod reserve;
#[cfg(test)]
mod scripted;
mod spawn;
mod stamp;

use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use browserd_api::browser::SessionConfig;
use browserd_api::{ReplayId, SessionId};
use browserd_protocol::{
    CgroupPlaces, DiskReserve, EgressPolicy, GENERATION, Programs, Route, SessionSpec,
};
use browserd_sandbox::cgroup::{self, Hierarchies};
use browserd_sandbox::{WallError, skeleton};
use tokio::sync::mpsc;

use self::reserve::Keeper;
use crate::{Headroom, Instance, Runtime, RuntimeEvent, StartError, Urgency};

pub use host::default_disk_reserve;

/// Longest state folder: below it, `/sessions/<id>/guest.sock` must fit the 107 bytes of a unix
/// socket's path.
pub const STATE_DIR_LIMIT: usize = 107 - "/sessions/".len() - 24 - "/guest.sock".len();

/// Seconds a session lives on without a server connected to its shim. Until servers take sessions
/// over, this only bounds what a killed server leaves behind.
const ORPHAN_SECONDS: u64 = 60;

/// What all sessions of this host have in common.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Where session folders and the skeleton go.
    pub state_dir: PathBuf,
    /// The browserd program itself.
    pub program: PathBuf,
    /// Programs sessions run.
    pub programs: Programs,
    /// How their gateways decide.
    pub egress: EgressPolicy,
    /// Time zone of sessions that ask for none (IANA).
    pub timezone: String,
    /// Language of sessions that ask for none (BCP 47).
    pub locale: String,
    /// Limit of processes and threads a session.
    pub pids_max: u64,
    /// Upper bound of CPU a session, percent of one core.
    pub cpu_max_pct: Option<u32>,
    /// What a session may have on the disk, bytes; 0 is no limit.
    pub disk_limit: u64,
    /// What is kept free on the disk with the state folder, bytes; 0 is nothing.
    pub disk_reserve: u64,
    /// Whether the kernel may merge equal pages of sessions' memory.
    pub merge_memory: bool,
    /// Log filter of shims and guests.
    pub log: String,
}

/// CPU weight of a session, on the scale of cgroup v2.
const CPU_WEIGHT: u64 = 100;
/// That of one that is started ahead of its client: the least there is.
const AHEAD_CPU_WEIGHT: u64 = 1;

/// Runs sessions on this host.
pub struct LocalRuntime {
    config: LocalConfig,
    skeleton: PathBuf,
    hierarchies: Hierarchies,
    cgroup_parent: String,
    /// Keeps the reserve of the disk, where there is one.
    keeper: Option<Keeper>,
}

impl LocalRuntime {
    /// Prepares the host: folders, skeleton, cgroups. Called before `serve` starts threads, because
    /// it may have to move this process into a cgroup of its own.
    pub fn prepare(config: LocalConfig) -> Result<Self, WallError> {
        let sessions = config.state_dir.join("sessions");
        make_folder(&sessions)?;
        // The old skeleton goes only once no session stands on it: `reconcile` comes later.
        let skeleton = config.state_dir.join("skeletons").join(format!("{}", std::process::id()));
        make_folder(skeleton.parent().unwrap_or(&skeleton))?;
        if skeleton.exists() {
            remove(&skeleton)?;
        }
        skeleton::build(&skeleton, browserd_protocol::inside::ROUTER)?;
        let mut hierarchies = Hierarchies::detect();
        let cgroup_parent = cgroup_name(&config.state_dir);
        cgroup::prepare_parent(&mut hierarchies, &cgroup_parent)?;
        let keeper = DiskReserve::of(config.disk_reserve)
            .map(|reserve| Keeper::new(reserve, config.state_dir.clone()));
        Ok(Self { config, skeleton, hierarchies, cgroup_parent, keeper })
    }

    /// Removes what [`Self::prepare`] made, once no session is left.
    pub fn dismantle(&self) -> Result<(), WallError> {
        cgroup::remove_parent(&self.hierarchies, &self.cgroup_parent)?;
        remove(&self.skeleton)
    }

    fn session_dir(&self, id: &SessionId) -> PathBuf {
        self.config.state_dir.join("sessions").join(id.as_str())
    }

    fn spec(&self, id: &SessionId, config: &SessionConfig, urgency: &Urgency) -> SessionSpec {
        let location = &config.location;
        SessionSpec {
            generation: GENERATION,
            session_id: id.clone(),
            dir: self.session_dir(id),
            skeleton: self.skeleton.clone(),
            cgroups: CgroupPlaces {
                v2: self.hierarchies.v2.clone(),
                v2_controllers: self.hierarchies.v2_controllers,
                v1: self.hierarchies.v1.clone(),
                parent: self.cgroup_parent.clone(),
            },
            orphan_seconds: ORPHAN_SECONDS,
            pids_max: self.config.pids_max,
            cpu_weight: match urgency {
                Urgency::Now => CPU_WEIGHT,
                Urgency::Ahead(_) => AHEAD_CPU_WEIGHT,
            },
            cpu_max_pct: self.config.cpu_max_pct,
            disk_limit: self.config.disk_limit,
            disk_reserve: self.config.disk_reserve,
            timezone: location.timezone.clone().unwrap_or_else(|| self.config.timezone.clone()),
            locale: location.locale.clone().unwrap_or_else(|| self.config.locale.clone()),
            config: config.clone(),
            programs: self.config.programs.clone(),
            merge_memory: self.config.merge_memory,
            egress: self.config.egress.clone(),
            route: Route::Direct,
            log: self.config.log.clone(),
        }
    }
}

#[async_trait]
impl Runtime for LocalRuntime {
    async fn start(
        &self,
        id: &SessionId,
        config: &SessionConfig,
        route: &Route,
        urgency: Urgency,
        events: mpsc::Sender<RuntimeEvent>,
    ) -> Result<Box<dyn Instance>, StartError> {
        let spec = SessionSpec { route: route.clone(), ..self.spec(id, config, &urgency) };
        let (program, hierarchies) = (&self.config.program, &self.hierarchies);
        let keeper = self.keeper.as_ref();
        let instance = spawn::start(program, spec, hierarchies, urgency, events, keeper).await?;
        Ok(Box::new(instance))
    }

    fn programs_stamp(&self) -> u64 {
        let programs = &self.config.programs;
        let files = [
            Some(&programs.chromium),
            programs.headless_shell.as_ref(),
            programs.xvfb.as_ref(),
            Some(&self.config.program),
        ];
        stamp::of(files.into_iter().flatten())
    }

    fn headroom(&self) -> Headroom {
        let reserve = DiskReserve::of(self.config.disk_reserve);
        host::headroom(&self.config.state_dir, reserve, &self.hierarchies)
    }

    async fn reconcile(&self) -> io::Result<Vec<SessionId>> {
        let found = ledger::clear_all(&self.config.state_dir.join("sessions")).await?;
        for places in cgroup::children(&self.hierarchies, &self.cgroup_parent) {
            if let Err(error) = cgroup::clear(&[places]) {
                tracing::error!(%error, "could not remove the cgroup of a session that an earlier server left; the next start of the server tries again");
            }
        }
        for old in std::fs::read_dir(self.config.state_dir.join("skeletons"))? {
            let old = old?.path();
            if old != self.skeleton
                && let Err(error) = remove(&old)
            {
                tracing::error!(
                    %error, path = %old.display(),
                    "could not remove a folder that an earlier server left; the next start of the server tries again"
                );
            }
        }
        Ok(found)
    }

    async fn open_rescued(
        &self,
        session: &SessionId,
        replay: &ReplayId,
    ) -> io::Result<Option<File>> {
        rescue::open(&self.config.state_dir, session, replay)
    }

    async fn drop_rescued(&self, session: &SessionId, replay: &ReplayId) -> io::Result<()> {
        rescue::remove(&self.config.state_dir, session, replay)
    }

    async fn drop_rescued_except(&self, keep: &[SessionId]) -> io::Result<()> {
        rescue::remove_except(&self.config.state_dir, keep)
    }
}

/// One name a state folder, so that two servers on a host do not share a cgroup.
fn cgroup_name(state_dir: &Path) -> String {
    // FNV-1a: only to tell folders apart, not against anyone.
    let hash = state_dir
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("browserd-{hash:016x}")
}

fn make_folder(path: &Path) -> Result<(), WallError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| WallError { step: format!("create {}", path.display()), source })
}

fn remove(path: &Path) -> Result<(), WallError> {
    std::fs::remove_dir_all(path)
        .map_err(|source| WallError { step: format!("remove {}", path.display()), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_state_folder_fits_a_socket_path() {
        let dir = "x".repeat(STATE_DIR_LIMIT);
        let path = format!("{dir}/sessions/{}/guest.sock", SessionId::generate());
        assert_eq!(path.len(), 107);
    }
}
