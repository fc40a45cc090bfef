//! Applying a profile to the running Chromium.

use std::fs::File;
use std::sync::Arc;

use browserd_chromium::cdp::{Cdp, CdpError};
use browserd_guest_browser::hold_storage;
use browserd_guest_fs::archive::untar_fresh;
use browserd_guest_fs::{Owner, StagingDir};
use browserd_guest_session::Session;

use super::contents::belongs;
use super::cookies::Cookies;
use super::{Profile, ProfileError, place};

impl Profile {
    /// Gives the running Chromium the profile in `archive`, of `size` bytes, in place of its own.
    /// Chromium does not restart and its clients stay connected; one that starts later has the profile
    /// too. After an archive that is none, nothing is changed.
    ///
    /// Best applied before any page is opened. From a browser in use everything sites keep is deleted
    /// first, so that nothing of it is open; its `WebStorage` (storage of third parties and in buckets of
    /// a site's own) and its `File System` stay its own, empty: Chromium numbers them in memory. An open page may
    /// see what was there before once more.
    pub async fn apply(
        &self,
        archive: File,
        size: u64,
        staging: StagingDir,
    ) -> Result<(), ProfileError> {
        let Self(inner) = self;
        self.is_possible()?;
        let (session, staging) = (Arc::clone(&inner.session), Arc::new(staging));
        let whole = Arc::clone(&staging);
        let work = move || unpack(&session, &archive, size, &whole);
        let cookies = blocking(work).await?;
        let _one = inner.changing.lock().await;
        let chromium = inner.browser.running().await?;
        let cdp = &chromium.cdp;
        let user_data = inner.session.places.user_data.clone();
        if blocking(move || Ok(place::is_used(&user_data))).await? {
            clear(cdp).await?;
        }
        // Or it would write to both what was there and what is.
        let storage = hold_storage(&chromium).await?;
        let session = Arc::clone(&inner.session);
        let left_out = blocking(move || {
            let path = staging.path();
            let owner = Owner::of(&session);
            let user_data = &session.places.user_data;
            Ok(place::exchange(&path.join("unpacked"), &path.join("old"), user_data, owner)?)
        })
        .await?;
        storage.let_go().await?;
        if !left_out.is_empty() {
            let names = left_out.join(" and ");
            let said = format!("a profile was loaded into a browser in use, without its {names}");
            inner.browser.logs().event(&said);
        }
        let bad = cookies.set(cdp).await?;
        if bad > 0 {
            inner.browser.logs().event(&format!("{bad} cookies of a profile were not taken"));
        }
        Ok(())
    }
}

/// Deletes what sites keep, so that nothing of it is open any more.
async fn clear(cdp: &Cdp) -> Result<(), CdpError> {
    let page = cdp.open_hidden_page("about:blank").await?;
    let cleared = async {
        let session = cdp.attach(&page).await?;
        cdp.clear_storage(&session).await
    };
    let cleared = cleared.await;
    // With the browser it goes too.
    let _ = cdp.close_page(&page).await;
    cleared
}

/// Unpacks the archive and looks at all of it; answers the cookies.
fn unpack(
    session: &Session,
    archive: &File,
    size: u64,
    staging: &StagingDir,
) -> Result<Cookies, ProfileError> {
    std::io::Seek::rewind(&mut &*archive)?;
    let to = staging.path().join("unpacked");
    let (owner, disk) = (Owner::of(session), session.disk.clone());
    untar_fresh(archive, size, &to, belongs, owner, disk)?;
    place::check(&to)?;
    Cookies::of(&to)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProfileError> + Send + 'static,
) -> Result<T, ProfileError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|gone| Err(std::io::Error::other(gone).into()))
}
