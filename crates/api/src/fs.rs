//! Files inside a session: the wire types of `/browsers/{id_or_name}/fs`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// What is known of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileInfo {
    /// Last part of the path. Bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Absolute path.
    #[schema(pattern = "^/")]
    pub path: String,
    /// Size in bytes; 0 for folders.
    pub size_bytes: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// When it was last changed.
    pub mod_time: Timestamp,
    /// Kind and permissions, such as `drwxr-xr-x`. Letters before the nine permissions: `d` folder,
    /// `L` symbolic link, `p` pipe, `S` socket, `D` device (`Dc` for one of characters), `u` setuid,
    /// `g` setgid, `t` sticky; `-` for none of them.
    pub mode: String,
}

/// A path to act on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PathRequest {
    /// Absolute path.
    #[schema(pattern = "^/", max_length = 4095)]
    pub path: String,
}

/// A folder to make.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreateDirectoryRequest {
    /// Absolute path.
    #[schema(pattern = "^/", max_length = 4095)]
    pub path: String,
    /// Permissions in octal digits. Default 755.
    #[serde(default)]
    #[schema(pattern = "^[0-7]{3,4}$")]
    pub mode: Option<String>,
}

/// What to move, and where.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MoveRequest {
    /// Absolute path of what is to be moved.
    #[schema(pattern = "^/", max_length = 4095)]
    pub src_path: String,
    /// Absolute path it is to have.
    #[schema(pattern = "^/", max_length = 4095)]
    pub dest_path: String,
}

/// New permissions, and new owners where asked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SetPermissionsRequest {
    /// Absolute path.
    #[schema(pattern = "^/", max_length = 4095)]
    pub path: String,
    /// Permissions in octal digits.
    #[schema(pattern = "^[0-7]{3,4}$")]
    pub mode: String,
    /// User name or uid.
    #[serde(default)]
    pub owner: Option<String>,
    /// Group name or gid.
    #[serde(default)]
    pub group: Option<String>,
}

/// What to watch.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WatchRequest {
    /// Absolute path of a folder.
    #[schema(pattern = "^/", max_length = 4095)]
    pub path: String,
    /// Watch the folders below it too, those that are made later included.
    #[serde(default)]
    pub recursive: bool,
}

/// A watch that has begun.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WatchStarted {
    /// Handle for its events.
    pub watch_id: String,
}

/// What happened to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum FileEventKind {
    /// It appeared: made, or moved here.
    Create,
    /// Its content changed.
    Write,
    /// It was removed.
    Delete,
    /// It was moved away; the name is the old one.
    Rename,
}

/// One event of a watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileEvent {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: FileEventKind,
    /// Absolute path.
    pub path: String,
    /// Last part of the path.
    pub name: String,
    /// Whether it is, or was, a folder.
    pub is_dir: bool,
    /// Present and true when events before this one were lost (extension). The event is then a
    /// `WRITE` of the watched folder: list it to see what is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overflow: bool,
}
