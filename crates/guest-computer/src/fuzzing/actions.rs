//! The targets of actions and keys.

use browserd_api::computer::BatchRequest;
use fastrand::Rng;
use xkeysym::Keysym;

use crate::human::{Stroke, Typing};
use crate::keys::{DomKey, combination, modifier, of_character};
use crate::{action, batch};

/// Names of keys: a combination has few keys, each of which is one; a text can be typed character by
/// character, by a person too, and is there in the end.
pub(crate) fn key_names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for key in combination(text).unwrap_or_default() {
        assert_ne!(key, Keysym::NoSymbol);
        for shift in [false, true] {
            if let Some(dom) = DomKey::of(key, shift) {
                assert!(!dom.key.is_empty());
                assert!(
                    dom.text.is_none_or(|text| text == "\r" || !text.contains(char::is_control))
                );
            }
        }
        assert!(modifier(key).is_none_or(|bit| bit.count_ones() == 1 && bit <= 8));
    }
    assert!(combination(text).is_ok_and(|keys| keys.len() <= 8) || combination(text).is_err());
    for character in text.chars().filter(|character| !character.is_control()) {
        if let Some(key) = of_character(character) {
            assert_eq!(key.key_char(), Some(character), "{character:?}");
        }
    }
    let typing = Typing { gap: None, typos: 0.1 };
    let mut typed = String::new();
    for (gap, stroke) in typing.strokes(text, &mut Rng::with_seed(7)) {
        assert!(gap.as_secs() < 60);
        match stroke {
            Stroke::Type(character) => typed.push(character),
            Stroke::Erase => drop(typed.pop()),
        }
    }
    assert_eq!(typed, text);
}

/// A batch of actions: each is checked as it stands, and refused by its place in the batch.
pub(crate) fn computer_actions(data: &[u8]) {
    let Ok(request) = serde_json::from_slice::<BatchRequest>(data) else { return };
    let count = request.actions.len();
    match batch::plans(request.actions) {
        Ok(plans) => {
            assert_eq!(plans.len(), count);
            for (_, planned) in plans {
                if let action::Action::Sleep(time) = planned {
                    assert!(time.as_secs() <= 30);
                }
            }
        }
        Err(refusal) => {
            let details = &refusal.0.body().details;
            assert!(!details.is_empty());
            assert!(details.iter().all(|detail| detail.code.starts_with("actions")), "{details:?}");
        }
    }
}
