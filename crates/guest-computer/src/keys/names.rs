//! Names of keys.

use std::collections::HashMap;
use std::sync::LazyLock;

use xkeysym::Keysym;

/// Where X11 has named keysyms: the classic ones, those above Unicode, those of vendors.
const NAMED: [std::ops::Range<u32>; 3] =
    [0..0x1_0000, 0x0100_0000..0x0101_0000, 0x1000_0000..0x1009_0000];

/// What people write for a key, in small letters.
const ALIASES: [(&str, Keysym); 62] = [
    ("ctrl", Keysym::Control_L),
    ("control", Keysym::Control_L),
    ("ctrl_l", Keysym::Control_L),
    ("ctrl_r", Keysym::Control_R),
    ("controlleft", Keysym::Control_L),
    ("controlright", Keysym::Control_R),
    ("alt", Keysym::Alt_L),
    ("altleft", Keysym::Alt_L),
    ("altright", Keysym::Alt_R),
    ("option", Keysym::Alt_L),
    ("altgr", Keysym::ISO_Level3_Shift),
    ("altgraph", Keysym::ISO_Level3_Shift),
    ("shift", Keysym::Shift_L),
    ("shiftleft", Keysym::Shift_L),
    ("shiftright", Keysym::Shift_R),
    ("super", Keysym::Super_L),
    ("win", Keysym::Super_L),
    ("windows", Keysym::Super_L),
    ("cmd", Keysym::Super_L),
    ("command", Keysym::Super_L),
    ("meta", Keysym::Super_L),
    ("metaleft", Keysym::Super_L),
    ("metaright", Keysym::Super_R),
    ("enter", Keysym::Return),
    ("return", Keysym::Return),
    ("esc", Keysym::Escape),
    ("escape", Keysym::Escape),
    ("tab", Keysym::Tab),
    ("space", Keysym::space),
    ("spacebar", Keysym::space),
    ("backspace", Keysym::BackSpace),
    ("del", Keysym::Delete),
    ("delete", Keysym::Delete),
    ("ins", Keysym::Insert),
    ("insert", Keysym::Insert),
    ("home", Keysym::Home),
    ("end", Keysym::End),
    ("pageup", Keysym::Page_Up),
    ("page_up", Keysym::Page_Up),
    ("pgup", Keysym::Page_Up),
    ("pagedown", Keysym::Page_Down),
    ("page_down", Keysym::Page_Down),
    ("pgdn", Keysym::Page_Down),
    ("left", Keysym::Left),
    ("arrowleft", Keysym::Left),
    ("right", Keysym::Right),
    ("arrowright", Keysym::Right),
    ("up", Keysym::Up),
    ("arrowup", Keysym::Up),
    ("down", Keysym::Down),
    ("arrowdown", Keysym::Down),
    ("capslock", Keysym::Caps_Lock),
    ("caps_lock", Keysym::Caps_Lock),
    ("numlock", Keysym::Num_Lock),
    ("scrolllock", Keysym::Scroll_Lock),
    ("printscreen", Keysym::Print),
    ("contextmenu", Keysym::Menu),
    ("menu", Keysym::Menu),
    ("pause", Keysym::Pause),
    ("break", Keysym::Break),
    ("dash", Keysym::minus),
    ("hyphen", Keysym::minus),
];

/// Every name X11 has, without the `XK_` in front.
static NAMES: LazyLock<HashMap<String, Keysym>> = LazyLock::new(|| {
    let all = NAMED.into_iter().flatten().map(Keysym::new);
    all.filter_map(|key| {
        let name = key.name()?;
        // `XK_Return`, `XF86XK_AudioPlay`: the header's names, of which X11 leaves out the XK_.
        Some((name.replacen("XK_", "", 1), key))
    })
    .collect()
});

/// The key of this name.
pub(super) fn find(name: &str) -> Option<Keysym> {
    let mut characters = name.chars();
    if let (Some(character), None) = (characters.next(), characters.next()) {
        return super::of_character(character);
    }
    if let Some(key) = NAMES.get(name) {
        return (*key != Keysym::NoSymbol && *key != Keysym::VoidSymbol).then_some(*key);
    }
    let small = name.to_ascii_lowercase();
    if let Some((_, key)) = ALIASES.iter().find(|(alias, _)| *alias == small) {
        return Some(*key);
    }
    if let Some(number) = small.strip_prefix('f').and_then(|digits| digits.parse::<u32>().ok())
        && (1..=35).contains(&number)
    {
        return Some(Keysym::new(u32::from(Keysym::F1) + number - 1));
    }
    let digits = small.strip_prefix("u+").or_else(|| small.strip_prefix('u'))?;
    let plausible =
        (1..=6).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = plausible.then(|| u32::from_str_radix(digits, 16).ok()).flatten()?;
    super::of_character(char::from_u32(code)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_name_of_x11() {
        assert!(NAMES.len() > 1500, "{}", NAMES.len());
        for (name, key) in [
            ("Return", Keysym::Return),
            ("KP_Enter", Keysym::KP_Enter),
            ("ISO_Left_Tab", Keysym::ISO_Left_Tab),
            ("Cyrillic_a", Keysym::Cyrillic_a),
            ("adiaeresis", Keysym::adiaeresis),
            ("XF86AudioPlay", Keysym::XF86_AudioPlay),
            ("F35", Keysym::F35),
            ("f5", Keysym::F5),
            ("SHIFT", Keysym::Shift_L),
        ] {
            assert_eq!(find(name), Some(key), "{name}");
        }
        assert_eq!(find("NoSymbol"), None);
        assert_eq!(find("f0"), None);
    }

    #[test]
    fn aliases_are_in_small_letters() {
        for (alias, _) in ALIASES {
            assert_eq!(alias, alias.to_ascii_lowercase());
        }
    }
}
