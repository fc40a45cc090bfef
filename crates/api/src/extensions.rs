//! Extensions loaded into a running session: the form of `/browsers/{id_or_name}/extensions`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Extensions to load. Sent as a form, so these types only describe it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LoadExtensions {
    /// At most 20.
    #[schema(min_items = 1, max_items = 20)]
    pub extensions: Vec<ExtensionUpload>,
}

/// One extension.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExtensionUpload {
    /// Folder below `/home/kernel/extensions` it is unpacked to; must be new.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9._-]{1,255}$")]
    pub name: String,
    /// Zip archive of at most 50 MiB with `manifest.json` at its top.
    #[schema(format = Binary, value_type = String)]
    pub zip_file: Vec<u8>,
}
