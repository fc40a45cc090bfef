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

/// The variables that set the language. `LANG` is for the C library, which falls back to ASCII when it does not
/// have the locale (files named in other letters could then be neither written nor read), so it is the one
/// UTF-8 locale that every C library has. `LANGUAGE` is for what reads message catalogues without asking whether
/// the C library has the locale, as Chromium does.
#[must_use]
pub fn environment(tag: &str) -> [(&'static str, String); 2] {
    let (language, region) = parts(checked(tag));
    let languages = match region {
        Some(region) => format!("{language}_{region}:{language}"),
        None => language,
    };
    [("LANG", "C.UTF-8".to_owned()), ("LANGUAGE", languages)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(tag: &str) -> String {
        let [lang, language] = environment(tag);
        assert_eq!(lang, ("LANG", "C.UTF-8".to_owned()));
        assert_eq!(language.0, "LANGUAGE");
        language.1
    }

    #[test]
    fn forms() {
        assert_eq!(accept_languages("fr-FR"), "fr-FR,fr,en-US,en");
        assert_eq!(accept_languages("en-GB"), "en-GB,en");
        assert_eq!(accept_languages("de"), "de,en-US,en");
        assert_eq!(language("fr-FR"), "fr_FR:fr");
        assert_eq!(language("de"), "de");
        assert_eq!(language("zh-Hant-TW"), "zh_TW:zh");
        assert_eq!(language("es-419"), "es_419:es");
    }

    #[test]
    fn what_is_no_tag_becomes_english() {
        for tag in ["", "fr,--no-sandbox", "fr_FR", "f", "fr-", "fr-\u{e9}", &"a".repeat(99)] {
            assert_eq!(accept_languages(tag), "en-US,en", "{tag}");
            assert_eq!(language(tag), "en_US:en");
        }
    }
}
