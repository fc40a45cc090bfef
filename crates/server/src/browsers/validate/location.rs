//! Time zones and languages.

use browserd_api::browser::LocationRequest;
use utoipa::ToSchema;

use crate::fields::{Body, Fields};

const LOCALE_MAX: usize = 64;

/// Time zone and language. What is left out stays as it is; null is the server's default.
#[derive(Debug, Default, ToSchema)]
pub(crate) struct UpdateLocation {
    /// IANA name, e.g. `Europe/Paris`.
    #[schema(value_type = Option<String>)]
    pub(super) timezone: Option<Option<String>>,
    /// BCP 47 tag, e.g. `fr-FR`.
    #[schema(value_type = Option<String>)]
    pub(super) locale: Option<Option<String>>,
}

/// Names and tags come back in their usual spelling.
impl Body for LocationRequest {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            timezone: fields.parse("timezone", timezone),
            locale: fields.parse("locale", locale),
        })
    }
}

impl Body for UpdateLocation {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            timezone: fields.parse_nullable("timezone", timezone),
            locale: fields.parse_nullable("locale", locale),
        })
    }
}

fn timezone(text: &str) -> Result<String, &'static str> {
    zone(text).ok_or("must be an IANA time zone such as Europe/Paris")
}

fn locale(text: &str) -> Result<String, &'static str> {
    tag(text).ok_or("must be a BCP 47 language tag such as fr-FR")
}

fn zone(text: &str) -> Option<String> {
    let named = jiff::tz::TimeZone::get(text).ok()?;
    named.iana_name().filter(|name| *name != "Etc/Unknown").map(str::to_owned)
}

/// Checks a tag's form (RFC 5646, section 2.1) and gives it its usual case.
fn tag(text: &str) -> Option<String> {
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
            assert_eq!(super::tag(text).as_deref(), Some(tag));
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
            assert_eq!(tag(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_tag_is_stable(text in "[a-zA-Z0-9-]{0,30}") {
            if let Some(usual) = tag(&text) {
                prop_assert_eq!(tag(&usual), Some(usual.clone()));
                prop_assert!(usual.eq_ignore_ascii_case(&text));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = (tag(&text), zone(&text));
        }
    }
}
