//! Fuzz targets of what all routes of the guest read. See `docs/fuzzing.md`.

use axum::extract::FromRequestParts;
use futures_util::FutureExt;
use http::{Request, Uri};

use crate::Query;

#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[("guest_query", guest_query)];

/// A query: a parameter is there once, as it was meant, or refused by name.
fn guest_query(data: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/?", data].concat()) else { return };
    let mut parts = Request::get(uri).body(()).unwrap().into_parts().0;
    let query = Query::from_request_parts(&mut parts, &()).now_or_never();
    let query = query.expect("nothing is waited for").expect("nothing is refused yet");
    let text = parts.uri.query().unwrap_or_default();
    for name in ["path", "a b", ""] {
        match query.get(name) {
            Ok(Some(value)) => assert!(value.len() <= text.len()),
            Ok(None) => assert!(query.need(name).is_err()),
            Err(refusal) => assert_eq!(refusal.0.body().details[0].code, name),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
