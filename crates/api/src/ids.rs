//! Ids: 24-character cuid2 for projects and what is in them, UUIDs for processes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Why a string is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct InvalidId;

/// Defines an id that is a cuid2 of 24 characters. For ids outside this file, beside what they name:
/// the crate needs serde and utoipa.
#[macro_export]
macro_rules! cuid2_id {
    ($(#[doc = $doc:literal])* $name:ident, $example:literal) => {
        $(#[doc = $doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize, utoipa::ToSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, pattern = "^[a-z][a-z0-9]{23}$", examples($example))]
        pub struct $name(String);

        impl $name {
            /// A fresh id.
            #[must_use]
            pub fn generate() -> Self {
                Self($crate::ids::new_cuid2())
            }

            /// The id as it stands in URLs and file names.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ids::InvalidId;

            fn from_str(text: &str) -> std::result::Result<Self, $crate::ids::InvalidId> {
                if $crate::ids::is_cuid2(text) { Ok(Self(text.to_owned())) } else { Err($crate::ids::InvalidId) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::ids::InvalidId;

            fn try_from(text: String) -> std::result::Result<Self, $crate::ids::InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A fresh id of the form of a cuid2. What a cuid2 hashes to get there (time, counter, host) adds nothing
/// to the kernel's randomness: this is 123 bits of it.
///
/// # Panics
///
/// When the kernel gives no random bytes, which Linux does not do once it is up.
#[doc(hidden)]
#[must_use]
pub fn new_cuid2() -> String {
    const SIGNS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut id = String::with_capacity(24);
    let mut random = [0; 32];
    while id.len() < 24 {
        getrandom::fill(&mut random).expect("the kernel has random bytes");
        for byte in random {
            let signs = if id.is_empty() { &SIGNS[..26] } else { SIGNS };
            // Of the bytes above the last whole round some signs would get one more than others.
            if id.len() < 24 && usize::from(byte) < 256 / signs.len() * signs.len() {
                id.push(char::from(signs[usize::from(byte) % signs.len()]));
            }
        }
    }
    id
}

/// `^[a-z][a-z0-9]{23}$`.
#[doc(hidden)]
#[must_use]
pub fn is_cuid2(text: &str) -> bool {
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

cuid2_id! {
    /// A project: what belongs to one is not there for the others. Of the same form as a [`SessionId`].
    ProjectId, "default00000000000000000"
}

impl ProjectId {
    /// The id of the project that is always there, and that everything from before projects is in.
    pub const DEFAULT: &str = "default00000000000000000";

    /// Whether this is the project that is always there.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

/// The project that is always there.
impl Default for ProjectId {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
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
    fn every_sign_is_as_likely() {
        let mut first = std::collections::BTreeSet::new();
        let mut counts = std::collections::BTreeMap::<u8, u32>::new();
        for _ in 0..36_000 {
            let id = new_cuid2();
            first.insert(id.as_bytes()[0]);
            id.bytes().skip(1).for_each(|sign| *counts.entry(sign).or_default() += 1);
        }
        assert_eq!((first.len(), counts.len()), (26, 36));
        // 23,000 each, give or take seven standard deviations. Where bytes are not left out, four signs
        // come an eighth more often than the others.
        assert!(counts.values().all(|count| (22_000..24_000).contains(count)), "{counts:?}");
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
    fn the_default_projects_id_is_one() {
        assert_eq!(ProjectId::DEFAULT.parse(), Ok(ProjectId::default()));
        assert!(ProjectId::default().is_default() && !ProjectId::generate().is_default());
    }

    #[test]
    fn process_ids_take_one_form() {
        let id = ProcessId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.0.simple().to_string().parse::<ProcessId>(), Err(InvalidId));
    }
}
