//! Which tab is in front. Remote debugging lists tabs in no order and has no word for it, so the tabs
//! are asked.

use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

/// Tabs asked at most.
const TABS: usize = 64;
/// How long a tab may take to answer; one whose script never ends does not.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Two when the page is seen and has the focus, one when it is seen.
const ASK: &str = "+(document.visibilityState == 'visible') + document.hasFocus()";

#[derive(Deserialize)]
struct Evaluated {
    result: Remote,
}

#[derive(Deserialize)]
struct Remote {
    #[serde(default)]
    value: Value,
}

/// The tab in front; `None` when there is no tab.
pub(crate) async fn active_page(cdp: &Cdp) -> Result<Option<String>, CdpError> {
    let pages = cdp.pages().await?;
    if pages.len() <= 1 {
        return Ok(pages.into_iter().next().map(|page| page.target_id));
    }
    let asked = pages
        .into_iter()
        .take(TABS)
        .map(|page| async move { (ask(cdp, &page.target_id).await.unwrap_or(0), page.target_id) });
    let answers = join_all(asked).await;
    Ok(answers.into_iter().max_by_key(|(front, _)| *front).map(|(_, target)| target))
}

/// One that does not answer may be gone.
async fn ask(cdp: &Cdp, target: &str) -> Option<u64> {
    let session = cdp.attach(target).await.ok()?;
    let params = json!({ "expression": ASK, "returnByValue": true, "silent": true });
    let answer = tokio::time::timeout(
        ANSWERS_WITHIN,
        cdp.call::<_, Evaluated>(Some(&session), "Runtime.evaluate", params),
    )
    .await;
    let _ = cdp.detach(&session).await;
    answer.ok()?.ok()?.result.value.as_u64()
}
