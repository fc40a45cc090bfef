//! Where the sessions that have not ended are found: by id, and by name.

use std::collections::HashMap;

use browserd_api::{ProjectId, SessionId};
use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::LiveSession;
use crate::actor::Command;

/// What is in memory of the sessions that have not ended.
#[derive(Default)]
pub(crate) struct Directory {
    entries: RwLock<Entries>,
}

#[derive(Default)]
struct Entries {
    actors: HashMap<SessionId, mpsc::Sender<Command>>,
    live: HashMap<SessionId, LiveSession>,
    names: HashMap<ProjectId, HashMap<String, SessionId>>,
}

impl Entries {
    /// Gives a session's name to it, or takes the one it had away.
    fn name(&mut self, project: &ProjectId, id: &SessionId, name: Option<&str>) {
        let names = self.names.entry(project.clone()).or_default();
        names.retain(|_, holder| holder != id);
        if let Some(name) = name {
            names.insert(name.to_owned(), id.clone());
        }
        if names.is_empty() {
            self.names.remove(project);
        }
    }
}

impl Directory {
    /// Lets commands in.
    pub(crate) fn enter(&self, id: SessionId, actor: mpsc::Sender<Command>) {
        self.entries.write().actors.insert(id, actor);
    }

    /// Lets clients in.
    pub(crate) fn open(&self, name: Option<&str>, live: LiveSession) {
        let mut entries = self.entries.write();
        entries.name(live.project(), live.id(), name);
        entries.live.insert(live.id().clone(), live);
    }

    /// Shuts clients out; answers whether they were in.
    pub(crate) fn close(&self, id: &SessionId) -> bool {
        let mut entries = self.entries.write();
        let Some(live) = entries.live.remove(id) else { return false };
        entries.name(live.project(), id, None);
        true
    }

    /// Removes the session's entry once nothing is left of it.
    pub(crate) fn forget(&self, id: &SessionId) {
        self.close(id);
        self.entries.write().actors.remove(id);
    }

    pub(crate) fn rename(&self, id: &SessionId, name: Option<&str>) {
        let mut entries = self.entries.write();
        let Some(project) = entries.live.get(id).map(|live| live.project().clone()) else { return };
        entries.name(&project, id, name);
    }

    /// A session of a project that clients may use.
    pub(crate) fn live(&self, project: &ProjectId, id_or_name: &str) -> Option<LiveSession> {
        let entries = self.entries.read();
        let by_id = id_or_name.parse().ok().and_then(|id: SessionId| entries.live.get(&id));
        by_id
            .filter(|live| live.project() == project)
            .or_else(|| entries.live.get(entries.names.get(project)?.get(id_or_name)?))
            .cloned()
    }

    /// Ids of the sessions that clients may use.
    pub(crate) fn active(&self) -> Vec<SessionId> {
        self.entries.read().live.keys().cloned().collect()
    }

    /// Where commands for a session go.
    pub(crate) fn actor(&self, id: &SessionId) -> Option<mpsc::Sender<Command>> {
        self.entries.read().actors.get(id).cloned()
    }

    /// The same of every session.
    pub(crate) fn actors(&self) -> Vec<mpsc::Sender<Command>> {
        self.entries.read().actors.values().cloned().collect()
    }
}
