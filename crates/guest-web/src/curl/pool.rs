//! Hidden targets kept for the next request: a new one costs about 15 ms, and a renderer.

use std::sync::Arc;
use std::time::Duration;

use browserd_guest_browser::Running;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::failure::Failure;
use super::target::Target;

/// Targets kept.
const KEPT: usize = 4;
/// How long one is kept unused.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The idle targets, the one used last at the end.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<(Instant, Target)>>>);

impl Pool {
    /// One that is kept, or a new one.
    pub(super) async fn take(&self, running: Running) -> Result<Target, Failure> {
        let kept = {
            let mut kept = self.0.lock();
            kept.retain(|(_, target)| target.generation == running.generation);
            kept.pop()
        };
        match kept {
            Some((_, target)) => Ok(target),
            // A task, so that a target whose request is given up meanwhile is closed all the same.
            None => Ok(tokio::spawn(Target::open(running)).await.map_err(Failure::Lost)??),
        }
    }

    /// Keeps one that is ready for the next request.
    pub(super) fn put(&self, target: Target) {
        let now = Instant::now();
        {
            let mut kept = self.0.lock();
            if kept.len() >= KEPT {
                return;
            }
            kept.push((now, target));
        }
        let pool = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(now + KEPT_FOR).await;
            pool.0.lock().retain(|(since, _)| *since > now);
        });
    }
}
