//! What makes a move look like a hand's and typing like a person's: geometry and timing from a
//! generator that can be seeded. Touches no screen and waits for nothing.

mod path;
mod typing;

pub(super) use path::{Step, line, smooth};
pub(super) use typing::{Stroke, Typing};
