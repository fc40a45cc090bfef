//! Names of entries, as archives of strangers have them.

use super::{Refused, entry};

/// Longest name, bytes.
const LIMIT: usize = 4095;

/// The parts of an entry's name, `depth` at most, the first `strip` of them taken away; empty for what
/// is above that, and for the root itself.
///
/// # Errors
///
/// Names that are absolute, go up (`..`), lie too deep, or that no file can have.
pub(super) fn parts(name: &[u8], strip: usize, depth: usize) -> Result<Vec<&[u8]>, Refused> {
    if name.len() > LIMIT {
        return Err(entry(name, "has a name that is too long"));
    }
    if name.starts_with(b"/") {
        return Err(entry(name, "has an absolute name"));
    }
    if name.contains(&0) {
        return Err(entry(name, "has a NUL in its name"));
    }
    let mut parts = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(entry(name, "leads out of the destination (..)")),
            // As some Windows programs write them: one file here, a path where they come from.
            part if part.contains(&b'\\') => {
                return Err(entry(name, "has a backslash in its name"));
            }
            part if part.len() > 255 => return Err(entry(name, "has a name that is too long")),
            part if super::super::atomic_write::is_pending(
                std::os::unix::ffi::OsStrExt::from_bytes(part),
            ) =>
            {
                return Err(entry(
                    name,
                    "has a name that is kept for files that are not there yet",
                ));
            }
            part => parts.push(part),
        }
    }
    if parts.len() > depth {
        return Err(entry(name, "is nested too deep"));
    }
    parts.drain(..strip.min(parts.len()));
    Ok(parts)
}

/// Whether a link at `parts` to `target` stays inside, as far as names tell.
pub(super) fn stays_inside(parts: &[&[u8]], target: &[u8]) -> bool {
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    let mut depth = parts.len().saturating_sub(1);
    let mut named = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            // Upwards only at the start: after a name, which may be a link, it is not known from where.
            b".." if named || depth == 0 => return false,
            b".." => depth -= 1,
            _ => named = true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEPTH: usize = 256;

    #[test]
    fn names() {
        let joined =
            |name: &str, strip| parts(name.as_bytes(), strip, DEPTH).map(|parts| parts.join(&b'/'));
        assert_eq!(joined("a/b/c", 0).unwrap(), b"a/b/c");
        assert_eq!(joined("./a//b/./", 0).unwrap(), b"a/b");
        assert_eq!(joined("a/b/c", 1).unwrap(), b"b/c");
        assert_eq!(joined("a", 3).unwrap(), b"");
        for name in ["/etc/passwd", "../x", "a/../../x", "a/..", "..", "a\\b", "a\0b"] {
            assert!(joined(name, 0).is_err(), "{name:?}");
            // What is stripped is judged too.
            assert!(joined(name, 9).is_err(), "{name:?}");
        }
        assert!(parts(&[b'x'; 256], 0, DEPTH).is_err());
        assert!(joined(&"a/".repeat(300), 0).is_err());
    }

    #[test]
    fn links() {
        let inside = |at: &str, target: &str| {
            let parts: Vec<&[u8]> = at.split('/').map(str::as_bytes).collect();
            stays_inside(&parts, target.as_bytes())
        };
        assert!(inside("link", "file"));
        assert!(inside("a/link", "../file"));
        assert!(inside("a/b/link", "../../c/d"));
        for (at, target) in [
            ("link", "/etc/passwd"),
            ("link", ".."),
            ("link", "../x"),
            ("a/link", "../../x"),
            ("link", "a/.."),
            ("link", ""),
        ] {
            assert!(!inside(at, target), "{at} -> {target}");
        }
    }

    proptest! {
        #[test]
        fn no_name_leads_out(name in "[a-c./\\\\]{0,30}", strip in 0..4usize) {
            if let Ok(parts) = parts(name.as_bytes(), strip, DEPTH) {
                for part in parts {
                    prop_assert!(!part.is_empty() && part != b".." && part != b"." && !part.contains(&b'/'));
                }
            }
        }

        #[test]
        fn no_link_leads_out(at in "[a-c](/[a-c]){0,3}", target in "[a-c./]{0,20}") {
            let parts: Vec<&[u8]> = at.as_bytes().split(|byte| *byte == b'/').collect();
            if stays_inside(&parts, target.as_bytes()) {
                let mut depth = parts.len() as i64 - 1;
                for part in target.split('/') {
                    match part {
                        "" | "." => {}
                        ".." => depth -= 1,
                        _ => depth += 1,
                    }
                    prop_assert!(depth >= 0);
                }
            }
        }
    }
}
