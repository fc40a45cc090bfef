//! `POST /repl`.

use std::sync::Arc;

use axum::extract::State;
use browserd_api::ErrorCode;
use browserd_api::repl::{ReplRequest, ReplResponse};
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Error, Json, Result};
use tokio::time::Instant;

use super::Repl;
use super::cell::{Cell, End};
use crate::runner;

/// Run a cell in the session's JavaScript REPL.
///
/// `code` is JavaScript with top-level `await` and `import()` (no static imports). Its bindings,
/// functions and timers live on for later cells, as long as `repl_id` stays the same; a name
/// declared with `let`, `const` or `class` cannot be declared again. Expression values are not
/// returned: a cell shows things with `repl.write(text)`, `console`, and `repl.emitImage(image)`,
/// which takes a PNG, JPEG, GIF or WebP as bytes, base64 or data URL. They are in `content`, in
/// order: 256 KiB of text, 8 MiB an image and 16 MiB of images, 10 000 items; up to 1 000 items shown
/// between two cells come with the next one.
///
/// The answer is 200 also when the cell fails; an ordinary error keeps the runtime and its bindings.
/// An uncaught exception of a callback, `process.exit`, more than 512 MiB of JavaScript, `timeout_sec`
/// and a client that goes away end it: `repl_terminated` is true and the next cell has a new
/// `repl_id`. `reset` ends it first. Cells run one after another (32 may wait, 429).
///
/// Cells have these functions for the browser, all of which return promises. They act on the active
/// tab, or the one chosen with `switchTab` or `openTab`; options are Playwright's (`{timeout: ms}`).
/// `gotoUrl(url)` → `{url, status, title}`; `js(code or function, argument)`, evaluated in the page;
/// `click(selector)`; `fillInput(selector, text)`; `pressKey(key)`; `uploadFile(selector, paths)`;
/// `waitForSelector(selector)`; `waitForUrl(url or pattern)`; `waitForLoad(state)`;
/// `waitForFunction(code)`; `wait(ms)`; `tabs()` → `[{target_id, url, title, current}]`;
/// `openTab(url)`; `switchTab(target_id)`; `closeTab(target_id)`; `pageInfo()`;
/// `accessibilitySnapshot(selector)` → text; `screenshot()` → bytes for `repl.emitImage`;
/// `cdp(method, params)`, sent once and never again by itself; `getPage()` → Playwright's page.
///
/// 501 when the host has no Node.
#[utoipa::path(
    post,
    path = "/repl",
    operation_id = "browsers_repl",
    tag = "browsers/repl",
    request_body = ReplRequest,
    responses(
        (status = 200, description = "The cell has ended; see `success`.", body = ReplResponse),
        (status = 501, description = "The host has no Node to run code with.", body = browserd_api::ErrorBody),
        Refusals, BodyRefusals,
    ),
)]
pub(super) async fn evaluate(
    State(repl): State<Repl>,
    Json(request): Json<ReplRequest>,
) -> Result<axum::Json<ReplResponse>> {
    if request.code.trim().is_empty() && !request.reset {
        return Err(Error::field("code", "must not be empty, except with reset"));
    }
    let timeout = runner::timeout(request.timeout_sec)?;
    let inner = &repl.inner;
    inner.kit.require()?;
    let _place = Arc::clone(&inner.waiting).try_acquire_owned().map_err(|_| {
        Error::new(ErrorCode::TooManyRequests, "32 cells wait for the REPL already; try again")
    })?;
    let _turn = inner.turn.acquire().await.map_err(Error::internal)?;
    let before = if request.reset { inner.runtime.lock().take() } else { None };
    if let Some(mut before) = before {
        before.worker.end().await;
    }
    let running = inner.browser.running().await.map_err(crate::playwright::no_browser)?;
    let begun = Instant::now();
    let mut cell = Cell::new(&repl)?;
    let endpoint = running.endpoint.url();
    let ended = tokio::select! {
        end = cell.evaluate(&request.code, &endpoint) => Some(end?),
        () = tokio::time::sleep(timeout) => None,
    };
    let end = match ended {
        Some(end) => end,
        None => {
            cell.run.end().await;
            End::failed(format!("Execution timed out after {} ms", timeout.as_millis()))
        }
    };
    let repl_terminated = !cell.keep_runtime();
    Ok(axum::Json(ReplResponse {
        repl_id: std::mem::take(&mut cell.repl_id),
        success: end.error.is_none(),
        content: std::mem::take(&mut cell.run.output.shown.items),
        content_truncated: cell.run.output.shown.truncated,
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: end.error,
        stack: end.stack,
        repl_terminated,
    }))
}
