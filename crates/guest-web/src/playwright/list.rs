//! `GET /playwright/executors`.

use axum::extract::State;
use browserd_api::playwright::{Executor as Described, Executors};
use browserd_guest_browser::BrowserState;
use browserd_guest_http::refusals::Refusals;
use browserd_rest::Result;

use super::Playwright;

/// List the session's Playwright executors.
///
/// Those that were used and not deleted, by name; `default` is the one of the active tab.
/// `target_id` and `url` are of the tab the last script acted on, while that is open.
#[utoipa::path(
    get,
    path = "/playwright/executors",
    operation_id = "browsers_playwright_executors_list",
    tag = "browsers/playwright",
    responses(
        (status = 200, description = "The executors.", body = Executors),
        Refusals,
    ),
)]
pub(super) async fn list(State(playwright): State<Playwright>) -> Result<axum::Json<Executors>> {
    let state = playwright.inner.browser.state().borrow().clone();
    let pages = match state {
        // One that is on its way out has no tabs worth naming.
        BrowserState::Running(running) => running.cdp.pages().await.unwrap_or_default(),
        _ => Vec::new(),
    };
    let describe = |executor: &super::executor::Executor| {
        let target = executor.target();
        let page = pages.iter().find(|page| Some(&page.target_id) == target.as_ref());
        Described {
            name: executor.name.clone(),
            busy: executor.is_busy(),
            created_at: executor.created_at,
            last_used_at: executor.last_used_at(),
            target_id: page.map(|page| page.target_id.clone()),
            url: page.map(|page| page.url.clone()),
        }
    };
    let executors = playwright.all().iter().map(|executor| describe(executor)).collect();
    Ok(axum::Json(Executors { executors }))
}
