//! A language tag in the forms Chromium and the C library want it.
//!
//! Chromium on Linux takes the language of its interface (and with it of `Intl`) from the
//! environment, not from `--lang`; `navigator.languages` and `Accept-Language` come from
//! `--accept-lang`, and before that from the policy `ForcedLanguages`.

/// Used where a tag cannot be read.
const FALLBACK: &str = "en-US";
/// Longest tag taken; the longest in the registry are far shorter.
const TAG_LIMIT: usize = 35;

/// Language (`fr`, `zh`) and region (`FR`, `TW`) of a BCP 47 tag; script and variants are left out.
fn parts(tag: &str) -> (String, Option<String>) {
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default().to_ascii_lowercase();
    let region = subtags
        .find(|subtag| {
            (subtag.len() == 2 && subtag.bytes().all(|b| b.is_ascii_alphabetic()))
                || (subtag.len() == 3 && subtag.bytes().all(|b| b.is_ascii_digit()))
        })
        .map(str::to_ascii_uppercase);
    (language, region)
}

/// `tag` if it has the form of a language tag, else `en-US`: it becomes part of arguments and
/// environment, where commas and colons separate.
fn checked(tag: &str) -> &str {
    let language = tag.split('-').next().unwrap_or_default();
    let well_formed = tag.len() <= TAG_LIMIT
        && (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && tag.split('-').all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        });
    if well_formed { tag } else { FALLBACK }
}

/// The languages pages and servers are told, between commas: the tag, its language, then English, as an installed Chrome has it.
#[must_use]
pub fn accept_languages(tag: &str) -> String {
    let tag = checked(tag);
    let (language, _) = parts(tag);
    let mut list = vec![tag.to_owned()];
    if !list.contains(&language) {
        list.push(language.clone());
    }
    if language != "en" {
        list.extend(["en-US".to_owned(), "en".to_owned()]);
    }
    list.join(",")
}

/// The variables that set the language: `LANG` for the C library, `LANGUAGE` for what reads
/// message catalogues without asking whether the C library has the locale, as Chromium does.
#[must_use]
pub fn environment(tag: &str) -> [(&'static str, String); 2] {
    let (language, region) = parts(checked(tag));
    let name = region.map_or_else(|| language.clone(), |region| format!("{language}_{region}"));
    let languages = if name == language { language } else { format!("{name}:{language}") };
    [("LANG", format!("{name}.UTF-8")), ("LANGUAGE", languages)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(tag: &str) -> (String, String) {
        let [(_, lang), (_, language)] = environment(tag);
        (lang, language)
    }

    #[test]
    fn forms() {
        assert_eq!(accept_languages("fr-FR"), "fr-FR,fr,en-US,en");
        assert_eq!(accept_languages("en-GB"), "en-GB,en");
        assert_eq!(accept_languages("de"), "de,en-US,en");
        assert_eq!(env("fr-FR"), ("fr_FR.UTF-8".into(), "fr_FR:fr".into()));
        assert_eq!(env("de"), ("de.UTF-8".into(), "de".into()));
        assert_eq!(env("zh-Hant-TW"), ("zh_TW.UTF-8".into(), "zh_TW:zh".into()));
        assert_eq!(env("es-419"), ("es_419.UTF-8".into(), "es_419:es".into()));
    }

    #[test]
    fn what_is_no_tag_becomes_english() {
        for tag in ["", "fr,--no-sandbox", "fr_FR", "f", "fr-", "fr-\u{e9}", &"a".repeat(99)] {
            assert_eq!(accept_languages(tag), "en-US,en", "{tag}");
            assert_eq!(env(tag).0, "en_US.UTF-8");
        }
    }
}
