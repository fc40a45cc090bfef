//! Names of blobs.

use browserd_api::{ProfileId, ProjectId, ReplayId};

/// Folders of a project.
pub(super) const REPLAYS: &str = "replays";
pub(super) const PROFILES: &str = "profiles";

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

    /// The folder of what belongs to projects, each in a folder of its own.
    pub const PROJECTS: &str = "projects";

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
    pub fn replay(project: &ProjectId, replay: &ReplayId) -> Self {
        Self(format!("{}/{project}/{REPLAYS}/{replay}.mp4", Self::PROJECTS))
    }

    /// Of what was saved of a profile.
    #[must_use]
    pub fn profile(project: &ProjectId, profile: &ProfileId, version: &str) -> Option<Self> {
        let folder = format!("{}/{project}/{PROFILES}", Self::PROJECTS);
        Self::new(format!("{folder}/{profile}/{version}.tar.zst")).ok()
    }

    /// Whether this is among what was saved of profiles.
    #[must_use]
    pub fn is_profile(&self) -> bool {
        self.parts().is_some_and(|(_, kind, _)| kind == PROFILES)
    }

    /// The profile of which this was saved, and its project; none: it is another blob's.
    #[must_use]
    pub fn profile_id(&self) -> Option<(ProjectId, ProfileId)> {
        let (project, _, rest) = self.parts().filter(|(_, kind, _)| *kind == PROFILES)?;
        Some((project.parse().ok()?, rest.split_once('/')?.0.parse().ok()?))
    }

    /// Project, kind and what follows.
    fn parts(&self) -> Option<(&str, &str, &str)> {
        let below = self.0.strip_prefix(Self::PROJECTS)?.strip_prefix('/')?;
        let (project, below) = below.split_once('/')?;
        let (kind, rest) = below.split_once('/')?;
        Some((project, kind, rest))
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
        let replay = BlobKey::replay(&ProjectId::default(), &ReplayId::generate());
        assert!(replay.profile_id().is_none() && !replay.is_profile());
        assert_eq!(BlobKey::new(replay.as_str()), Ok(replay));
    }

    #[test]
    fn a_key_tells_whose_it_is() {
        let (project, id) = (ProjectId::generate(), ProfileId::generate());
        let key = BlobKey::profile(&project, &id, "v").unwrap();
        assert_eq!(key.profile_id(), Some((project.clone(), id.clone())));
        assert!(key.is_profile());
        for other in [
            format!("profiles/{id}/v"),
            format!("projects/{project}/profiles/{id}"),
            format!("projects/{project}/profiles/x/v"),
            format!("projects/x/profiles/{id}/v"),
            format!("projects/{project}/others/{id}/v"),
        ] {
            assert_eq!(BlobKey::new(other).unwrap().profile_id(), None);
        }
    }
}
