//! The API keys that are good, as hashes in memory.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use browserd_api::ProjectId;
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::caller::{Caller, Permissions};

/// A key that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Tells it from others, in logs too.
    pub id: String,
    /// The hash under which it is kept ([`ApiKeys::hash`]).
    pub hash: [u8; 32],
    /// The project its holder acts in.
    pub project: ProjectId,
    /// What its holder may do there.
    pub permissions: Permissions,
}

/// All valid API keys. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys(Arc<[([u8; 32], Caller)]>);

impl ApiKeys {
    /// From what is kept of them.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = ApiKey>) -> Self {
        let caller = |key: ApiKey| {
            let ApiKey { id, hash, project, permissions } = key;
            (hash, Caller { key: id.into(), project, permissions })
        };
        Self(keys.into_iter().map(caller).collect())
    }

    /// The hash under which a key is kept.
    #[must_use]
    pub fn hash(key: &[u8]) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key).as_ref());
        hash
    }

    /// Whose `key` is, if it is valid. Takes the same time whichever key matches, and whether one does.
    pub(crate) fn caller(&self, key: &[u8]) -> Option<Caller> {
        let hash = Self::hash(key);
        // One past the place of the key that matches; 0 is none.
        let found = (1_u64..).zip(self.0.iter()).fold(0, |found, (place, (known, _))| {
            u64::conditional_select(&found, &place, known.ct_eq(&hash))
        });
        let place = usize::try_from(found).ok()?.checked_sub(1)?;
        self.0.get(place).map(|(_, caller)| caller.clone())
    }
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({} hashes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_keys_and_whose_they_are() {
        let (first, second) = (ProjectId::default(), ProjectId::generate());
        let keys = [("one", &first), ("two", &second)].map(|(id, project)| ApiKey {
            id: id.to_owned(),
            hash: ApiKeys::hash(format!("sk_{id}").as_bytes()),
            project: project.clone(),
            permissions: Permissions::All,
        });
        let keys = ApiKeys::new(keys);
        let project = |key: &[u8]| keys.caller(key).map(|caller| caller.project);
        assert_eq!(project(b"sk_one"), Some(first));
        assert_eq!(project(b"sk_two"), Some(second));
        assert_eq!(keys.caller(b"sk_two").map(|caller| caller.key).as_deref(), Some("two"));
        for unknown in [&b"sk_three"[..], b"", b"sk_on"] {
            assert_eq!(project(unknown), None);
        }
        assert_eq!(project(&ApiKeys::hash(b"sk_one")), None, "a hash is no key");
    }
}
