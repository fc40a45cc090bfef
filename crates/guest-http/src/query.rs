//! Query parameters, with refusals that name the parameter.

use std::borrow::Cow;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use browserd_rest::{Error, Result};
use http::request::Parts;
use percent_encoding::percent_decode_str;

/// The parameters of a request's query. Unknown ones are ignored, as unknown JSON fields are.
#[derive(Debug, Default)]
pub struct Query(String);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        Ok(Self(parts.uri.query().unwrap_or_default().to_owned()))
    }
}

impl Query {
    /// The parameter `name`, `None` when it is not there.
    ///
    /// # Errors
    ///
    /// 400 when it is there twice, or not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<String>> {
        let mut found = None;
        for pair in self.0.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if decode(key).as_deref() != Some(name) {
                continue;
            }
            let value = decode(value).ok_or_else(|| Error::field(name, "is not UTF-8"))?;
            if found.replace(value.into_owned()).is_some() {
                return Err(Error::field(name, "is there twice; send it once"));
            }
        }
        Ok(found)
    }

    /// The parameter `name`.
    ///
    /// # Errors
    ///
    /// 400 when it is missing, there twice, or not UTF-8.
    pub fn need(&self, name: &str) -> Result<String> {
        self.get(name)?.ok_or_else(|| Error::field(name, "is missing; it is a query parameter"))
    }
}

/// A part of a query in clear; `None` unless it is UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(text.into());
    }
    let spaced = text.replace('+', " ");
    let bytes: Vec<u8> = percent_decode_str(&spaced).collect();
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_once() {
        let query = Query("path=%2Ftmp%2Fa+b%2525&mode=644&x&bad=%ff&twice=1&twice=2".into());
        assert_eq!(query.need("path").unwrap(), "/tmp/a b%25");
        assert_eq!(query.get("x").unwrap().as_deref(), Some(""));
        assert_eq!(query.get("none").unwrap(), None);
        for name in ["none", "bad", "twice"] {
            let refusal = query.need(name).unwrap_err().0;
            assert_eq!(refusal.body().details[0].code, name);
        }
    }
}
