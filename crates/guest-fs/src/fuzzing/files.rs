//! The targets of names, ranges and forms.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};

use crate::form::Form;
use crate::fuzzing::headers::{first_line, headers};
use crate::fuzzing::input::cut;
use crate::fuzzing::runtime::block_on;
use crate::path::{Given, mode};
use crate::place;
use crate::range::{Version, Wanted};
use crate::upload::names;

/// Longest text taken of a form, bytes.
const TEXT: usize = 64;

/// A file's length, and headers (`@` stands for its tag): a part lies in the file and is not empty.
pub(crate) fn file_range(data: &[u8]) {
    let version = Version::of(&rustix::fs::stat("/").unwrap());
    let (length, rest) = first_line(data);
    let length = length.parse().unwrap_or(10);
    let text = String::from_utf8_lossy(rest).replace('@', &version.etag);
    let headers = headers(text.as_bytes());
    match version.wanted(&headers, length) {
        Wanted::Part(from, to) => assert!(from < to && to <= length && headers.contains_key(RANGE)),
        Wanted::Beyond => assert!(headers.contains_key(RANGE)),
        Wanted::NotModified => {
            let asked = headers.contains_key(IF_NONE_MATCH);
            assert!(asked || headers.contains_key(IF_MODIFIED_SINCE));
        }
        Wanted::Whole => {}
    }
}

/// A path, permissions and a form field's name.
pub(crate) fn file_names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(mode) = mode("mode", text) {
        assert_eq!(format!("{:0width$o}", mode.as_raw_mode(), width = text.len()), text);
    }
    if let Some((pair, half)) = names::parse(text) {
        assert!(text.ends_with("file]") || text.ends_with("file") || text.contains("dest_path"));
        assert_eq!(names::parse(text), Some((pair, half)));
    }
    let Ok(given) = Given::new("path", text.to_owned()) else { return };
    let tidy = Given::new("path", given.tidy()).unwrap();
    assert_eq!(tidy.tidy(), tidy.as_str(), "tidying twice changes nothing");
    assert!(
        tidy.as_str().split('/').skip(1).all(|part| part != "." && !part.is_empty())
            || tidy.as_str() == "/"
    );
    if let Ok((parent, name)) = place::split(&given) {
        let name = name.to_str().unwrap();
        assert!(!matches!(name, "" | "." | "..") && !name.contains('/'), "{name}");
        assert_eq!(std::path::Path::new(parent).join(name), std::path::Path::new(text));
    }
    assert!(given.to_string().chars().count() <= 301);
}

/// A form in pieces, its content type in the first line: no more comes out of it than went in, and a
/// text is not longer than it may be.
pub(crate) fn file_form(data: &[u8]) {
    let (kind, rest) = first_line(data);
    let (cut, body) = cut(rest);
    let pieces: Vec<Result<Bytes, Infallible>> =
        body.chunks(cut).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut request = Request::new(Body::from_stream(stream::iter(pieces)));
    let Ok(kind) = kind.parse() else { return };
    request.headers_mut().insert(CONTENT_TYPE, kind);
    let content = block_on(async {
        let Ok(mut form) = Form::new(request) else { return 0 };
        let mut content = 0;
        while let Ok(Some((name, mut part))) = form.next().await {
            if name == "dest_path" {
                let Ok(text) = part.text(&name, TEXT).await else { continue };
                assert!(text.len() <= TEXT);
                content += text.len();
            } else {
                while let Ok(Some(bytes)) = part.chunk().await {
                    content += bytes.len();
                }
            }
        }
        content
    });
    assert!(content <= body.len(), "{content} bytes out of {}", body.len());
}
