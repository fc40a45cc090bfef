//! One hidden target: a page without a tab, which only navigates and never arrives.

use browserd_chromium::cdp::{Cdp, CdpError, SessionId};
use browserd_guest_browser::Running;
use serde::Deserialize;
use serde_json::{Value, json};

/// A hidden target, attached. Closed when it is dropped.
pub(super) struct Target {
    pub(super) cdp: Cdp,
    pub(super) session: SessionId,
    /// Which Chromium it is of.
    pub(super) generation: u64,
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    target_id: String,
}

impl Target {
    /// Opens one. Not to be given up half way: run it as a task of its own.
    pub(super) async fn open(running: Running) -> Result<Self, CdpError> {
        let Running { cdp, generation, .. } = running;
        let params = json!({ "url": "about:blank", "hidden": true });
        let created: Created = cdp.call(None, "Target.createTarget", params).await?;
        let session = match cdp.attach(&created.target_id).await {
            Ok(session) => session,
            Err(error) => {
                let _ = cdp.close_page(&created.target_id).await;
                return Err(error);
            }
        };
        let target = Self { cdp, session, generation, id: created.target_id };
        let stage = |stage| json!({ "resourceType": "Document", "requestStage": stage });
        let patterns = [stage("Request"), stage("Response")];
        // Chromium carries them out in the order in which they are written.
        tokio::try_join!(
            // Tells of Set-Cookie headers and of the reasons of failures; keeps no bodies.
            target.call(
                "Network.enable",
                json!({ "maxTotalBufferSize": 0, "maxResourceBufferSize": 0, "maxPostDataSize": 0 }),
            ),
            // Pages' service workers would answer instead of the network.
            target.call("Network.setBypassServiceWorker", json!({ "bypass": true })),
            target.call("Fetch.enable", json!({ "patterns": patterns })),
        )?;
        Ok(target)
    }

    /// Calls a method of this target whose result says nothing.
    pub(super) async fn call(&self, method: &'static str, params: Value) -> Result<(), CdpError> {
        self.cdp.call_raw(Some(&self.session), method, params).await.map(|_| ())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // No runtime: the guest is ending, and Chromium with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (cdp, id) = (self.cdp.clone(), std::mem::take(&mut self.id));
        runtime.spawn(async move {
            if let Err(error) = cdp.close_page(&id).await {
                tracing::debug!(%error, "a hidden target was not closed");
            }
        });
    }
}
