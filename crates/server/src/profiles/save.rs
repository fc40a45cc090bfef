//! Saving a profile when its session ends.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use browserd_api::profiles::ProfileInUse;
use browserd_api::{ProfileId, Timestamp};
use browserd_fleet::{LiveSession, ProfileExporter};
use browserd_rest::Error;
use browserd_store::{BlobKey, BlobReader, Blobs, ProfileRow, Saved, Store, StoreError};
use tokio::sync::watch;
use tokio_util::io::StreamReader;

use super::key;
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
    /// How many sessions are saving each profile just now.
    saving: watch::Sender<BTreeMap<ProfileId, usize>>,
}

impl fmt::Debug for Profiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Profiles").field(&*self.0.saving.borrow()).finish()
    }
}

/// Held while a session saves a profile.
struct Saving(Profiles, ProfileId);

impl Drop for Saving {
    fn drop(&mut self) {
        self.0.0.saving.send_modify(|saving| {
            let left = saving.get(&self.1).map_or(0, |count| count - 1);
            match left {
                0 => _ = saving.remove(&self.1),
                left => _ = saving.insert(self.1.clone(), left),
            }
        });
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

impl Profiles {
    /// Profiles with their rows in `store` and their archives in `blobs`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, blobs: Arc<dyn Blobs>) -> Self {
        let (guests, saving) = (Guests::default(), watch::Sender::default());
        Self(Arc::new(Kept { store, blobs, guests, saving }))
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

    /// Waits until no session is saving a profile; answers whether that came soon enough.
    pub(super) async fn settled(&self, id: &ProfileId) -> bool {
        let mut saving = self.0.saving.subscribe();
        let settled = saving.wait_for(|saving| !saving.contains_key(id));
        matches!(tokio::time::timeout(SETTLED_WITHIN, settled).await, Ok(Ok(_)))
    }

    /// Reads an archive that was saved.
    pub(super) async fn read(&self, key: &BlobKey, bytes: u64) -> Result<BlobReader, Error> {
        let reader = self.blobs().read(key, 0, bytes).await.map_err(Error::internal)?;
        reader.ok_or_else(|| Error::internal("a profile's blob has gone"))
    }

    /// Takes an archive away that nothing refers to any more.
    pub(super) async fn remove(&self, key: &BlobKey) {
        if let Err(error) = self.blobs().delete(key).await {
            tracing::error!(%error, key = key.as_str(), "an old profile is left");
        }
    }

    /// Has the guest hand out the state, keeps it, and lets it take the place of what was there.
    async fn keep(&self, session: &LiveSession, id: &ProfileId) -> Result<(), SaveError> {
        let project = session.project();
        let store = self.store();
        let profiles = store.rows::<ProfileRow>(project);
        if profiles.by_id(id).await?.is_none() {
            tracing::info!(profile = %id, "a profile was deleted and is not saved");
            return Ok(());
        }
        let call = Call::post("/internal/profile/save", SAVE_ANSWERED_WITHIN);
        let archive = self.0.guests.fetch(session, call).await?;
        // Its own, so that readers of the one before it are not disturbed.
        let version = ProfileId::generate().to_string();
        let mut saved = Saved { version, bytes: 0 };
        let new = key(project, id, &saved).map_err(SaveError::Other)?;
        let mut archive = StreamReader::new(Box::pin(archive));
        saved.bytes = self.blobs().put(&new, &mut archive, ARCHIVE_LIMIT).await?;
        match profiles.saved(id, Timestamp::now(), &saved).await {
            Ok(None) => Ok(()),
            Ok(Some(before)) => {
                self.remove(&key(project, id, &before).map_err(SaveError::Other)?).await;
                Ok(())
            }
            Err(error) => {
                self.remove(&new).await;
                match error {
                    StoreError::NotFound => Ok(()),
                    other => Err(other.into()),
                }
            }
        }
    }
}

impl ProfileExporter for Profiles {
    fn save(
        &self,
        session: LiveSession,
        profile: &ProfileInUse,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (profiles, id) = (self.clone(), profile.id.clone());
        self.0.saving.send_modify(|saving| *saving.entry(id.clone()).or_default() += 1);
        let saving = Saving(self.clone(), id.clone());
        Box::pin(async move {
            match profiles.keep(&session, &id).await {
                Ok(()) => tracing::info!(session = %session.id(), profile = %id, "profile saved"),
                Err(error) => tracing::error!(
                    session = %session.id(), profile = %id, %error, "a profile was not saved"
                ),
            }
            drop(saving);
        })
    }
}
