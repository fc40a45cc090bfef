//! What a key is to a web page: `key`, `code` and the like, on an American keyboard.

use xkeysym::Keysym;

/// A key as Chromium is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DomKey {
    /// `KeyboardEvent.key`.
    pub(crate) key: String,
    /// `KeyboardEvent.code`; empty where no key of the keyboard has it.
    pub(crate) code: &'static str,
    /// `KeyboardEvent.keyCode`.
    pub(crate) number: u16,
    /// What it writes.
    pub(crate) text: Option<String>,
    /// Shift is needed for it.
    pub(crate) shifted: bool,
    /// It is one of the number pad.
    pub(crate) pad: bool,
}

/// Keys that write: code, key code, without and with Shift.
const WRITING: [(&str, u16, char, char); 48] = [
    ("Space", 32, ' ', ' '),
    ("Backquote", 192, '`', '~'),
    ("Digit1", 49, '1', '!'),
    ("Digit2", 50, '2', '@'),
    ("Digit3", 51, '3', '#'),
    ("Digit4", 52, '4', '$'),
    ("Digit5", 53, '5', '%'),
    ("Digit6", 54, '6', '^'),
    ("Digit7", 55, '7', '&'),
    ("Digit8", 56, '8', '*'),
    ("Digit9", 57, '9', '('),
    ("Digit0", 48, '0', ')'),
    ("Minus", 189, '-', '_'),
    ("Equal", 187, '=', '+'),
    ("BracketLeft", 219, '[', '{'),
    ("BracketRight", 221, ']', '}'),
    ("Backslash", 220, '\\', '|'),
    ("Semicolon", 186, ';', ':'),
    ("Quote", 222, '\'', '"'),
    ("Comma", 188, ',', '<'),
    ("Period", 190, '.', '>'),
    ("Slash", 191, '/', '?'),
    ("KeyA", 65, 'a', 'A'),
    ("KeyB", 66, 'b', 'B'),
    ("KeyC", 67, 'c', 'C'),
    ("KeyD", 68, 'd', 'D'),
    ("KeyE", 69, 'e', 'E'),
    ("KeyF", 70, 'f', 'F'),
    ("KeyG", 71, 'g', 'G'),
    ("KeyH", 72, 'h', 'H'),
    ("KeyI", 73, 'i', 'I'),
    ("KeyJ", 74, 'j', 'J'),
    ("KeyK", 75, 'k', 'K'),
    ("KeyL", 76, 'l', 'L'),
    ("KeyM", 77, 'm', 'M'),
    ("KeyN", 78, 'n', 'N'),
    ("KeyO", 79, 'o', 'O'),
    ("KeyP", 80, 'p', 'P'),
    ("KeyQ", 81, 'q', 'Q'),
    ("KeyR", 82, 'r', 'R'),
    ("KeyS", 83, 's', 'S'),
    ("KeyT", 84, 't', 'T'),
    ("KeyU", 85, 'u', 'U'),
    ("KeyV", 86, 'v', 'V'),
    ("KeyW", 87, 'w', 'W'),
    ("KeyX", 88, 'x', 'X'),
    ("KeyY", 89, 'y', 'Y'),
    ("KeyZ", 90, 'z', 'Z'),
];

/// Keys that do something: `key`, `code`, key code.
const ACTING: [(Keysym, &str, &str, u16); 44] = [
    (Keysym::BackSpace, "Backspace", "Backspace", 8),
    (Keysym::Tab, "Tab", "Tab", 9),
    (Keysym::ISO_Left_Tab, "Tab", "Tab", 9),
    (Keysym::Clear, "Clear", "NumpadClear", 12),
    (Keysym::Return, "Enter", "Enter", 13),
    (Keysym::Linefeed, "Enter", "Enter", 13),
    (Keysym::Pause, "Pause", "Pause", 19),
    (Keysym::Break, "Cancel", "Pause", 3),
    (Keysym::Escape, "Escape", "Escape", 27),
    (Keysym::Page_Up, "PageUp", "PageUp", 33),
    (Keysym::Page_Down, "PageDown", "PageDown", 34),
    (Keysym::End, "End", "End", 35),
    (Keysym::Home, "Home", "Home", 36),
    (Keysym::Left, "ArrowLeft", "ArrowLeft", 37),
    (Keysym::Up, "ArrowUp", "ArrowUp", 38),
    (Keysym::Right, "ArrowRight", "ArrowRight", 39),
    (Keysym::Down, "ArrowDown", "ArrowDown", 40),
    (Keysym::Print, "PrintScreen", "PrintScreen", 44),
    (Keysym::Insert, "Insert", "Insert", 45),
    (Keysym::Delete, "Delete", "Delete", 46),
    (Keysym::Help, "Help", "Help", 47),
    (Keysym::Menu, "ContextMenu", "ContextMenu", 93),
    (Keysym::Shift_L, "Shift", "ShiftLeft", 16),
    (Keysym::Shift_R, "Shift", "ShiftRight", 16),
    (Keysym::Control_L, "Control", "ControlLeft", 17),
    (Keysym::Control_R, "Control", "ControlRight", 17),
    (Keysym::Alt_L, "Alt", "AltLeft", 18),
    (Keysym::Alt_R, "Alt", "AltRight", 18),
    (Keysym::ISO_Level3_Shift, "AltGraph", "AltRight", 225),
    (Keysym::Mode_switch, "AltGraph", "AltRight", 225),
    (Keysym::Super_L, "Meta", "MetaLeft", 91),
    (Keysym::Super_R, "Meta", "MetaRight", 92),
    (Keysym::Meta_L, "Meta", "MetaLeft", 91),
    (Keysym::Meta_R, "Meta", "MetaRight", 92),
    (Keysym::Caps_Lock, "CapsLock", "CapsLock", 20),
    (Keysym::Num_Lock, "NumLock", "NumLock", 144),
    (Keysym::Scroll_Lock, "ScrollLock", "ScrollLock", 145),
    (Keysym::XF86_AudioMute, "AudioVolumeMute", "AudioVolumeMute", 173),
    (Keysym::XF86_AudioLowerVolume, "AudioVolumeDown", "AudioVolumeDown", 174),
    (Keysym::XF86_AudioRaiseVolume, "AudioVolumeUp", "AudioVolumeUp", 175),
    (Keysym::XF86_AudioPlay, "MediaPlayPause", "MediaPlayPause", 179),
    (Keysym::XF86_Back, "BrowserBack", "BrowserBack", 166),
    (Keysym::XF86_Forward, "BrowserForward", "BrowserForward", 167),
    (Keysym::XF86_Reload, "BrowserRefresh", "BrowserRefresh", 168),
];

/// Keys of the number pad: what they stand for, and their code.
const PAD: [(Keysym, Keysym, &str); 27] = [
    (Keysym::KP_0, Keysym::_0, "Numpad0"),
    (Keysym::KP_1, Keysym::_1, "Numpad1"),
    (Keysym::KP_2, Keysym::_2, "Numpad2"),
    (Keysym::KP_3, Keysym::_3, "Numpad3"),
    (Keysym::KP_4, Keysym::_4, "Numpad4"),
    (Keysym::KP_5, Keysym::_5, "Numpad5"),
    (Keysym::KP_6, Keysym::_6, "Numpad6"),
    (Keysym::KP_7, Keysym::_7, "Numpad7"),
    (Keysym::KP_8, Keysym::_8, "Numpad8"),
    (Keysym::KP_9, Keysym::_9, "Numpad9"),
    (Keysym::KP_Add, Keysym::plus, "NumpadAdd"),
    (Keysym::KP_Subtract, Keysym::minus, "NumpadSubtract"),
    (Keysym::KP_Multiply, Keysym::asterisk, "NumpadMultiply"),
    (Keysym::KP_Divide, Keysym::slash, "NumpadDivide"),
    (Keysym::KP_Decimal, Keysym::period, "NumpadDecimal"),
    (Keysym::KP_Equal, Keysym::equal, "NumpadEqual"),
    (Keysym::KP_Enter, Keysym::Return, "NumpadEnter"),
    (Keysym::KP_Left, Keysym::Left, "Numpad4"),
    (Keysym::KP_Right, Keysym::Right, "Numpad6"),
    (Keysym::KP_Up, Keysym::Up, "Numpad8"),
    (Keysym::KP_Down, Keysym::Down, "Numpad2"),
    (Keysym::KP_Home, Keysym::Home, "Numpad7"),
    (Keysym::KP_End, Keysym::End, "Numpad1"),
    (Keysym::KP_Page_Up, Keysym::Page_Up, "Numpad9"),
    (Keysym::KP_Page_Down, Keysym::Page_Down, "Numpad3"),
    (Keysym::KP_Insert, Keysym::Insert, "Numpad0"),
    (Keysym::KP_Delete, Keysym::Delete, "NumpadDecimal"),
];

/// Names of the function keys' codes.
const FUNCTION: [&str; 24] = [
    "F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F13", "F14", "F15",
    "F16", "F17", "F18", "F19", "F20", "F21", "F22", "F23", "F24",
];

/// Key codes of the number pad are its own where it writes.
fn pad_number(key: Keysym) -> Option<u16> {
    match u32::from(key) {
        digit @ 0xffb0..=0xffb9 => Some(96 + (digit - 0xffb0) as u16),
        sign @ 0xffaa..=0xffaf => Some(106 + (sign - 0xffaa) as u16),
        _ => None,
    }
}

/// The bit a key sets in `modifiers` of Chromium's events, if it is a modifier.
pub(crate) fn modifier(key: Keysym) -> Option<u32> {
    match key {
        Keysym::Alt_L | Keysym::Alt_R => Some(1),
        Keysym::Control_L | Keysym::Control_R => Some(2),
        Keysym::Super_L | Keysym::Super_R | Keysym::Meta_L | Keysym::Meta_R => Some(4),
        Keysym::Shift_L | Keysym::Shift_R => Some(8),
        _ => None,
    }
}

impl DomKey {
    /// What `key` is, with Shift down or not; none for what pages cannot be told of.
    pub(crate) fn of(key: Keysym, shift: bool) -> Option<Self> {
        if let Some((_, meaning, code)) = PAD.iter().find(|(pad, ..)| *pad == key) {
            let meaning = Self::of(*meaning, false)?;
            let number = pad_number(key).unwrap_or(meaning.number);
            return Some(Self { code, number, pad: true, shifted: false, ..meaning });
        }
        if let Some((_, name, code, number)) = ACTING.iter().find(|(acting, ..)| *acting == key) {
            let text = (*name == "Enter").then(|| "\r".to_owned());
            return Some(Self::acting(name, code, *number, text));
        }
        let function = u32::from(key).wrapping_sub(u32::from(Keysym::F1));
        if let Some(name) = FUNCTION.get(function as usize) {
            return Some(Self::acting(name, name, 112 + function as u16, None));
        }
        let character = key.key_char().filter(|character| !character.is_control())?;
        let of_keyboard =
            WRITING.iter().find(|(_, _, small, large)| [*small, *large].contains(&character));
        Some(match of_keyboard {
            Some((code, number, small, large)) => {
                let written = if shift && character == *small { *large } else { character };
                let shifted = written == *large && small != large;
                Self::writing(written, code, *number, shifted)
            }
            None => Self::writing(character, "", 0, false),
        })
    }

    fn acting(key: &str, code: &'static str, number: u16, text: Option<String>) -> Self {
        Self { key: key.to_owned(), code, number, text, shifted: false, pad: false }
    }

    fn writing(character: char, code: &'static str, number: u16, shifted: bool) -> Self {
        let text = character.to_string();
        Self { key: text.clone(), code, number, text: Some(text), shifted, pad: false }
    }

    /// Whether a key of the keyboard writes or does it.
    pub(crate) fn on_keyboard(&self) -> bool {
        !self.code.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_page() {
        let key = |key, shift| DomKey::of(key, shift).unwrap();
        assert_eq!(key(Keysym::a, false).code, "KeyA");
        assert_eq!(key(Keysym::a, true).text.as_deref(), Some("A"));
        assert!(key(Keysym::A, false).shifted);
        assert!(!key(Keysym::space, true).shifted);
        assert_eq!(key(Keysym::F5, false).number, 116);
        assert_eq!(key(Keysym::F24, false).number, 135);
        assert_eq!(key(Keysym::Return, false).text.as_deref(), Some("\r"));
        assert_eq!(key(Keysym::KP_Enter, false).code, "NumpadEnter");
        assert!(!key(Keysym::eacute, false).on_keyboard());
        assert_eq!(DomKey::of(Keysym::XF86_Eject, false), None);
        assert_eq!(DomKey::of(Keysym::dead_acute, false), None);
    }
}
