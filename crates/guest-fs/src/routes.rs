//! The routes below `/fs`.

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Files, create_directory, delete, download, info, move_path, permissions, read_file, upload,
    upload_archive, watch, write_file,
};

/// Largest body of a route that reads JSON, bytes: a few paths. Content is streamed and has no limit
/// but the disk.
const BODY: usize = 64 << 10;

/// All file routes, as the guest serves them.
pub fn routes() -> OpenApiRouter<Files> {
    OpenApiRouter::new()
        .routes(routes!(read_file::read_file))
        .routes(routes!(write_file::write_file))
        .routes(routes!(info::list_files))
        .routes(routes!(info::file_info))
        .routes(routes!(create_directory::create_directory))
        .routes(routes!(delete::delete_file))
        .routes(routes!(delete::delete_directory))
        .routes(routes!(move_path::move_path))
        .routes(routes!(permissions::set_file_permissions))
        .routes(routes!(upload::upload))
        .routes(routes!(upload_archive::upload_zip))
        .routes(routes!(upload_archive::upload_zstd))
        .routes(routes!(download::download_dir_zip))
        .routes(routes!(download::download_dir_zstd))
        .routes(routes!(watch::start))
        .routes(routes!(watch::events))
        .routes(routes!(watch::stop))
        .layer(DefaultBodyLimit::max(BODY))
}
