//! Profiles, the state of a browser that outlives its session: the wire types of `/profiles`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ProfileId, Timestamp};

/// A profile as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    /// Id, usable wherever a path says `{id_or_name}`.
    pub id: ProfileId,
    /// Name, unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something was last saved into it; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// When a session last took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// Form of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ProfileFormat {
    /// As it is kept.
    #[serde(rename = "tar.zst")]
    TarZst,
    /// Unpacked on the way.
    #[serde(rename = "tar")]
    Tar,
}

/// The profile a session has. Kept with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileInUse {
    /// Id.
    pub id: ProfileId,
    /// Its name when it was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether the session's state is saved into it when the session ends.
    pub save_changes: bool,
    /// Why that was not done, of a session that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_error: Option<String>,
}
