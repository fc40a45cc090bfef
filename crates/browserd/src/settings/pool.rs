//! How many sessions wait ready, as an operator writes it.

use std::collections::BTreeMap;

use browserd_fleet::{self as fleet, Class};
use serde::Deserialize;

/// The most of one kind.
const MOST: usize = 1000;

/// A checked size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PoolSize(pub(crate) fleet::PoolSize);

impl Default for PoolSize {
    fn default() -> Self {
        Self(fleet::PoolSize::Auto)
    }
}

impl TryFrom<String> for PoolSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        pool(&text)
    }
}

/// Reads `auto`, `off` or `headless=N,headful=N`.
pub(super) fn pool(text: &str) -> Result<PoolSize, String> {
    let wrong = || format!("{text:?} is neither auto, off nor like headless=4,headful=1");
    let fixed = match text {
        "auto" => return Ok(PoolSize::default()),
        "off" => BTreeMap::new(),
        _ => {
            let mut counts = BTreeMap::new();
            for part in text.split(',') {
                let (kind, count) = part.split_once('=').ok_or_else(wrong)?;
                let class = match kind.trim() {
                    "headless" => Class::HEADLESS,
                    "headful" => Class::HEADFUL,
                    _ => return Err(wrong()),
                };
                let count: usize = count.trim().parse().map_err(|_| wrong())?;
                if count > MOST || counts.insert(class, count).is_some() {
                    return Err(wrong());
                }
            }
            counts
        }
    };
    Ok(PoolSize(fleet::PoolSize::Fixed(fixed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let fixed = |counts: &[(Class, usize)]| {
            Ok(PoolSize(fleet::PoolSize::Fixed(counts.iter().copied().collect())))
        };
        assert_eq!(pool("auto"), Ok(PoolSize::default()));
        assert_eq!(pool("off"), fixed(&[]));
        assert_eq!(pool("headful=2"), fixed(&[(Class::HEADFUL, 2)]));
        assert_eq!(
            pool("headless=16, headful=0"),
            fixed(&[(Class::HEADLESS, 16), (Class::HEADFUL, 0)])
        );
        for wrong in [
            "",
            "4",
            "headless",
            "headless=",
            "headless=-1",
            "tiny=1",
            "headless=1,headless=2",
            "headless=1001",
        ] {
            assert!(pool(wrong).is_err(), "{wrong:?}");
        }
    }
}
