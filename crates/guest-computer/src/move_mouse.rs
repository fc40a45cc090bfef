//! `POST /computer/move_mouse`.

use std::time::Duration;

use axum::extract::State;
use browserd_api::computer::MoveMouseRequest;
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Json, Result};
use xkeysym::Keysym;

use super::action::Action;
use super::check::Problems;
use super::hand::Hand;
use super::point::{Point, Size};
use super::{Computer, device, human};

/// A move that has been checked.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) to: Point,
    pub(super) held: Vec<Keysym>,
    smooth: bool,
    duration: Option<Duration>,
}

impl Move {
    pub(super) fn plan(request: MoveMouseRequest) -> std::result::Result<Action, Problems> {
        let mut problems = Problems::default();
        let smooth = request.smooth.unwrap_or(true);
        if !smooth && request.duration_ms.is_some() {
            problems.add("duration_ms", "needs smooth; without it the move takes no time");
        }
        let motion = Self {
            to: problems.point(request.x, request.y),
            held: problems.held(request.hold_keys),
            smooth,
            duration: request.duration_ms.map(|ms| problems.millis("duration_ms", ms, 50..=5000)),
        };
        problems.or(Action::Move(motion))
    }

    pub(super) async fn perform(&self, hand: &mut Hand, screen: Size) -> device::Result<()> {
        hand.press_all(&self.held).await?;
        if self.smooth {
            let from = hand.device.position().await?.inside(screen);
            let way = human::smooth(&[from, self.to], screen, self.duration, &mut hand.rng);
            hand.follow(&way).await?;
        } else {
            hand.device.move_to(self.to).await?;
        }
        hand.release(self.held.len()).await
    }
}

/// Move the mouse.
///
/// Along a curve as a hand moves it, in `duration_ms` or what the distance calls for (0.08 to 1.2 s);
/// with `smooth: false` at once. Answers when it is there. A point outside the screen is 400 with the
/// bounds.
#[utoipa::path(
    post,
    path = "/computer/move_mouse",
    operation_id = "browsers_computer_move_mouse",
    tag = "browsers/computer",
    request_body = MoveMouseRequest,
    responses((status = 200, description = "It has been done; no body."), Refusals, BodyRefusals),
)]
pub(super) async fn move_mouse(
    State(computer): State<Computer>,
    Json(request): Json<MoveMouseRequest>,
) -> Result<()> {
    let action = Move::plan(request).map_err(Problems::refusal)?;
    computer.act(action).await
}
