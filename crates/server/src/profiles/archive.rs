//! Opening what is saved of a profile.

use browserd_api::{ProfileId, ProjectId};
use browserd_rest::{Error, Result};
use browserd_store::{BlobReader, ProfileRow};

use super::{Profiles, key};
use crate::resource::Mine;

impl Profiles {
    /// A profile, and what is saved of it, if anything is. Once this answers, the archive can be read to
    /// its end, even if another takes its place or the profile is deleted meanwhile.
    pub(super) async fn open(
        &self,
        project: &ProjectId,
        id: &ProfileId,
    ) -> Result<(ProfileRow, Option<BlobReader>)> {
        let mine = Mine::<Self>::of(self.store(), project);
        let mut missing = None;
        loop {
            let row = mine.find(id.as_str()).await?;
            let Some(saved) = &row.saved else { return Ok((row, None)) };
            let archive = self.blobs().read(&key(project, id, saved)?, 0, saved.bytes).await;
            if let Some(archive) = archive.map_err(Error::internal)? {
                return Ok((row, Some(archive)));
            }
            // A session saved the profile after the row was read: the row names another archive now.
            // Every further round is due to another session that has ended, so there are few.
            if missing.as_ref() == Some(saved) {
                return Err(Error::internal("the archive that a profile's row names is not there"));
            }
            missing = Some(saved.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use browserd_api::{ErrorCode, Timestamp};
    use browserd_store::{BlobKey, Blobs, DiskBlobs, Saved, SqliteStore, Store};
    use tokio::io::{AsyncRead, AsyncReadExt};

    use super::*;

    /// Blobs of which one is replaced, as by a session that saves the profile, just before it is read.
    struct Replaced {
        blobs: DiskBlobs,
        store: Arc<dyn Store>,
        project: ProjectId,
        id: ProfileId,
        /// How often.
        times: AtomicUsize,
    }

    impl Replaced {
        async fn save(&self) {
            let saved = Saved { version: ProfileId::generate().to_string(), bytes: 5 };
            let new = key(&self.project, &self.id, &saved).unwrap();
            self.blobs.put(&new, &mut &b"state"[..], 5).await.unwrap();
            let rows = self.store.rows::<ProfileRow>(&self.project);
            let before = rows.saved(&self.id, Timestamp::now(), &saved).await.unwrap();
            if let Some(before) = before {
                self.blobs.delete(&key(&self.project, &self.id, &before).unwrap()).await.unwrap();
            }
        }
    }

    #[async_trait]
    impl Blobs for Replaced {
        async fn put(
            &self,
            key: &BlobKey,
            from: &mut (dyn AsyncRead + Send + Unpin),
            limit: u64,
        ) -> io::Result<u64> {
            self.blobs.put(key, from, limit).await
        }

        async fn put_file(&self, key: &BlobKey, file: File, limit: u64) -> io::Result<u64> {
            self.blobs.put_file(key, file, limit).await
        }

        async fn size(&self, key: &BlobKey) -> io::Result<Option<u64>> {
            self.blobs.size(key).await
        }

        async fn read(
            &self,
            key: &BlobKey,
            start: u64,
            length: u64,
        ) -> io::Result<Option<BlobReader>> {
            let left = |left: usize| left.checked_sub(1);
            if self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok() {
                self.save().await;
            }
            self.blobs.read(key, start, length).await
        }

        async fn keys(&self, folder: &str) -> io::Result<Vec<BlobKey>> {
            self.blobs.keys(folder).await
        }

        async fn delete(&self, key: &BlobKey) -> io::Result<()> {
            self.blobs.delete(key).await
        }
    }

    #[tokio::test]
    async fn an_archive_that_is_replaced_meanwhile_is_opened_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.unwrap());
        let (project, id) = (ProjectId::generate(), ProfileId::generate());
        let row = ProfileRow {
            id: id.clone(),
            name: None,
            created_at: Timestamp::now(),
            updated_at: None,
            last_used_at: None,
            saved: None,
        };
        store.rows(&project).insert(&row).await.unwrap();
        let blobs = Arc::new(Replaced {
            blobs: DiskBlobs::open(folder.path().to_owned()).unwrap(),
            store: Arc::clone(&store),
            project: project.clone(),
            id: id.clone(),
            times: AtomicUsize::new(0),
        });
        let profiles = Profiles::new(Arc::clone(&store), Arc::clone(&blobs) as _);
        assert!(profiles.open(&project, &id).await.unwrap().1.is_none(), "nothing is saved yet");

        blobs.save().await;
        blobs.times.store(3, Ordering::SeqCst);
        let (row, archive) = profiles.open(&project, &id).await.unwrap();
        let mut archive = archive.unwrap();
        // It is open, so it may go.
        blobs.save().await;
        let mut text = String::new();
        archive.read_to_string(&mut text).await.unwrap();
        assert_eq!((text.as_str(), row.saved.unwrap().bytes), ("state", 5));

        let lost = store.rows::<ProfileRow>(&project).by_id(&id).await.unwrap().unwrap().saved;
        blobs.delete(&key(&project, &id, &lost.unwrap()).unwrap()).await.unwrap();
        let error = profiles.open(&project, &id).await.err().unwrap();
        assert_eq!(error.0.code(), ErrorCode::Internal, "this is a fault of ours, and ends");
        store.rows::<ProfileRow>(&project).delete(&id).await.unwrap();
        let error = profiles.open(&project, &id).await.err().unwrap();
        assert_eq!(error.0.code(), ErrorCode::ProfileNotFound);
    }
}
