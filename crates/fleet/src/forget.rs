//! Forgetting sessions that ended long ago.

use std::sync::Arc;
use std::time::Duration;

use browserd_api::Timestamp;
use browserd_store::{SessionRow, Store, StoreError};
use tokio_util::sync::CancellationToken;

/// Rows that one write takes away: others write in between.
const STEP: u64 = 100;
/// How often is looked for more.
const LOOK: Duration = Duration::from_secs(3600);

/// Takes the rows of sessions away once they have ended for `age`, until the server stops.
pub(crate) async fn forget(store: Arc<dyn Store>, age: Duration, stop: CancellationToken) {
    loop {
        match forget_old(&*store, age, &stop).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "forgot sessions that ended long ago"),
            Err(error) => {
                tracing::error!(%error, "could not forget sessions that ended long ago; trying again in an hour");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn forget_old(
    store: &dyn Store,
    age: Duration,
    stop: &CancellationToken,
) -> Result<u64, StoreError> {
    let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    let before = Timestamp::from_micros(Timestamp::now().as_micros().saturating_sub(age));
    let mut all = 0;
    while !stop.is_cancelled() {
        let gone = store.everywhere::<SessionRow>().forget(before, STEP).await?;
        all += gone;
        if gone < STEP {
            break;
        }
    }
    Ok(all)
}
