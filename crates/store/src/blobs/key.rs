//! Names of blobs.

use browserd_api::{ProfileId, ReplayId};

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a blob's key has parts of a-z, 0-9, -, _ and . between slashes, none beginning with a dot"
)]
pub struct InvalidKey;

/// A name: parts of lower-case letters, digits, `-`, `_` and `.`, between slashes. No part begins
/// with a dot, so that a key is a path that stays below its folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlobKey(String);

impl BlobKey {
    /// Longest key, bytes.
    pub const LIMIT: usize = 512;

    /// The folder of what was saved of profiles.
    pub const PROFILES: &str = "profiles";

    /// Checks a text.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidKey> {
        let text = text.into();
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|byte| {
                    byte.is_ascii_lowercase()
                        || byte.is_ascii_digit()
                        || matches!(byte, b'-' | b'_' | b'.')
                })
        };
        let valid = text.len() <= Self::LIMIT && text.split('/').all(part);
        if valid { Ok(Self(text)) } else { Err(InvalidKey) }
    }

    /// Of a recording.
    #[must_use]
    pub fn replay(replay: &ReplayId) -> Self {
        Self(format!("replays/{replay}.mp4"))
    }

    /// Of what was saved of a profile.
    #[must_use]
    pub fn profile(profile: &ProfileId, version: &str) -> Option<Self> {
        Self::new(format!("{}/{profile}/{version}.tar.zst", Self::PROFILES)).ok()
    }

    /// The profile of which this was saved; none: it is another blob's.
    #[must_use]
    pub fn profile_id(&self) -> Option<ProfileId> {
        let below = self.0.strip_prefix(Self::PROFILES)?.strip_prefix('/')?;
        below.split_once('/')?.0.parse().ok()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_below_their_folder() {
        for good in ["a", "a/b.mp4", "replays/x-1/y_2.mp4", "a..b"] {
            assert_eq!(BlobKey::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", ".a", "a/.b", "A", "a b", "a\0", "ä"] {
            assert_eq!(BlobKey::new(bad), Err(InvalidKey), "{bad}");
        }
        assert!(BlobKey::new("a".repeat(BlobKey::LIMIT + 1)).is_err());
        let replay = BlobKey::replay(&ReplayId::generate());
        assert_eq!(replay.profile_id(), None);
        assert_eq!(BlobKey::new(replay.as_str()), Ok(replay));
    }

    #[test]
    fn a_key_tells_whose_it_is() {
        let id = ProfileId::generate();
        assert_eq!(BlobKey::profile(&id, "v").unwrap().profile_id(), Some(id.clone()));
        for other in [format!("profiles/{id}"), format!("others/{id}/v"), "profiles/x/v".into()] {
            assert_eq!(BlobKey::new(other).unwrap().profile_id(), None);
        }
    }
}
