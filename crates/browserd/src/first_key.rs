//! The API keys the server starts with: what the operator sees as the key is the key.
//!
//! ```text
//!  BROWSERD_API_KEY set ──────────────▶ it, and not the one in the file
//!  else <state_dir>/api-key is there ─▶ what is in it
//!  else ──────────────────────────────▶ one is made; kept in the file and printed once all else has started
//! ```
//!
//! Neither is in the store: changing the variable, changing the file or removing it ends the old key.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use browserd_api::ProjectId;
use browserd_api::secret::{ExposeSecret, SecretString, api_key};
use browserd_server::{ApiKey, Permissions};
use browserd_store::{ApiKeyRow, Store, StoreError, hash_api_key};

use crate::state::{random, read_secret, write_secret};

const FILE: &str = "api-key";
/// The id of the key in the variable.
const CHOSEN: &str = "chosen";
/// The id of the key in the file. Earlier versions kept it in the store, under this id.
const FIRST: &str = "first";

/// The keys that are valid, and the one to show.
#[derive(Debug)]
pub(crate) struct FirstKeys {
    /// All valid keys.
    pub(crate) keys: Vec<ApiKey>,
    /// The key that was just made, which nobody has seen and nothing has kept yet.
    pub(crate) made: Option<MadeKey>,
}

/// A key that was just made.
#[derive(Debug)]
pub(crate) struct MadeKey {
    key: SecretString,
    file: PathBuf,
}

/// Finds the valid keys, and makes one if none was chosen and none is in the file.
pub(crate) async fn establish(
    chosen: Option<&SecretString>,
    store: &dyn Store,
    state_dir: &Path,
) -> Result<FirstKeys> {
    let project = ProjectId::default();
    match store.rows::<ApiKeyRow>(&project).delete(&FIRST.to_owned()).await {
        Ok(_) | Err(StoreError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    let kept = store.everywhere::<ApiKeyRow>().all().await?;
    let mut keys: Vec<_> =
        kept.into_iter().map(|(project, row)| good(&row.id, row.hash, project)).collect();
    if let Some(key) = chosen {
        keys.push(good(CHOSEN, hash_api_key(key), project));
        return Ok(FirstKeys { keys, made: None });
    }
    let file = state_dir.join(FILE);
    let (key, is_new) = match read_secret(&file)? {
        Some(bytes) => (parse(bytes, &file)?, false),
        None => (api_key(&random()?), true),
    };
    keys.push(good(FIRST, hash_api_key(&key), project));
    Ok(FirstKeys { keys, made: is_new.then_some(MadeKey { key, file }) })
}

/// A key with this hash.
fn good(id: &str, hash: [u8; 32], project: ProjectId) -> ApiKey {
    ApiKey { id: id.to_owned(), hash, project, permissions: Permissions::All }
}

fn parse(bytes: Vec<u8>, file: &Path) -> Result<SecretString> {
    match String::from_utf8(bytes) {
        Ok(text) if text.trim().len() >= 16 => Ok(SecretString::from(text.trim())),
        _ => bail!("{0} holds no API key; remove it to have one made: rm {0}", file.display()),
    }
}

impl MadeKey {
    /// Keeps the key and shows it, on standard output and nowhere else. One that could not be shown is not
    /// kept, so that the next start makes one that is.
    pub(crate) fn keep_and_show(self, url: &str) -> Result<()> {
        self.keep_and_write(url, &mut std::io::stdout())
    }

    fn keep_and_write(self, url: &str, out: &mut impl Write) -> Result<()> {
        write_secret(&self.file, format!("{}\n", self.key.expose_secret()).as_bytes())?;
        let shown = out.write_all(self.text(url).as_bytes()).and_then(|()| out.flush());
        if shown.is_err() {
            // What is left of it is read by the next start.
            let _ = std::fs::remove_file(&self.file);
        }
        shown.context("cannot print the new API key")
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

    /// What a first start prints.
    fn shown(keys: FirstKeys) -> String {
        let mut out = Vec::new();
        keys.made.expect("it was made").keep_and_write("http://127.0.0.1:7878", &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_shown_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = store().await;
        let first = establish(None, &store, folder.path()).await.unwrap();
        let known = first.keys.clone();
        let key = first.made.as_ref().expect("it was made").key.expose_secret().to_owned();
        assert!(key.starts_with("sk_") && key.len() == 35, "{key}");
        assert_eq!(hashes(&known), [hash_api_key(&SecretString::from(key.as_str()))]);
        assert!(!format!("{first:?}").contains(&key));

        let text = shown(first);
        assert!(text.contains(&format!("KERNEL_API_KEY={key}\n")), "{text}");
        assert!(text.contains("KERNEL_BASE_URL=http://127.0.0.1:7878\n"), "{text}");
        let file = folder.path().join("api-key");
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), key);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let second = establish(None, &store, folder.path()).await.unwrap();
        assert!(second.made.is_none());
        assert_eq!(second.keys, known);
    }

    #[tokio::test]
    async fn a_key_nobody_saw_is_none() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let store = store().await;
        // Starts that fail before they show it, and one that cannot.
        establish(None, &store, folder.path()).await.unwrap();
        let second = establish(None, &store, folder.path()).await.unwrap();
        second.made.expect("it was made").keep_and_write("http://x", &mut Closed).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let third = establish(None, &store, folder.path()).await.unwrap();
        assert!(shown(third).contains("KERNEL_API_KEY=sk_"));
    }

    #[tokio::test]
    async fn what_is_chosen_or_in_the_file_is_the_key_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = store().await;
        let valid = async |chosen: Option<&SecretString>| {
            hashes(&establish(chosen, &store, folder.path()).await.unwrap().keys)
        };
        let [one, two] = ["sk_one_0123456789", "sk_two_0123456789"].map(SecretString::from);
        shown(establish(None, &store, folder.path()).await.unwrap());
        let made = valid(None).await;
        for key in [&one, &two] {
            assert_eq!(valid(Some(key)).await, [hash_api_key(key)]);
        }
        assert_eq!(valid(None).await, made);
        // Edited, and removed.
        std::fs::write(folder.path().join("api-key"), "sk_two_0123456789\n").unwrap();
        assert_eq!(valid(None).await, [hash_api_key(&two)]);
        std::fs::remove_file(folder.path().join("api-key")).unwrap();
        let again = establish(None, &store, folder.path()).await.unwrap();
        assert!(again.made.is_some());
        assert_ne!(hashes(&again.keys), made);
    }

    #[tokio::test]
    async fn an_earlier_versions_row_of_the_first_key_goes_and_other_keys_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (store, project) = (store().await, ProjectId::default());
        let chosen = SecretString::from("sk_chosen_0123456789");
        for (id, hash) in [("first", [1; 32]), ("other", [2; 32])] {
            let (id, name) = (id.to_owned(), "a key".to_owned());
            let row = ApiKeyRow { id, name, hash, created_at: browserd_api::Timestamp::now() };
            (&store as &dyn Store).rows(&project).insert(&row).await.unwrap();
        }
        let keys = establish(Some(&chosen), &store, folder.path()).await.unwrap().keys;
        assert_eq!(hashes(&keys), [[2; 32], hash_api_key(&chosen)]);
    }

    #[tokio::test]
    async fn a_file_without_a_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write_secret(&folder.path().join("api-key"), b"\n").unwrap();
        let error = establish(None, &store().await, folder.path()).await.unwrap_err();
        assert!(error.to_string().contains("holds no API key"), "{error}");
    }
}
