//! One action at a time, in the order they came, each let go of completely before the next.

use std::sync::Arc;

use browserd_api::ErrorCode;
use browserd_rest::{Error, Result};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::Computer;
use super::hand::Hand;

/// Actions that wait for their turn at most.
pub(super) const WAITING: usize = 64;

impl Computer {
    /// Does `work` when its turn comes. When the client goes (the returned future is dropped) the rest
    /// of it is left, and what it holds is released before the next action begins.
    pub(super) async fn turn<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Hand) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let Ok(place) = Arc::clone(&self.0.waiting).try_acquire_owned() else {
            let message =
                format!("{WAITING} actions of this session wait already; send them one by one");
            return Err(Error::new(ErrorCode::TooManyRequests, message));
        };
        let gone = CancellationToken::new();
        let _leaving = gone.clone().drop_guard();
        let computer = self.clone();
        let task = tokio::spawn(async move {
            let _place = place;
            let mut hand = gone.run_until_cancelled(computer.0.hand.lock()).await?;
            let outcome = gone.run_until_cancelled(work(&mut hand)).await;
            let released = hand.let_go().await;
            Some(match (outcome?, released) {
                (Ok(_), Err(error)) => Err(error.during()),
                (outcome, _) => outcome,
            })
        });
        match task.await {
            Ok(Some(outcome)) => outcome,
            // The reader is gone.
            Ok(None) => Err(Error::new(ErrorCode::BadRequest, "the client has gone")),
            Err(error) => Err(Error::internal(error)),
        }
    }
}
