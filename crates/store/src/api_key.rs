//! What is kept of an API key.

use aws_lc_rs::digest::{SHA256, digest};
use browserd_api::secret::{ExposeSecret, SecretString};

/// SHA-256 of a key, all the store ever sees of it.
///
/// A plain hash is enough because keys are random (160 bits and more): there is no dictionary to
/// try, so nothing is gained by a slow hash on every request.
#[must_use]
pub fn hash_api_key(key: &SecretString) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, key.expose_secret().as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_plain_sha256() {
        // FIPS 180-2, appendix B.1.
        let hash = hash_api_key(&SecretString::from("abc"));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
