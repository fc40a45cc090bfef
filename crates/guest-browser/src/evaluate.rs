//! Asking a page something.

use browserd_chromium::cdp::{Cdp, CdpError, SessionId};
use serde::Deserialize;
use serde_json::{Value, json};

/// The value of `script` in a page, awaited when it is a promise. None when the page is just becoming
/// another.
pub(super) async fn evaluate(
    cdp: &Cdp,
    page: &SessionId,
    script: &str,
) -> Result<Option<Value>, CdpError> {
    #[derive(Deserialize)]
    struct Evaluated {
        result: Remote,
    }
    #[derive(Deserialize)]
    struct Remote {
        value: Option<Value>,
    }
    let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
    match cdp.call::<_, Evaluated>(Some(page), "Runtime.evaluate", params).await {
        Ok(evaluated) => Ok(evaluated.result.value),
        Err(CdpError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
