//! Ids: 24-character cuid2 for sessions, recordings, proxies and profiles, UUIDs for processes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a string is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct InvalidId;

/// Defines an id that is a cuid2 of 24 characters.
macro_rules! cuid2_id {
    ($(#[doc = $doc:literal])* $name:ident, $example:literal) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, pattern = "^[a-z][a-z0-9]{23}$", examples($example))]
        pub struct $name(String);

        impl $name {
            /// A fresh id.
            #[must_use]
            pub fn generate() -> Self {
                Self(cuid2::create_id())
            }

            /// The id as it stands in URLs and file names.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_cuid2(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// `^[a-z][a-z0-9]{23}$`.
fn is_cuid2(text: &str) -> bool {
    text.len() == 24
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

cuid2_id! {
    /// A browser session: `^[a-z][a-z0-9]{23}$`, the pattern by which the official CLI tells ids
    /// from names.
    SessionId, "htzv5orfit78e1m2biiifpbv"
}

cuid2_id! {
    /// A recording of a session's screen; of the same form as a [`SessionId`].
    ReplayId, "q3m0hs2v8k4xw1dz7c9ytbnr"
}

cuid2_id! {
    /// An upstream proxy; of the same form as a [`SessionId`].
    ProxyId, "n8b2kq0w5v7yx3mz1c6jtdhr"
}

cuid2_id! {
    /// A profile; of the same form as a [`SessionId`].
    ProfileId, "p4t9xk2c7w0vqz5m1b8ydhrn"
}

/// A process inside a session.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[schema(value_type = String, format = Uuid)]
pub struct ProcessId(pub Uuid);

impl ProcessId {
    /// A fresh random id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }
}

impl FromStr for ProcessId {
    type Err = InvalidId;

    /// Takes the hyphenated form only, in either case.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() != 36 {
            return Err(InvalidId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_session_ids_match_the_pattern() {
        for _ in 0..1000 {
            let id = SessionId::generate();
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
        }
    }

    #[test]
    fn names_are_not_session_ids() {
        for text in [
            "",
            "a",
            "1htzv5orfit78e1m2biiifpb",
            "htzv5orfit78e1m2biiifpbV",
            "../../../etc/passwd-----",
        ] {
            assert_eq!(text.parse::<SessionId>(), Err(InvalidId), "{text}");
        }
    }

    #[test]
    fn process_ids_take_one_form() {
        let id = ProcessId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.0.simple().to_string().parse::<ProcessId>(), Err(InvalidId));
    }
}
