//! What Chromium says about a request under way, as far as it matters.

use std::collections::BTreeMap;
use std::sync::Arc;

use browserd_chromium::cdp::Event;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::failure::Failure;
use super::target::Target;

/// A request that waits for us, before it is sent or after the head of its answer has come.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Paused {
    pub(super) request_id: String,
    pub(super) network_id: Option<String>,
    pub(super) request: PausedRequest,
    pub(super) response_error_reason: Option<String>,
    pub(super) response_status_code: Option<u16>,
    #[serde(default)]
    pub(super) response_headers: Vec<Header>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PausedRequest {
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
}

/// A header as Chromium writes it.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExtraInfo {
    pub(super) request_id: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoadingFailed {
    pub(super) request_id: String,
    #[serde(default)]
    pub(super) error_text: String,
}

pub(super) enum Said {
    Paused(Box<Paused>),
    /// Headers that scripts may not see, `Set-Cookie` among them.
    Extra(ExtraInfo),
    Failed(LoadingFailed),
}

/// The events of one target.
pub(super) struct Events(Receiver<Arc<Event>>);

impl Events {
    pub(super) fn of(target: &Target) -> Self {
        Self(target.cdp.events())
    }

    /// The next one that matters.
    pub(super) async fn next(&mut self, target: &Target) -> Result<Said, Failure> {
        loop {
            match self.0.recv().await {
                Ok(event) => {
                    if let Some(said) = read(&event, target) {
                        return Ok(said);
                    }
                }
                Err(RecvError::Lagged(_)) => return Err(Failure::Lagged),
                Err(RecvError::Closed) => return Err(Failure::Gone),
            }
        }
    }

    /// One that has come already.
    pub(super) fn there(&mut self, target: &Target) -> Option<Said> {
        loop {
            match self.0.try_recv() {
                Ok(event) => {
                    if let Some(said) = read(&event, target) {
                        return Some(said);
                    }
                }
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

fn read(event: &Event, target: &Target) -> Option<Said> {
    if event.session.as_deref() != Some(target.session.as_str()) {
        return None;
    }
    match event.method.as_str() {
        "Fetch.requestPaused" => parse(event).map(|paused| Said::Paused(Box::new(paused))),
        "Network.responseReceivedExtraInfo" => parse(event).map(Said::Extra),
        "Network.loadingFailed" => parse(event).map(Said::Failed),
        _ => None,
    }
}

pub(super) fn parse<T: DeserializeOwned>(event: &Event) -> Option<T> {
    let params = event.params.as_ref()?;
    match serde_json::from_str(params.get()) {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            tracing::warn!(%error, event.method, "an event of Chromium's has an unexpected form and is ignored");
            None
        }
    }
}
