//! One action's hold on the screen: what it has pressed, to be let go whatever happens.

use std::time::Duration;

use browserd_api::computer::MouseButton;
use fastrand::Rng;
use xkeysym::Keysym;

use super::device::{Device, Failure, Result};
use super::human::Step;

/// The device, and what is held on it.
pub(super) struct Hand {
    pub(super) device: Device,
    pub(super) rng: Rng,
    button: Option<MouseButton>,
    /// Keys may be down, or lent.
    keys: bool,
}

impl Hand {
    pub(super) fn new(device: Device) -> Self {
        Self { device, rng: Rng::new(), button: None, keys: false }
    }

    /// Presses keys in order, until [`Hand::release`] or the end of the action.
    pub(super) async fn press_all(&mut self, keys: &[Keysym]) -> Result<()> {
        for key in keys {
            self.keys = true;
            self.device.key_down(*key).await?;
        }
        Ok(())
    }

    /// Releases the last `count` keys that were pressed, the last first.
    pub(super) async fn release(&mut self, count: usize) -> Result<()> {
        if count == 0 { Ok(()) } else { self.device.release(count).await }
    }

    /// Presses a button until [`Hand::release_button`] or the end of the action.
    pub(super) async fn press_button(&mut self, button: MouseButton) -> Result<()> {
        // First, as the call may be cut off after it was heard.
        self.button = Some(button);
        self.device.button(button, true).await
    }

    pub(super) async fn release_button(&mut self) -> Result<()> {
        match self.button.take() {
            Some(button) => self.device.button(button, false).await,
            None => Ok(()),
        }
    }

    /// Makes keys strikable; see [`Device::lend`].
    pub(super) async fn lend(&mut self, keys: &[Keysym]) -> Result<usize> {
        self.keys = true;
        self.device.lend(keys).await
    }

    /// Goes a way, step by step. A screen that is slower than the way misses steps, not the time.
    pub(super) async fn follow(&mut self, way: &[Step]) -> Result<()> {
        // Against a clock, so that what a step costs does not add to the pauses.
        let began = tokio::time::Instant::now();
        let mut due = Duration::ZERO;
        for (index, step) in way.iter().enumerate() {
            due += step.after;
            let next = way.get(index + 1).map(|next| began + due + next.after);
            if !step.firm && next.is_some_and(|next| next <= tokio::time::Instant::now()) {
                continue;
            }
            tokio::time::sleep_until(began + due).await;
            self.device.move_to(step.to).await?;
        }
        Ok(())
    }

    /// Releases everything the action holds, whatever of it fails; answers the first failure.
    pub(super) async fn let_go(&mut self) -> Result<()> {
        let mut first: Option<Failure> = self.release_button().await.err();
        if std::mem::take(&mut self.keys) {
            first = first.or(self.device.release(usize::MAX).await.err());
            first = first.or(self.device.take_back().await.err());
        }
        first.map_or(Ok(()), Err)
    }
}
