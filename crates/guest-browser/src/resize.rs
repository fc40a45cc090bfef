//! Another size for screen and windows, while Chromium runs.
//!
//! ```text
//!  headless: Emulation.updateScreen ─▶ Browser.setWindowBounds, each window whose size is ours
//!  headful:  RandR ─▶ the window manager lets windows fill the screen again ─▶ the same, for the
//!            tab in front, if it did not fill it
//!  both:     ─▶ the page in front sees its size ─▶ answered
//! ```

use browserd_api::browser::Viewport;
use browserd_chromium::cdp::{Cdp, CdpError};
use browserd_chromium::flags;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::page_order::page_in_front;
use super::{Browser, NoBrowser, OpenOrder, fit, randr};

/// Why the size is what it was.
#[derive(Debug, thiserror::Error)]
pub enum ResizeError {
    /// The X server was started with a smaller screen.
    #[error("the screen of this session can be at most {0} by {1}")]
    TooLarge(u32, u32),
    /// There is no browser.
    #[error(transparent)]
    NoBrowser(#[from] NoBrowser),
    /// Chromium refused it, or its pipe is closed.
    #[error(transparent)]
    Cdp(#[from] CdpError),
    /// The X server refused it.
    #[error("the X server: {0}")]
    Screen(std::io::Error),
}

/// A window of Chromium's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Window {
    pub(super) window_id: i64,
    pub(super) bounds: WindowBounds,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WindowBounds {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) window_state: String,
}

impl Default for WindowBounds {
    fn default() -> Self {
        Self { width: 0, height: 0, window_state: "normal".into() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Screens {
    screen_infos: Vec<Screen>,
}

#[derive(Debug, Deserialize)]
struct Screen {
    id: String,
}

/// The windows there are.
struct Windows {
    /// The page in front.
    front: Option<String>,
    /// Each, and whether the page in front is in it.
    all: Vec<(bool, Window)>,
}

impl Browser {
    /// Gives screen and windows another size, and to every later Chromium of the session. Windows a
    /// client gave a size of their own keep it, except that of the tab in front. Answers when the page in
    /// front sees its size, or has not said so in time.
    pub async fn resize(&self, to: Viewport) -> Result<(), ResizeError> {
        let mut given = self.resizing.lock().await;
        let (most_width, most_height) = self.desired_state.screen();
        if self.display.is_some() && (to.width > most_width || to.height > most_height) {
            return Err(ResizeError::TooLarge(most_width, most_height));
        }
        let cdp = self.running().await?.cdp;
        match &self.display {
            Some(display) => self.resize_headful(&cdp, display.clone(), to).await?,
            None => self.resize_headless(&cdp, to, &mut given).await?,
        }
        self.desired_state.tell_resized();
        Ok(())
    }

    async fn resize_headful(
        &self,
        cdp: &Cdp,
        display: String,
        to: Viewport,
    ) -> Result<(), ResizeError> {
        let before = self.desired_state.viewport();
        let windows = windows(cdp, None).await?;
        randr::set(display, to.width, to.height).await.map_err(ResizeError::Screen)?;
        self.desired_state.keep_viewport(to);
        let mut awaited = Vec::new();
        let mut follows = false;
        for (front, window) in &windows.all {
            let bounds = &window.bounds;
            let filled = (bounds.width, bounds.height) == (before.width, before.height);
            // The window manager sees to those that filled the screen. Chromium, asked for the same, would
            // ask for a pixel less first.
            if !filled && *front && bounds.window_state == "normal" {
                resize_window(cdp, window, (to.width, to.height)).await?;
            } else if !filled {
                continue;
            }
            awaited.push(window.window_id);
            follows |= *front;
        }
        if let Some(front) = windows.front
            && filled_in_time(cdp, &awaited, to).await?
            && follows
        {
            let size = (to.width, to.height);
            fit::exact(cdp, &front, |sizes| sizes.outer == size && sizes.inner.0 == size.0).await?;
        }
        Ok(())
    }

    async fn resize_headless(
        &self,
        cdp: &Cdp,
        to: Viewport,
        given: &mut fit::Given,
    ) -> Result<(), ResizeError> {
        let before = self.desired_state.viewport();
        let windows = windows(cdp, self.open_order()).await?;
        let usual = |viewport: Viewport| self.window_height(viewport.height);
        resize_headless_screen(cdp, to.width, usual(to)).await?;
        self.desired_state.keep_viewport(to);
        let mut follows = false;
        for (front, window) in &windows.all {
            let bounds = &window.bounds;
            let full = bounds.window_state != "normal";
            let ours = (bounds.width, bounds.height) == (before.width, usual(before))
                || given.is_ours(window, before);
            if !(ours || full || *front) {
                continue;
            }
            follows |= *front;
            let height = if ours {
                (to.height + bounds.height).saturating_sub(before.height)
            } else {
                usual(to)
            };
            if (bounds.width, bounds.height) != (to.width, height) {
                resize_window(cdp, window, (to.width, height)).await?;
            }
            if ours && !full {
                given.remember(window.window_id, height);
            }
        }
        if let (Some(front), true) = (windows.front, follows) {
            let size = (to.width, to.height);
            // Its window's size is the usual one now, or what its page needed before.
            let window = fit::exact(cdp, &front, |sizes| sizes.outer.0 == size.0).await?;
            if window && !self.runs_shell() {
                fit::fit(cdp, &front, &self.desired_state, given).await?;
            }
        }
        Ok(())
    }

    /// Lets every window fill the screen without the browser's own interface, and every later
    /// Chromium of the session.
    pub async fn enter_kiosk(&self) -> Result<(), ResizeError> {
        let _one = self.resizing.lock().await;
        self.desired_state.keep_kiosk(true);
        let cdp = self.running().await?.cdp;
        if self.display.is_none() {
            let Viewport { width, height, .. } = self.desired_state.viewport();
            resize_headless_screen(&cdp, width, self.window_height(height)).await?;
        }
        for (_, window) in windows(&cdp, self.open_order()).await?.all {
            set_bounds(&cdp, &window, json!({ "windowState": "fullscreen" })).await?;
        }
        Ok(())
    }

    /// Sees to it that a page of a headless session has the size of its screen, unless its window was
    /// given a size of its own; answers whether it had another before.
    ///
    /// # Errors
    ///
    /// When the pipe to Chromium fails.
    pub async fn fit(&self, cdp: &Cdp, target: &str) -> Result<bool, CdpError> {
        // A shell has no interface, and crashes when it is asked for the window of a page that goes.
        if self.display.is_some() || self.runs_shell() {
            return Ok(false);
        }
        let mut given = self.resizing.lock().await;
        fit::fit(cdp, target, &self.desired_state, &mut given).await
    }

    /// How high a window of a headless session is whose page has `height`.
    fn window_height(&self, height: u32) -> u32 {
        let bare = self.runs_shell() || self.desired_state.kiosk();
        flags::headless_window_height(height, bare)
    }
}

/// Waits until windows have the size of the screen; false when they have not in time.
async fn filled_in_time(cdp: &Cdp, awaited: &[i64], to: Viewport) -> Result<bool, CdpError> {
    let filled = || async move {
        for id in awaited {
            let bounds = window(cdp, *id).await?;
            if bounds.is_some_and(|b| (b.width, b.height) != (to.width, to.height)) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    fit::in_time(filled).await
}

/// Place and size of a window; none when it is closed.
async fn window(cdp: &Cdp, id: i64) -> Result<Option<WindowBounds>, CdpError> {
    #[derive(Deserialize)]
    struct Bounds {
        bounds: WindowBounds,
    }
    let params = json!({ "windowId": id });
    match cdp.call::<_, Bounds>(None, "Browser.getWindowBounds", params).await {
        Ok(found) => Ok(Some(found.bounds)),
        Err(CdpError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The window of a page; none when it has none, or is closed.
pub(super) async fn window_of(cdp: &Cdp, target: &str) -> Result<Option<Window>, CdpError> {
    let params = json!({ "targetId": target });
    match cdp.call::<_, Window>(None, "Browser.getWindowForTarget", params).await {
        Ok(window) => Ok(Some(window)),
        Err(CdpError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `screen.width` and the like, for all pages, open and to come.
async fn resize_headless_screen(cdp: &Cdp, width: u32, height: u32) -> Result<(), CdpError> {
    let screens: Screens = cdp.call(None, "Emulation.getScreenInfos", json!({})).await?;
    if let Some(screen) = screens.screen_infos.first() {
        let params = json!({ "screenId": screen.id, "width": width, "height": height });
        let _: Value = cdp.call(None, "Emulation.updateScreen", params).await?;
    }
    Ok(())
}

/// Every window with tabs, and which of them has the tab in front.
async fn windows(cdp: &Cdp, open_order: Option<OpenOrder>) -> Result<Windows, CdpError> {
    let mut windows = BTreeMap::new();
    let active = page_in_front(cdp, open_order).await?;
    for page in cdp.pages().await? {
        // A tab without a window, or closed meanwhile, has none.
        let Some(window) = window_of(cdp, &page.target_id).await? else { continue };
        let front = active.as_ref() == Some(&page.target_id);
        let known: &mut (bool, Window) = windows.entry(window.window_id).or_insert((front, window));
        known.0 |= front;
    }
    Ok(Windows { front: active, all: windows.into_values().collect() })
}

/// A full window takes no size: it is made normal for it, and full again.
async fn resize_window(cdp: &Cdp, window: &Window, to: (u32, u32)) -> Result<(), CdpError> {
    let set = async |bounds: Value| set_bounds(cdp, window, bounds).await;
    let state = window.bounds.window_state.as_str();
    if state != "normal" {
        set(json!({ "windowState": "normal" })).await?;
    }
    set(json!({ "left": 0, "top": 0, "width": to.0, "height": to.1 })).await?;
    if state != "normal" {
        set(json!({ "windowState": state })).await?;
    }
    Ok(())
}

pub(super) async fn set_bounds(cdp: &Cdp, window: &Window, bounds: Value) -> Result<(), CdpError> {
    let params = json!({ "windowId": window.window_id, "bounds": bounds });
    match cdp.call::<_, Value>(None, "Browser.setWindowBounds", params).await {
        // Closed meanwhile.
        Ok(_) | Err(CdpError::Refused { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
