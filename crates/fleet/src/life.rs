//! What may happen to a session, and what is to be done: the pure core of its actor.
//!
//! ```text
//!  creating ──Started──▶ active ──Delete, Idle, Shutdown, Gone──▶ ending ──Gone──▶ ended
//!      │                                                              ▲
//!      ├──Failed──▶ ended(failed_to_start)                            │
//!      └──Delete, Abandoned, Shutdown (started later) ────────────────┘
//! ```
//!
//! The first reason wins: whatever follows an end is a consequence of it.

use browserd_api::browser::EndReason;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The runtime is starting it; an end asked for meanwhile waits here.
    Creating { end: Option<EndReason> },
    /// Clients use it.
    Active,
    /// It is over for clients; the runtime is clearing it away.
    Ending(EndReason),
    /// Nothing of it is left.
    Ended(EndReason),
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The runtime says clients can connect.
    Started,
    /// The runtime could not start it, and nothing of it is left.
    Failed(EndReason),
    /// Someone wants it to end: a client, the idle timer, the server's end.
    End(EndReason),
    /// The runtime says nothing of it is left.
    Gone(EndReason),
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Nothing,
    /// Let clients in.
    Open,
    /// Shut clients out and record the end.
    Close(EndReason),
    /// Ask the runtime to clear it away; the end is recorded already.
    Clear(EndReason),
    /// Shut clients out, record the end and ask the runtime to clear it away.
    CloseAndClear(EndReason),
}

/// The next state and what leads there.
pub(crate) fn next(state: State, event: Event) -> (State, Action) {
    match (state, event) {
        (State::Creating { end: None }, Event::Started) => (State::Active, Action::Open),
        (State::Creating { end: Some(reason) }, Event::Started) => {
            (State::Ending(reason), Action::Clear(reason))
        }
        (State::Creating { end: None }, Event::End(reason)) => {
            (State::Creating { end: Some(reason) }, Action::Close(reason))
        }
        (State::Creating { end: None }, Event::Failed(reason) | Event::Gone(reason)) => {
            (State::Ended(reason), Action::Close(reason))
        }
        (State::Creating { end: Some(reason) }, Event::Failed(_) | Event::Gone(_)) => {
            (State::Ended(reason), Action::Nothing)
        }
        (State::Active, Event::End(reason)) => {
            (State::Ending(reason), Action::CloseAndClear(reason))
        }
        (State::Active, Event::Gone(reason) | Event::Failed(reason)) => {
            (State::Ended(reason), Action::Close(reason))
        }
        (State::Ending(reason), Event::Gone(_) | Event::Failed(_)) => {
            (State::Ended(reason), Action::Nothing)
        }
        (state, _) => (state, Action::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reasons() -> impl Strategy<Value = EndReason> {
        prop::sample::select(EndReason::ALL)
    }

    fn events() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Started),
            reasons().prop_map(Event::Failed),
            reasons().prop_map(Event::End),
            reasons().prop_map(Event::Gone),
        ]
    }

    proptest! {
        #[test]
        fn the_first_reason_is_the_one_recorded(events in prop::collection::vec(events(), 0..12)) {
            let mut state = State::Creating { end: None };
            let mut recorded: Option<EndReason> = None;
            let mut clears = 0;
            for event in events {
                let (next, action) = next(state, event);
                if let Action::Close(reason) | Action::CloseAndClear(reason) = action {
                    prop_assert!(recorded.is_none_or(|first| first == reason), "{state:?} {event:?}");
                    recorded = Some(reason);
                }
                clears += u32::from(matches!(action, Action::CloseAndClear(_) | Action::Clear(_)));
                prop_assert!(!(matches!(action, Action::Open) && recorded.is_some()));
                if matches!(state, State::Ended(_)) {
                    prop_assert_eq!(next, state, "an end is for good");
                }
                if let State::Ending(reason) | State::Ended(reason) = next {
                    prop_assert_eq!(recorded, Some(reason));
                }
                state = next;
            }
            prop_assert!(clears <= 1, "cleared once at most");
        }
    }
}
