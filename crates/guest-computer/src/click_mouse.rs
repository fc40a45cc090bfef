//! `POST /computer/click_mouse`.

use axum::extract::State;
use browserd_api::computer::{ClickMouseRequest, ClickType, MouseButton};
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Json, Result};
use xkeysym::Keysym;

use super::Computer;
use super::action::Action;
use super::check::Problems;
use super::device;
use super::hand::Hand;
use super::point::Point;

/// A click that has been checked.
#[derive(Debug)]
pub(super) struct Click {
    pub(super) at: Point,
    pub(super) held: Vec<Keysym>,
    button: MouseButton,
    kind: ClickType,
    times: u32,
}

impl Click {
    pub(super) fn plan(request: ClickMouseRequest) -> std::result::Result<Action, Problems> {
        let mut problems = Problems::default();
        let kind = request.click_type.unwrap_or_default();
        let times = problems.within("num_clicks", request.num_clicks.unwrap_or(1), 1..=100);
        if times > 1 && kind != ClickType::Click {
            problems.add("num_clicks", "must be 1 with click_type down or up");
        }
        let click = Self {
            at: problems.point(request.x, request.y),
            held: problems.held(request.hold_keys),
            button: request.button.unwrap_or_default(),
            kind,
            times,
        };
        problems.or(Action::Click(click))
    }

    pub(super) async fn perform(&self, hand: &mut Hand) -> device::Result<()> {
        hand.press_all(&self.held).await?;
        match self.kind {
            ClickType::Click => hand.device.click(self.at, self.button, self.times).await?,
            ClickType::Down | ClickType::Up => {
                hand.device.move_to(self.at).await?;
                hand.device.button(self.button, self.kind == ClickType::Down).await?;
            }
        }
        hand.release(self.held.len()).await
    }
}

/// Click with the mouse.
///
/// Moves the mouse to `x`, `y` (pixels; a headless session's screen is the viewport of the page in
/// front) and presses and releases `button`, `num_clicks` times, with `hold_keys` down. It goes there
/// at once; use `move_mouse` before it for a human way. `click_type: down` leaves the button down until
/// an `up`. A point outside the screen is 400 with the bounds.
#[utoipa::path(
    post,
    path = "/computer/click_mouse",
    operation_id = "browsers_computer_click_mouse",
    tag = "browsers/computer",
    request_body = ClickMouseRequest,
    responses((status = 200, description = "It has been done; no body."), Refusals, BodyRefusals),
)]
pub(super) async fn click_mouse(
    State(computer): State<Computer>,
    Json(request): Json<ClickMouseRequest>,
) -> Result<()> {
    let action = Click::plan(request).map_err(Problems::refusal)?;
    computer.act(action).await
}
