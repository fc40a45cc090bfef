//! `POST /computer/scroll`.

use axum::extract::State;
use browserd_api::computer::ScrollRequest;
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Json, Result};
use xkeysym::Keysym;

use super::action::Action;
use super::check::Problems;
use super::hand::Hand;
use super::point::Point;
use super::{Computer, device};

/// A turn of the wheel that has been checked.
#[derive(Debug)]
pub(super) struct Scroll {
    pub(super) at: Point,
    pub(super) held: Vec<Keysym>,
    x: i32,
    y: i32,
}

impl Scroll {
    pub(super) fn plan(request: ScrollRequest) -> std::result::Result<Action, Problems> {
        let mut problems = Problems::default();
        let (x, y) = (request.delta_x.unwrap_or(0), request.delta_y.unwrap_or(0));
        if (x, y) == (0, 0) {
            problems.add("delta_y", "must not be 0 when delta_x is 0; nothing would move");
        }
        let scroll = Self {
            at: problems.point(request.x, request.y),
            held: problems.held(request.hold_keys),
            x: problems.within("delta_x", x, -1000..=1000),
            y: problems.within("delta_y", y, -1000..=1000),
        };
        problems.or(Action::Scroll(scroll))
    }

    pub(super) async fn perform(&self, hand: &mut Hand) -> device::Result<()> {
        hand.press_all(&self.held).await?;
        hand.device.wheel(self.at, self.x, self.y).await?;
        hand.release(self.held.len()).await
    }
}

/// Turn the wheel.
///
/// Moves the mouse to `x`, `y` at once and turns the wheel by `delta_y` notches (positive: down) and
/// then `delta_x` (positive: right). How far a notch scrolls is the browser's business: 120 pixels,
/// mostly. Both 0 is 400, as is a point outside the screen.
#[utoipa::path(
    post,
    path = "/computer/scroll",
    operation_id = "browsers_computer_scroll",
    tag = "browsers/computer",
    request_body = ScrollRequest,
    responses((status = 200, description = "It has been done; no body."), Refusals, BodyRefusals),
)]
pub(super) async fn scroll(
    State(computer): State<Computer>,
    Json(request): Json<ScrollRequest>,
) -> Result<()> {
    let action = Scroll::plan(request).map_err(Problems::refusal)?;
    computer.act(action).await
}
