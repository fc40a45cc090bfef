//! Ranges of a file (RFC 9110, section 14): one range a request, which is what players ask for.

use http::{HeaderMap, header};

/// Which part of a file to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// `length` bytes from `start`.
    Range { start: u64, length: u64 },
    /// What was asked for lies beyond the end.
    Beyond,
}

/// The part that a request's headers ask for, of a file of `size` bytes with the tag `etag`.
pub(super) fn asked(headers: &HeaderMap, size: u64, etag: &str) -> Part {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    // Another file than the one the client has a part of.
    if text(header::IF_RANGE).is_some_and(|tag| tag != etag) {
        return Part::Whole;
    }
    text(header::RANGE).map_or(Part::Whole, |range| parse(range, size))
}

fn parse(range: &str, size: u64) -> Part {
    // Units and forms that are not known are ignored, as the standard has it; so are several ranges.
    let Some((first, last)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Part::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (Some(start), _) if start >= size => match last.is_empty() || number(last).is_some() {
            true => Part::Beyond,
            false => Part::Whole,
        },
        (Some(start), Some(last)) if last >= start => {
            Part::Range { start, length: (size - start).min((last - start).saturating_add(1)) }
        }
        (Some(start), None) if last.is_empty() => Part::Range { start, length: size - start },
        (None, Some(0)) if first.is_empty() => Part::Beyond,
        (None, Some(count)) if first.is_empty() && size > 0 => {
            let length = count.min(size);
            Part::Range { start: size - length, length }
        }
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_is_understood_and_everything_else_is_the_whole() {
        let range = |start, length| Part::Range { start, length };
        for (text, expected) in [
            ("bytes=0-", range(0, 10)),
            ("bytes=0-0", range(0, 1)),
            ("bytes=3-5", range(3, 3)),
            ("bytes=3-500", range(3, 7)),
            ("bytes=-3", range(7, 3)),
            ("bytes=-300", range(0, 10)),
            ("bytes=0-18446744073709551615", range(0, 10)),
            ("bytes=10-", Part::Beyond),
            ("bytes=99999999999999999999999-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=5-3", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("items=0-1", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(parse(text, 10), expected, "{text}");
        }
        assert_eq!(parse("bytes=0-", 0), Part::Beyond);
    }

    #[test]
    fn a_part_of_another_file_is_the_whole_of_this_one() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=1-".parse().unwrap());
        assert_ne!(asked(&headers, 5, "\"a\""), Part::Whole);
        headers.insert(header::IF_RANGE, "\"b\"".parse().unwrap());
        assert_eq!(asked(&headers, 5, "\"a\""), Part::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(text in "bytes=[0-9]{0,5}-[0-9]{0,5}", size in 0..100_000u64) {
            if let Part::Range { start, length } = parse(&text, size) {
                prop_assert!(length > 0 && start + length <= size);
            }
        }
    }
}
