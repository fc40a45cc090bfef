//! `POST /computer/batch`.

use axum::extract::State;
use browserd_api::computer::{ActionType, BatchRequest, ComputerAction};
use browserd_api::{ApiError, ErrorDetail};
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Error, Json, Result};

use super::Computer;
use super::action::Action;
use super::check::Problems;
use super::click_mouse::Click;
use super::drag_mouse::Drag;
use super::hand::Hand;
use super::move_mouse::Move;
use super::press_key::Press;
use super::scroll::Scroll;
use super::type_text::Text;

/// Actions of one batch at most.
const ACTIONS_LIMIT: usize = 100;

/// Where an action stands in its batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    index: usize,
    kind: ActionType,
}

impl Place {
    /// In front of a field.
    fn field(self) -> String {
        format!("actions[{}].{}.", self.index, self.kind.as_str())
    }

    /// In front of a message.
    fn words(self) -> String {
        format!("actions[{}] ({})", self.index, self.kind.as_str())
    }

    fn of(self, problems: Problems) -> Vec<ErrorDetail> {
        problems.below(&self.field(), &self.words())
    }
}

/// The checked action, or what is wrong with it.
fn plan(place: Place, action: ComputerAction) -> std::result::Result<Action, Vec<ErrorDetail>> {
    let given = [
        (ActionType::ClickMouse, action.click_mouse.is_some()),
        (ActionType::MoveMouse, action.move_mouse.is_some()),
        (ActionType::TypeText, action.type_text.is_some()),
        (ActionType::PressKey, action.press_key.is_some()),
        (ActionType::Scroll, action.scroll.is_some()),
        (ActionType::DragMouse, action.drag_mouse.is_some()),
        (ActionType::SetCursor, action.set_cursor.is_some()),
        (ActionType::Sleep, action.sleep.is_some()),
    ];
    let complain = |name: &str, message: &str| {
        let code = format!("actions[{}].{name}", place.index);
        vec![ErrorDetail { code, message: format!("{}: {name}: {message}", place.words()) }]
    };
    if let Some((other, _)) = given.iter().find(|(kind, given)| *given && *kind != place.kind) {
        let message = format!("does not belong to type {}", place.kind.as_str());
        return Err(complain(other.as_str(), &message));
    }
    let planned = match place.kind {
        ActionType::ClickMouse => action.click_mouse.map(Click::plan),
        ActionType::MoveMouse => action.move_mouse.map(Move::plan),
        ActionType::TypeText => action.type_text.map(Text::plan),
        ActionType::PressKey => action.press_key.map(Press::plan),
        ActionType::Scroll => action.scroll.map(Scroll::plan),
        ActionType::DragMouse => action.drag_mouse.map(Drag::plan),
        ActionType::SetCursor => action.set_cursor.map(|set| Ok(Action::Cursor(set.hidden))),
        ActionType::Sleep => action.sleep.map(|sleep| {
            let mut problems = Problems::default();
            let time = problems.millis("duration_ms", sleep.duration_ms, 0..=30_000);
            problems.or(Action::Sleep(time))
        }),
    };
    match planned {
        Some(planned) => planned.map_err(|problems| place.of(problems)),
        None => Err(complain(place.kind.as_str(), "is missing; it holds the parameters")),
    }
}

/// All of them checked, or everything that is wrong.
pub(super) fn plans(actions: Vec<ComputerAction>) -> Result<Vec<(Place, Action)>> {
    if !(1..=ACTIONS_LIMIT).contains(&actions.len()) {
        let count = actions.len();
        let message = format!("must have from 1 to {ACTIONS_LIMIT} actions, not {count}");
        return Err(Error::field("actions", message));
    }
    let (mut plans, mut details) = (Vec::new(), Vec::new());
    for (index, action) in actions.into_iter().enumerate() {
        let place = Place { index, kind: action.kind };
        match plan(place, action) {
            Ok(action) => plans.push((place, action)),
            Err(wrong) => details.extend(wrong),
        }
    }
    if details.is_empty() { Ok(plans) } else { Err(refusal(details)) }
}

/// A refusal whose message says which action.
fn refusal(details: Vec<ErrorDetail>) -> Error {
    let code = browserd_api::ErrorCode::InvalidInput;
    let first = details.first().map_or("", |detail| &detail.message).to_owned();
    let refusal = details.into_iter().fold(ApiError::new(code, first), |error, detail| {
        error.detail(detail.code, detail.message)
    });
    refusal.into()
}

async fn perform(hand: &mut Hand, actions: Vec<(Place, Action)>) -> Result<()> {
    let screen = hand.device.size().await.map_err(|error| error.before())?;
    let mut details = Vec::new();
    for (place, action) in &actions {
        if let Err(problems) = action.check(screen, &hand.device) {
            details.extend(place.of(problems));
        }
    }
    if !details.is_empty() {
        return Err(refusal(details));
    }
    for (place, action) in &actions {
        let mut outcome = action.perform(hand, screen).await;
        if outcome.is_ok() {
            outcome = hand.let_go().await;
        }
        if let Err(error) = outcome {
            let Error(refused) = error.during();
            let body = refused.body();
            let message = format!("{}: {}", place.words(), body.message);
            let code = format!("actions[{}]", place.index);
            return Err(ApiError::new(body.code, message.clone()).detail(code, message).into());
        }
    }
    Ok(())
}

/// Do several actions in order.
///
/// 1 to 100 `actions`, each a `type` and the field of that name with the parameters of the operation;
/// besides, `sleep` pauses for `duration_ms` milliseconds. No action of another request comes between
/// them. All are checked before the first is done, so that a batch with a mistake does nothing; the
/// 400 names each field and says `actions[i] (type): …`. Should one fail while it is done, the rest is
/// left, what was done stays done, and `details` says which it was. Answers when the last is done.
#[utoipa::path(
    post,
    path = "/computer/batch",
    operation_id = "browsers_computer_batch",
    tag = "browsers/computer",
    request_body = BatchRequest,
    responses((status = 200, description = "All have been done; no body."), Refusals, BodyRefusals),
)]
pub(super) async fn batch(
    State(computer): State<Computer>,
    Json(request): Json<BatchRequest>,
) -> Result<()> {
    let actions = plans(request.actions)?;
    computer.turn(|hand| Box::pin(perform(hand, actions))).await
}
