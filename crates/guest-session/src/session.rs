//! What every module of the guest may know of the session it serves.

use std::path::PathBuf;

use browserd_protocol::{GuestSpec, inside};
use browserd_sandbox::child::{Ids, Limit};
use browserd_sandbox::leaf::Leaves;

use crate::children::Children;
use crate::disk::Disk;
use crate::location::InForce;
use crate::wake_lock::WakeLocks;

/// Fixed places; the defaults are those of [`inside`], tests use folders of their own.
#[derive(Debug, Clone)]
pub struct Places {
    /// The browser user's home.
    pub home: PathBuf,
    /// Where the system's settings are, /etc.
    pub etc: PathBuf,
    /// Chromium's profile.
    pub user_data: PathBuf,
    /// Where downloads go.
    pub downloads: PathBuf,
    /// Where the guest keeps process output; only the guest may read it.
    pub state: PathBuf,
    /// Where logs go that everyone inside may read.
    pub logs: PathBuf,
    /// Number of the X server's display, where there is one.
    pub display: u32,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            home: inside::HOME.into(),
            etc: "/etc".into(),
            user_data: inside::USER_DATA_DIR.into(),
            downloads: inside::DOWNLOADS.into(),
            state: inside::STATE_DIR.into(),
            logs: inside::LOG_DIR.into(),
            display: 1,
        }
    }
}

/// The session, shared by everything in the guest.
pub struct Session {
    /// What the shim said.
    pub spec: GuestSpec,
    /// Time zone and language.
    pub location: InForce,
    /// Where things are.
    pub places: Places,
    /// The one table of children.
    pub children: Children,
    /// Leaf cgroups, where the session has a cgroup of its own.
    pub leaves: Option<Leaves>,
    /// Who keeps the session from being suspended.
    pub wake_locks: WakeLocks,
    /// What may still be written to the disk.
    pub disk: Disk,
    /// The limit of open descriptors that programs get (the guest has raised its own).
    pub descriptor_limit: Limit,
}

impl Session {
    /// The user programs run as unless asked otherwise: [`inside::UID`], or, where only one uid is
    /// mapped, the guest's own (`None`: nothing to change).
    #[must_use]
    pub fn browser_ids(&self) -> Option<Ids> {
        let ids = Ids { uid: inside::UID, gid: inside::UID, groups: Vec::new() };
        self.spec.many_uids.then_some(ids)
    }
}
