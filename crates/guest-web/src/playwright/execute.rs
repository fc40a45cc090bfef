//! `POST /playwright/execute`.

use axum::extract::State;
use browserd_api::playwright::{ExecuteRequest, ExecuteResponse};
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Error, Json, Result};

use super::call::{Call, Outcome};
use super::{Playwright, table};
use crate::runner;

/// Run Playwright code in the session.
///
/// `code` is TypeScript or JavaScript, the body of an async function: `await` and `return` work at
/// its top level, `import()` and `require` find packages of Node and of the user's home. It has
/// `page`, `context` and `browser` of Playwright, connected to the session's own browser.
///
/// The answer is 200 also when the script fails: `success` is false then, `error` says why, and the
/// stack stands at the end of `stderr`. `result` is what the script returned, as JSON, at most
/// 8 MiB; what JSON cannot carry (a cycle, a `BigInt`, a function) is an error of the script. Of
/// `stdout` and `stderr` 1 MiB each is kept.
///
/// Without `executor`, or with `default`, `page` is the tab that was active last, except the tabs
/// of named executors; one is opened if there is none. A named executor has a process, a
/// connection and a background tab of its own, which it keeps from call to call; a closed tab is
/// replaced, which `tab.created` tells. There may be 8 (409 `executor_limit`, not to be repeated).
/// Scripts of one executor run one after another (32 may wait, 429), those of different ones at the
/// same time. Nothing a script declares is seen by the next one; what it set on `globalThis` is, as
/// long as the executor's process lives.
///
/// `timeout_sec` begins when it is the script's turn. When it passes, the executor's process and
/// everything the script started are killed before the answer is sent, so nothing of the script
/// acts on the browser later; browser and tabs stay. The same happens when the client goes away. A
/// process that ends by itself or needs more than 512 MiB of JavaScript fails its script; the next
/// one gets a fresh process. Rejected promises nobody waits for are noted in `stderr`.
///
/// 501 when the host has no Node.
#[utoipa::path(
    post,
    path = "/playwright/execute",
    operation_id = "browsers_playwright_execute",
    tag = "browsers/playwright",
    request_body = ExecuteRequest,
    responses(
        (status = 200, description = "The script has ended; see `success`.", body = ExecuteResponse),
        (status = 409, description = "`executor_limit`: all named executors there may be exist.", body = browserd_api::ErrorBody),
        (status = 501, description = "The host has no Node to run code with.", body = browserd_api::ErrorBody),
        Refusals, BodyRefusals,
    ),
)]
pub(super) async fn execute(
    State(playwright): State<Playwright>,
    Json(request): Json<ExecuteRequest>,
) -> Result<axum::Json<ExecuteResponse>> {
    if request.code.trim().is_empty() {
        return Err(Error::field("code", "is required and must not be empty"));
    }
    let timeout = runner::timeout(request.timeout_sec)?;
    let name = table::name("executor", request.executor.as_deref())?;
    playwright.inner.kit.require()?;
    let executor = playwright.obtain(&name)?;
    let interrupt = executor.interrupt();
    let turn = executor.turn().await?;
    if interrupt.is_cancelled() {
        let deleted = "the executor was deleted before it was the script's turn";
        return Ok(axum::Json(Call::new(&playwright, &executor).finish(Outcome::failed(deleted))));
    }
    executor.used();
    let mut call = Call::new(&playwright, &executor);
    let ended = tokio::select! {
        outcome = call.execute(&request.code) => Some(outcome?),
        () = tokio::time::sleep(timeout) => None,
        () = interrupt.cancelled() => None,
    };
    let outcome = match ended {
        Some(outcome) => outcome,
        None => {
            call.run.end().await;
            Outcome::failed(if interrupt.is_cancelled() {
                "the executor was deleted while the script ran".to_owned()
            } else {
                format!("Execution timed out after {} ms", timeout.as_millis())
            })
        }
    };
    let answer = call.finish(outcome);
    executor.used();
    drop(turn);
    Ok(axum::Json(answer))
}
