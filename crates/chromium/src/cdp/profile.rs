//! The methods a profile is taken and given with.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::methods::Ignored;
use super::{Cdp, CdpError, SessionId};

impl Cdp {
    /// All cookies of the default context, session cookies too, as Chromium says them: an array of
    /// objects that [`Cdp::set_cookies`] takes.
    pub async fn cookies(&self) -> Result<Box<RawValue>, CdpError> {
        #[derive(Deserialize)]
        struct Cookies {
            cookies: Box<RawValue>,
        }
        let found: Cookies = self.call(None, "Storage.getCookies", json!({})).await?;
        Ok(found.cookies)
    }

    /// Sets cookies of the default context. Chromium refuses all of them for one it does not take.
    pub async fn set_cookies<C: Serialize>(&self, cookies: &[C]) -> Result<(), CdpError> {
        #[derive(Serialize)]
        struct Params<'a, C> {
            cookies: &'a [C],
        }
        let _: Ignored = self.call(None, "Storage.setCookies", Params { cookies }).await?;
        Ok(())
    }

    /// Takes all cookies of the default context away.
    pub async fn clear_cookies(&self) -> Result<(), CdpError> {
        let _: Ignored = self.call(None, "Storage.clearCookies", json!({})).await?;
        Ok(())
    }

    /// Deletes what all sites of the default context keep, but for cookies and Local Storage, and closes
    /// it where it is open. `page` is any page of the context: the browser itself does not do this.
    pub async fn clear_storage(&self, page: &SessionId) -> Result<(), CdpError> {
        let kinds = "file_systems,indexeddb,service_workers,cache_storage,storage_buckets";
        let params = json!({ "origin": "*", "storageTypes": kinds });
        let _: Ignored = self.call(Some(page), "Storage.clearDataForOrigin", params).await?;
        Ok(())
    }

    /// Has the browser write out what it keeps and exit, whatever pages say to that. The pipe may
    /// close before an answer comes.
    pub async fn close_browser(&self) -> Result<(), CdpError> {
        let _: Ignored = self.call(None, "Browser.close", json!({})).await?;
        Ok(())
    }
}
