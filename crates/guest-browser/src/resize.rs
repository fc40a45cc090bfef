//! Another size for screen and windows, while Chromium runs.
//!
//! ```text
//!  headless: Emulation.updateScreen ─▶ Browser.setWindowBounds, each window that filled the screen
//!  headful:  RandR ─▶ the window manager lets windows fill the screen again ─▶ the same, for the
//!            tab in front, whatever size it had
//! ```

use std::collections::BTreeMap;

use browserd_api::browser::Viewport;
use browserd_chromium::cdp::{Cdp, CdpError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::page_order::page_in_front;
use super::{Browser, NoBrowser, OpenOrder, randr};

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
struct Window {
    window_id: i64,
    bounds: WindowBounds,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WindowBounds {
    width: u32,
    height: u32,
    window_state: String,
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

impl Browser {
    /// Gives screen and windows another size, and to every later Chromium of the session. Windows a
    /// client gave a size of their own keep it, except that of the tab in front.
    pub async fn resize(&self, to: Viewport) -> Result<(), ResizeError> {
        let _one = self.resizing.lock().await;
        let (most_width, most_height) = self.desired_state.screen();
        if self.display.is_some() && (to.width > most_width || to.height > most_height) {
            return Err(ResizeError::TooLarge(most_width, most_height));
        }
        let running = self.running().await?;
        let before = self.desired_state.viewport();
        match &self.display {
            Some(display) => randr::set(display.clone(), to.width, to.height)
                .await
                .map_err(ResizeError::Screen)?,
            None => resize_headless_screen(&running.cdp, to).await?,
        }
        self.desired_state.keep_viewport(to);
        for (front, window) in windows(&running.cdp, self.open_order()).await? {
            let bounds = &window.bounds;
            let filled = (bounds.width, bounds.height) == (before.width, before.height);
            let fills = (bounds.width, bounds.height) == (to.width, to.height);
            let full = bounds.window_state != "normal";
            // In a headful session the window manager sees to those that fill the screen.
            let ours = self.display.is_none() && (filled || full) || front && !full;
            if ours && !fills {
                resize_window(&running.cdp, &window, to).await?;
            }
        }
        self.desired_state.tell_resized();
        Ok(())
    }
}

impl Browser {
    /// Lets every window fill the screen without the browser's own interface, and every later
    /// Chromium of the session.
    pub async fn enter_kiosk(&self) -> Result<(), ResizeError> {
        let _one = self.resizing.lock().await;
        self.desired_state.keep_kiosk(true);
        let cdp = self.running().await?.cdp;
        for (_, window) in windows(&cdp, self.open_order()).await? {
            set_bounds(&cdp, &window, json!({ "windowState": "fullscreen" })).await?;
        }
        Ok(())
    }
}

/// `screen.width` and the like, for all pages, open and to come.
async fn resize_headless_screen(cdp: &Cdp, to: Viewport) -> Result<(), CdpError> {
    let screens: Screens = cdp.call(None, "Emulation.getScreenInfos", json!({})).await?;
    if let Some(screen) = screens.screen_infos.first() {
        let params = json!({ "screenId": screen.id, "width": to.width, "height": to.height });
        let _: Value = cdp.call(None, "Emulation.updateScreen", params).await?;
    }
    Ok(())
}

/// Every window with tabs, and whether the tab in front is in it.
async fn windows(
    cdp: &Cdp,
    open_order: Option<OpenOrder>,
) -> Result<Vec<(bool, Window)>, CdpError> {
    let mut windows = BTreeMap::new();
    let active = page_in_front(cdp, open_order).await?;
    for page in cdp.pages().await? {
        let params = json!({ "targetId": page.target_id });
        match cdp.call::<_, Window>(None, "Browser.getWindowForTarget", params).await {
            Ok(window) => {
                let front = active.as_ref() == Some(&page.target_id);
                let known: &mut (bool, Window) =
                    windows.entry(window.window_id).or_insert((front, window));
                known.0 |= front;
            }
            // A tab without a window, or closed meanwhile.
            Err(CdpError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(windows.into_values().collect())
}

/// A full window takes no size: it is made normal for it, and full again.
async fn resize_window(cdp: &Cdp, window: &Window, to: Viewport) -> Result<(), CdpError> {
    let set = async |bounds: Value| set_bounds(cdp, window, bounds).await;
    let state = window.bounds.window_state.as_str();
    if state != "normal" {
        set(json!({ "windowState": "normal" })).await?;
    }
    set(json!({ "left": 0, "top": 0, "width": to.width, "height": to.height })).await?;
    if state != "normal" {
        set(json!({ "windowState": state })).await?;
    }
    Ok(())
}

async fn set_bounds(cdp: &Cdp, window: &Window, bounds: Value) -> Result<(), CdpError> {
    let params = json!({ "windowId": window.window_id, "bounds": bounds });
    match cdp.call::<_, Value>(None, "Browser.setWindowBounds", params).await {
        // Closed meanwhile.
        Ok(_) | Err(CdpError::Refused { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
