//! Getting a session to run.

use std::sync::Arc;

use browserd_api::SessionId;
use browserd_api::browser::SessionConfig;
use browserd_protocol::Route;
use tokio::sync::mpsc;

use crate::pool::{Prepared, Started};
use crate::{Runtime, StartError, Urgency};

/// Makes a session run: one from the pool, or a new one when there is none or it fails.
pub(super) async fn start(
    runtime: Arc<dyn Runtime>,
    id: SessionId,
    (config, route): (SessionConfig, Route),
    prepared: Option<Prepared>,
    may_stay_frozen: bool,
) -> Result<Started, StartError> {
    if let Some(prepared) = prepared {
        match prepared.assign(&config, &route, may_stay_frozen).await {
            Ok(assigned) => return Ok(assigned),
            Err(error) => {
                tracing::warn!(session = %id, %error, "a session out of the pool could not be given to its client and was discarded; starting another one");
            }
        }
    }
    let (sender, events) = mpsc::channel(16);
    let instance = runtime.start(&id, &config, &route, Urgency::Now, sender).await?;
    Ok(Started { instance: instance.into(), events, frozen: false })
}
