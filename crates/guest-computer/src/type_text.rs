//! `POST /computer/type`.

use std::time::Duration;

use axum::extract::State;
use browserd_api::computer::TypeTextRequest;
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Json, Result};
use xkeysym::Keysym;

use super::action::Action;
use super::check::Problems;
use super::hand::Hand;
use super::human::{Stroke, Typing};
use super::{Computer, device, keys};

/// Longest text, characters.
const TEXT_LIMIT: usize = 100_000;
/// Keys made strikable and struck at a time.
const AT_ONCE: usize = 1024;

/// Text that has been checked.
#[derive(Debug)]
pub(super) struct Text {
    text: String,
    /// How a person types it; none: all at once.
    typing: Option<Typing>,
    /// The pause between characters where no person types.
    delay: Duration,
}

impl Text {
    pub(super) fn plan(request: TypeTextRequest) -> std::result::Result<Action, Problems> {
        let mut problems = Problems::default();
        // A line break is one key, however it is written.
        let text = request.text.replace("\r\n", "\n");
        if text.chars().count() > TEXT_LIMIT {
            problems.add("text", format!("has {TEXT_LIMIT} characters at most"));
        }
        if let Some(odd) = text.chars().find(|character| keys::of_character(*character).is_none()) {
            let code = u32::from(odd);
            problems.add("text", format!("has U+{code:04X}, which no key types; leave it out"));
        }
        let delay = problems.millis("delay", request.delay.unwrap_or(0), 0..=5000);
        let typos = request.typo_chance.unwrap_or(0.0);
        if !(0.0..=0.1).contains(&typos) {
            problems.add("typo_chance", format!("must be from 0 to 0.1, not {typos}"));
        }
        if request.smooth == Some(false) && typos > 0.0 {
            problems.add("typo_chance", "needs smooth; leave smooth out or set it to true");
        }
        let smooth = request.smooth.unwrap_or(typos > 0.0);
        let gap = (!delay.is_zero()).then_some(delay);
        let typing = smooth.then_some(Typing { gap, typos });
        problems.or(Action::Type(Self { text, typing, delay }))
    }

    pub(super) async fn perform(&self, hand: &mut Hand) -> device::Result<()> {
        let strokes: Vec<(Duration, Keysym)> = match self.typing {
            Some(typing) => {
                let strokes = typing.strokes(&self.text, &mut hand.rng).into_iter();
                let key = |stroke| match stroke {
                    Stroke::Type(character) => keys::of_character(character),
                    Stroke::Erase => Some(Keysym::BackSpace),
                };
                strokes.filter_map(|(gap, stroke)| Some((gap, key(stroke)?))).collect()
            }
            None => {
                let keys = self.text.chars().filter_map(keys::of_character);
                keys.map(|key| (self.delay, key)).collect()
            }
        };
        let all: Vec<Keysym> = strokes.iter().map(|(_, key)| *key).collect();
        let paced = self.typing.is_some() || !self.delay.is_zero();
        let mut done = 0;
        while done < all.len() {
            let next = &all[done..all.len().min(done + AT_ONCE)];
            // Never none, for every keyboard has spare keys; were there none, this would say so.
            let count = hand.lend(next).await?.max(1);
            if paced {
                for (index, (gap, key)) in strokes[done..done + count].iter().enumerate() {
                    if done + index > 0 {
                        tokio::time::sleep(*gap).await;
                    }
                    hand.device.strike(&[*key]).await?;
                }
            } else {
                hand.device.strike(&next[..count]).await?;
            }
            done += count;
        }
        Ok(())
    }
}

/// Type text.
///
/// Types `text`, in any script and whatever the layout of the keyboard, into whatever has the
/// keyboard focus, and answers when it has been typed. A line break is the Return key, a tab the Tab
/// key; other control characters are 400. It is typed at once, or with `delay` milliseconds between
/// characters. With `smooth` (extension) it is typed as a person does, 50 to 120 ms between characters,
/// longer between words, and `typo_chance` (extension, 0 to 0.1) of them mistyped and corrected.
#[utoipa::path(
    post,
    path = "/computer/type",
    operation_id = "browsers_computer_type",
    tag = "browsers/computer",
    request_body = TypeTextRequest,
    responses((status = 200, description = "It has been done; no body."), Refusals, BodyRefusals),
)]
pub(super) async fn type_text(
    State(computer): State<Computer>,
    Json(request): Json<TypeTextRequest>,
) -> Result<()> {
    let action = Text::plan(request).map_err(Problems::refusal)?;
    computer.act(action).await
}
