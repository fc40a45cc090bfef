//! A note on the wire, and what a client may say of one.

use std::collections::BTreeMap;

use browserd_api::{ApiError, Timestamp};
use browserd_rest::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Faults, Object, name};

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

/// What a note shall be, and what of it shall change; the rest of the body is named.
#[derive(Debug, Default, ToSchema)]
pub(super) struct WriteNote {
    /// Name.
    pub(super) name: Option<String>,
    /// What it says.
    pub(super) text: Option<String>,
    /// A label.
    pub(super) team: Option<String>,
    #[schema(ignore)]
    pub(super) ignored: Vec<String>,
}

impl WriteNote {
    /// Reads it; every field that does not fit is named.
    pub(super) fn read(body: &Value) -> Result<Self> {
        let mut faults = Faults::default();
        let mut read = Self::default();
        if let Some(mut object) = Object::read("", body, &mut faults) {
            read.name = object.text("name", &mut faults).and_then(|text| name(text, &mut faults));
            read.text = object.text("text", &mut faults).map(str::to_owned);
            read.team = object.text("team", &mut faults).map(str::to_owned);
            read.ignored.extend(object.unknown());
        }
        faults.into_result().map_err(|faults| Error(ApiError::fields(faults)))?;
        Ok(read)
    }
}
