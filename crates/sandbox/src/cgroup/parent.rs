//! The folder that holds all sessions of one server.
//!
//! A cgroup that has processes of its own cannot hand controllers down to children (the v2 root
//! excepted), so where that folder goes depends on who else is in our cgroup:
//!
//! ```text
//!  a service of its own          a login's scope, shared with its shell
//!   browserd.service/             user-0.slice/
//!     ├─ browserd-serve/  us        ├─ session-1.scope/   us, sudo, bash
//!     └─ browserd-<hash>/           └─ browserd-<hash>/
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::hierarchies::{Hierarchies, may_make_children};
use super::{controllers, enable_controllers, make_folder, remove_folder, write};
use crate::WallError;
use crate::error::Step;

/// The leaf we move ourselves to, so that `own` is free of processes.
const SERVE_LEAF: &str = "browserd-serve";

/// Makes the folder that holds all sessions of one server, in the nearest place whose children can
/// be limited, and turns the controllers on down to it; says in `hierarchies` where it is and
/// whether there are limits. Called by `serve` once, before it starts threads that would have to
/// move along.
pub fn prepare_parent(hierarchies: &mut Hierarchies, name: &str) -> Result<(), WallError> {
    if let Some(own) = hierarchies.v2.clone() {
        let place = limiting_place(&own)?;
        hierarchies.v2_controllers = place.is_some();
        let place = place.unwrap_or(own);
        let parent = place.join(name);
        hierarchies.v2 = Some(place);
        make_folder(&parent)?;
        if hierarchies.v2_controllers {
            enable_controllers(&parent)
                .step(format!("turn controllers on in {}", parent.display()))?;
        }
    }
    for (_, own) in &hierarchies.v1 {
        make_folder(&own.join(name))?;
    }
    Ok(())
}

/// Our own cgroup or the nearest around it that hands memory and pids down to children.
fn limiting_place(own: &Path) -> Result<Option<PathBuf>, WallError> {
    for folder in ancestors(own).filter(|folder| may_make_children(folder)) {
        let offered = controllers(&folder.join("cgroup.controllers"));
        if !["memory", "pids"].iter().all(|wanted| offered.iter().any(|name| name == wanted)) {
            continue;
        }
        if enable_controllers(folder).is_ok() {
            return Ok(Some(folder.to_owned()));
        }
        if folder == own {
            if step_aside(own).is_ok() && enable_controllers(own).is_ok() {
                return Ok(Some(own.to_owned()));
            }
            // Somebody else is there too, whom it is not ours to move.
            step_back(own)?;
        }
    }
    Ok(None)
}

/// `own` and the groups around it, as far as they can be seen.
fn ancestors(own: &Path) -> impl Iterator<Item = &Path> {
    own.ancestors().take_while(|folder| folder.join("cgroup.controllers").exists())
}

fn step_aside(own: &Path) -> Result<(), WallError> {
    let leaf = own.join(SERVE_LEAF);
    make_folder(&leaf)?;
    write(&leaf.join("cgroup.procs"), "0")
}

fn step_back(own: &Path) -> Result<(), WallError> {
    write(&own.join("cgroup.procs"), "0")?;
    let leaf = own.join(SERVE_LEAF);
    match fs::remove_dir(&leaf) {
        // Another server of the same service stands there too; the last to go removes it.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
        _ => remove_folder(&leaf),
    }
}

/// Removes what [`prepare_parent`] made and goes back to where it came from; fails when sessions
/// are left. Controllers stay on in a place that was not ours alone: others may use them by now.
pub fn remove_parent(hierarchies: &Hierarchies, name: &str) -> Result<(), WallError> {
    for own in hierarchies.v2.iter().chain(hierarchies.v1.iter().map(|(_, folder)| folder)) {
        remove_folder(&own.join(name))?;
    }
    match &hierarchies.v2 {
        Some(own) if is_aside(own) => {
            // We turned them on, and with them on we may not come back. Busy: another server of
            // the same service needs them.
            let file = own.join("cgroup.subtree_control");
            match fs::write(&file, "-memory -pids -cpu") {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
                Err(error) => Err(WallError::new(format!("write {}", file.display()), error)),
                Ok(()) => step_back(own),
            }
        }
        _ => Ok(()),
    }
}

/// Whether this process is in the leaf below `own`.
fn is_aside(own: &Path) -> bool {
    let pid = std::process::id().to_string();
    fs::read_to_string(own.join(SERVE_LEAF).join("cgroup.procs"))
        .is_ok_and(|pids| pids.lines().any(|line| line == pid))
}

/// The session folders below a server's own, in every tree; what no ledger names is a leftover too.
#[must_use]
pub fn children(hierarchies: &Hierarchies, name: &str) -> Vec<PathBuf> {
    let own = hierarchies.v2.iter().chain(hierarchies.v1.iter().map(|(_, folder)| folder));
    own.filter_map(|own| fs::read_dir(own.join(name)).ok())
        .flat_map(Iterator::flatten)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// What sessions of this process would be held and limited by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// Whether the v2 tree holds them together.
    pub v2: bool,
    /// Whether it limits memory and processes.
    pub v2_controllers: bool,
    /// Whether anything limits CPU.
    pub cpu: bool,
    /// The v1 controllers that limit them.
    pub v1: Vec<String>,
}

/// Makes a parent, looks what has come of it and takes everything back, for `doctor`: what the
/// files say a group may do is one thing, who else is in it another.
pub fn trial() -> Result<Trial, WallError> {
    let mut hierarchies = Hierarchies::detect();
    let own = hierarchies.v2.clone();
    let on = |folder: &Path| controllers(&folder.join("cgroup.subtree_control"));
    let before: Vec<_> = own.iter().flat_map(|own| ancestors(own)).map(|at| (at, on(at))).collect();

    let name = format!("browserd-trial-{}", std::process::id());
    let prepared = prepare_parent(&mut hierarchies, &name);
    let v2_cpu = hierarchies
        .v2
        .as_ref()
        .is_some_and(|place| on(&place.join(&name)).iter().any(|controller| controller == "cpu"));
    let removed = remove_parent(&hierarchies, &name);
    for (folder, known) in before {
        for new in on(folder).iter().filter(|controller| !known.contains(controller)) {
            // Nobody can have come to rely on it in between.
            let _ = fs::write(folder.join("cgroup.subtree_control"), format!("-{new}"));
        }
    }
    prepared.and(removed)?;
    Ok(Trial {
        v2: hierarchies.v2.is_some(),
        v2_controllers: hierarchies.v2_controllers,
        cpu: v2_cpu || hierarchies.has_v1("cpu"),
        v1: hierarchies.v1.into_iter().map(|(name, _)| name).collect(),
    })
}
