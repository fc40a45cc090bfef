//! The methods the guest calls.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Cdp, CdpError, SessionId};

/// How long closing a tab waits for its end.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// What `Browser.getVersion` tells.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Name and version, e.g. `Chrome/156.0.8078.79`.
    pub product: String,
    /// Version of the protocol.
    pub protocol_version: String,
    /// User agent of pages.
    pub user_agent: String,
}

/// A tab.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageTarget {
    /// Id of the target.
    pub target_id: String,
    /// What it shows.
    pub url: String,
}

/// Place and size of a window, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// From the left edge of the screen.
    pub left: i32,
    /// From its upper edge.
    pub top: i32,
    /// Width with borders.
    pub width: u32,
    /// Height with the browser's own interface.
    pub height: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    target_infos: Vec<TargetInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetInfo {
    #[serde(rename = "type")]
    kind: String,
    parent_id: Option<String>,
    #[serde(flatten)]
    page: PageTarget,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Window {
    window_id: i64,
    bounds: Bounds,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    target_id: String,
}

/// A result that is not used.
#[derive(Deserialize)]
pub(super) struct Ignored {}

impl Cdp {
    /// What this Chromium is; answered once it is up.
    pub async fn version(&self) -> Result<Version, CdpError> {
        self.call(None, "Browser.getVersion", json!({})).await
    }

    /// All tabs.
    pub async fn pages(&self) -> Result<Vec<PageTarget>, CdpError> {
        let targets: Targets = self.call(None, "Target.getTargets", json!({})).await?;
        let infos = targets.target_infos.into_iter();
        Ok(infos.filter(|info| info.kind == "page").map(|info| info.page).collect())
    }

    /// Frames of a page that have processes of their own, at any depth.
    pub async fn frames_of(&self, page: &str) -> Result<Vec<String>, CdpError> {
        let targets: Targets = self.call(None, "Target.getTargets", json!({})).await?;
        Ok(below(page, targets.target_infos))
    }

    /// Opens a tab and answers its id.
    pub async fn open_page(&self, url: &str) -> Result<String, CdpError> {
        let created: Created =
            self.call(None, "Target.createTarget", json!({ "url": url })).await?;
        Ok(created.target_id)
    }

    /// Opens a page that is no tab and shows up in no list of pages, and answers its id.
    pub async fn open_hidden_page(&self, url: &str) -> Result<String, CdpError> {
        let created: Created =
            self.call(None, "Target.createTarget", json!({ "url": url, "hidden": true })).await?;
        Ok(created.target_id)
    }

    /// Closes a tab, and waits until clients are not shown it any more. One that takes longer than
    /// a second, its renderer being busy, goes when it can.
    pub async fn close_page(&self, target_id: &str) -> Result<(), CdpError> {
        let params = json!({ "targetId": target_id });
        let _: Ignored = self.call(None, "Target.closeTarget", &params).await?;
        // Chromium answers when it has begun.
        let gone = async {
            let mut pause = Duration::from_millis(1);
            while self.call::<_, Ignored>(None, "Target.getTargetInfo", &params).await.is_ok() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
        };
        let _ = tokio::time::timeout(CLOSED_WITHIN, gone).await;
        Ok(())
    }

    /// Attaches to a tab; calls with the session go to the page.
    pub async fn attach(&self, target_id: &str) -> Result<SessionId, CdpError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Attached {
            session_id: String,
        }
        let params = json!({ "targetId": target_id, "flatten": true });
        let attached: Attached = self.call(None, "Target.attachToTarget", params).await?;
        Ok(SessionId(attached.session_id))
    }

    /// Attaches to the browser itself once more: what is asked for on the session (to be told of
    /// targets, say) is its own.
    pub async fn attach_browser(&self) -> Result<SessionId, CdpError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Attached {
            session_id: String,
        }
        let attached: Attached = self.call(None, "Target.attachToBrowserTarget", json!({})).await?;
        Ok(SessionId(attached.session_id))
    }

    /// Detaches from a tab, or from the browser.
    pub async fn detach(&self, session: &SessionId) -> Result<(), CdpError> {
        let params = json!({ "sessionId": session.0 });
        let _: Ignored = self.call(None, "Target.detachFromTarget", params).await?;
        Ok(())
    }

    /// Sends a page to `url`; answers once it has arrived or failed, with the failure in words.
    /// `about:` means what it means in the address bar: `about:version` is `chrome://version`.
    pub async fn navigate(
        &self,
        session: &SessionId,
        url: &str,
    ) -> Result<Option<String>, CdpError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Navigated {
            #[serde(default)]
            error_text: Option<String>,
        }
        let url = typed(url);
        let navigated: Navigated =
            self.call(Some(session), "Page.navigate", json!({ "url": url })).await?;
        Ok(navigated.error_text)
    }

    /// Where downloads of the default context go, under the names their servers give.
    pub async fn download_to(&self, folder: &Path) -> Result<(), CdpError> {
        let params = json!({ "behavior": "allow", "downloadPath": folder.to_string_lossy() });
        let _: Ignored = self.call(None, "Browser.setDownloadBehavior", params).await?;
        Ok(())
    }

    /// Place and size of a tab's window.
    pub async fn window_bounds(&self, target_id: &str) -> Result<Bounds, CdpError> {
        let params = json!({ "targetId": target_id });
        let window: Window = self.call(None, "Browser.getWindowForTarget", params).await?;
        Ok(window.bounds)
    }

    /// Gives a tab's window a place and size.
    pub async fn set_window_bounds(&self, target_id: &str, to: Bounds) -> Result<(), CdpError> {
        let params = json!({ "targetId": target_id });
        let window: Window = self.call(None, "Browser.getWindowForTarget", params).await?;
        let params = json!({ "windowId": window.window_id, "bounds": to });
        let _: Ignored = self.call(None, "Browser.setWindowBounds", params).await?;
        Ok(())
    }

    /// Loads an unpacked extension from a folder and answers its id.
    pub async fn load_extension(&self, folder: &Path) -> Result<String, CdpError> {
        #[derive(Deserialize)]
        struct Loaded {
            id: String,
        }
        let params = json!({ "path": folder.to_string_lossy() });
        let loaded: Loaded = self.call(None, "Extensions.loadUnpacked", params).await?;
        Ok(loaded.id)
    }

    /// Takes an extension away.
    pub async fn unload_extension(&self, id: &str) -> Result<(), CdpError> {
        let _: Ignored = self.call(None, "Extensions.uninstall", json!({ "id": id })).await?;
        Ok(())
    }
}

/// The frames below a target.
fn below(page: &str, targets: Vec<TargetInfo>) -> Vec<String> {
    let mut frames: Vec<TargetInfo> = targets.into_iter().filter(|t| t.kind == "iframe").collect();
    let (mut found, mut next) = (vec![page.to_owned()], 0);
    while let Some(parent) = found.get(next).cloned() {
        let (mine, others) =
            frames.into_iter().partition(|frame| frame.parent_id.as_ref() == Some(&parent));
        let mine: Vec<TargetInfo> = mine;
        found.extend(mine.into_iter().map(|frame| frame.page.target_id));
        (frames, next) = (others, next + 1);
    }
    found.split_off(1)
}

/// The address a person means who types it.
fn typed(url: &str) -> Cow<'_, str> {
    match url.strip_prefix("about:") {
        None | Some("blank" | "srcdoc") => Cow::Borrowed(url),
        Some(rest) if rest.starts_with("blank#") || rest.starts_with("blank?") => url.into(),
        Some(page) => format!("chrome://{page}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{TargetInfo, below, typed};

    #[test]
    fn frames_are_found_below_their_page() {
        let targets = serde_json::json!([
            { "type": "page", "targetId": "p", "url": "" },
            { "type": "iframe", "targetId": "deep", "parentId": "near", "url": "" },
            { "type": "iframe", "targetId": "near", "parentId": "p", "url": "" },
            { "type": "iframe", "targetId": "other", "parentId": "q", "url": "" },
            { "type": "worker", "targetId": "w", "parentId": "p", "url": "" },
        ]);
        let targets: Vec<TargetInfo> = serde_json::from_value(targets).unwrap();
        assert_eq!(below("p", targets), ["near", "deep"]);
    }

    #[test]
    fn about_pages_are_chromes() {
        assert_eq!(typed("about:version"), "chrome://version");
        for url in ["about:blank", "about:blank#x", "about:srcdoc", "https://a/about:version"] {
            assert_eq!(typed(url), url);
        }
    }
}
