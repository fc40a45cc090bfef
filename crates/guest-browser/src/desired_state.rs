//! What clients asked of the browser that holds for every Chromium of the session, also for one that
//! starts later.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use browserd_api::browser::{SessionConfig, Viewport};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use super::PolicyExtension;
use super::randr;

/// Most extensions kept; loading more works, but a restart would take too long.
const EXTENSIONS: usize = 200;
/// Complaints kept for who listens.
const COMPLAINTS: usize = 16;

/// What holds now.
pub struct DesiredState {
    viewport: Mutex<Viewport>,
    /// Told when screen and windows have another size.
    resized: watch::Sender<()>,
    kiosk: AtomicBool,
    /// Largest size of the screen.
    screen: (u32, u32),
    extensions: Mutex<Vec<PathBuf>>,
    policy_extensions: Mutex<Vec<PolicyExtension>>,
    /// What Chromium says of extensions it does not take, in its words.
    complaints: broadcast::Sender<String>,
    /// The pointer is not to be seen.
    pointer_hidden: AtomicBool,
}

impl DesiredState {
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self {
            viewport: Mutex::new(config.viewport),
            resized: watch::Sender::new(()),
            kiosk: AtomicBool::new(config.kiosk_mode),
            screen: randr::largest(config.viewport),
            extensions: Mutex::default(),
            policy_extensions: Mutex::default(),
            complaints: broadcast::Sender::new(COMPLAINTS),
            pointer_hidden: AtomicBool::new(false),
        }
    }

    /// The size of windows and screen.
    pub fn viewport(&self) -> Viewport {
        *self.viewport.lock()
    }

    /// Whether the browser's own interface is hidden.
    pub(super) fn kiosk(&self) -> bool {
        self.kiosk.load(Ordering::Relaxed)
    }

    /// Changes it.
    pub(super) fn keep_kiosk(&self, kiosk: bool) {
        self.kiosk.store(kiosk, Ordering::Relaxed);
    }

    /// The largest size of the X screen.
    pub(super) fn screen(&self) -> (u32, u32) {
        self.screen
    }

    /// Changes it.
    pub(super) fn keep_viewport(&self, viewport: Viewport) {
        *self.viewport.lock() = viewport;
    }

    /// Changes whenever screen and windows have been given another size.
    pub fn resizes(&self) -> watch::Receiver<()> {
        self.resized.subscribe()
    }

    pub(super) fn tell_resized(&self) {
        self.resized.send_replace(());
    }

    /// Whether the pointer is hidden.
    pub fn pointer_hidden(&self) -> bool {
        self.pointer_hidden.load(Ordering::Relaxed)
    }

    /// Hides or shows it.
    pub fn hide_pointer(&self, hidden: bool) {
        self.pointer_hidden.store(hidden, Ordering::Relaxed);
    }

    /// Folders of the extensions that are loaded.
    pub fn extensions(&self) -> Vec<PathBuf> {
        self.extensions.lock().clone()
    }

    /// Adds some.
    pub fn keep_extensions(&self, folders: Vec<PathBuf>) {
        let mut extensions = self.extensions.lock();
        extensions.extend(folders);
        extensions.truncate(EXTENSIONS);
    }

    /// The extensions that are there by policy.
    pub fn policy_extensions(&self) -> Vec<PolicyExtension> {
        self.policy_extensions.lock().clone()
    }

    /// Adds some; false, and nothing is added, when that would be too many.
    pub(super) fn keep_policy_extensions(&self, more: &[PolicyExtension]) -> bool {
        let mut kept = self.policy_extensions.lock();
        if kept.len() + more.len() > EXTENSIONS {
            return false;
        }
        kept.extend_from_slice(more);
        true
    }

    /// Takes them away again.
    pub(super) fn forget_policy_extensions(&self, gone: &[PolicyExtension]) {
        self.policy_extensions.lock().retain(|kept| !gone.contains(kept));
    }

    /// Where complaints about extensions go, and come from.
    pub(super) fn complaints(&self) -> &broadcast::Sender<String> {
        &self.complaints
    }
}
