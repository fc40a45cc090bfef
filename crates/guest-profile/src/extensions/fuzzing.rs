//! The targets of this module.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use browserd_guest_session::disk::Disk;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::form;
use super::staging::Staging;
use crate::fuzzing::headers::first_line;
use crate::fuzzing::input::cut;
use crate::fuzzing::runtime::block_on;
use crate::fuzzing::scratch::Scratch;

/// A form in pieces, its content type in the first line: every extension has a name that is one
/// folder's and no other's, and an archive that has come.
pub(crate) fn extension_form(data: &[u8]) {
    let (kind, rest) = first_line(data);
    let (cut, body) = cut(rest);
    let pieces: Vec<Result<Bytes, Infallible>> =
        body.chunks(cut).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut headers = HeaderMap::new();
    let Ok(kind) = kind.parse() else { return };
    headers.insert(CONTENT_TYPE, kind);
    let scratch = Scratch::new();
    let staging = Arc::new(Staging::at(scratch.path().join("staging")).unwrap());
    let stream = Body::from_stream(stream::iter(pieces));
    let read = block_on(form::read(&headers, stream, &staging, &Disk::unlimited()));
    let spooled = || std::fs::read_dir(staging.path()).unwrap().flatten();
    let bytes: u64 = spooled().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= body.len() as u64);
    let Ok(uploads) = read else { return };
    assert!((1..=super::AT_ONCE).contains(&uploads.len()));
    assert_eq!(spooled().count(), uploads.len());
    for upload in &uploads {
        assert!(staging.archive(upload.archive).is_file());
        let parts: Vec<_> = std::path::Path::new(&upload.name).components().collect();
        assert!(matches!(parts[..], [std::path::Component::Normal(_)]), "{}", upload.name);
        assert_eq!(uploads.iter().filter(|other| other.name == upload.name).count(), 1);
    }
}
