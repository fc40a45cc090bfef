//! The thread that feeds an encoder: takes frames when they are due and writes them with their
//! times.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::matroska;
use crate::{Frame, Tap};

/// A screen that does not change is written again so often: it bounds what is lost when the encoder
/// is killed, at a frame's price.
const AGAIN: Duration = Duration::from_secs(1);

/// What the encoder is fed with.
pub(super) struct Writer {
    /// Where frames come from.
    pub(super) tap: Tap,
    /// The first one, which decides the recording's size.
    pub(super) first: Arc<Frame>,
    /// When it was taken: the recording's time zero.
    pub(super) zero: Instant,
    /// What is added to all times, milliseconds.
    pub(super) from: u64,
    /// The encoder's input.
    pub(super) input: OwnedFd,
    /// Cancelled when the recording is to end.
    pub(super) asked: CancellationToken,
    /// When that was: the recording's last moment, however long its last frame takes to be written.
    pub(super) ended_at: Arc<OnceLock<Instant>>,
}

impl Writer {
    /// Writes until it is asked to end or the encoder goes away, and closes the input.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut input = File::from(self.input);
        let (width, height) = (self.first.width, self.first.height);
        input.write_all(&matroska::beginning(width, height))?;
        let mut fitted = Vec::new();
        let mut write = |frame: &Frame, at: Instant| -> io::Result<()> {
            let pixels = if (frame.width, frame.height) == (width, height) {
                &frame.pixels
            } else {
                frame.fit(width, height, &mut fitted);
                &fitted
            };
            let since = at.saturating_duration_since(self.zero).as_millis() as u64;
            let length = pixels.len() as u64;
            input.write_all(&matroska::before_picture(self.from + since, length))?;
            input.write_all(pixels)
        };
        let mut frame = self.first;
        let mut last = self.zero;
        write(&frame, last)?;
        while !self.asked.is_cancelled() {
            self.tap.pause(last + self.tap.period(), &self.asked);
            if let Some(next) = self.tap.next(last + AGAIN, &self.asked) {
                frame = next;
            }
            if self.asked.is_cancelled() {
                break;
            }
            last = Instant::now();
            write(&frame, last)?;
        }
        // Once more at the very end, so that the recording lasts as long as it took.
        if let Some(next) = self.tap.next(Instant::now(), &self.asked) {
            frame = next;
        }
        let end = self.ended_at.get().copied().unwrap_or_else(Instant::now);
        if end.saturating_duration_since(last) >= Duration::from_millis(1) {
            write(&frame, end)?;
        }
        Ok(())
    }
}
