//! `POST /computer/drag_mouse`.

use std::time::Duration;

use axum::extract::State;
use browserd_api::computer::{DragMouseRequest, MouseButton};
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Json, Result};
use xkeysym::Keysym;

use super::action::Action;
use super::check::Problems;
use super::hand::Hand;
use super::point::{Point, Size, drag_button};
use super::{Computer, device, human};

/// Points of a path at most.
const PATH_LIMIT: usize = 1000;
/// Moves of a straight drag at most.
const MOVES_LIMIT: u64 = 20_000;

/// A drag that has been checked.
#[derive(Debug)]
pub(super) struct Drag {
    pub(super) path: Vec<Point>,
    pub(super) held: Vec<Keysym>,
    button: MouseButton,
    delay: Duration,
    manner: Manner,
}

/// How the mouse goes from point to point.
#[derive(Debug)]
enum Manner {
    Smooth(Option<Duration>),
    Straight { steps: u32, pause: Duration },
}

impl Drag {
    pub(super) fn plan(request: DragMouseRequest) -> std::result::Result<Action, Problems> {
        let mut problems = Problems::default();
        if !(2..=PATH_LIMIT).contains(&request.path.len()) {
            let count = request.path.len();
            problems.add("path", format!("must have from 2 to {PATH_LIMIT} points, not {count}"));
        }
        for (index, point) in request.path.iter().enumerate() {
            for (side, value) in point.iter().enumerate().filter(|(_, value)| **value < 0) {
                problems.add(
                    format!("path[{index}][{side}]"),
                    format!("must be 0 or more, not {value}"),
                );
            }
        }
        let steps = request.steps_per_segment.unwrap_or(10);
        let steps = problems.within("steps_per_segment", steps, 1..=1000);
        let pause = request.step_delay_ms.unwrap_or(50);
        let pause = problems.millis("step_delay_ms", pause, 0..=10_000);
        let duration =
            request.duration_ms.map(|ms| problems.millis("duration_ms", ms, 50..=10_000));
        let manner = if request.smooth.unwrap_or(true) {
            Manner::Smooth(duration)
        } else {
            if duration.is_some() {
                problems.add("duration_ms", "needs smooth; without it use step_delay_ms");
            }
            let moves = request.path.len() as u64 * u64::from(steps);
            if moves > MOVES_LIMIT {
                let message = format!("makes {moves} moves of this path; {MOVES_LIMIT} at most");
                problems.add("steps_per_segment", message);
            }
            Manner::Straight { steps, pause }
        };
        let drag = Self {
            path: request.path.iter().map(|[x, y]| Point { x: *x, y: *y }).collect(),
            held: problems.held(request.hold_keys),
            button: drag_button(request.button.unwrap_or_default()),
            delay: problems.millis("delay", request.delay.unwrap_or(0), 0..=30_000),
            manner,
        };
        problems.or(Action::Drag(drag))
    }

    pub(super) async fn perform(&self, hand: &mut Hand, screen: Size) -> device::Result<()> {
        let Some(first) = self.path.first() else { return Ok(()) };
        hand.press_all(&self.held).await?;
        hand.device.move_to(*first).await?;
        hand.press_button(self.button).await?;
        tokio::time::sleep(self.delay).await;
        let way = match self.manner {
            Manner::Smooth(duration) => human::smooth(&self.path, screen, duration, &mut hand.rng),
            Manner::Straight { steps, pause } => human::line(&self.path, steps, pause),
        };
        hand.follow(&way).await?;
        hand.release_button().await?;
        hand.release(self.held.len()).await
    }
}

/// Drag with the mouse.
///
/// Goes to the first point of `path` at once, presses `button`, waits `delay` milliseconds, moves
/// through all points and releases it at the last: along curves in `duration_ms` or what the length
/// calls for, or with `smooth: false` straight, in `steps_per_segment` moves with `step_delay_ms`
/// between them. The button is released whatever happens. A point outside the screen is 400 with the
/// bounds.
#[utoipa::path(
    post,
    path = "/computer/drag_mouse",
    operation_id = "browsers_computer_drag_mouse",
    tag = "browsers/computer",
    request_body = DragMouseRequest,
    responses((status = 200, description = "It has been done; no body."), Refusals, BodyRefusals),
)]
pub(super) async fn drag_mouse(
    State(computer): State<Computer>,
    Json(request): Json<DragMouseRequest>,
) -> Result<()> {
    let action = Drag::plan(request).map_err(Problems::refusal)?;
    computer.act(action).await
}
