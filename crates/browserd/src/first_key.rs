//! The API keys the server starts with.
//!
//! ```text
//!  BROWSERD_API_KEY set ───────────────▶ it is valid while it is set; the store does not keep it
//!  else the store has keys ────────────▶ those
//!  else <state_dir>/api-key is there ──▶ it goes into the store (again)
//!  else ───────────────────────────────▶ one is made: file first, then store, then printed
//! ```
//!
//! A key in the variable is not stored, so that changing the variable ends the old key.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use browserd_api::secret::{ExposeSecret, SecretString, api_key};
use browserd_api::{ProjectId, Timestamp};
use browserd_server::{ApiKey, Permissions};
use browserd_store::{ApiKeyRow, Store, hash_api_key};

use crate::state::{random, read_secret, write_secret};

const FILE: &str = "api-key";
/// The id of the key in the variable.
const CHOSEN: &str = "chosen";

/// The keys that are valid, and the one to show.
#[derive(Debug)]
pub(crate) struct FirstKeys {
    /// All valid keys.
    pub(crate) keys: Vec<ApiKey>,
    /// The key that was just made, which nobody has seen yet.
    pub(crate) made: Option<MadeKey>,
}

/// A key that was just made.
#[derive(Debug)]
pub(crate) struct MadeKey {
    key: SecretString,
    file: PathBuf,
}

/// Finds the valid keys, and makes one if there is none.
pub(crate) async fn establish(
    chosen: Option<&SecretString>,
    store: &dyn Store,
    state_dir: &Path,
) -> Result<FirstKeys> {
    let kept = store.everywhere::<ApiKeyRow>().all().await?;
    let mut keys: Vec<_> = kept.into_iter().map(|(project, row)| good(project, &row)).collect();
    if let Some(key) = chosen {
        keys.push(good(ProjectId::default(), &row(CHOSEN, key)));
    }
    if !keys.is_empty() {
        return Ok(FirstKeys { keys, made: None });
    }
    let file = state_dir.join(FILE);
    let (key, is_new) = match read_secret(&file)? {
        Some(bytes) => (parse(bytes, &file)?, false),
        None => {
            let key = api_key(&random()?);
            write_secret(&file, format!("{}\n", key.expose_secret()).as_bytes())?;
            (key, true)
        }
    };
    let (project, row) = (ProjectId::default(), row("first", &key));
    store.rows(&project).insert(&row).await?;
    Ok(FirstKeys { keys: vec![good(project, &row)], made: is_new.then_some(MadeKey { key, file }) })
}

/// What is kept of a key.
fn row(id: &str, key: &SecretString) -> ApiKeyRow {
    let (id, name) = (id.to_owned(), format!("{id} key"));
    ApiKeyRow { id, name, hash: hash_api_key(key), created_at: Timestamp::now() }
}

/// A key of which this is kept.
fn good(project: ProjectId, row: &ApiKeyRow) -> ApiKey {
    ApiKey { id: row.id.clone(), hash: row.hash, project, permissions: Permissions::All }
}

fn parse(bytes: Vec<u8>, file: &Path) -> Result<SecretString> {
    match String::from_utf8(bytes) {
        Ok(text) if text.trim().len() >= 16 => Ok(SecretString::from(text.trim())),
        _ => bail!("{0} holds no API key; remove it to have one made: rm {0}", file.display()),
    }
}

impl MadeKey {
    /// Shows the key, on standard output and nowhere else.
    pub(crate) fn announce(self, url: &str) -> Result<()> {
        let text = self.text(url);
        std::io::stdout().write_all(text.as_bytes()).context("cannot print the new API key")
    }

    fn text(&self, url: &str) -> String {
        format!(
            "\nThis server's first API key, shown only this once:\n\n    {key}\n\nA copy is in \
             {file}. For the official SDKs and CLI:\n\n    export KERNEL_BASE_URL={url}\n    export \
             KERNEL_API_KEY={key}\n\n",
            key = self.key.expose_secret(),
            file = self.file.display(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use browserd_store::SqliteStore;

    use super::*;

    async fn store() -> SqliteStore {
        SqliteStore::in_memory().await.unwrap()
    }

    fn hashes(keys: &[ApiKey]) -> Vec<[u8; 32]> {
        keys.iter().map(|key| key.hash).collect()
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_shown_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = store().await;
        let first = establish(None, &store, folder.path()).await.unwrap();
        let made = first.made.expect("it was made");
        let key = made.key.expose_secret().to_owned();
        assert!(key.starts_with("sk_") && key.len() == 35, "{key}");
        assert_eq!(hashes(&first.keys), [hash_api_key(&made.key)]);

        let file = folder.path().join("api-key");
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), key);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let text = made.text("http://127.0.0.1:7878");
        assert!(text.contains(&format!("KERNEL_API_KEY={key}\n")), "{text}");
        assert!(text.contains("KERNEL_BASE_URL=http://127.0.0.1:7878\n"), "{text}");
        assert!(!format!("{made:?}").contains(&key));

        let second = establish(None, &store, folder.path()).await.unwrap();
        assert!(second.made.is_none());
        assert_eq!(second.keys, first.keys);
    }

    #[tokio::test]
    async fn the_file_outlives_a_lost_database() {
        let folder = tempfile::tempdir().unwrap();
        let first = establish(None, &store().await, folder.path()).await.unwrap();
        let fresh = store().await;
        let second = establish(None, &fresh, folder.path()).await.unwrap();
        assert_eq!(second.keys, first.keys);
        assert!(second.made.is_none());
        let kept = (&fresh as &dyn Store).everywhere::<ApiKeyRow>().all().await.unwrap();
        assert_eq!(kept.len(), 1);
    }

    #[tokio::test]
    async fn a_chosen_key_is_valid_while_it_is_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let store = store().await;
        let (one, two) = (SecretString::from("sk_one"), SecretString::from("sk_two"));
        let keys = establish(Some(&one), &store, folder.path()).await.unwrap();
        assert_eq!(hashes(&keys.keys), [hash_api_key(&one)]);
        assert!(keys.made.is_none());
        let keys = establish(Some(&two), &store, folder.path()).await.unwrap();
        assert_eq!(hashes(&keys.keys), [hash_api_key(&two)]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        // Without it one is made after all, and stays valid beside the next chosen one.
        let made = establish(None, &store, folder.path()).await.unwrap();
        let both = establish(Some(&one), &store, folder.path()).await.unwrap();
        assert_eq!(hashes(&both.keys), [made.keys[0].hash, hash_api_key(&one)]);
    }

    #[tokio::test]
    async fn a_file_without_a_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write_secret(&folder.path().join("api-key"), b"\n").unwrap();
        let error = establish(None, &store().await, folder.path()).await.unwrap_err();
        assert!(error.to_string().contains("holds no API key"), "{error}");
    }
}
