//! How a guest leaves the sending of a file to `serve`.
//!
//! ```text
//!  serve ──GET, FileOffer::HEADER: take──▶ guest      serve could send a file by itself
//!  serve ◀──head, FileOffer::HEADER: …──── guest      "read bytes from..to of this one", no body
//!  serve ──HandoffRequest::File, ticket──▶ fd.sock ──descriptor──▶ serve
//! ```

use std::fmt;
use std::str::FromStr;

/// A file to be sent as an answer's body, the value of [`FileOffer::HEADER`]: `ticket from to` in
/// decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileOffer {
    /// What it is asked for by, at the descriptor-passing socket.
    pub ticket: u64,
    /// First byte of the body in the file.
    pub from: u64,
    /// The byte behind the last one.
    pub to: u64,
}

impl FileOffer {
    /// Header of a request whose sender takes files, and of the answer that offers one.
    pub const HEADER: &str = "x-browserd-file";
    /// Its value in a request.
    pub const TAKE: &str = "take";

    /// Bytes of the body.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.to - self.from
    }
}

impl fmt::Display for FileOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.ticket, self.from, self.to)
    }
}

/// A text that offers no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoOffer;

impl FromStr for FileOffer {
    type Err = NoOffer;

    fn from_str(text: &str) -> Result<Self, NoOffer> {
        let mut numbers = text.split(' ').map(|number| number.parse().map_err(|_| NoOffer));
        let mut next = || numbers.next().ok_or(NoOffer)?;
        let offer = Self { ticket: next()?, from: next()?, to: next()? };
        // Linux counts bytes of a file in a signed number.
        let ordered = offer.from <= offer.to && i64::try_from(offer.to).is_ok();
        if ordered && next() == Err(NoOffer) && text == offer.to_string() {
            Ok(offer)
        } else {
            Err(NoOffer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_read_as_it_was_written() {
        let offer = FileOffer { ticket: u64::MAX, from: 0, to: i64::MAX as u64 };
        assert_eq!(offer.to_string().parse(), Ok(offer));
    }

    #[test]
    fn nothing_else_is_an_offer() {
        for text in [
            "",
            "1",
            "1 2",
            "1 3 2",
            "1 2 3 4",
            "1 2 3 ",
            " 1 2 3",
            "1  2 3",
            "01 2 3",
            "+1 2 3",
            "a b c",
            "1 2 9223372036854775808",
            "1 -2 3",
            "take",
        ] {
            assert_eq!(text.parse::<FileOffer>(), Err(NoOffer), "{text}");
        }
    }
}
