//! The targets of this module.

use axum::body::Body;
use axum::extract::Request;
use browserd_api::ProjectId;
use http::{HeaderValue, header};

use super::{auth, log, project};
use crate::fuzzing::headers::headers;

/// Headers every request is looked at for: a key is what stands in the one header for it, an id for
/// logs is harmless in them.
pub(crate) fn client_headers(data: &[u8]) {
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = headers(data);
    if let Some(key) = auth::bearer(request.headers()) {
        assert!(!key.is_empty() && key.trim_ascii() == key);
        assert_eq!(request.headers().get_all(header::AUTHORIZATION).iter().count(), 1);
        assert!(request.headers()[header::AUTHORIZATION].as_bytes().ends_with(key));
    }
    if let Some(id) = log::client_id(&request) {
        assert!((1..=128).contains(&id.len()) && id.is_ascii() && !id.contains(char::is_control));
        HeaderValue::from_str(&id).unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
    }
    if let Some(name) = project::unknown(request.headers(), &ProjectId::default()) {
        assert!(request.headers().contains_key(name));
    }
}
