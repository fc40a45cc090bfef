//! Reading the form: names and archives, in every layout the official clients send.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use browserd_api::ErrorCode;
use browserd_guest_fs::{Idle, parts};
use browserd_guest_session::disk::Disk;
use browserd_rest::{Error, Result};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::Field;
use tokio::io::AsyncWriteExt;

use super::staging::Staging;
use super::{ARCHIVE, AT_ONCE};

/// Longest name, bytes.
const NAME: usize = 255;

/// One extension of a form; its archive is in the staging folder under `archive`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) archive: usize,
}

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Name,
    Archive,
}

/// Which field this is, and of which extension when the name says so: `extensions[][name]` (all names
/// may come before all archives), `extensions[0][name]`, `extensions.name`, and `zip_file` likewise.
fn part(field: &str) -> Option<(Part, Option<usize>)> {
    let rest = field.strip_prefix("extensions")?;
    let (index, rest) = match rest.strip_prefix('[') {
        Some(inner) if !rest.starts_with("[name") && !rest.starts_with("[zip_file") => {
            let (index, rest) = inner.split_once(']')?;
            let index = match index {
                "" => None,
                digits if digits.len() <= 4 => Some(digits.parse().ok()?),
                _ => return None,
            };
            (index, rest)
        }
        _ => (None, rest),
    };
    let part = match rest {
        "[name]" | ".name" => Part::Name,
        "[zip_file]" | ".zip_file" => Part::Archive,
        _ => return None,
    };
    Some((part, index))
}

/// The parts that have come, by the index given or by their order.
#[derive(Debug, Default)]
struct Pairs {
    names: BTreeMap<usize, String>,
    archives: BTreeMap<usize, usize>,
}

impl Pairs {
    /// The key of the next part; refuses what is there twice.
    fn key<T>(known: &BTreeMap<usize, T>, index: Option<usize>, field: &str) -> Result<usize> {
        let key = index.unwrap_or(known.len());
        if known.contains_key(&key) {
            return Err(Error::field(field, "is there twice"));
        }
        if known.len() >= AT_ONCE {
            return Err(Error::field("extensions", format!("has over {AT_ONCE} extensions")));
        }
        Ok(key)
    }

    fn matched(self) -> Result<Vec<Upload>> {
        if self.names.is_empty() && self.archives.is_empty() {
            return Err(Error::field("extensions", "missing: send a name and a zip_file for each"));
        }
        if !self.names.keys().eq(self.archives.keys()) {
            return Err(Error::field("extensions", "each needs both a name and a zip_file"));
        }
        let mut uploads: Vec<Upload> = Vec::new();
        for (name, archive) in self.names.into_values().zip(self.archives.into_values()) {
            if uploads.iter().any(|known| known.name == name) {
                return Err(Error::field("extensions.name", format!("{name} is there twice")));
            }
            uploads.push(Upload { name, archive });
        }
        Ok(uploads)
    }
}

/// Reads the form; archives go to `staging` as they come.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    staging: &Arc<Staging>,
    disk: &Disk,
) -> Result<Vec<Upload>> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = multer::parse_boundary(content_type.unwrap_or_default()).map_err(|_| {
        Error::new(
            ErrorCode::UnsupportedMediaType,
            "this route reads multipart/form-data with a boundary",
        )
    })?;
    let (mut form, idle) = parts(body, boundary);
    let mut pairs = Pairs::default();
    let mut archives = 0;
    while let Some(mut field) = form.next_field().await.map_err(|error| broken(&error))? {
        idle.over();
        let name = field.name().unwrap_or_default().to_owned();
        match part(&name) {
            Some((Part::Name, index)) => {
                let key = Pairs::key(&pairs.names, index, &name)?;
                pairs.names.insert(key, text(&mut field, &idle).await?);
            }
            Some((Part::Archive, index)) => {
                let key = Pairs::key(&pairs.archives, index, &name)?;
                spool(&mut field, &idle, staging.archive(archives), disk).await?;
                pairs.archives.insert(key, archives);
                archives += 1;
            }
            None => {
                let name: String = name.chars().take(100).collect();
                return Err(Error::field(name, "is no field of this form"));
            }
        }
    }
    pairs.matched()
}

fn broken(error: &multer::Error) -> Error {
    Error::new(ErrorCode::BadRequest, format!("the form cannot be read: {error}"))
}

/// A name: a folder's, so letters, digits and a few marks.
async fn text(field: &mut Field<'_>, idle: &Idle) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        idle.over();
        bytes.extend_from_slice(&piece);
        if bytes.len() > NAME {
            break;
        }
    }
    let name = String::from_utf8(bytes).unwrap_or_default();
    if !acceptable(&name) {
        let message =
            "must be 1 to 255 letters, digits, dots, dashes or underscores, not only dots";
        return Err(Error::field("extensions.name", message));
    }
    Ok(name)
}

fn acceptable(name: &str) -> bool {
    (1..=NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && name.bytes().any(|b| b != b'.')
}

async fn spool(field: &mut Field<'_>, idle: &Idle, archive: PathBuf, disk: &Disk) -> Result<()> {
    let mut file = tokio::fs::File::create_new(archive).await.map_err(Error::internal)?;
    let mut size = 0;
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        idle.over();
        size += piece.len() as u64;
        if size > ARCHIVE {
            return Err(Error::new(
                ErrorCode::PayloadTooLarge,
                format!("an archive is larger than {ARCHIVE} bytes"),
            ));
        }
        let room = disk.admit(piece.len() as u64, 0).await;
        room.map_err(|full| full.refuse("the extensions"))?;
        file.write_all(&piece).await.map_err(Error::internal)?;
    }
    file.flush().await.map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_layout_of_the_clients() {
        for (field, wanted) in [
            ("extensions[][name]", Some((Part::Name, None))),
            ("extensions[][zip_file]", Some((Part::Archive, None))),
            ("extensions[0][name]", Some((Part::Name, Some(0)))),
            ("extensions[13][zip_file]", Some((Part::Archive, Some(13)))),
            ("extensions.name", Some((Part::Name, None))),
            ("extensions.zip_file", Some((Part::Archive, None))),
            ("extensions[name]", Some((Part::Name, None))),
            ("extensions[0].name", Some((Part::Name, Some(0)))),
            ("extensions", None),
            ("extensions[x][name]", None),
            ("extensions[99999][name]", None),
            ("extensions[][other]", None),
            ("name", None),
        ] {
            assert_eq!(part(field), wanted, "{field}");
        }
    }

    #[test]
    fn names_are_folders() {
        for good in ["a", "uBlock0.chromium", "x-1_2", ".a"] {
            assert!(acceptable(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "\u{e4}", &"x".repeat(256)] {
            assert!(!acceptable(bad), "{bad}");
        }
    }

    /// A head without end is not gathered, however fast it comes.
    #[tokio::test]
    async fn a_part_that_does_not_begin_is_given_up() {
        let pulled = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&pulled);
        let pieces = futures_util::stream::repeat_with(move || {
            counted.fetch_add(1 << 16, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(vec![b'x'; 1 << 16])
        });
        let begun = futures_util::stream::iter([Ok(b"--B\r\n".to_vec())]);
        let pieces = futures_util::StreamExt::take(pieces, 1 << 10);
        let body = Body::from_stream(futures_util::StreamExt::chain(begun, pieces));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "multipart/form-data; boundary=B".parse().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let staging = Arc::new(Staging::at(dir.path().join("staging")).unwrap());
        let refusal = read(&headers, body, &staging, &Disk::unlimited()).await.unwrap_err();
        assert_eq!(refusal.0.code(), ErrorCode::BadRequest);
        let pulled = pulled.load(Ordering::Relaxed);
        assert!(pulled <= browserd_guest_fs::HEAD_LIMIT + (1 << 17), "{pulled} bytes were read");
    }

    proptest! {
        #[test]
        fn any_field_name_is_harmless(field in "(extensions)?[\\[\\].a-z0-9_]{0,20}") {
            let _ = part(&field);
        }

        #[test]
        fn parts_match_whatever_their_order(count in 1usize..20) {
            let mut pairs = Pairs::default();
            for at in 0..count {
                let key = Pairs::key(&pairs.names, None, "").unwrap();
                pairs.names.insert(key, format!("n{at}"));
            }
            for at in 0..count {
                let key = Pairs::key(&pairs.archives, None, "").unwrap();
                pairs.archives.insert(key, at);
            }
            let uploads = pairs.matched().unwrap();
            for (at, upload) in uploads.iter().enumerate() {
                prop_assert_eq!(upload.archive, at);
                prop_assert_eq!(&upload.name, &format!("n{at}"));
            }
        }
    }
}
