//! The runtime that tests of sessions are made with does what every runtime does.

mod support;

use std::sync::Arc;

use browserd_api::browser::EndReason;
use browserd_api::{ReplayId, SessionId};
use browserd_fleet::conformance::{Subject, check};
use browserd_fleet::{CommandError, Runtime, RuntimeEvent};
use browserd_protocol::Route;
use parking_lot::Mutex;
use tokio::sync::Notify;

use support::Fake;

/// The fake, remade when a check holds its starts.
struct Remade(Mutex<Arc<Fake>>);

impl Remade {
    fn fake(&self) -> Arc<Fake> {
        Arc::clone(&self.0.lock())
    }
}

impl Subject for Remade {
    fn runtime(&self) -> Arc<dyn Runtime> {
        self.fake()
    }

    fn hold_starts(&self) {
        *self.0.lock() =
            Arc::new(Fake { may_start: Some(Arc::new(Notify::new())), ..Fake::default() });
    }

    fn route(&self, _: &SessionId) -> Route {
        self.fake().gateway.taken.lock().last().cloned().unwrap_or(Route::Direct)
    }

    fn refuse_next_route(&self) {
        let refusal = Err(CommandError::Refused("as the test asked".to_owned()));
        self.fake().gateway.answers.lock().push_back(refusal);
    }

    fn offer(&self, session: &SessionId, content: &[u8]) -> u64 {
        let file = support::file(content).unwrap();
        self.fake().offers.lock().insert((session.clone(), 7), file);
        7
    }

    fn record(&self, session: &SessionId, replay: &ReplayId, content: &[u8]) {
        let recording = (session.clone(), replay.clone());
        self.fake().recordings.lock().insert(recording, content.to_vec());
    }

    fn crash(&self, session: &SessionId) {
        let events = self.fake().events.lock().remove(session).unwrap();
        events.try_send(RuntimeEvent::Ended { reason: EndReason::Crashed, detail: None }).unwrap();
    }

    fn is_left(&self, session: &SessionId) -> bool {
        self.fake().events.lock().contains_key(session)
    }
}

#[tokio::test]
async fn the_fake_does_what_every_runtime_does() {
    check(|| Remade(Mutex::default())).await;
}
