//! Keys by name: what `press_key` and `hold_keys` take.
//!
//! Owns the names (all of X11's keysyms, what people write instead, single characters), the grammar
//! of combinations, and what each key is to a web page.

mod dom;
mod names;

use xkeysym::Keysym;

pub(super) use dom::{DomKey, modifier};

/// Longest name of a key or combination, bytes.
const NAME_LIMIT: usize = 200;
/// Most keys of one combination.
const COMBINATION_LIMIT: usize = 8;

/// The keys of a combination, first to last, or what is wrong with it.
pub(super) fn combination(text: &str) -> Result<Vec<Keysym>, String> {
    if text.is_empty() {
        return Err("an empty name; give a key such as Return or Ctrl+a".into());
    }
    if text.len() > NAME_LIMIT {
        return Err(format!("a name longer than {NAME_LIMIT} bytes"));
    }
    let mut keys = Vec::new();
    let mut rest = text;
    loop {
        // A plus that begins a part is the key itself: "+", "Ctrl++".
        let from = rest.chars().next().map_or(0, char::len_utf8);
        // So is one in the number of a character: "U+4e2d".
        let from = if is_number(rest) { 2 } else { from };
        let end = rest[from..].find('+').map(|at| at + from);
        let name = &rest[..end.unwrap_or(rest.len())];
        keys.push(key(name)?);
        if keys.len() > COMBINATION_LIMIT {
            return Err(format!("more than {COMBINATION_LIMIT} keys in {text:?}"));
        }
        match end {
            Some(at) if at + 1 < rest.len() => rest = &rest[at + 1..],
            Some(_) => return Err(format!("{text:?} ends in +; the key itself is named plus")),
            None => return Ok(keys),
        }
    }
}

/// Whether it begins with the number of a character.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix("U+").or_else(|| text.strip_prefix("u+")).unwrap_or_default();
    let digits = digits.split('+').next().unwrap_or_default();
    digits.len() >= 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn key(name: &str) -> Result<Keysym, String> {
    names::find(name.trim()).ok_or_else(|| {
        format!(
            "unknown key {name:?}; names are X11's (Return, Page_Down, F5, minus), a character, or \
             U+ and its number"
        )
    })
}

/// The key a character of a text is; none for what no keyboard can give.
pub(super) fn of_character(character: char) -> Option<Keysym> {
    match character {
        '\n' | '\r' => Some(Keysym::Return),
        '\t' => Some(Keysym::Tab),
        control if control.is_control() => None,
        character => Some(Keysym::from_char(character)).filter(|key| *key != Keysym::NoSymbol),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn combinations() {
        let known =
            |text: &str| combination(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(known("Ctrl+t"), [Keysym::Control_L, Keysym::t]);
        assert_eq!(known("ctrl+Shift+Tab"), [Keysym::Control_L, Keysym::Shift_L, Keysym::Tab]);
        assert_eq!(known("Ctrl+minus"), known("Ctrl+-"));
        assert_eq!(known("Ctrl++"), [Keysym::Control_L, Keysym::plus]);
        assert_eq!(known("+"), [Keysym::plus]);
        assert_eq!(known("é"), [Keysym::eacute]);
        assert_eq!(known("U+4e2d"), known("中"));
        assert_eq!(known("Enter"), known("Return"));
        for unknown in ["", "Foo", "Ctrl+", "Ctrl+Foo", "ab", "U+110000", "U+zz"] {
            assert!(combination(unknown).is_err(), "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,40}") {
            let _ = combination(&text);
        }
    }
}
