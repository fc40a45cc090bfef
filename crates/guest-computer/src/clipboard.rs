//! `POST /computer/clipboard/read` and `/write`.

use axum::extract::State;
use browserd_api::computer::{ClipboardContent, WriteClipboardRequest};
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Error, Json, Result};

use super::Computer;
use super::device::{Device, Failure};

/// Longest text of the clipboard, bytes of UTF-8.
pub(super) const TEXT_LIMIT: usize = 1 << 20;

/// Read the clipboard.
///
/// Its text, whoever copied it; empty when it holds none. More than 1 MiB is 502.
#[utoipa::path(
    post,
    path = "/computer/clipboard/read",
    operation_id = "browsers_computer_clipboard_read",
    tag = "browsers/computer",
    responses((status = 200, description = "The text.", body = ClipboardContent), Refusals),
)]
pub(super) async fn read(State(computer): State<Computer>) -> Result<axum::Json<ClipboardContent>> {
    let text = computer
        .turn(|hand| {
            Box::pin(async {
                let text = match &mut hand.device {
                    Device::Headful(display, _) => {
                        display.read_clipboard().await.map_err(Failure::from)
                    }
                    Device::Headless(pages) => pages.read_clipboard().await.map_err(Failure::from),
                };
                text.map_err(|error| error.before())
            })
        })
        .await?;
    Ok(axum::Json(ClipboardContent { text }))
}

/// Write the clipboard.
///
/// Replaces what it holds by `text`, at most 1 MiB of UTF-8, which pages and programs can paste.
#[utoipa::path(
    post,
    path = "/computer/clipboard/write",
    operation_id = "browsers_computer_clipboard_write",
    tag = "browsers/computer",
    request_body = WriteClipboardRequest,
    responses((status = 200, description = "It has been done; no body."), Refusals, BodyRefusals),
)]
pub(super) async fn write(
    State(computer): State<Computer>,
    Json(request): Json<WriteClipboardRequest>,
) -> Result<()> {
    let text = request.text;
    if text.len() > TEXT_LIMIT {
        let message = format!("has {} bytes; {TEXT_LIMIT} at most", text.len());
        return Err(Error::field("text", message));
    }
    computer
        .turn(|hand| {
            Box::pin(async move {
                let done = match &mut hand.device {
                    Device::Headful(display, _) => {
                        display.write_clipboard(text).await.map_err(Failure::from)
                    }
                    Device::Headless(pages) => {
                        pages.write_clipboard(&text).await.map_err(Failure::from)
                    }
                };
                // Writing it twice does no harm.
                done.map_err(|error| error.before())
            })
        })
        .await
}
