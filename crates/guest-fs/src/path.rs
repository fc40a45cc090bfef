//! Paths and permissions as clients write them.

use std::borrow::Cow;
use std::fmt;

use browserd_rest::{Error, Result};
use rustix::fs::Mode;

/// Longest path the kernel takes, bytes.
const LIMIT: usize = 4095;

/// An absolute path a client gave, with the field it was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) field: Cow<'static, str>,
    text: String,
}

impl Given {
    /// Checks a path.
    ///
    /// # Errors
    ///
    /// 400 naming `field` unless the path is absolute, free of NUL and of bearable length.
    pub(crate) fn new(field: impl Into<Cow<'static, str>>, text: String) -> Result<Self> {
        let field = field.into();
        if !text.starts_with('/') {
            return Err(Error::field(field, "is not an absolute path; it must begin with /"));
        }
        if text.contains('\0') {
            return Err(Error::field(field, "has a NUL character in it"));
        }
        if text.len() > LIMIT {
            return Err(Error::field(field, format!("is longer than {LIMIT} bytes")));
        }
        Ok(Self { field, text })
    }

    /// The path as given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The path without what says nothing: doubled and trailing slashes, and `.`.
    pub(crate) fn tidy(&self) -> String {
        let mut tidy = String::with_capacity(self.text.len());
        for part in self.text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            tidy.push('/');
            tidy.push_str(part);
        }
        if tidy.is_empty() { "/".into() } else { tidy }
    }

    /// A 400 about it.
    pub(crate) fn wrong(&self, what: impl fmt::Display) -> Error {
        Error::field(&*self.field, format!("{self} {what}"))
    }

    /// What the kernel said about it.
    pub(crate) fn refuse(&self, errno: rustix::io::Errno) -> Error {
        super::refuse::refuse(&self.field, self, errno)
    }
}

impl fmt::Display for Given {
    /// Cut to a length that a message bears.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text.char_indices().nth(300) {
            Some((at, _)) => write!(f, "{}…", &self.text[..at]),
            None => f.write_str(&self.text),
        }
    }
}

/// Reads permissions in octal digits, `^[0-7]{3,4}$`.
///
/// # Errors
///
/// 400 naming `field`.
pub(crate) fn mode(field: &str, text: &str) -> Result<Mode> {
    let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let bits = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    bits.map(Mode::from_raw_mode).ok_or_else(|| {
        Error::field(field, "is not permissions in three or four octal digits, such as 644")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_absolute_paths() {
        for text in ["", "tmp", "./tmp", "~/x", "/a\0b"] {
            assert!(Given::new("path", text.into()).is_err(), "{text:?}");
        }
        assert!(Given::new("path", format!("/{}", "x".repeat(LIMIT))).is_err());
        assert_eq!(Given::new("path", "//tmp/./x//".into()).unwrap().tidy(), "/tmp/x");
        assert_eq!(Given::new("path", "/../".into()).unwrap().tidy(), "/..");
        assert_eq!(Given::new("path", "//".into()).unwrap().tidy(), "/");
    }

    #[test]
    fn permissions() {
        assert_eq!(mode("mode", "644").unwrap().as_raw_mode(), 0o644);
        assert_eq!(mode("mode", "4755").unwrap().as_raw_mode(), 0o4755);
        for text in ["", "64", "00644", "0o644", "648", "+644", " 644", "rwx"] {
            assert!(mode("mode", text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn tidying_twice_changes_nothing(text in "/[a-c./]{0,20}") {
            let once = Given::new("path", text).unwrap().tidy();
            let again = Given::new("path", once.clone()).unwrap().tidy();
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.contains("//"));
            prop_assert_eq!(once, again);
        }
    }
}
