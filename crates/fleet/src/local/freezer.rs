//! Freezing and thawing a session, in the order in which it is asked for.
//!
//! The kernel may take its time for the write, so a thread for blocking calls makes it: never a worker of
//! the runtime, and never with a lock held that others need.
//!
//! ```text
//!  ask ─▶ waiting ─▶ one writer at a time ─▶ who asked, if still there
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Makes a session frozen or not; answers how it is then.
type Write = Box<dyn Fn(bool) -> bool + Send + Sync>;

/// Freezes one session. Cheap to clone.
#[derive(Clone)]
pub(super) struct Freezer(Arc<Inner>);

struct Inner {
    write: Write,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(bool, oneshot::Sender<bool>)>,
    /// Whether there is a writer.
    is_written: bool,
}

impl Freezer {
    pub(super) fn new(write: impl Fn(bool) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { write: Box::new(write), queue: Mutex::default() }))
    }

    /// Asks; what was asked for earlier is done before. It is done even if nobody waits for the answer.
    pub(super) fn ask(&self, frozen: bool) -> oneshot::Receiver<bool> {
        let (done, answer) = oneshot::channel();
        let mut queue = self.0.queue.lock();
        queue.waiting.push_back((frozen, done));
        if !std::mem::replace(&mut queue.is_written, true) {
            let inner = Arc::clone(&self.0);
            tokio::task::spawn_blocking(move || inner.write_all());
        }
        answer
    }
}

impl Inner {
    fn write_all(&self) {
        loop {
            let next = {
                let mut queue = self.queue.lock();
                let next = queue.waiting.pop_front();
                queue.is_written = next.is_some();
                next
            };
            let Some((frozen, done)) = next else { return };
            let _ = done.send((self.write)(frozen));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// The runtime of this test has one worker, which would be the one that waits for the kernel.
    #[tokio::test]
    async fn a_thaw_lands_after_the_freeze_that_was_asked_for_before_it() {
        let (may_write, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&written);
        let freezer = Freezer::new(move |frozen| {
            gate.lock().recv().unwrap();
            log.lock().push(frozen);
            frozen
        });
        // Nobody waits for the first: who wanted it is gone.
        drop(freezer.ask(true));
        let thawed = freezer.ask(false);
        tokio::task::yield_now().await;
        assert!(written.lock().is_empty(), "the kernel has not done either yet");
        for _ in 0..2 {
            may_write.send(()).unwrap();
        }
        assert_eq!(thawed.await, Ok(false));
        assert_eq!(*written.lock(), [true, false]);
        // And it goes on with what comes later.
        may_write.send(()).unwrap();
        assert_eq!(freezer.ask(true).await, Ok(true));
    }
}
