//! Removing archives that no profile has: what a server left that was ended while it kept one, or took
//! one away.

use std::io;

use browserd_store::{BlobKey, ProfileRow, StoreError};

use super::key;
use super::save::Profiles;

impl Profiles {
    /// Removes the archives that no profile has. One that is just being saved is among them, so this
    /// comes before the first session.
    pub(crate) async fn sweep(&self) {
        if let Err(error) = self.remove_strays().await {
            tracing::error!(%error, "could not list the archives of profiles; some that no profile has may be left until the next start");
        }
    }

    async fn remove_strays(&self) -> io::Result<()> {
        for archive in self.blobs().keys(BlobKey::PROJECTS).await? {
            if !archive.is_profile() {
                continue;
            }
            match self.is_kept(&archive).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::info!(
                        key = archive.as_str(),
                        "no profile has this archive; it is removed"
                    );
                    self.remove(&archive).await;
                }
                // One row that cannot be read says nothing of the other archives.
                Err(error) => {
                    tracing::error!(key = archive.as_str(), %error, "it is not known whether a profile has this archive; it stays");
                }
            }
        }
        Ok(())
    }

    /// Whether a profile has this archive.
    pub(super) async fn is_kept(&self, archive: &BlobKey) -> Result<bool, StoreError> {
        let Some((project, id)) = archive.profile_id() else { return Ok(false) };
        let row = self.store().rows::<ProfileRow>(&project).by_id(&id).await?;
        let saved = row.and_then(|row| row.saved);
        Ok(saved.is_some_and(|saved| key(&project, &id, &saved).is_ok_and(|key| key == *archive)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use browserd_api::{ProfileId, ProjectId, Timestamp};
    use browserd_store::{Blobs, DiskBlobs, Saved, SqliteStore, Store};

    use super::*;

    #[tokio::test]
    async fn what_no_profile_has_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.unwrap());
        let blobs: Arc<dyn Blobs> = Arc::new(DiskBlobs::open(folder.path().to_owned()).unwrap());
        let put = async |key: &BlobKey| blobs.put(key, &mut &b"x"[..], 1).await.unwrap();
        let project = ProjectId::generate();
        let profiles = store.rows::<ProfileRow>(&project);
        let archive =
            |id: &ProfileId, version: &str| BlobKey::profile(&project, id, version).unwrap();
        let (saved, unsaved) = (ProfileId::generate(), ProfileId::generate());
        for id in [&saved, &unsaved] {
            let row = ProfileRow {
                id: id.clone(),
                name: None,
                created_at: Timestamp::now(),
                updated_at: None,
                last_used_at: None,
                saved: None,
            };
            profiles.insert(&row).await.unwrap();
        }
        let now = Saved { version: "now".into(), bytes: 1 };
        profiles.saved(&saved, Timestamp::now(), &now).await.unwrap();
        let (kept, replay) =
            (archive(&saved, "now"), BlobKey::new("projects/a/replays/a.mp4").unwrap());
        put(&kept).await;
        put(&replay).await;
        let strays = [
            archive(&saved, "before"),
            archive(&unsaved, "now"),
            archive(&ProfileId::generate(), "now"),
            BlobKey::new(format!("projects/{project}/profiles/nobody")).unwrap(),
            BlobKey::profile(&ProjectId::default(), &saved, "now").unwrap(),
        ];
        for stray in &strays {
            put(stray).await;
        }

        Profiles::new(Arc::clone(&store), Arc::clone(&blobs)).sweep().await;
        for stray in &strays {
            assert_eq!(blobs.size(stray).await.unwrap(), None, "{stray:?}");
        }
        for kept in [kept, replay] {
            assert_eq!(blobs.size(&kept).await.unwrap(), Some(1), "{kept:?}");
        }
    }
}
