//! A note on the wire, and what a client may say of one.

use std::collections::BTreeMap;

use browserd_api::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::{Body, Fields, name};

browserd_api::cuid2_id! {
    /// A note.
    NoteId, "s2v8k4xw1dz7c9ytbnrq3m0h"
}

/// A note.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Note {
    /// Id.
    pub(super) id: NoteId,
    /// Name, unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// What it says.
    pub(super) text: String,
    /// Labels.
    pub(super) tags: BTreeMap<String, String>,
    /// When it was made.
    pub(super) created_at: Timestamp,
}

/// What a note shall be, and what of it shall change.
#[derive(Debug, ToSchema)]
pub(crate) struct WriteNote {
    /// Name.
    pub(super) name: Option<String>,
    /// What it says.
    pub(super) text: Option<String>,
    /// A label.
    pub(super) team: Option<String>,
}

impl Body for WriteNote {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            name: fields.parse("name", name),
            text: fields.text("text").map(str::to_owned),
            team: fields.text("team").map(str::to_owned),
        })
    }
}
