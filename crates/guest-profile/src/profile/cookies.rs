//! The cookies of a profile: secrets, so nothing here says what is in one.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use browserd_chromium::cdp::{Cdp, CdpError};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::ProfileError;
use super::contents::COOKIES;

/// Largest `cookies.json`, bytes.
const SIZE: u64 = 32 << 20;
/// Most cookies; Chromium keeps some 3,300 and those of partitions.
const MOST: usize = 20_000;
/// Cookies set at one time, for Chromium refuses all of them for one; and it closes the pipe on messages
/// of 100 MB.
const AT_ONCE: usize = 200;
/// Bytes of cookies set at one time; a single one may have more.
const BYTES_AT_ONCE: usize = 1 << 20;

/// The cookies of an archive.
#[derive(Debug)]
pub(super) struct Cookies {
    cookies: Vec<Box<RawValue>>,
    /// How many there were besides that no browser could take.
    bad: usize,
}

impl Cookies {
    /// Reads them from the folder an archive was unpacked to.
    pub(super) fn of(unpacked: &Path) -> Result<Self, ProfileError> {
        let file = match File::open(unpacked.join(COOKIES)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ProfileError::Archive(format!("it has no {COOKIES}")));
            }
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(ProfileError::Archive(format!("its {COOKIES} is no file")));
        }
        let mut text = Vec::new();
        file.take(SIZE + 1).read_to_end(&mut text)?;
        if text.len() as u64 > SIZE {
            return Err(ProfileError::Archive(format!("its {COOKIES} has over {SIZE} bytes")));
        }
        Self::parse(&text)
    }

    /// Panics where they are not as Chromium has to be given them.
    #[cfg(any(test, fuzzing))]
    pub(super) fn hold(&self) {
        let batched: usize = batches(&self.cookies).map(<[_]>::len).sum();
        assert_eq!(batched, self.cookies.len());
        assert!(self.cookies.len() + self.bad <= MOST);
        assert!(batches(&self.cookies).all(|batch| (1..=AT_ONCE).contains(&batch.len())));
        assert!(self.cookies.iter().all(|cookie| cookie.get().starts_with('{')));
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, ProfileError> {
        let List(all) = serde_json::from_slice(text).map_err(|error| {
            // Only ours are said: those of the parser may quote what is there.
            let why = match error.classify() {
                serde_json::error::Category::Data => "is no array of cookies, or has too many",
                _ => "is no JSON",
            };
            ProfileError::Archive(format!("its {COOKIES} {why} (line {})", error.line()))
        })?;
        let found = all.len();
        let mut cookies = all;
        // What Chromium could not even parse it would not answer to. The parser here is stricter: it
        // takes objects without lone surrogates that are at most 128 levels deep.
        cookies.retain(|cookie| serde_json::from_str::<Map<String, Value>>(cookie.get()).is_ok());
        let bad = found - cookies.len();
        Ok(Self { cookies, bad })
    }

    /// Gives them to Chromium in place of those it has; answers how many were not taken.
    ///
    /// Chromium writes cookies to its disk some 30 s late, so a Chromium that crashes within that time
    /// comes back without them. That is accepted: so it is with every cookie a site sets.
    pub(super) async fn set(&self, cdp: &Cdp) -> Result<usize, CdpError> {
        cdp.clear_cookies().await?;
        let mut bad = self.bad;
        for batch in batches(&self.cookies) {
            if taken(cdp.set_cookies(batch).await)? {
                continue;
            }
            for cookie in batch {
                bad += usize::from(!taken(cdp.set_cookies(std::slice::from_ref(cookie)).await)?);
            }
        }
        Ok(bad)
    }
}

/// Whether Chromium took them.
fn taken(set: Result<(), CdpError>) -> Result<bool, CdpError> {
    match set {
        Ok(()) => Ok(true),
        Err(CdpError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Parts of `cookies` that can be set at one time.
fn batches(cookies: &[Box<RawValue>]) -> impl Iterator<Item = &[Box<RawValue>]> {
    let mut rest = cookies;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fit = rest.iter().take(AT_ONCE).take_while(|cookie| {
            bytes += cookie.get().len();
            bytes <= BYTES_AT_ONCE
        });
        let count = fit.count().max(1).min(rest.len());
        let (batch, after) = rest.split_at(count);
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

/// An array that is not gathered beyond [`MOST`].
struct List(Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Gather;
        impl<'de> Visitor<'de> for Gather {
            type Value = List;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an array of cookies")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List, A::Error> {
                let mut cookies = Vec::new();
                while let Some(cookie) = seq.next_element()? {
                    if cookies.len() == MOST {
                        return Err(A::Error::custom("too many cookies"));
                    }
                    cookies.push(cookie);
                }
                Ok(List(cookies))
            }
        }
        from.deserialize_seq(Gather)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &[u8]) -> String {
        Cookies::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_can_be_set_is_kept_as_it_is() {
        let parsed = Cookies::parse(
            br#" [ {"name":"a","value":"b", "expires": 1798761600.25}, 7, {"\ud800":1}, {} ] "#,
        )
        .unwrap();
        let kept: Vec<&str> = parsed.cookies.iter().map(|cookie| cookie.get()).collect();
        assert_eq!(kept, [r#"{"name":"a","value":"b", "expires": 1798761600.25}"#, "{}"]);
        assert_eq!(parsed.bad, 2);
        let deep = format!(r#"[{{"a":{}{}}}]"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(Cookies::parse(deep.as_bytes()).unwrap().bad, 1);
        assert!(Cookies::parse(b"[]").unwrap().cookies.is_empty());
    }

    #[test]
    fn what_is_no_array_is_refused_without_a_word_of_it() {
        for text in [&b"{\"cookies\":[]}"[..], b"null", b"\"secret\"", b"17"] {
            assert!(refused(text).contains("no array of cookies"), "{}", refused(text));
        }
        for text in [&b""[..], b"[", b"[{}", b"[{}] secret", b"\xff\xff"] {
            assert!(refused(text).contains("no JSON"), "{}", refused(text));
        }
        assert!(!refused(b"\"secret\"").contains("secret"));
        let many = format!("[{}0]", "0,".repeat(MOST));
        assert!(refused(many.as_bytes()).contains("too many"));
        let most = format!("[{}0]", "0,".repeat(MOST - 1));
        assert_eq!(Cookies::parse(most.as_bytes()).unwrap().bad, MOST);
    }

    #[test]
    fn batches_are_small() {
        let raw =
            |bytes: usize| RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).unwrap();
        let many: Vec<_> = (0..450).map(|_| raw(10)).collect();
        assert_eq!(batches(&many).map(<[_]>::len).collect::<Vec<_>>(), [200, 200, 50]);
        let large = [raw(BYTES_AT_ONCE * 2), raw(1), raw(BYTES_AT_ONCE - 3), raw(1)];
        assert_eq!(batches(&large).map(<[_]>::len).collect::<Vec<_>>(), [1, 1, 1, 1]);
        assert_eq!(batches(&[]).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Cookies::parse(&text);
        }
    }
}
