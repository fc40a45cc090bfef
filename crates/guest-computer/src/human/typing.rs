//! The rhythm of a person who types, mistakes included.

use std::time::Duration;

use fastrand::Rng;

/// Gap between two characters of a word, milliseconds: from, and how much more at most.
const GAP: (f64, f64) = (50.0, 70.0);
/// Gap before a word.
const WORD: (f64, f64) = (80.0, 120.0);
/// How much longer the gap is after the end of a sentence.
const SENTENCE: f64 = 1.5;
/// How long a mistake goes unnoticed, milliseconds.
const NOTICE: (f64, f64) = (200.0, 300.0);
/// Mean gap of the above, what `delay` is measured against.
const MEAN: f64 = 85.0;

/// Rows of a keyboard, where neighbours are mistaken for each other.
const ROWS: [&str; 4] = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"];

/// One thing a typist does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stroke {
    /// Types a character.
    Type(char),
    /// Takes the last one back.
    Erase,
}

/// How to type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Typing {
    /// Mean gap between characters; none: a person's.
    pub(crate) gap: Option<Duration>,
    /// Share of characters that are mistyped.
    pub(crate) typos: f64,
}

impl Typing {
    /// What to do for `text`: what to wait for first, then what to do. Applied to an empty field the
    /// strokes leave exactly `text`.
    pub(crate) fn strokes(&self, text: &str, rng: &mut Rng) -> Vec<(Duration, Stroke)> {
        let scale = self.gap.map_or(1.0, |gap| gap.as_secs_f64() * 1000.0 / MEAN);
        let pause = |range: (f64, f64), factor: f64, rng: &mut Rng| {
            Duration::from_secs_f64((range.0 + range.1 * rng.f64()) * factor / 1000.0)
        };
        let mut strokes = Vec::new();
        let mut before: Option<char> = None;
        let mut characters = text.chars().peekable();
        while let Some(wanted) = characters.next() {
            let gap = match before {
                None => Duration::ZERO,
                Some('.' | '!' | '?') if wanted.is_whitespace() => {
                    pause(WORD, scale * SENTENCE, rng)
                }
                Some(before) if before.is_whitespace() => pause(WORD, scale, rng),
                Some(_) => pause(GAP, scale, rng),
            };
            before = Some(wanted);
            // Only where taking back a character takes back exactly that one.
            if wanted.is_ascii_alphanumeric() && rng.f64() < self.typos {
                let wrong = mistake(wanted, characters.peek().copied(), rng);
                let mut first = gap;
                for wrong in &wrong {
                    strokes.push((first, Stroke::Type(*wrong)));
                    first = pause(GAP, scale, rng);
                }
                let mut notice = pause(NOTICE, scale, rng);
                for _ in &wrong {
                    strokes.push((notice, Stroke::Erase));
                    notice = pause(GAP, scale, rng);
                }
                strokes.push((first, Stroke::Type(wanted)));
            } else {
                strokes.push((gap, Stroke::Type(wanted)));
            }
        }
        strokes
    }
}

/// What is typed instead: mostly the key beside it, else it comes twice, after the next one, or with
/// one too many.
fn mistake(wanted: char, next: Option<char>, rng: &mut Rng) -> Vec<char> {
    let beside = beside(wanted, rng);
    match rng.f64() {
        kind if kind < 0.60 => vec![beside.unwrap_or(wanted)],
        kind if kind < 0.80 => vec![wanted, wanted],
        kind if kind < 0.95 => match next {
            Some(next) if next.is_ascii_alphanumeric() => vec![next, wanted],
            _ => vec![wanted, wanted],
        },
        _ => vec![wanted, beside.unwrap_or(wanted)],
    }
}

fn beside(wanted: char, rng: &mut Rng) -> Option<char> {
    let lower = wanted.to_ascii_lowercase();
    let row = ROWS.iter().find(|row| row.contains(lower))?;
    let at = row.find(lower)?;
    let near: Vec<char> = [at.checked_sub(1), Some(at + 1)]
        .into_iter()
        .flatten()
        .filter_map(|index| row.as_bytes().get(index).map(|byte| char::from(*byte)))
        .collect();
    let found = *near.get(rng.usize(..near.len().max(1)))?;
    Some(if wanted.is_ascii_uppercase() { found.to_ascii_uppercase() } else { found })
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    fn left(strokes: &[(Duration, Stroke)]) -> String {
        let mut text = String::new();
        for (_, stroke) in strokes {
            match stroke {
                Stroke::Type(character) => text.push(*character),
                Stroke::Erase => {
                    text.pop();
                }
            }
        }
        text
    }

    proptest! {
        #[test]
        fn leaves_exactly_the_text(text in "\\PC{0,80}", typos in 0.0..=1.0, seed: u64) {
            let typing = Typing { gap: None, typos };
            let strokes = typing.strokes(&text, &mut Rng::with_seed(seed));
            prop_assert_eq!(left(&strokes), text);
            prop_assert!(strokes.iter().all(|(gap, _)| *gap <= Duration::from_millis(500)));
        }

        #[test]
        fn without_typos_every_character_is_one_stroke(text in "\\PC{0,80}", seed: u64) {
            let typing = Typing { gap: Some(Duration::from_millis(10)), typos: 0.0 };
            let strokes = typing.strokes(&text, &mut Rng::with_seed(seed));
            prop_assert_eq!(strokes.len(), text.chars().count());
        }
    }

    #[test]
    fn mistakes_are_about_as_frequent_as_asked() {
        let typing = Typing { gap: None, typos: 0.1 };
        let strokes = typing.strokes(&"a".repeat(10_000), &mut Rng::with_seed(3));
        let erased = strokes.iter().filter(|(_, stroke)| *stroke == Stroke::Erase).count();
        assert!((800..2500).contains(&erased), "{erased}");
    }
}
