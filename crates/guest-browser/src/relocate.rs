//! Another time zone and language, while Chromium runs.
//!
//! ```text
//!  files of the new location ─▶ a hidden page is asked what it sees ──as wanted──▶ done
//!                                  ▲                    │ not yet
//!                                  └── pause ◀── zone: the link is set anew
//!                                                languages: policies are read again
//! ```
//!
//! Neither is overridden, so nothing is in the way of a driver that overrides time zone and languages
//! itself; for what is left, the language numbers and dates are written in, see `formats.rs`. Chromium watches the link, but begins to only a second or two after its start and says
//! nothing of it; that is what the repetition is for.

use std::io;
use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError, SessionId};
use browserd_chromium::locale;
use browserd_guest_session::Session;
use browserd_guest_session::location::{Location, languages, zone};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::evaluate::evaluate;
use super::{Browser, NoBrowser, POLICY_PAGE};

/// How long Chromium may take. The first time, policies take it a second or two.
const TAKEN_WITHIN: Duration = Duration::from_secs(20);
/// Pauses between two looks, growing from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// How long policies are being read before they are asked for again.
const RELOAD_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// What the page is asked. A hidden page is not told languages, but `chrome://policy` which policies hold
/// each time they have been read; two names may stand for one zone.
const SCRIPT: &str = include_str!("relocate.js");

/// Why the location is what it was.
#[derive(Debug, thiserror::Error)]
pub enum RelocateError {
    /// Its database of zones is older than ours.
    #[error("this Chromium does not know the time zone")]
    UnknownZone,
    /// `chromium-headless-shell` takes its language at its start only.
    #[error(
        "headless sessions of this server run chromium-headless-shell, which is told its language at \
         its start: create another session, or a headful one"
    )]
    FixedLanguage,
    /// There is no browser.
    #[error(transparent)]
    NoBrowser(#[from] NoBrowser),
    /// It was not seen to change in time.
    #[error("Chromium did not take the location over in time; it will when it starts again")]
    NotTaken,
    /// Chromium refused it, or its pipe is closed.
    #[error(transparent)]
    Cdp(#[from] CdpError),
    /// The files that say so were not written.
    #[error("the files of the location: {0}")]
    Files(#[from] io::Error),
}

/// What the page says.
#[derive(Debug, Deserialize)]
struct Seen {
    /// Whether Chromium knows the zone.
    known: bool,
    /// Whether it is the page's.
    zone: bool,
    /// The languages by policy, once that has been read; null where the page is kept away.
    languages: Option<String>,
}

/// What it is to say.
struct Wanted<'a> {
    session: &'a Session,
    location: Location,
    /// None where a client's policy decides.
    languages: Option<String>,
}

impl Browser {
    /// Puts another location in force, for what runs and what starts later. Answers once pages see it.
    pub async fn relocate(&self, to: Location) -> Result<(), RelocateError> {
        let mut formats = self.relocating.lock().await;
        let session = &self.session;
        let is_shell = session.spec.runs_shell();
        if is_shell && to.locale != session.location.get().locale {
            return Err(RelocateError::FixedLanguage);
        }
        session.location.set(to.clone());
        to.plant(&session.places.etc)?;
        let languages = (!is_shell && !languages::are_by_policy(&session.places.etc))
            .then(|| locale::accept_languages(&to.locale));
        let wanted = Wanted { session, location: to, languages };
        let running = self.running().await?;
        self.write_in(&mut formats, &running, &wanted.location.locale).await?;
        let cdp = running.cdp;
        // The shell has no such page; the one it shows instead knows the zone as well.
        let page = cdp.open_hidden_page(POLICY_PAGE).await?;
        let taken = tokio::time::timeout(TAKEN_WITHIN, taken(&cdp, &page, &wanted)).await;
        // With the browser it goes too.
        let _ = cdp.close_page(&page).await;
        taken.unwrap_or(Err(RelocateError::NotTaken))
    }
}

/// Waits until a page sees what is wanted, and says again what may have been missed.
async fn taken(cdp: &Cdp, page: &str, wanted: &Wanted<'_>) -> Result<(), RelocateError> {
    let page = cdp.attach(page).await?;
    let (mut pause, longest) = PAUSES;
    let mut reload_at = Instant::now();
    loop {
        if let Some(seen) = look(cdp, &page, &wanted.location.timezone).await? {
            if !seen.known {
                return Err(RelocateError::UnknownZone);
            }
            // Where a client's policies keep the page away, Chromium looks for itself within five seconds.
            let languages = match (&wanted.languages, &seen.languages) {
                (Some(wanted), Some(told)) => wanted == told,
                _ => true,
            };
            if seen.zone && languages {
                return Ok(());
            }
            if !seen.zone {
                zone::point(&wanted.session.places.etc, &wanted.location.timezone)?;
            }
            if !languages && Instant::now() >= reload_at {
                evaluate(cdp, &page, "chrome.send('reloadPolicies')").await?;
                reload_at = Instant::now() + RELOAD_AGAIN_AFTER;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// None while the page is loading.
async fn look(cdp: &Cdp, page: &SessionId, zone: &str) -> Result<Option<Seen>, CdpError> {
    // Any JSON string is a string of JavaScript.
    let script = format!("{SCRIPT}({})", Value::from(zone));
    let Some(seen) = evaluate(cdp, page, &script).await? else { return Ok(None) };
    serde_json::from_value(seen)
        .map_err(|source| CdpError::Shape { method: "Runtime.evaluate", source })
}
