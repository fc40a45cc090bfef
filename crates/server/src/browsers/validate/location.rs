//! Time zones and languages.

use browserd_api::browser::LocationRequest;
use serde_json::Value;

use crate::fields::{Faults, Object};

const LOCALE_MAX: usize = 64;

/// Reads `location`; names and tags come back in their usual spelling.
pub(super) fn read(
    value: &Value,
    faults: &mut Faults,
    unknown: &mut Vec<String>,
) -> LocationRequest {
    let Some(mut object) = Object::read("location", value, faults) else {
        return LocationRequest::default();
    };
    let timezone = object.text("timezone", faults).and_then(|text| read_zone(text, faults));
    let locale = object.text("locale", faults).and_then(|text| read_locale(text, faults));
    unknown.extend(object.unknown());
    LocationRequest { timezone, locale }
}

/// A change of time zone and language; null is the server's default.
pub(super) type LocationChange = (Option<Option<String>>, Option<Option<String>>);

/// Reads `location` of a change.
pub(super) fn read_change(
    value: &Value,
    faults: &mut Faults,
    unknown: &mut Vec<String>,
) -> LocationChange {
    let Some(mut object) = Object::read("location", value, faults) else { return (None, None) };
    let mut field = |name, read: fn(&str, &mut Faults) -> Option<String>| {
        let Some(value) = object.take_nullable(name)? else { return Some(None) };
        object.as_text(name, value, faults).and_then(|text| read(text, faults)).map(Some)
    };
    let change = (field("timezone", read_zone), field("locale", read_locale));
    unknown.extend(object.unknown());
    change
}

fn read_zone(text: &str, faults: &mut Faults) -> Option<String> {
    let zone = zone(text);
    if zone.is_none() {
        faults.add("location.timezone", "must be an IANA time zone such as Europe/Paris");
    }
    zone
}

fn read_locale(text: &str, faults: &mut Faults) -> Option<String> {
    let locale = locale(text);
    if locale.is_none() {
        faults.add("location.locale", "must be a BCP 47 language tag such as fr-FR");
    }
    locale
}

fn zone(text: &str) -> Option<String> {
    let named = jiff::tz::TimeZone::get(text).ok()?;
    named.iana_name().filter(|name| *name != "Etc/Unknown").map(str::to_owned)
}

/// Checks a tag's form (RFC 5646, section 2.1) and gives it its usual case.
fn locale(text: &str) -> Option<String> {
    if text.len() > LOCALE_MAX || !text.is_ascii() {
        return None;
    }
    let mut parts = text.split('-').peekable();
    let alpha = |s: &str| s.bytes().all(|b| b.is_ascii_alphabetic());
    let digit = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let alnum = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric());
    let language = parts.next().filter(|s| alpha(s) && matches!(s.len(), 2 | 3 | 5..=8))?;
    let mut out = vec![language.to_ascii_lowercase()];
    if language.len() < 4
        && let Some(extended) = parts.next_if(|s| s.len() == 3 && alpha(s))
    {
        out.push(extended.to_ascii_lowercase());
    }
    if let Some(script) = parts.next_if(|s| s.len() == 4 && alpha(s)) {
        let (first, rest) = script.split_at(1);
        out.push(first.to_ascii_uppercase() + &rest.to_ascii_lowercase());
    }
    if let Some(region) =
        parts.next_if(|s| (s.len() == 2 && alpha(s)) || (s.len() == 3 && digit(s)))
    {
        out.push(region.to_ascii_uppercase());
    }
    let variant = |s: &str| {
        alnum(s)
            && ((5..=8).contains(&s.len()) || (s.len() == 4 && s.as_bytes()[0].is_ascii_digit()))
    };
    while let Some(variant) = parts.next_if(|s| variant(s)) {
        out.push(variant.to_ascii_lowercase());
    }
    while let Some(singleton) = parts.next_if(|s| s.len() == 1 && alnum(s)) {
        out.push(singleton.to_ascii_lowercase());
        let least = if singleton.eq_ignore_ascii_case("x") { 1 } else { 2 };
        let mut any = false;
        while let Some(part) = parts.next_if(|s| (least..=8).contains(&s.len()) && alnum(s)) {
            out.push(part.to_ascii_lowercase());
            any = true;
        }
        if !any {
            return None;
        }
    }
    parts.next().is_none().then(|| out.join("-"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zones_are_those_of_the_database() {
        assert_eq!(zone("Europe/Paris").as_deref(), Some("Europe/Paris"));
        assert_eq!(zone("UTC").as_deref(), Some("UTC"));
        for bad in
            ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe/Paris\n", "+02:00"]
        {
            assert_eq!(zone(bad), None, "{bad}");
        }
    }

    #[test]
    fn tags_take_their_usual_case() {
        for (text, tag) in [
            ("en", "en"),
            ("FR-fr", "fr-FR"),
            ("zh-hant-TW", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("sl-rozaj-biske", "sl-rozaj-biske"),
            ("de-CH-1901", "de-CH-1901"),
            ("en-US-u-islamcal", "en-US-u-islamcal"),
            ("zh-cmn-Hans-CN", "zh-cmn-Hans-CN"),
            ("en-x-a-b", "en-x-a-b"),
        ] {
            assert_eq!(locale(text).as_deref(), Some(tag));
        }
        for bad in [
            "",
            "e",
            "en_US",
            "en-",
            "-en",
            "en--US",
            "en-US-u",
            "123",
            "en-US;q=1",
            "日本",
            "abcdefghi",
        ] {
            assert_eq!(locale(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_tag_is_stable(text in "[a-zA-Z0-9-]{0,30}") {
            if let Some(tag) = locale(&text) {
                prop_assert_eq!(locale(&tag), Some(tag.clone()));
                prop_assert!(tag.eq_ignore_ascii_case(&text));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = (locale(&text), zone(&text));
        }
    }
}
