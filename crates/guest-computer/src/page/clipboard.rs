//! The browser's clipboard, through a hidden page of the guest's own.
//!
//! Pages may use the clipboard only in secure contexts, with the focus, and asked by the user, and a
//! page of the client's is not ours to touch. A hidden target is no tab and shows up in no list of
//! pages; it is told to paste and to copy as if somebody had pressed the keys.

use browserd_chromium::cdp::{Cdp, SessionId};
use serde_json::json;

use super::{Failure, Pages, Result, evaluate};

/// Catches what is pasted.
const CATCH: &str = "addEventListener('paste', event => { globalThis.pasted = \
    event.clipboardData.getData('text/plain'); event.preventDefault(); }); \
    document.body.append(globalThis.field = document.createElement('textarea')); field.focus()";
/// Selects something, without which there is nothing to copy.
const SELECT: &str = "document.body.append(globalThis.field = document.createElement('textarea')); \
    field.value = 'x'; field.focus(); field.select()";

impl Pages {
    pub(crate) async fn read_clipboard(&mut self) -> Result<String> {
        let cdp = self.front.browser.running().await?.cdp;
        let page = Hidden::open(&cdp).await?;
        let text = page.paste().await;
        page.close().await;
        text
    }

    pub(crate) async fn write_clipboard(&mut self, text: &str) -> Result<()> {
        let cdp = self.front.browser.running().await?.cdp;
        let page = Hidden::open(&cdp).await?;
        let done = page.copy(text).await;
        page.close().await;
        done
    }
}

/// A hidden page.
struct Hidden<'a> {
    cdp: &'a Cdp,
    target: String,
}

impl<'a> Hidden<'a> {
    async fn open(cdp: &'a Cdp) -> Result<Self> {
        Ok(Self { cdp, target: cdp.open_hidden_page("about:blank").await? })
    }

    async fn close(self) {
        // With the browser it goes too.
        let _ = self.cdp.close_page(&self.target).await;
    }

    async fn attach(&self) -> Result<SessionId> {
        Ok(self.cdp.attach(&self.target).await?)
    }

    /// An editing command, as a key would give it. Scripts are not let near the clipboard so easily.
    async fn command(&self, session: &SessionId, command: &str) -> Result<()> {
        let params = json!({ "type": "rawKeyDown", "commands": [command] });
        self.cdp.call_raw(Some(session), "Input.dispatchKeyEvent", params).await?;
        Ok(())
    }

    async fn paste(&self) -> Result<String> {
        let session = self.attach().await?;
        evaluate(self.cdp, &session, CATCH).await?;
        self.command(&session, "paste").await?;
        let pasted = evaluate(self.cdp, &session, "globalThis.pasted ?? ''").await?;
        match pasted {
            serde_json::Value::String(text) => Ok(text),
            _ => Err(Failure::Odd("no text")),
        }
    }

    async fn copy(&self, text: &str) -> Result<()> {
        let session = self.attach().await?;
        // Any JSON string is a string of JavaScript.
        let text = serde_json::Value::from(text);
        let script = format!(
            "addEventListener('copy', event => {{ event.clipboardData.setData('text/plain', \
             {text}); event.preventDefault(); globalThis.copied = true; }}); {SELECT}"
        );
        evaluate(self.cdp, &session, &script).await?;
        self.command(&session, "copy").await?;
        match evaluate(self.cdp, &session, "globalThis.copied").await? {
            serde_json::Value::Bool(true) => Ok(()),
            _ => Err(Failure::Odd("that it did not copy")),
        }
    }
}
