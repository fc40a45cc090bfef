//! What sessions of one kind have in common, so that one started ahead can become any of them.

use browserd_api::browser::{LocationRequest, Memory, Region, SessionConfig, Viewport};

/// The configuration key of the pool: what a running session cannot become. Everything else that is
/// not in [`Class::serves`]'s list of exceptions is taken over while Chromium runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// No screen, no X server.
    pub headless: bool,
    /// The memory limit; the size of /dev/shm follows from it.
    pub memory: Memory,
}

/// The screen every session is started with can take any size up to this one (4K).
const LARGEST: (u32, u32) = (3840, 2160);

impl Class {
    /// Headless sessions as they are asked for when nothing is said of memory.
    pub const HEADLESS: Self = Self { headless: true, memory: Memory::Gib1 };
    /// The same with a screen.
    pub const HEADFUL: Self = Self { headless: false, memory: Memory::Gib8 };

    /// The class whose sessions can become `config` while they run; none, when it needs a Chromium
    /// of its own: Chromium reads policies and its language at start, and an X server cannot grow
    /// beyond the screen it was started with.
    #[must_use]
    pub fn serves(config: &SessionConfig) -> Option<Self> {
        let SessionConfig {
            headless,
            viewport,
            location,
            chrome_policy,
            memory,
            // Taken over while it runs.
            kiosk_mode: _,
            start_url: _,
            // What every session has.
            stealth: _,
            // The server's affair, not the session's.
            region: _,
            timeout_seconds: _,
            // The egress route changes while it runs.
            proxy: _,
            // Loaded into the running browser.
            profile: _,
        } = config;
        let alike = *location == LocationRequest::default()
            && chrome_policy.is_none()
            && viewport.width <= LARGEST.0
            && viewport.height <= LARGEST.1;
        alike.then_some(Self { headless: *headless, memory: *memory })
    }

    /// What a session of this class is started with.
    #[must_use]
    pub fn template(self) -> SessionConfig {
        SessionConfig {
            headless: self.headless,
            viewport: Viewport::default(),
            kiosk_mode: false,
            stealth: false,
            start_url: None,
            location: LocationRequest::default(),
            chrome_policy: None,
            memory: self.memory,
            region: Region::default(),
            timeout_seconds: 0,
            proxy: None,
            profile: None,
        }
    }

    /// Memory an idle session of this class takes, bytes, rounded up: what README measures of the
    /// browser, its screen, shim and guest.
    #[must_use]
    pub const fn idle_bytes(self) -> u64 {
        if self.headless { 160 << 20 } else { 288 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_of_its_own_class() {
        for class in [Class::HEADLESS, Class::HEADFUL] {
            assert_eq!(Class::serves(&class.template()), Some(class));
        }
    }

    #[test]
    fn what_chromium_reads_at_start_is_in_no_class() {
        let plain = Class::HEADLESS.template();
        let policy = SessionConfig { chrome_policy: Some(Default::default()), ..plain.clone() };
        let zone = LocationRequest { timezone: Some("Asia/Tokyo".to_owned()), locale: None };
        let elsewhere = SessionConfig { location: zone, ..plain.clone() };
        let viewport = Viewport { width: 3841, ..Viewport::default() };
        let wide = SessionConfig { viewport, ..plain };
        for config in [policy, elsewhere, wide] {
            assert_eq!(Class::serves(&config), None);
        }
    }
}
