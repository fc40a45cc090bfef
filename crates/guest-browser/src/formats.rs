//! The language in which pages write numbers and dates, `Intl`'s own, while Chromium runs.
//!
//! It is fixed when Chromium starts, and the one thing of a location that can be changed by an override
//! only. A renderer takes one override at a time, so there is none until a running session is given
//! another language, and none in contexts that drivers made: there a driver's own `locale` works. When
//! Chromium starts again it has the language, and no override.
//!
//! ```text
//!  a session of ours, attached by itself to each page and frame ──attached──▶ override
//!                                                               ──detached──▶ override again, all:
//!                                a renderer's goes with the page that set it, others in it remain
//! ```

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError, Event, SessionId};
use futures_util::future::join_all;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Browser, Running};

/// How long open pages may take; one whose script never ends does not answer.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);
/// Pages and frames overridden at most.
const PAGES: usize = 512;

/// Who keeps the override up; ends it when dropped.
pub(super) struct Formats {
    generation: u64,
    changes: mpsc::Sender<Change>,
    _stop: DropGuard,
}

/// Another language, and who waits until open pages have it.
type Change = (Arc<str>, oneshot::Sender<()>);

impl Browser {
    /// Has pages write in another language from now on.
    pub(super) async fn write_in(
        &self,
        formats: &mut Option<Formats>,
        running: &Running,
        locale: &str,
    ) -> Result<(), CdpError> {
        if *running.locale == *locale {
            *formats = None;
            return Ok(());
        }
        let kept = formats.take().filter(|kept| kept.generation == running.generation);
        let kept = match kept {
            Some(kept) => kept,
            None => self.keep_formats(running).await?,
        };
        let (done, taken) = oneshot::channel();
        // One that has ended has done so with its Chromium.
        if kept.changes.send((locale.into(), done)).await.is_ok() {
            let _ = taken.await;
        }
        *formats = Some(kept);
        Ok(())
    }

    async fn keep_formats(&self, running: &Running) -> Result<Formats, CdpError> {
        let keeper = Keeper::attach(running.cdp.clone(), Locale::default()).await?;
        let (changes, queue) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        self.spawn(|ending| async move {
            tokio::select! {
                () = keeper.keep(queue, stopped) => {}
                () = ending.cancelled() => {}
            }
        });
        Ok(Formats { generation: running.generation, changes, _stop: stop.drop_guard() })
    }
}

/// Attached to every page and frame of the browser's own context.
struct Keeper {
    cdp: Cdp,
    events: tokio::sync::broadcast::Receiver<Arc<Event>>,
    session: SessionId,
    context: String,
    pages: Vec<SessionId>,
    /// What the next override says; calls under way read it when they are sent.
    locale: Locale,
}

type Locale = Arc<Mutex<Option<Arc<str>>>>;

impl Keeper {
    async fn attach(cdp: Cdp, locale: Locale) -> Result<Self, CdpError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Contexts {
            default_browser_context_id: String,
        }
        let events = cdp.events();
        let contexts: Contexts = cdp.call(None, "Target.getBrowserContexts", json!({})).await?;
        let session = cdp.attach_browser().await?;
        let context = contexts.default_browser_context_id;
        let (pages, of_session, through) = (Vec::new(), session.clone(), cdp.clone());
        let mut keeper = Self { cdp, events, session, context, pages, locale };
        // Each page there is makes an event, and only so many are kept for who does not listen.
        let mut attached = pin!(auto_attach(&through, &of_session));
        loop {
            tokio::select! {
                biased;
                event = keeper.events.recv() => match event {
                    Ok(event) => keeper.heed(&event),
                    // It would not be otherwise the next time.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => {
                        return Err(CdpError::Closed { method: "Target.setAutoAttach" });
                    }
                },
                attached = &mut attached => break attached?,
            }
        }
        Ok(keeper)
    }

    async fn keep(mut self, mut changes: mpsc::Receiver<Change>, stop: CancellationToken) {
        loop {
            tokio::select! {
                // What was attached to at first is known before the first change.
                biased;
                () = self.cdp.closed() => return,
                () = stop.cancelled() => break,
                event = self.events.recv() => match event {
                    Ok(event) => self.heed(&event),
                    Err(RecvError::Closed) => return,
                    Err(RecvError::Lagged(_)) => match self.attach_anew().await {
                        Ok(anew) => self = anew,
                        Err(_) => return,
                    },
                },
                change = changes.recv() => match change {
                    Some((locale, done)) => {
                        *self.locale.lock() = Some(locale);
                        let all = self.pages.iter().map(|page| self.write(page));
                        let _ = tokio::time::timeout(TAKEN_WITHIN, join_all(all)).await;
                        let _ = done.send(());
                    }
                    None => break,
                },
            }
        }
        // The overrides go with it.
        let _ = self.cdp.detach(&self.session).await;
    }

    /// Begins again where events were missed.
    async fn attach_anew(&self) -> Result<Self, CdpError> {
        let _ = self.cdp.detach(&self.session).await;
        Self::attach(self.cdp.clone(), Arc::clone(&self.locale)).await
    }

    fn heed(&mut self, event: &Event) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct About {
            session_id: SessionId,
            target_info: Option<Info>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Info {
            browser_context_id: Option<String>,
        }
        let ours = |session: &SessionId| Some(session.as_str()) == event.session.as_deref();
        if !ours(&self.session) && !self.pages.iter().any(ours) {
            return;
        }
        let params = event.params.as_ref().map_or("{}", |params| params.get());
        let Ok(about) = serde_json::from_str::<About>(params) else { return };
        match event.method.as_str() {
            "Target.attachedToTarget" => {
                let context = about.target_info.and_then(|info| info.browser_context_id);
                let own = context.as_ref() == Some(&self.context) && self.pages.len() < PAGES;
                let (page, cdp) = (about.session_id, self.cdp.clone());
                if !own {
                    // Which lets it go on, too.
                    tokio::spawn(async move { cdp.detach(&page).await });
                    return;
                }
                self.pages.push(page.clone());
                let write = self.write(&page);
                tokio::spawn(async move {
                    // Sent in this order and not answered in any: the renderer of a page that opens a
                    // window stands still until the window goes on. One that is gone needs none of it.
                    let run =
                        cdp.call_raw(Some(&page), "Runtime.runIfWaitingForDebugger", json!({}));
                    let _ = tokio::join!(write, run, auto_attach(&cdp, &page));
                });
            }
            "Target.detachedFromTarget" => {
                self.pages.retain(|page| *page != about.session_id);
                for page in &self.pages {
                    tokio::spawn(self.write(page));
                }
            }
            _ => {}
        }
    }

    /// Overrides the language of a page. Refused where another page of the renderer, or a client, has
    /// done so.
    fn write(&self, page: &SessionId) -> impl Future<Output = ()> + Send + use<> {
        let (cdp, page, locale) = (self.cdp.clone(), page.clone(), Arc::clone(&self.locale));
        async move {
            let Some(locale) = locale.lock().clone() else { return };
            let params = json!({ "locale": *locale });
            let _ = cdp.call_raw(Some(&page), "Emulation.setLocaleOverride", params).await;
        }
    }
}

/// Has a session attached to what there is and will be below it. Windows that pages open wait until they
/// are told to go on even so.
async fn auto_attach(cdp: &Cdp, session: &SessionId) -> Result<(), CdpError> {
    let params = json!({
        "autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true,
        "filter": [{ "type": "page" }, { "type": "iframe" }],
    });
    cdp.call_raw(Some(session), "Target.setAutoAttach", params).await.map(drop)
}
