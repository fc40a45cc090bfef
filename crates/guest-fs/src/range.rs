//! Parts of a file, and whether a client has it already (RFC 9110, sections 13 and 14).

use http::HeaderMap;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use jiff::Timestamp;
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use rustix::fs::Stat;

/// What marks one version of a file.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) etag: String,
    /// Whole seconds, as headers have it.
    modified: Timestamp,
}

/// What to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// From the first offset up to the second.
    Part(u64, u64),
    /// Nothing: the part asked for is not there.
    Beyond,
    /// Nothing: the client has it.
    NotModified,
}

impl Version {
    #[expect(clippy::unnecessary_cast, reason = "the fields differ between architectures")]
    pub(super) fn of(stat: &Stat) -> Self {
        let (seconds, nanos) = (stat.st_mtime as i64, stat.st_mtime_nsec as u64);
        Self {
            etag: format!("\"{:x}-{:x}-{seconds:x}.{nanos:x}\"", stat.st_ino, stat.st_size),
            modified: Timestamp::from_second(seconds).unwrap_or_default(),
        }
    }

    /// `Last-Modified`; `None` for times the header cannot carry.
    pub(super) fn last_modified(&self) -> Option<String> {
        DateTimePrinter::new().timestamp_to_rfc9110_string(&self.modified).ok()
    }

    /// What a client with these headers is to get of a file of `length` bytes.
    pub(super) fn wanted(&self, headers: &HeaderMap, length: u64) -> Wanted {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let unchanged = match text(IF_NONE_MATCH) {
            Some(known) => {
                known.split(',').map(str::trim).any(|known| known == "*" || known == self.etag)
            }
            None => {
                text(IF_MODIFIED_SINCE).and_then(date).is_some_and(|since| self.modified <= since)
            }
        };
        if unchanged {
            return Wanted::NotModified;
        }
        let same = text(IF_RANGE)
            .is_none_or(|known| known == self.etag || date(known) == Some(self.modified));
        match text(RANGE).filter(|_| same) {
            Some(range) => part(range, length),
            None => Wanted::Whole,
        }
    }
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// One range of bytes. What is not understood, and several ranges, mean the whole file, as the
/// standard has it.
fn part(range: &str, length: u64) -> Wanted {
    let parsed = || {
        let (unit, range) = range.split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        if first.is_empty() {
            let count = number(last)?;
            return Some(if count == 0 || length == 0 {
                Wanted::Beyond
            } else {
                Wanted::Part(length.saturating_sub(count), length)
            });
        }
        let first = number(first)?;
        let last = if last.is_empty() { u64::MAX } else { number(last)? };
        if last < first {
            return None;
        }
        Some(if first >= length {
            Wanted::Beyond
        } else {
            Wanted::Part(first, last.saturating_add(1).min(length))
        })
    };
    parsed().unwrap_or(Wanted::Whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges() {
        for (range, wanted) in [
            ("bytes=0-0", Wanted::Part(0, 1)),
            ("bytes=2-", Wanted::Part(2, 10)),
            ("bytes=-3", Wanted::Part(7, 10)),
            ("bytes=-30", Wanted::Part(0, 10)),
            ("bytes=5-99", Wanted::Part(5, 10)),
            ("Bytes=1-2", Wanted::Part(1, 3)),
            ("bytes=10-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=99999999999999999999-", Wanted::Beyond),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(part(range, 10), wanted, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Wanted::Beyond);
    }

    proptest! {
        #[test]
        fn a_part_is_inside(range in "bytes=[0-9]{0,21}-[0-9]{0,21}", length in 0..1000u64) {
            if let Wanted::Part(from, to) = part(&range, length) {
                prop_assert!(from < to && to <= length);
            }
        }
    }

    #[test]
    fn versions() {
        let version = Version {
            etag: "\"a\"".into(),
            modified: Timestamp::from_second(784_111_777).unwrap(),
        };
        assert_eq!(version.last_modified().unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
        let wanted = |pairs: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                let name: http::HeaderName = name.parse().unwrap();
                headers.insert(name, value.parse().unwrap());
            }
            version.wanted(&headers, 10)
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(wanted(&[("if-none-match", "\"b\", \"a\"")]), Wanted::NotModified);
        assert_eq!(wanted(&[("if-modified-since", date)]), Wanted::NotModified);
        assert_eq!(
            wanted(&[("if-none-match", "\"b\""), ("if-modified-since", date)]),
            Wanted::Whole
        );
        assert_eq!(wanted(&[("range", "bytes=1-1"), ("if-range", "\"a\"")]), Wanted::Part(1, 2));
        assert_eq!(wanted(&[("range", "bytes=1-1"), ("if-range", date)]), Wanted::Part(1, 2));
        assert_eq!(wanted(&[("range", "bytes=1-1"), ("if-range", "\"b\"")]), Wanted::Whole);
    }
}
