//! Reading JSON bodies, with refusals that name the field.

use axum::extract::{FromRequest, Request};
use browserd_api::{ApiError, ErrorCode};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use serde::de::DeserializeOwned;

use crate::{BodyLimit, Error};

/// A JSON body. Unknown fields are ignored, so that clients of newer versions keep working;
/// everything else that does not fit is 400 with the field in `details`, a wrong content type 415,
/// a body over the route's limit 413.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// A JSON body that may be absent: no body, or an empty one, is `T::default()`.
#[derive(Debug)]
pub struct Optional<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        require_json(&request)?;
        parse(&read(request, state).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Optional<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let has_body = request.headers().contains_key(TRANSFER_ENCODING)
            || request.headers().get(CONTENT_LENGTH).is_some_and(|length| length != "0");
        if !has_body {
            return Ok(Self(T::default()));
        }
        require_json(&request)?;
        let body = read(request, state).await?;
        if body.is_empty() { Ok(Self(T::default())) } else { parse(&body).map(Self) }
    }
}

fn require_json(request: &Request) -> Result<(), Error> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 17
            && essence[..12].eq_ignore_ascii_case("application/")
            && essence[essence.len() - 5..].eq_ignore_ascii_case("+json"))
    {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::UnsupportedMediaType,
        format!(
            "this route reads application/json, the request says {}; set the Content-Type header",
            content_type.unwrap_or("nothing")
        ),
    ))
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Error> {
    // Where none is set it is axum's own.
    let BodyLimit(limit) = request.extensions().get().copied().unwrap_or(BodyLimit(2 << 20));
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
            Error::new(
                ErrorCode::PayloadTooLarge,
                format!("the request body is larger than the {limit} bytes that this route takes"),
            )
        } else {
            Error::new(ErrorCode::BadRequest, "the request body ended before it was complete")
        }
    })
}

/// Parses `body`, naming the field that does not fit.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if inner.is_syntax() || inner.is_eof() {
            let message = format!("the body is not JSON: {inner}");
            return Error(
                ApiError::new(ErrorCode::BadRequest, message.clone()).detail("body", message),
            );
        }
        let text = inner.to_string();
        let text = text.split(" at line ").next().unwrap_or_default().to_owned();
        let field = match missing_field(&text) {
            Some(name) if path == "." => name.to_owned(),
            Some(name) => format!("{path}.{name}"),
            // A list where an object belongs.
            None if path == "." || path.starts_with('[') => "body".to_owned(),
            None => path,
        };
        Error(ApiError::field(field, text))
    })?;
    deserializer.end().map_err(|error| {
        Error(
            ApiError::new(
                ErrorCode::BadRequest,
                format!("the body is not one JSON value: {error}"),
            )
            .detail("body", "text after the value"),
        )
    })?;
    Ok(value)
}

fn missing_field(text: &str) -> Option<&str> {
    text.strip_prefix("missing field `")?.split('`').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only parsed")]
        width: u32,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only parsed")]
        viewport: Inner,
    }

    fn blamed(body: &str) -> String {
        parse::<Outer>(body.as_bytes()).unwrap_err().0.body().details[0].code.clone()
    }

    #[test]
    fn refusals_name_the_field() {
        assert_eq!(blamed("{}"), "viewport");
        assert_eq!(blamed(r#"{"viewport":{}}"#), "viewport.width");
        assert_eq!(blamed(r#"{"viewport":{"width":"x"}}"#), "viewport.width");
        assert_eq!(blamed("[1]"), "body");
        assert_eq!(blamed("{"), "body");
        assert_eq!(blamed(r#"{"viewport":{"width":1}} x"#), "body");
    }
}
