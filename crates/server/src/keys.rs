//! The API keys that are good, as hashes in memory.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

/// SHA-256 hashes of all valid API keys. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys(Arc<[[u8; 32]]>);

impl ApiKeys {
    /// From the hashes of the store's rows.
    #[must_use]
    pub fn new(hashes: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self(hashes.into_iter().collect())
    }

    /// The hash under which a key is kept.
    #[must_use]
    pub fn hash(key: &[u8]) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key).as_ref());
        hash
    }

    /// Whether `key` is valid. Takes the same time whichever key matches, and whether one does.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        let hash = Self::hash(key);
        let found = self.0.iter().fold(Choice::from(0), |found, known| found | known.ct_eq(&hash));
        found.into()
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
    fn knows_its_keys_and_no_others() {
        let keys = ApiKeys::new([ApiKeys::hash(b"sk_one"), ApiKeys::hash(b"sk_two")]);
        assert!(keys.contains(b"sk_one") && keys.contains(b"sk_two"));
        assert!(!keys.contains(b"sk_three") && !keys.contains(b"") && !keys.contains(b"sk_on"));
        assert!(!keys.contains(&ApiKeys::hash(b"sk_one")), "a hash is no key");
    }
}
