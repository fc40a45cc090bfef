//! `POST /computer/press_key`.

use std::time::Duration;

use axum::extract::State;
use browserd_api::computer::PressKeyRequest;
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Json, Result};
use xkeysym::Keysym;

use super::action::Action;
use super::check::Problems;
use super::hand::Hand;
use super::{Computer, device, keys};

/// Keys and combinations of one request at most.
const KEYS_LIMIT: usize = 64;

/// Keys that have been checked.
#[derive(Debug)]
pub(super) struct Press {
    /// Combinations, each its keys.
    pub(super) keys: Vec<Vec<Keysym>>,
    pub(super) held: Vec<Keysym>,
    duration: Duration,
}

impl Press {
    pub(super) fn plan(request: PressKeyRequest) -> std::result::Result<Action, Problems> {
        let mut problems = Problems::default();
        if !(1..=KEYS_LIMIT).contains(&request.keys.len()) {
            let count = request.keys.len();
            problems.add("keys", format!("must have from 1 to {KEYS_LIMIT} keys, not {count}"));
        }
        let mut all = Vec::new();
        for (index, text) in request.keys.iter().take(KEYS_LIMIT).enumerate() {
            match keys::combination(text) {
                Ok(keys) => all.push(keys),
                Err(message) => problems.add(format!("keys[{index}]"), message),
            }
        }
        let press = Self {
            keys: all,
            held: problems.held(request.hold_keys),
            duration: problems.millis("duration", request.duration.unwrap_or(0), 0..=60_000),
        };
        problems.or(Action::Press(press))
    }

    pub(super) async fn perform(&self, hand: &mut Hand) -> device::Result<()> {
        hand.press_all(&self.held).await?;
        if self.duration.is_zero() {
            for (index, combination) in self.keys.iter().enumerate() {
                if index > 0 {
                    // The one before may have brought something else to the front that is to get this one.
                    hand.device.settle().await;
                }
                hand.press_all(combination).await?;
                hand.release(combination.len()).await?;
            }
        } else {
            let all = self.keys.concat();
            hand.press_all(&all).await?;
            tokio::time::sleep(self.duration).await;
            hand.release(all.len()).await?;
        }
        hand.release(self.held.len()).await
    }
}

/// Press keys.
///
/// Each of `keys` is the name of a key (X11's: `Return`, `Page_Down`, `F5`, `minus`; common others
/// such as `Enter` and `Esc`; a character; `U+` and its number) or a combination such as
/// `Ctrl+Shift+Tab`. They are tapped one after another, or with a `duration` (milliseconds) all held
/// together for so long, with `hold_keys` down meanwhile. An unknown name is 400 and quoted. Headless,
/// keys go to the page in front: shortcuts of the browser's own interface, such as `Ctrl+t`, do
/// nothing there.
#[utoipa::path(
    post,
    path = "/computer/press_key",
    operation_id = "browsers_computer_press_key",
    tag = "browsers/computer",
    request_body = PressKeyRequest,
    responses((status = 200, description = "It has been done; no body."), Refusals, BodyRefusals),
)]
pub(super) async fn press_key(
    State(computer): State<Computer>,
    Json(request): Json<PressKeyRequest>,
) -> Result<()> {
    let action = Press::plan(request).map_err(Problems::refusal)?;
    computer.act(action).await
}
