//! The screen of a headless session is the page in front, and its windows are as large as that takes.
//!
//! ```text
//!   viewport 1280x800 ─▶ window and screen 1280x887: what the browser's own interface takes is above the page
//!   popup, its interface lower ──▶ 1280x835
//!   kiosk ─▶ every window full, on a screen of 1280x800
//! ```
//!
//! Pages are told nothing untrue: the window has the size they see, and the screen has room for it. A
//! window whose size somebody else has chosen (a page, a client) keeps it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use browserd_api::browser::Viewport;
use browserd_chromium::cdp::{Cdp, CdpError, TargetEvent, TargetState};
use browserd_chromium::flags;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;

use super::DesiredState;
use super::evaluate::evaluate;
use super::resize::{Window, WindowBounds, set_bounds, window_of};

/// How long a page may take to say how large it is.
const TELL_WITHIN: Duration = Duration::from_secs(2);
/// How long a page may take to have the size its window was given, and windows to fill a screen that has another
/// size.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);
/// Pauses between two looks, growing from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// What bars may take of a window more or less than usual, pixels.
const SLACK: u32 = 200;
/// Windows remembered.
const REMEMBERED: usize = 256;

/// Inner and outer size of a page's window.
const SIZES: &str = "[innerWidth, innerHeight, outerWidth, outerHeight]";

/// How large a page sees itself and its window, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) inner: (u32, u32),
    pub(super) outer: (u32, u32),
}

/// Sizes that windows have because of us.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// What new windows have: Chromium is told at its start.
    at_start: (u32, u32),
    /// Heights given since, by the windows' ids.
    heights: BTreeMap<i64, u32>,
}

/// Who has it locked may change sizes.
pub(super) type Resizing = Arc<Mutex<Given>>;

impl Given {
    /// A Chromium has started, and its windows have this size.
    fn started(at_start: (u32, u32)) -> Self {
        Self { at_start, heights: BTreeMap::new() }
    }

    /// Whether a window is as it was opened.
    fn is_new(&self, bounds: &WindowBounds) -> bool {
        bounds.window_state == "normal" && (bounds.width, bounds.height) == self.at_start
    }

    /// Whether nobody but us has chosen the size of a window of a session of this size.
    pub(super) fn is_ours(&self, window: &Window, viewport: Viewport) -> bool {
        let bounds = &window.bounds;
        let usual = flags::headless_window_height(viewport.height, false);
        let height = self.heights.get(&window.window_id).copied().unwrap_or(usual);
        bounds.window_state == "normal" && (bounds.width, bounds.height) == (viewport.width, height)
    }

    /// Remembers what a window was given.
    pub(super) fn remember(&mut self, window: i64, height: u32) {
        if self.heights.len() >= REMEMBERED {
            // Ids only grow: it is the oldest.
            self.heights.pop_first();
        }
        self.heights.insert(window, height);
    }
}

/// Gives the window of a page the size with which the page has the viewport's; answers whether it had another
/// before.
pub(super) async fn fit(
    cdp: &Cdp,
    target: &str,
    desired_state: &DesiredState,
    given: &mut Given,
) -> Result<bool, CdpError> {
    let Some(mut window) = window_of(cdp, target).await? else { return Ok(false) };
    let viewport = desired_state.viewport();
    let new = given.is_new(&window.bounds);
    if desired_state.kiosk() {
        let (width, height) = (viewport.width, viewport.height);
        let ours = new || window.bounds == WindowBounds { width, height, ..Default::default() };
        if ours {
            set_bounds(cdp, &window, json!({ "windowState": "fullscreen" })).await?;
            exact(cdp, target, |sizes| sizes.inner == (width, height)).await?;
        }
        return Ok(ours);
    }
    let usual = (viewport.width, flags::headless_window_height(viewport.height, false));
    if new && given.at_start != usual {
        set_bounds(cdp, &window, json!({ "width": usual.0, "height": usual.1 })).await?;
        exact(cdp, target, |sizes| sizes.outer == usual).await?;
        (window.bounds.width, window.bounds.height) = usual;
    }
    if !given.is_ours(&window, viewport) {
        return Ok(false);
    }
    let bounds = &window.bounds;
    let Some(sizes) = sizes(cdp, target).await? else { return Ok(false) };
    let (width, height) = sizes.inner;
    // A tab that is hidden, or has not heard of its window's size yet, tells nothing; nor does one whose
    // size a driver emulates.
    let tells = sizes.outer == (bounds.width, bounds.height) && width == viewport.width;
    if !tells || height == viewport.height || height.abs_diff(viewport.height) > SLACK {
        return Ok(new);
    }
    let before = bounds.height;
    let wanted = (before + viewport.height).saturating_sub(height);
    set_bounds(cdp, &window, json!({ "height": wanted })).await?;
    if exact(cdp, target, |sizes| sizes.inner.1 == viewport.height).await? {
        given.remember(window.window_id, wanted);
        return Ok(true);
    }
    // The page's size is not its window's: it is left as it was.
    set_bounds(cdp, &window, json!({ "height": before })).await?;
    Ok(false)
}

/// What a page says of its size; none when it says nothing in time, or is going.
pub(super) async fn sizes(cdp: &Cdp, target: &str) -> Result<Option<Sizes>, CdpError> {
    let page = match cdp.attach(target).await {
        Ok(page) => page,
        Err(CdpError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let told = tokio::time::timeout(TELL_WITHIN, evaluate(cdp, &page, SIZES)).await;
    // With the page it goes too.
    let _ = cdp.detach(&page).await;
    let Ok(told) = told else { return Ok(None) };
    let side = |told: &serde_json::Value, index: usize| {
        told[index].as_u64().and_then(|side| u32::try_from(side).ok())
    };
    Ok(told?.and_then(|told| {
        Some(Sizes {
            inner: (side(&told, 0)?, side(&told, 1)?),
            outer: (side(&told, 2)?, side(&told, 3)?),
        })
    }))
}

/// Waits until a page sees a size; false when it does not in time.
pub(super) async fn exact(
    cdp: &Cdp,
    target: &str,
    wanted: impl Fn(&Sizes) -> bool,
) -> Result<bool, CdpError> {
    let wanted = &wanted;
    let seen = || async move { Ok(sizes(cdp, target).await?.is_some_and(|sizes| wanted(&sizes))) };
    in_time(seen).await
}

/// Looks until it is so; false when it is not in time.
pub(super) async fn in_time<F, Look>(look: F) -> Result<bool, CdpError>
where
    F: Fn() -> Look,
    Look: Future<Output = Result<bool, CdpError>>,
{
    let seen = async {
        let (mut pause, longest) = PAUSES;
        while !look().await? {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
        Ok(())
    };
    match tokio::time::timeout(TAKEN_WITHIN, seen).await {
        Ok(seen) => seen.map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Fits windows that open, until the browser is gone, in a task of its own.
pub(super) async fn follow(
    cdp: &Cdp,
    desired_state: Arc<DesiredState>,
    resizing: Resizing,
    at_start: (u32, u32),
) -> Result<(), CdpError> {
    // Windows of the Chromium before are gone.
    *resizing.lock().await = Given::started(at_start);
    let mut events = cdp.events();
    let session = cdp.attach_browser().await?;
    // Those there are have been fitted by the flags; only their windows are to be known.
    let mut windows = Vec::new();
    for page in cdp.pages().await? {
        windows.extend(window_of(cdp, &page.target_id).await?.map(|window| window.window_id));
    }
    let params = json!({ "discover": true });
    cdp.call_raw(Some(&session), "Target.setDiscoverTargets", params).await?;
    let cdp = cdp.clone();
    tokio::spawn(async move {
        loop {
            let created = match events.recv().await {
                Ok(event) => match event.about_target(&session) {
                    Some(TargetEvent::Created(TargetState { target_id, kind, .. }))
                        if kind == "page" =>
                    {
                        target_id
                    }
                    _ => continue,
                },
                // Whoever looks at a page that was missed fits it then.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            // A tab of a window that is known has its size.
            let Ok(window) = window_of(&cdp, &created).await else { continue };
            let Some(id) = window.map(|window| window.window_id) else { continue };
            if windows.contains(&id) {
                continue;
            }
            if windows.len() >= REMEMBERED {
                windows.remove(0);
            }
            windows.push(id);
            if let Err(error) =
                fit(&cdp, &created, &desired_state, &mut *resizing.lock().await).await
            {
                tracing::debug!(%error, "a new window");
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(window_id: i64, width: u32, height: u32, state: &str) -> Window {
        Window { window_id, bounds: WindowBounds { width, height, window_state: state.into() } }
    }

    #[test]
    fn windows_of_the_usual_size_and_those_we_gave_one_are_ours() {
        let viewport = Viewport { width: 1280, height: 800, refresh_rate: None };
        let usual = flags::headless_window_height(800, false);
        let mut given = Given::started((1920, 1167));
        given.remember(2, 835);
        let ours = |window_id, width, height, state| {
            given.is_ours(&window(window_id, width, height, state), viewport)
        };
        assert!(ours(1, 1280, usual, "normal"));
        assert!(ours(2, 1280, 835, "normal"));
        assert!(!ours(1, 1280, 835, "normal"));
        assert!(!ours(2, 1280, usual, "normal"));
        assert!(!ours(1, 1000, usual, "normal"));
        assert!(!ours(1, 1280, usual, "fullscreen"));
        assert!(given.is_new(&window(3, 1920, 1167, "normal").bounds));
        assert!(!given.is_new(&window(3, 1920, 1080, "normal").bounds));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut given = Given::default();
        for id in 0..1000 {
            given.remember(id, 835);
        }
        assert_eq!(given.heights.len(), REMEMBERED);
        assert!(given.heights.contains_key(&999));
    }
}
