//! The targets of this module.

use serde_json::value::RawValue;

use super::call::{Answer, Outcome, outcome};

/// A line of an executor that a script has taken over: a result is JSON, a failure has words.
pub(crate) fn executor_answer(data: &[u8]) {
    let Ok(answer) = serde_json::from_slice::<Answer>(data) else { return };
    let failed = answer.error.is_some();
    match outcome(answer) {
        Outcome::Result(result) => {
            assert!(!failed);
            // As written: a number may be larger than any of ours.
            serde_json::from_str::<&RawValue>(result.get()).unwrap();
        }
        Outcome::Failed { .. } => assert!(failed),
    }
}
