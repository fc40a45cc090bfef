//! Mouse and keyboard of a page.

use browserd_api::computer::MouseButton;
use browserd_chromium::cdp::CdpError;
use futures_util::future::join_all;
use serde_json::{Value, json};
use xkeysym::Keysym;

use super::heed::HEED_WITHIN;
use super::{Failure, Front, Pages, Result};
use crate::keys::{DomKey, modifier};
use crate::point::Point;

/// Pixels a notch of the wheel scrolls by, as it does in a headful Chromium on Linux.
const NOTCH: i32 = 120;
/// Events sent before their answers are awaited.
const AT_ONCE: usize = 32;
/// `location` of the number pad's keys, and that they are on it.
const PAD: u32 = 3;

/// Name of a button, and its bit in `buttons`.
fn names(button: MouseButton) -> (&'static str, u32) {
    match button {
        MouseButton::Left => ("left", 1),
        MouseButton::Right => ("right", 2),
        MouseButton::Middle => ("middle", 4),
        MouseButton::Back => ("back", 8),
        MouseButton::Forward => ("forward", 16),
    }
}

/// A method and its parameters.
type Event = (&'static str, Value);

impl Front {
    /// Sends events in order and waits until the page has dealt with them, or has taken too long.
    async fn give(&self, events: Vec<Event>) -> Result<()> {
        for some in events.chunks(AT_ONCE) {
            let calls = some
                .iter()
                .map(|(method, params)| self.cdp.call_raw(Some(&self.session), method, params));
            let Ok(answers) = tokio::time::timeout(HEED_WITHIN, join_all(calls)).await else {
                tracing::debug!("a page is slow to take its input");
                continue;
            };
            for answer in answers {
                match answer {
                    Ok(_) => {}
                    // A click that closes its page, say: the event was its last.
                    Err(CdpError::Refused { message, .. }) if is_end_of_page(&message) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

fn is_end_of_page(message: &str) -> bool {
    message.contains("target closed")
        || message.contains("Target closed")
        || message.contains("Session with given id not found")
        || message.contains("detached")
}

impl Pages {
    fn modifier_bits(&self) -> u32 {
        self.held.iter().filter_map(|key| modifier(*key)).fold(0, |bits, bit| bits | bit)
    }

    fn mouse_event(&self, kind: &str, button: Option<MouseButton>, count: u32) -> Event {
        let params = json!({
            "type": kind,
            "x": self.mouse.x,
            "y": self.mouse.y,
            "button": button.map_or("none", |button| names(button).0),
            "buttons": self.buttons,
            "clickCount": count,
            "modifiers": self.modifier_bits(),
            "pointerType": "mouse",
        });
        ("Input.dispatchMouseEvent", params)
    }

    /// The event of a mouse that has moved; a drag goes on with the button it began with.
    fn motion(&self) -> Event {
        let all = [
            MouseButton::Left,
            MouseButton::Right,
            MouseButton::Middle,
            MouseButton::Back,
            MouseButton::Forward,
        ];
        let held = all.into_iter().find(|button| self.buttons & names(*button).1 != 0);
        self.mouse_event("mouseMoved", held, 0)
    }

    fn button_event(&mut self, button: MouseButton, down: bool, count: u32) -> Event {
        let bit = names(button).1;
        self.buttons = if down { self.buttons | bit } else { self.buttons & !bit };
        let kind = if down { "mousePressed" } else { "mouseReleased" };
        self.mouse_event(kind, Some(button), count)
    }

    pub(crate) async fn move_to(&mut self, to: Point) -> Result<()> {
        let front = self.front().await?;
        self.mouse = to;
        front.give(vec![self.motion()]).await
    }

    pub(crate) async fn button(&mut self, button: MouseButton, down: bool) -> Result<()> {
        let front = self.front().await?;
        let event = self.button_event(button, down, 1);
        front.give(vec![event]).await
    }

    /// Clicks at a place, `times` times; the second is a double click.
    pub(crate) async fn click(&mut self, at: Point, button: MouseButton, times: u32) -> Result<()> {
        let front = self.front().await?;
        self.mouse = at;
        let mut events = vec![self.motion()];
        for count in 1..=times {
            events.push(self.button_event(button, true, count));
            events.push(self.button_event(button, false, count));
        }
        front.give(events).await
    }

    pub(crate) async fn wheel(&mut self, at: Point, x: i32, y: i32) -> Result<()> {
        let front = self.front().await?;
        self.mouse = at;
        let motion = self.motion();
        let (method, mut params) = self.mouse_event("mouseWheel", None, 0);
        params["deltaX"] = json!(x * NOTCH);
        params["deltaY"] = json!(y * NOTCH);
        front.give(vec![motion, (method, params)]).await
    }

    fn key_event(&self, key: &DomKey, down: bool) -> Event {
        let bits = self.modifier_bits() | if key.shifted { 8 } else { 0 };
        // With Control, Alt or Meta a key is a command and writes nothing.
        let text = key.text.as_ref().filter(|_| down && bits & 7 == 0);
        let kind = match (down, text) {
            (true, Some(_)) => "keyDown",
            (true, None) => "rawKeyDown",
            (false, _) => "keyUp",
        };
        let mut params = json!({
            "type": kind,
            "key": key.key,
            "code": key.code,
            "windowsVirtualKeyCode": key.number,
            "modifiers": bits,
        });
        if let Some(text) = text {
            params["text"] = json!(text);
            params["unmodifiedText"] = json!(text);
        }
        if key.pad {
            params["isKeypad"] = json!(true);
            params["location"] = json!(PAD);
        }
        ("Input.dispatchKeyEvent", params)
    }

    fn dom_key(&self, key: Keysym) -> Result<DomKey> {
        let shift = self.modifier_bits() & 8 != 0;
        DomKey::of(key, shift).ok_or(Failure::Odd("a key pages know nothing of"))
    }

    /// Types keys that write; what no key of the keyboard writes is inserted.
    pub(crate) async fn strike(&mut self, keys: Vec<Keysym>) -> Result<()> {
        let front = self.front().await?;
        let mut events = Vec::with_capacity(keys.len() * 2);
        let mut inserted = String::new();
        for key in keys {
            let key = self.dom_key(key)?;
            if let (false, Some(text)) = (key.on_keyboard(), &key.text) {
                inserted.push_str(text);
                continue;
            }
            flush(&mut inserted, &mut events);
            events.push(self.key_event(&key, true));
            events.push(self.key_event(&key, false));
        }
        flush(&mut inserted, &mut events);
        front.give(events).await
    }

    /// Presses a key until [`Pages::release`].
    pub(crate) async fn key_down(&mut self, key: Keysym) -> Result<()> {
        let front = self.front().await?;
        let dom = self.dom_key(key)?;
        // First, as the call may be cut off after it was heard.
        self.held.push(key);
        let event = self.key_event(&dom, true);
        front.give(vec![event]).await
    }

    /// Releases the last `count` keys that were pressed, the last first.
    pub(crate) async fn release(&mut self, count: usize) -> Result<()> {
        if self.held.is_empty() || count == 0 {
            return Ok(());
        }
        let front = self.front().await?;
        let mut events = Vec::new();
        for _ in 0..count {
            let Some(key) = self.held.pop() else { break };
            let dom = self.dom_key(key)?;
            events.push(self.key_event(&dom, false));
        }
        front.give(events).await
    }
}

fn flush(inserted: &mut String, events: &mut Vec<Event>) {
    if !inserted.is_empty() {
        let text = std::mem::take(inserted);
        events.push(("Input.insertText", json!({ "text": text })));
    }
}
