//! Extensions Chromium has by policy, while it runs.
//!
//! ```text
//!  policy file ─▶ chrome://policy: read policies again ─▶ Chromium fetches update.xml and the .crx
//!                       ▲                                          │ installs
//!                       └── again after a while ◀── not yet ── chrome://extensions is asked
//!                                                      │ as wanted ─▶ done
//!                                                      └ Chromium complains on stderr ─▶ its words
//! ```
//!
//! Both pages are hidden ones, in no client's list. The file is written before Chromium starts too, so
//! a Chromium after a crash has them, or installs them again.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError, SessionId};
use browserd_chromium::policy;
use browserd_guest_session::location::replace;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::evaluate::evaluate;
use super::{Browser, DesiredState, NoBrowser, POLICY_PAGE};

/// How long an installation may take. The first policies read after a start take a second or two.
const INSTALLED_WITHIN: Duration = Duration::from_secs(30);
/// How long one may take to be gone, or to be there again after a start.
const SETTLED_WITHIN: Duration = Duration::from_secs(15);
/// How long the page waits for a change before it is asked again.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pauses while the page is loading, growing from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// How long policies are being read before they are asked for again.
const RELOAD_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// How long the service worker of an extension that is there may take to start; not all have one.
const AWAKE_WITHIN: Duration = Duration::from_secs(1);
/// How long an extension may still appear after Chromium complained, for it may have been of another.
const FORGIVEN_WITHIN: Duration = Duration::from_secs(2);
/// Longest complaint kept, bytes.
const COMPLAINT: usize = 400;
/// The page that knows extensions.
const EXTENSIONS_PAGE: &str = "chrome://extensions/";
const LOOK: &str = include_str!("policy_extensions.js");
/// Has policies read; false while the page is loading. Kept away, it is of no use, and Chromium looks
/// at the file by itself.
const RELOAD: &str = "(() => {
    if (location.protocol === 'chrome-error:') return true;
    if (document.readyState !== 'complete' || !globalThis.cr?.webUIListenerCallback) return false;
    chrome.send('reloadPolicies');
    return true;
})()";

/// An extension that is there by policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyExtension {
    /// Its id.
    pub id: String,
    /// Where its update manifest is.
    pub update_url: String,
}

/// Why extensions are not there.
#[derive(Debug, thiserror::Error)]
pub enum PolicyInstallError {
    /// The session has as many as it may.
    #[error("a session may have no more of them")]
    TooMany,
    /// Chromium did not take one, in its words.
    #[error("{0}")]
    Refused(String),
    /// A policy of the client hides the page that tells.
    #[error(
        "the session's policies keep chrome://extensions away, where is seen whether they are there"
    )]
    KeptAway,
    /// They were not there in time.
    #[error("Chromium did not follow the policy within {} s", .0.as_secs())]
    NotFollowed(Duration),
    /// There is no browser.
    #[error(transparent)]
    NoBrowser(#[from] NoBrowser),
    /// Chromium refused it, or its pipe is closed.
    #[error(transparent)]
    Cdp(#[from] CdpError),
    /// The policy was not written.
    #[error("the policy could not be written: {0}")]
    Files(#[from] io::Error),
}

/// What the page says.
#[derive(Debug, Deserialize)]
struct Seen {
    /// Policies keep the page away.
    blocked: bool,
    /// All are as wanted.
    done: bool,
    /// The service workers of all have started while the page was there.
    awake: bool,
}

/// Where extensions are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Installed, enabled, and with a worker that started.
    Awake,
    /// Installed and enabled.
    Here,
    /// Not there.
    Gone,
}

/// Writes the policy for them, or takes it away when there are none.
pub(super) fn plant(etc: &Path, extensions: &[PolicyExtension]) -> io::Result<()> {
    let folder = etc.join(policy::MANAGED_BELOW_ETC);
    let path = folder.join(policy::EXTENSIONS_FILE);
    if extensions.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    fs::create_dir_all(&folder)?;
    let pairs = extensions.iter().map(|one| (one.id.as_str(), one.update_url.as_str()));
    replace(&path, &policy::extensions(pairs))
}

/// What Chromium says in this line of its log about an extension it does not take.
pub(super) fn complaint(line: &[u8]) -> Option<String> {
    const FROM: &[u8] = b":WARNING:extensions/browser/load_error_reporter.cc:";
    const WORDS: &[u8] = b"] Extension error: ";
    let find = |part: &[u8]| line.windows(part.len()).position(|window| window == part);
    let (from, words) = (find(FROM)?, find(WORDS)?);
    // Before it there are numbers only, not what a page wrote to its console.
    let numbers = line.get(1..from)?.iter().all(|b| b.is_ascii_digit() || b":/.".contains(b));
    if !line.starts_with(b"[") || !numbers || words < from {
        return None;
    }
    let words = &line[words + WORDS.len()..];
    Some(String::from_utf8_lossy(&words[..words.len().min(COMPLAINT)]).into_owned())
}

impl Browser {
    /// Has Chromium install extensions by policy, and keep them. Answers once they are enabled; after
    /// an error none of them is there. For one caller at a time.
    pub async fn install_by_policy(
        &self,
        more: &[PolicyExtension],
    ) -> Result<(), PolicyInstallError> {
        let mut complaints = self.desired_state.complaints().subscribe();
        if !self.desired_state.keep_policy_extensions(more) {
            return Err(PolicyInstallError::TooMany);
        }
        let outcome = self.follow(more, Wanted::Awake, Some(&mut complaints)).await;
        if outcome.is_err() {
            self.remove_policy_extensions(more).await;
        }
        outcome
    }

    /// Takes extensions by policy away. Should Chromium not follow, it does when it starts again.
    pub async fn remove_policy_extensions(&self, gone: &[PolicyExtension]) {
        self.desired_state.forget_policy_extensions(gone);
        if let Err(error) = self.follow(gone, Wanted::Gone, None).await {
            tracing::warn!(
                %error,
                "policy-installed extensions were not removed yet; Chromium drops them at its next start"
            );
        }
    }

    async fn follow(
        &self,
        whose: &[PolicyExtension],
        wanted: Wanted,
        complaints: Option<&mut broadcast::Receiver<String>>,
    ) -> Result<(), PolicyInstallError> {
        let (etc, extensions) =
            (self.session.places.etc.clone(), self.desired_state.policy_extensions());
        let planted = tokio::task::spawn_blocking(move || plant(&etc, &extensions)).await;
        planted.map_err(io::Error::other)??;
        let running = self.running().await?;
        settle(&running.cdp, whose, wanted, complaints).await
    }
}

/// Waits until a Chromium that has just started has what the one before had.
pub(super) async fn restored(
    cdp: &Cdp,
    desired_state: &Arc<DesiredState>,
) -> Result<(), PolicyInstallError> {
    let extensions = desired_state.policy_extensions();
    if extensions.is_empty() {
        return Ok(());
    }
    settle(cdp, &extensions, Wanted::Here, None).await
}

/// Waits until extensions are where they are wanted.
async fn settle(
    cdp: &Cdp,
    whose: &[PolicyExtension],
    wanted: Wanted,
    complaints: Option<&mut broadcast::Receiver<String>>,
) -> Result<(), PolicyInstallError> {
    let within = if wanted == Wanted::Awake { INSTALLED_WITHIN } else { SETTLED_WITHIN };
    let extensions = cdp.open_hidden_page(EXTENSIONS_PAGE).await?;
    let policies = match cdp.open_hidden_page(POLICY_PAGE).await {
        Ok(policies) => policies,
        Err(error) => {
            let _ = cdp.close_page(&extensions).await;
            return Err(error.into());
        }
    };
    let settled = async {
        let pages = Pages::attach(cdp, &extensions, &policies, whose, wanted).await?;
        pages.settled(wanted, complaints).await
    };
    let settled = tokio::time::timeout(within, settled).await;
    // With the browser they go too.
    let _ = cdp.close_page(&extensions).await;
    let _ = cdp.close_page(&policies).await;
    settled.unwrap_or(Err(PolicyInstallError::NotFollowed(within)))
}

/// The two pages.
struct Pages<'a> {
    cdp: &'a Cdp,
    extensions: SessionId,
    policies: SessionId,
    /// What the first is asked.
    look: String,
}

impl<'a> Pages<'a> {
    async fn attach(
        cdp: &'a Cdp,
        extensions: &str,
        policies: &str,
        whose: &[PolicyExtension],
        wanted: Wanted,
    ) -> Result<Self, CdpError> {
        // Any JSON is JavaScript.
        let ids = json!(whose.iter().map(|one| &one.id).collect::<Vec<_>>());
        let (here, patience) = (wanted != Wanted::Gone, PATIENCE.as_millis());
        let look = format!("{LOOK}({ids}, {here}, {patience})");
        let (extensions, policies) = (cdp.attach(extensions).await?, cdp.attach(policies).await?);
        Ok(Self { cdp, extensions, policies, look })
    }

    /// Has policies read; false while the page is loading.
    async fn reload(&self) -> Result<bool, CdpError> {
        Ok(evaluate(self.cdp, &self.policies, RELOAD).await? == Some(true.into()))
    }

    /// None while the page is loading.
    async fn look(&self) -> Result<Option<Seen>, CdpError> {
        let seen = evaluate(self.cdp, &self.extensions, &self.look).await?.unwrap_or_default();
        serde_json::from_value(seen)
            .map_err(|source| CdpError::Shape { method: "Runtime.evaluate", source })
    }

    /// Waits until extensions are where they are wanted.
    async fn settled(
        &self,
        wanted: Wanted,
        mut complaints: Option<&mut broadcast::Receiver<String>>,
    ) -> Result<(), PolicyInstallError> {
        let (mut pause, longest) = PAUSES;
        let mut reloaded: Option<Instant> = None;
        let (mut here_since, mut complained) = (None, None);
        loop {
            if reloaded.is_none_or(|at| at.elapsed() >= RELOAD_AGAIN_AFTER) && self.reload().await?
            {
                reloaded = Some(Instant::now());
            }
            // Without it, one that is on its way may still come.
            let early = wanted == Wanted::Gone && reloaded.is_none();
            let Some(seen) = (if early { None } else { self.look().await? }) else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
                continue;
            };
            if seen.blocked {
                return Err(PolicyInstallError::KeptAway);
            }
            if seen.done {
                let since: Instant = *here_since.get_or_insert_with(Instant::now);
                if wanted != Wanted::Awake || seen.awake || since.elapsed() >= AWAKE_WITHIN {
                    return Ok(());
                }
            }
            let heard = complaints.as_mut().and_then(|complaints| complaints.try_recv().ok());
            complained = complained.or(heard.map(|words| (Instant::now(), words)));
            match complained {
                Some((at, words)) if !seen.done && at.elapsed() >= FORGIVEN_WITHIN => {
                    return Err(PolicyInstallError::Refused(words));
                }
                other => complained = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_there_while_there_are_extensions() {
        let etc = tempfile::tempdir().unwrap();
        let path = etc.path().join(policy::MANAGED_BELOW_ETC).join(policy::EXTENSIONS_FILE);
        plant(etc.path(), &[]).unwrap();
        let one = PolicyExtension { id: "a".repeat(32), update_url: "http://127.0.0.1:1/x".into() };
        plant(etc.path(), std::slice::from_ref(&one)).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains(&one.update_url));
        plant(etc.path(), &[]).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn complaints_are_chromiums_own() {
        let said =
            b"[1:2:1128/150415.215510:WARNING:extensions/browser/load_error_reporter.cc:73] \
                     Extension error: It is broken.";
        assert_eq!(complaint(said).unwrap(), "It is broken.");
        let page = b"[1:2:1128/150415.2:INFO:CONSOLE:1] \
                     \":WARNING:extensions/browser/load_error_reporter.cc:73] Extension error: x\"";
        assert_eq!(complaint(page), None);
        for other in [&b""[..], b"[", b"] Extension error: ", &said[..60], &said[1..]] {
            assert_eq!(complaint(other), None);
        }
        let long = [&said[..], &[b'x'; 1000]].concat();
        assert_eq!(complaint(&long).unwrap().len(), COMPLAINT);
    }
}
