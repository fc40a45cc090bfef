//! What Chromium tells of targets once it was asked to (`Target.setDiscoverTargets`).

use serde::Deserialize;

use super::{Event, SessionId};

/// What happened to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetEvent {
    /// It is there.
    Created(TargetState),
    /// It shows something else, or somebody attached to it.
    Changed(TargetState),
    /// It is gone; its id.
    Destroyed(String),
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetState {
    /// Id.
    pub target_id: String,
    /// `page`, `service_worker` and the like.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it shows.
    #[serde(default)]
    pub url: String,
    /// Its title.
    #[serde(default)]
    pub title: String,
}

impl Event {
    /// What it tells on `session` of a target, if that is what it does.
    #[must_use]
    pub fn about_target(&self, session: &SessionId) -> Option<TargetEvent> {
        if self.session.as_deref() != Some(session.as_str()) {
            return None;
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct About {
            target_id: Option<String>,
            target_info: Option<TargetState>,
        }
        let params = self.params.as_ref().map_or("{}", |params| params.get());
        let about: About = serde_json::from_str(params).ok()?;
        match self.method.as_str() {
            "Target.targetCreated" => about.target_info.map(TargetEvent::Created),
            "Target.targetInfoChanged" => about.target_info.map(TargetEvent::Changed),
            "Target.targetDestroyed" => about.target_id.map(TargetEvent::Destroyed),
            _ => None,
        }
    }
}
