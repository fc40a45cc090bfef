//! What is known of files: `GET /fs/file_info` and `GET /fs/list_files`.

use browserd_api::Timestamp;
use browserd_api::fs::FileInfo;
use browserd_guest_http::Query;
use browserd_guest_http::refusals::{FileRefusals, Refusals};
use browserd_rest::Result;
use rustix::fs::{AtFlags, FileType, Stat, statat};

use super::path::Given;
use super::{blocking, place, walk};

/// Look at one file or folder.
///
/// Links are followed. `size_bytes` is 0 for folders; `mode` begins with `d` for a folder. 404
/// `not_found` when nothing has the path, or when it is a link to nothing. What is in /proc and
/// /sys is not served (400).
#[utoipa::path(
    get,
    path = "/fs/file_info",
    operation_id = "browsers_fs_file_info",
    tag = "browsers/fs",
    params(("path" = String, Query, description = "Absolute path.")),
    responses((status = 200, description = "What is known of it.", body = FileInfo), Refusals, FileRefusals),
)]
pub(super) async fn file_info(query: Query) -> Result<axum::Json<FileInfo>> {
    let given = Given::new("path", query.need("path")?)?;
    blocking(move || {
        let (_, stat) = place::look(&given)?;
        let path = given.tidy();
        let name = match path.rsplit('/').next() {
            Some("") | None => "/".to_owned(),
            Some(name) => name.to_owned(),
        };
        Ok(axum::Json(info(name, path, &stat)))
    })
    .await
}

/// List a folder.
///
/// In the order of names (bytes); `[]` when it is empty. Links are listed as links (`L` in `mode`),
/// and what vanishes while the list is made, or cannot be looked at, is left out. 400 when the path
/// is no folder, 404 when it is not there.
#[utoipa::path(
    get,
    path = "/fs/list_files",
    operation_id = "browsers_fs_list_files",
    tag = "browsers/fs",
    params(("path" = String, Query, description = "Absolute path of the folder.")),
    responses((status = 200, description = "What is in it.", body = Vec<FileInfo>), Refusals, FileRefusals),
)]
pub(super) async fn list_files(query: Query) -> Result<axum::Json<Vec<FileInfo>>> {
    let given = Given::new("path", query.need("path")?)?;
    blocking(move || {
        let dir = place::folder(&given)?;
        let names = walk::names(&dir).map_err(|errno| given.refuse(errno))?;
        let tidy = given.tidy();
        let base = tidy.trim_end_matches('/');
        let list = names.iter().rev().filter_map(|name| {
            let stat = statat(&dir, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let name = name.to_string_lossy().into_owned();
            let path = format!("{base}/{name}");
            Some(info(name, path, &stat))
        });
        Ok(axum::Json(list.collect()))
    })
    .await
}

#[expect(clippy::unnecessary_cast, reason = "the fields differ between architectures")]
fn info(name: String, path: String, stat: &Stat) -> FileInfo {
    let is_dir = place::kind(stat) == FileType::Directory;
    let seconds = stat.st_mtime as i64;
    FileInfo {
        name,
        path,
        size_bytes: if is_dir { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) },
        is_dir,
        mod_time: Timestamp::from_micros(
            seconds.saturating_mul(1_000_000).saturating_add(stat.st_mtime_nsec as i64 / 1000),
        ),
        mode: mode(stat.st_mode),
    }
}

/// Kind and permissions in letters, in the order Go's `FileMode` writes them.
fn mode(raw: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push_str(match FileType::from_raw_mode(raw) {
        FileType::Directory => "d",
        FileType::Symlink => "L",
        FileType::BlockDevice | FileType::CharacterDevice => "D",
        FileType::Fifo => "p",
        FileType::Socket => "S",
        _ => "",
    });
    for (bit, letter) in [(0o4000, 'u'), (0o2000, 'g')] {
        if raw & bit != 0 {
            text.push(letter);
        }
    }
    if FileType::from_raw_mode(raw) == FileType::CharacterDevice {
        text.push('c');
    }
    if raw & 0o1000 != 0 {
        text.push('t');
    }
    if text.is_empty() {
        text.push('-');
    }
    for (at, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if raw & (0o400 >> at) != 0 { letter } else { '-' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_in_letters() {
        for (raw, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "Lrwxrwxrwx"),
            (0o041_777, "dtrwxrwxrwx"),
            (0o104_755, "urwxr-xr-x"),
            (0o020_666, "Dcrw-rw-rw-"),
            (0o060_660, "Drw-rw----"),
            (0o010_600, "prw-------"),
            (0o140_755, "Srwxr-xr-x"),
        ] {
            assert_eq!(mode(raw), text, "{raw:o}");
        }
    }
}
