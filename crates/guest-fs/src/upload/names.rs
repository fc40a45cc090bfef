//! Names of form fields, in every layout the official clients have sent.

/// Which half of a pair a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Half {
    File,
    Dest,
}

/// Which pair a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pair {
    /// The one with this number.
    Numbered(u32),
    /// The n-th file without a number goes with the n-th path without one.
    InOrder,
}

/// Reads a field's name: `files[0][file]`, `files[0].file`, `files.0.file`, `files[][file]`,
/// `files[].file`, `files[file]`, `files.file`, `file`, and the same with `dest_path`.
pub(crate) fn parse(name: &str) -> Option<(Pair, Half)> {
    let half = |text: &str| match text {
        "file" => Some(Half::File),
        "dest_path" => Some(Half::Dest),
        _ => None,
    };
    if let Some(half) = half(name) {
        return Some((Pair::InOrder, half));
    }
    let parts = split(name.strip_prefix("files")?)?;
    match parts[..] {
        [last] => half(last).map(|half| (Pair::InOrder, half)),
        ["", last] => half(last).map(|half| (Pair::InOrder, half)),
        [number, last] => {
            let digits = number.len() <= 9 && number.bytes().all(|byte| byte.is_ascii_digit());
            let number = number.parse().ok().filter(|_| digits)?;
            half(last).map(|half| (Pair::Numbered(number), half))
        }
        _ => None,
    }
}

/// Splits `[0][file]`, `[0].file` or `.0.file` into its parts.
fn split(mut text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        if parts.len() == 2 {
            return None;
        }
        let (part, rest) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => {
                let rest = text.strip_prefix('.')?;
                let part = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
                if part.0.is_empty() {
                    return None;
                }
                part
            }
        };
        parts.push(part);
        text = rest;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_layout() {
        for (name, pair) in [
            ("files[0][@]", Pair::Numbered(0)),
            ("files[12].@", Pair::Numbered(12)),
            ("files.3.@", Pair::Numbered(3)),
            ("files.3[@]", Pair::Numbered(3)),
            ("files[][@]", Pair::InOrder),
            ("files[].@", Pair::InOrder),
            ("files[@]", Pair::InOrder),
            ("files.@", Pair::InOrder),
            ("@", Pair::InOrder),
        ] {
            assert_eq!(parse(&name.replace('@', "file")), Some((pair, Half::File)), "{name}");
            assert_eq!(parse(&name.replace('@', "dest_path")), Some((pair, Half::Dest)), "{name}");
        }
    }

    #[test]
    fn nothing_else() {
        for name in [
            "",
            "files",
            "files[0]",
            "files[0][path]",
            "files[0][file",
            "files[0]file",
            "files..file",
            "files[-1][file]",
            "files[1234567890][file]",
            "files[a][file]",
            "files[0][file][x]",
            "Files[0][file]",
            "file ",
            "xfile",
            "files.0.1.file",
            "files.",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn hostile_names_are_harmless(name in "(files)?[\\[\\].0-9a-z]{0,20}|.*") {
            let _ = parse(&name);
        }
    }
}
