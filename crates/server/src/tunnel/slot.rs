//! A connection's place among those that may be open.

use std::sync::Arc;

use axum::extract::Request;
use hyper::upgrade::OnUpgrade;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One of the connections that may be open, for as long as anybody has it: a request of the connection, and
/// the tunnel it becomes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Slot {
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Slot {
    /// Waits for a free one. The semaphore is never closed; were it, nothing would be counted.
    pub(crate) async fn of(slots: &Arc<Semaphore>) -> Self {
        let permit = Arc::clone(slots).acquire_owned().await;
        Self { _permit: permit.ok().map(Arc::new) }
    }
}

/// A connection that is about to be a tunnel.
pub(crate) struct Upgrade {
    /// The connection, once its client has been answered.
    pub(super) on: OnUpgrade,
    /// HTTP is done with it by then, so the tunnel holds its slot.
    pub(super) slot: Option<Slot>,
}

impl Upgrade {
    /// The connection that a request came on.
    pub(crate) fn of(request: &mut Request) -> Self {
        let slot = request.extensions().get::<Slot>().cloned();
        Self { on: hyper::upgrade::on(request), slot }
    }
}
