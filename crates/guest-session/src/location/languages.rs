//! The languages pages and servers are told, as a policy: Chromium takes another value of it while it
//! runs, and nothing a driver overrides is in its way.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use browserd_chromium::policy;
use serde_json::{Map, Value};

use super::replace;

/// Writes the policy for a language.
pub(super) fn plant(etc: &Path, locale: &str) -> io::Result<()> {
    let folder = etc.join(policy::MANAGED_BELOW_ETC);
    fs::create_dir_all(&folder)?;
    replace(&folder.join(policy::LANGUAGES_FILE), &policy::languages(locale))
}

/// Whether the session's own policies, which go first, have languages of theirs.
pub fn are_by_policy(etc: &Path) -> bool {
    let path = etc.join(policy::MANAGED_BELOW_ETC).join(policy::MANAGED_FILE);
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let Ok(file) = File::options().read(true).custom_flags(flags).open(path) else { return false };
    let mut text = Vec::new();
    // The base and the largest policy a client may set.
    let limit = 2 * policy::SIZE_LIMIT as u64;
    if file.take(limit).read_to_end(&mut text).is_err() {
        return false;
    }
    serde_json::from_slice::<Map<String, Value>>(&text)
        .is_ok_and(|policies| policies.contains_key(policy::LANGUAGES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_policy_is_seen() {
        let etc = tempfile::tempdir().unwrap();
        assert!(!are_by_policy(etc.path()));
        plant(etc.path(), "de-DE").unwrap();
        assert!(!are_by_policy(etc.path()));
        let folder = etc.path().join(policy::MANAGED_BELOW_ETC);
        let ours: Value =
            serde_json::from_slice(&fs::read(folder.join(policy::LANGUAGES_FILE)).unwrap())
                .unwrap();
        assert_eq!(ours["ForcedLanguages"], serde_json::json!(["de-DE", "de", "en-US", "en"]));
        fs::write(folder.join(policy::MANAGED_FILE), r#"{"ForcedLanguages": ["it"]}"#).unwrap();
        assert!(are_by_policy(etc.path()));
    }
}
