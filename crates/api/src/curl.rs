//! HTTP requests through a session's browser: the wire types of `/browsers/{id_or_name}/curl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Methods a request may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CurlMethod {
    /// Get a resource.
    #[default]
    Get,
    /// Get its headers only.
    Head,
    /// Submit something.
    Post,
    /// Replace it.
    Put,
    /// Change it.
    Patch,
    /// Remove it.
    Delete,
    /// Get the methods it allows.
    Options,
}

impl CurlMethod {
    /// As it goes over the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether the browser sends a body with it.
    #[must_use]
    pub const fn takes_body(self) -> bool {
        !matches!(self, Self::Get | Self::Head)
    }
}

/// How the body of an answer is written in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CurlEncoding {
    /// As text; what is not UTF-8 becomes U+FFFD.
    #[default]
    Utf8,
    /// As base64, byte for byte.
    Base64,
}

/// A request to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct CurlRequest {
    /// The target: an `http` or `https` URL.
    #[schema(min_length = 1)]
    pub url: String,
    /// Default: GET.
    #[serde(default)]
    pub method: Option<CurlMethod>,
    /// Headers that replace or join those the browser sends.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, String>>,
    /// What to send, as text. GET and HEAD have none.
    #[serde(default)]
    pub body: Option<String>,
    /// How long it may take altogether, milliseconds. Default 30000.
    #[serde(default)]
    #[schema(minimum = 1000, maximum = 60000)]
    pub timeout_ms: Option<u64>,
    /// How the answer's body is to be written. Default: utf8.
    #[serde(default)]
    pub response_encoding: Option<CurlEncoding>,
}

/// What the target answered.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CurlResponse {
    /// Status of the answer.
    pub status: u16,
    /// Its headers, each name once in the form `Content-Type`, with all its values in order.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Its body, decoded (gzip and the like are undone), as text or base64.
    pub body: String,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}
