//! Commands that a session has been sent and has not answered yet.
//!
//! ```text
//!  open(command) ─▶ waiting ─┬─ its answer ───────────▶ told, closed
//!                            └─ deadline of the caller ▶ given up; a late answer is ignored
//! ```

use std::collections::BTreeMap;

use browserd_protocol::RequestId;
use tokio::sync::oneshot;

use crate::CommandError;

/// Who waits for an answer.
pub(super) type Waiter = oneshot::Sender<Result<(), CommandError>>;

/// Who carries a command out, and alone may answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callee {
    Shim,
    /// What is inside the walls; not to be believed about the shim's affairs.
    Guest,
}

/// One command.
struct Call {
    callee: Callee,
    /// What it is, for the log.
    what: &'static str,
    /// None: nobody waits, and only a failure is of interest.
    waiter: Option<Waiter>,
}

/// The calls of one session.
pub(super) struct Calls {
    /// The session, for the log.
    session: String,
    last: RequestId,
    open: BTreeMap<RequestId, Call>,
}

impl Calls {
    pub(super) fn new(session: String) -> Self {
        Self { session, last: RequestId(0), open: BTreeMap::new() }
    }

    /// The number for a command that is about to be sent.
    pub(super) fn open(
        &mut self,
        callee: Callee,
        what: &'static str,
        waiter: Option<Waiter>,
    ) -> RequestId {
        // A caller that gave up does not come back, and its answer may never come.
        self.open.retain(|_, call| call.waiter.as_ref().is_none_or(|waiter| !waiter.is_closed()));
        self.last.0 += 1;
        self.open.insert(self.last, Call { callee, what, waiter });
        self.last
    }

    /// Hands an answer to its caller. One to a command that is not open is ignored: it concerns no
    /// other command.
    pub(super) fn answered(&mut self, by: Callee, request: RequestId, failure: Option<String>) {
        let open = self.open.get(&request).is_some_and(|call| call.callee == by);
        let Some(Call { what, waiter, .. }) = open.then(|| self.open.remove(&request)).flatten()
        else {
            tracing::warn!(
                session = self.session, ?by, %request, ?failure,
                "ignored an answer to a command that was given up or never sent"
            );
            return;
        };
        if let Some(why) = &failure {
            tracing::error!(session = self.session, %request, why, "the session refused a command: {what}");
        }
        let outcome = failure.map_or(Ok(()), |why| Err(CommandError::Refused(why)));
        if waiter.is_some_and(|waiter| waiter.send(outcome).is_err()) {
            tracing::warn!(session = self.session, %request, "the session answered a command after its deadline: {what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<(), CommandError>>;

    fn call(calls: &mut Calls) -> (RequestId, Answer) {
        let (waiter, answer) = oneshot::channel();
        (calls.open(Callee::Shim, "a test", Some(waiter)), answer)
    }

    fn refused(why: &str) -> Option<String> {
        Some(why.to_owned())
    }

    #[test]
    fn a_lost_answer_is_not_taken_for_that_of_a_later_command() {
        let mut calls = Calls::new("s".to_owned());
        let (_lost, mut first) = call(&mut calls);
        let (second, mut answer) = call(&mut calls);
        // The first one's answer never comes.
        calls.answered(Callee::Shim, second, refused("no such proxy"));
        assert!(
            matches!(answer.try_recv(), Ok(Err(CommandError::Refused(why))) if why == "no such proxy")
        );
        assert!(
            first.try_recv().is_err(),
            "the first call was answered with the second one's answer"
        );
    }

    #[test]
    fn answers_may_come_in_any_order() {
        let mut calls = Calls::new("s".to_owned());
        let (first, mut first_answer) = call(&mut calls);
        let (second, mut second_answer) = call(&mut calls);
        calls.answered(Callee::Shim, second, None);
        calls.answered(Callee::Shim, first, refused("late"));
        assert!(matches!(second_answer.try_recv(), Ok(Ok(()))));
        assert!(matches!(first_answer.try_recv(), Ok(Err(CommandError::Refused(_)))));
    }

    #[test]
    fn an_answer_to_no_open_command_is_ignored() {
        let mut calls = Calls::new("s".to_owned());
        calls.answered(Callee::Shim, RequestId(1), refused("invented"));
        let (known, mut answer) = call(&mut calls);
        calls.answered(Callee::Shim, RequestId(known.0 + 1), refused("invented"));
        assert!(answer.try_recv().is_err());
        calls.answered(Callee::Shim, known, None);
        // Once is enough.
        calls.answered(Callee::Shim, known, refused("again"));
        assert!(matches!(answer.try_recv(), Ok(Ok(()))));
    }

    #[test]
    fn a_guest_does_not_answer_for_its_shim() {
        let mut calls = Calls::new("s".to_owned());
        let (request, mut answer) = call(&mut calls);
        calls.answered(Callee::Guest, request, None);
        assert!(answer.try_recv().is_err());
        calls.answered(Callee::Shim, request, refused("no such proxy"));
        assert!(matches!(answer.try_recv(), Ok(Err(CommandError::Refused(_)))));
    }

    #[test]
    fn what_was_given_up_is_forgotten() {
        let mut calls = Calls::new("s".to_owned());
        for _ in 0..100 {
            let (_, answer) = call(&mut calls);
            drop(answer);
        }
        assert_eq!(calls.open.len(), 1);
    }
}
