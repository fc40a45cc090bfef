//! Bearer authentication.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_rest::{Error, refusals};
use http::{HeaderMap, header};

use crate::caller::Permissions;
use crate::keys::ApiKeys;

refusals! {
    /// Checking a key.
    pub(crate) RequireKey: Unauthorized;
}

/// Lets a request pass that has a valid API key, and says whose it is: the request and the response have
/// the [`crate::caller::Caller`] as an extension. One answer for a missing, malformed and wrong key.
pub(crate) async fn require_key(
    State(keys): State<ApiKeys>,
    mut request: Request,
    next: Next,
) -> Response {
    match bearer(request.headers()).and_then(|key| keys.caller(key)) {
        Some(caller) => {
            // Every key may do everything in its project. One that may do less is to be refused here.
            let Permissions::All = caller.permissions;
            request.extensions_mut().insert(caller.clone());
            let mut response = next.run(request).await;
            response.extensions_mut().insert(caller);
            response
        }
        None => Error::new(
            ErrorCode::Unauthorized,
            "the API key is missing or not valid; send it as Authorization: Bearer <key>",
        )
        .into_response(),
    }
}

/// The key of an `Authorization: Bearer` header; the scheme's case does not matter. Two such headers
/// are none, because two programs could read them differently.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, key) = value.as_bytes().split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer "))
        .then(|| key.trim_ascii())
        .filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        bearer(&headers).map(|key| String::from_utf8(key.to_vec()).unwrap())
    }

    #[test]
    fn reads_one_bearer_key() {
        assert_eq!(read(&["Bearer sk_1"]).as_deref(), Some("sk_1"));
        assert_eq!(read(&["bEaReR   sk_1"]).as_deref(), Some("sk_1"));
        for wrong in [
            &[][..],
            &["Basic sk_1"],
            &["Bearer"],
            &["Bearer "],
            &["sk_1"],
            &["Bearer a", "Bearer a"],
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
