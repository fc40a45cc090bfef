//! `DELETE /playwright/executors/{name}`.

use axum::extract::{Path, Query, State};
use browserd_api::ErrorCode;
use browserd_guest_browser::BrowserState;
use browserd_guest_http::refusals::Refusals;
use browserd_rest::{Error, Result};
use http::StatusCode;
use serde::Deserialize;

use super::{Playwright, table};

#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    close_tab: Option<String>,
}

/// Delete a Playwright executor.
///
/// A script that runs on it, and those that wait for it, end with `success` false; its process is
/// gone when the answer is sent. Its tab is closed, unless `close_tab` is false. `default` cannot
/// be deleted: it only gets a fresh process for its next script, and has no tab of its own to close
/// (400 for `close_tab=true`).
#[utoipa::path(
    delete,
    path = "/playwright/executors/{name}",
    operation_id = "browsers_playwright_executors_delete",
    tag = "browsers/playwright",
    params(
        ("name" = String, Path, description = "Name of the executor."),
        ("close_tab" = Option<bool>, Query, description = "Whether its tab is closed too. Default true."),
    ),
    responses(
        (status = 204, description = "It is gone."),
        Refusals,
    ),
)]
pub(super) async fn delete(
    State(playwright): State<Playwright>,
    Path(name): Path<String>,
    Query(Parameters { close_tab }): Query<Parameters>,
) -> Result<StatusCode> {
    let close_tab = match close_tab.as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(Error::field("close_tab", "must be true or false")),
    };
    let name = table::name("name", Some(&name))?;
    if name == browserd_api::playwright::DEFAULT_EXECUTOR && close_tab == Some(true) {
        return Err(Error::field("close_tab", "the default executor has no tab of its own"));
    }
    let Some(executor) = playwright.find(&name) else {
        return Err(Error::new(
            ErrorCode::NotFound,
            format!("this session has no executor {name}; GET …/playwright/executors lists them"),
        ));
    };
    if !executor.is_default() {
        playwright.forget(&executor);
    }
    executor.cancel();
    // What ran has ended with its worker when the turn comes.
    let turn = executor.turn().await?;
    if let Some(mut worker) = executor.take_worker() {
        worker.end().await;
    }
    drop(turn);
    let state = playwright.inner.browser.state().borrow().clone();
    if !executor.is_default()
        && close_tab.unwrap_or(true)
        && let (Some(target), BrowserState::Running(running)) = (executor.target(), state)
    {
        // Closed by somebody else meanwhile is as good.
        let _ = running.cdp.close_page(&target).await;
    }
    Ok(StatusCode::NO_CONTENT)
}
