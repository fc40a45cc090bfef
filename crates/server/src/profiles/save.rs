//! Saving a profile when its session ends.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use browserd_api::profiles::ProfileInUse;
use browserd_api::{ProfileId, ProjectId, Timestamp};
use browserd_fleet::{LiveSession, ProfileExporter, SaveOutcome};
use browserd_rest::Error;
use browserd_store::{BlobKey, Blobs, ProfileRow, Saved, Store, StoreError};
use tokio_util::io::StreamReader;

use super::key;
use super::saving::Saves;
use crate::relay::{Call, CallError, Guests};

/// Largest archive kept, bytes.
const ARCHIVE_LIMIT: u64 = 2 << 30;

/// How long whoever asks for a profile waits until it has been saved; below the 60 s after which the
/// official SDKs give up.
const SETTLED_WITHIN: Duration = Duration::from_secs(40);

/// How long a guest may take to begin handing out its browser's state, and for each piece of it; all of
/// it is bounded by the fleet.
const SAVE_ANSWERED_WITHIN: Duration = Duration::from_secs(50);

/// What profiles are kept in, and who is saving one. Cheap to clone.
#[derive(Clone)]
pub struct Profiles(Arc<Kept>);

struct Kept {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    guests: Guests,
    saves: Saves,
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Profiles").field(&self.0.saves).finish()
    }
}

/// Why a profile was not saved.
#[derive(Debug, thiserror::Error)]
enum SaveError {
    #[error(transparent)]
    Guest(#[from] CallError),
    #[error("the archive could not be kept: {0}")]
    Archive(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0:?}")]
    Other(Error),
}

impl SaveError {
    /// The same for clients, who learn nothing of this host; the log has it all.
    fn shown(&self) -> String {
        match self {
            Self::Guest(CallError::Refused(refusal)) => refusal.body().message.clone(),
            Self::Guest(_) => "the session's browser did not hand out its state".to_owned(),
            Self::Archive(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "the server's disk has no room for it".to_owned()
                }
                io::ErrorKind::FileTooLarge => {
                    format!("it is larger than the {} GiB that are kept", ARCHIVE_LIMIT >> 30)
                }
                _ => "it could not be copied; the server's log has the cause".to_owned(),
            },
            Self::Store(_) | Self::Other(_) => {
                "the server could not record it; its log has the cause".to_owned()
            }
        }
    }
}

impl Profiles {
    /// Profiles with their rows in `store` and their archives in `blobs`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, blobs: Arc<dyn Blobs>) -> Self {
        let (guests, saves) = (Guests::default(), Saves::default());
        Self(Arc::new(Kept { store, blobs, guests, saves }))
    }

    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0.store)
    }

    pub(super) fn guests(&self) -> &Guests {
        &self.0.guests
    }

    pub(super) fn blobs(&self) -> &dyn Blobs {
        &*self.0.blobs
    }

    /// Waits until what is being saved of a profile just now is saved; answers whether that came soon
    /// enough.
    pub(super) async fn settled(&self, id: &ProfileId) -> bool {
        tokio::time::timeout(SETTLED_WITHIN, self.0.saves.settled(id)).await.is_ok()
    }

    /// Takes an archive away that nothing refers to any more.
    pub(super) async fn remove(&self, key: &BlobKey) {
        if let Err(error) = self.blobs().delete(key).await {
            tracing::error!(%error, key = key.as_str(), "an old archive of a profile could not be removed; the next start of the server tries again");
        }
    }

    /// Has the guest hand out the state, keeps it, and lets it take the place of what was there.
    async fn keep(&self, session: &LiveSession, id: &ProfileId) -> Result<SaveOutcome, SaveError> {
        let project = session.project();
        if self.store().rows::<ProfileRow>(project).by_id(id).await?.is_none() {
            return Ok(SaveOutcome::ProfileGone);
        }
        let call = Call::post("/internal/profile/save", SAVE_ANSWERED_WITHIN);
        let archive = self.0.guests.fetch(session, call).await?;
        // Its own, so that readers of the one before it are not disturbed.
        let version = ProfileId::generate().to_string();
        let mut saved = Saved { version, bytes: 0 };
        let new = key(project, id, &saved).map_err(SaveError::Other)?;
        let mut archive = StreamReader::new(Box::pin(archive));
        saved.bytes = self.blobs().put(&new, &mut archive, ARCHIVE_LIMIT).await?;
        self.record(project, id, &saved, &new).await
    }

    /// Lets a new archive take the place of what was there.
    async fn record(
        &self,
        project: &ProjectId,
        id: &ProfileId,
        saved: &Saved,
        new: &BlobKey,
    ) -> Result<SaveOutcome, SaveError> {
        let store = self.store();
        match store.rows::<ProfileRow>(project).saved(id, Timestamp::now(), saved).await {
            Ok(before) => {
                if let Some(before) = before {
                    self.remove(&key(project, id, &before).map_err(SaveError::Other)?).await;
                }
                Ok(SaveOutcome::Saved)
            }
            Err(StoreError::NotFound) => {
                self.remove(new).await;
                Ok(SaveOutcome::ProfileGone)
            }
            // It may have been recorded all the same. Where nobody can tell, the next start removes what
            // no row names.
            Err(error) => match self.is_kept(new).await {
                Ok(true) => Ok(SaveOutcome::Saved),
                Ok(false) => {
                    self.remove(new).await;
                    Err(error.into())
                }
                Err(_) => Err(error.into()),
            },
        }
    }
}

impl ProfileExporter for Profiles {
    fn save(
        &self,
        session: LiveSession,
        profile: &ProfileInUse,
    ) -> Pin<Box<dyn Future<Output = SaveOutcome> + Send>> {
        let (profiles, id) = (self.clone(), profile.id.clone());
        let saving = self.0.saves.begin(&id);
        // A task of its own: broken off between archive and row it would leave an archive nobody has.
        let keeping = tokio::spawn(async move {
            let _wake_lock = session.wake_lock();
            let kept = profiles.keep(&session, &id).await;
            drop(saving);
            match kept {
                Ok(outcome) => outcome,
                Err(error) => {
                    tracing::error!(session = %session.id(), profile = %id, %error, "a profile was not saved; it keeps what was saved before");
                    SaveOutcome::Failed(error.shown())
                }
            }
        });
        Box::pin(async move {
            keeping.await.unwrap_or_else(|panic| {
                tracing::error!(error = %panic, "a profile was not saved; it keeps what was saved before");
                SaveOutcome::Failed("the server failed; its log has the cause".to_owned())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use browserd_store::{Change, Columns, Condition, DiskBlobs, Select, SqliteStore, Table};

    use super::*;

    /// A database that fails with each change of a row: after it is made, or instead.
    struct Doubtful {
        store: SqliteStore,
        made: bool,
    }

    #[async_trait]
    impl Store for Doubtful {
        async fn insert(&self, table: &'static Table, row: Columns) -> Result<(), StoreError> {
            self.store.insert(table, row).await
        }

        async fn select(
            &self,
            table: &'static Table,
            select: Select,
        ) -> Result<Vec<Columns>, StoreError> {
            self.store.select(table, select).await
        }

        async fn change(
            &self,
            table: &'static Table,
            wanted: Vec<Condition>,
            change: Change<'_>,
        ) -> Result<Option<Columns>, StoreError> {
            if self.made {
                self.store.change(table, wanted, change).await?;
            }
            Err(StoreError::Corrupt { id: table.name.to_owned(), detail: "/srv/state".to_owned() })
        }

        async fn remove(
            &self,
            table: &'static Table,
            wanted: Vec<Condition>,
        ) -> Result<Option<Columns>, StoreError> {
            self.store.remove(table, wanted).await
        }

        async fn remove_some(
            &self,
            table: &'static Table,
            wanted: Vec<Condition>,
            most: u64,
        ) -> Result<u64, StoreError> {
            self.store.remove_some(table, wanted, most).await
        }

        async fn check(&self) -> Result<(), StoreError> {
            self.store.check().await
        }

        async fn total(
            &self,
            table: &'static Table,
            column: &'static str,
        ) -> Result<u64, StoreError> {
            self.store.total(table, column).await
        }
    }

    #[tokio::test]
    async fn an_archive_that_a_row_may_name_is_not_removed() {
        for made in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::in_memory().await.unwrap();
            let store: Arc<dyn Store> = Arc::new(Doubtful { store, made });
            let blobs: Arc<dyn Blobs> =
                Arc::new(DiskBlobs::open(folder.path().to_owned()).unwrap());
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
            let saved = Saved { version: "new".to_owned(), bytes: 1 };
            let new = key(&project, &id, &saved).unwrap();
            blobs.put(&new, &mut &b"x"[..], 1).await.unwrap();
            let profiles = Profiles::new(store, Arc::clone(&blobs));
            let outcome = profiles.record(&project, &id, &saved, &new).await;
            assert_eq!(blobs.size(&new).await.unwrap().is_some(), made);
            match outcome {
                Ok(outcome) => assert!(made && outcome == SaveOutcome::Saved),
                Err(error) => assert!(!made && !error.shown().contains("/srv"), "{error}"),
            }
        }
    }

    #[test]
    fn clients_hear_what_was_wrong_and_nothing_of_the_host() {
        let archive = |kind: io::ErrorKind| SaveError::Archive(kind.into()).shown();
        assert!(archive(io::ErrorKind::StorageFull).contains("no room"));
        assert!(archive(io::ErrorKind::FileTooLarge).contains("2 GiB"));
        let broken = SaveError::Archive(io::Error::other("/srv/state/blobs: broke"));
        assert!(!broken.shown().contains("/srv"));
    }
}
