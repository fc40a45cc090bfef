//! What a change may ask for.

use std::collections::BTreeMap;

use browserd_fleet::{Change, ProfileChoice, Resize};
use browserd_rest::Result;
use utoipa::ToSchema;

use super::location::UpdateLocation;
use super::profile::ProfileSelection;
use super::proxy::{self, ProxyIdOrNone, ProxySelection};
use super::viewport::UpdateViewport;
use super::{TIMEOUT, start_url, take_tags, unbuilt};
use crate::fields::{Body, Checked, Fields, name_or_none};

/// Fields fixed when a session is created.
const FIXED: [&str; 10] = [
    "headless",
    "stealth",
    "gpu",
    "kiosk_mode",
    "memory",
    "video_memory",
    "region",
    "chrome_policy",
    "extensions",
    "vaults",
];

/// Changes to a running session. What is left out, or null, stays as it is.
#[derive(Debug, ToSchema)]
pub(crate) struct UpdateBrowser {
    /// New name; an empty string takes it away.
    #[schema(max_length = 255, pattern = r"^[^/\\%\x00-\x1f\x7f]*$")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// New tags, all of them; an empty object takes them away.
    tags: Option<BTreeMap<String, String>>,
    /// New size of the window, at once and without a restart.
    viewport: Option<UpdateViewport>,
    /// Other time zone and language, at once and without a restart.
    location: Option<UpdateLocation>,
    /// Navigates the active page: the answer tells that it is on its way, not that it arrived. An empty
    /// string asks for nothing.
    #[schema(max_length = 2048)]
    start_url: Option<String>,
    /// Extension: new time without activity after which the session ends, counted from the last one.
    #[schema(minimum = 10, maximum = 259_200)]
    timeout_seconds: Option<u32>,
    /// Cookies and storage of an earlier session, loaded into the running browser; only while the
    /// session has no profile. Pages that are open already may have to be loaded again to see them.
    profile: Option<ProfileSelection>,
    /// Another upstream proxy, at once: connections of the one before are closed, and the browser's
    /// next requests open new ones.
    pub(super) proxy: Option<ProxySelection>,
    /// Deprecated: the same as `proxy` with an id; an empty string is none. Not both.
    #[schema(value_type = Option<String>)]
    pub(super) proxy_id: Option<ProxyIdOrNone>,
}

impl Body for UpdateBrowser {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (proxy, proxy_id) = proxy::take(fields);
        let asked = Self {
            profile: fields.object("profile"),
            name: fields.parse("name", name_or_none),
            tags: take_tags(fields),
            viewport: fields.object("viewport"),
            location: fields.object("location"),
            start_url: fields.parse("start_url", start_url::read).flatten(),
            timeout_seconds: fields.number("timeout_seconds", TIMEOUT),
            proxy,
            proxy_id,
        };
        unbuilt::refuse_in_update(fields);
        for field in FIXED {
            if fields.take_undocumented(field).is_some() {
                fields.refuse(
                    field,
                    "is fixed when a session is created; create another session to change it",
                );
            }
        }
        Some(asked)
    }
}

/// Checks a change; also answers with the fields this version does not know.
pub(crate) fn update(body: Checked<UpdateBrowser>) -> Result<(Change, Vec<String>)> {
    body.finish_with(|asked, _| {
        let UpdateLocation { timezone, locale } = asked.location.unwrap_or_default();
        Change {
            name: asked.name,
            tags: asked.tags,
            timeout_seconds: asked.timeout_seconds,
            proxy: proxy::choice(asked.proxy, asked.proxy_id),
            profile: asked.profile.map(ProfileChoice::from),
            viewport: asked.viewport.map(Resize::from),
            timezone,
            locale,
            start_url: asked.start_url,
        }
    })
}

#[cfg(test)]
mod tests {
    use browserd_api::browser::Viewport;
    use serde_json::{Value, json};

    use super::*;

    fn update(body: &Value) -> Result<(Change, Vec<String>)> {
        super::update(Checked::of(body))
    }

    fn blamed(body: &Value) -> Vec<String> {
        let error = update(body).unwrap_err();
        error.0.body().details.iter().map(|detail| detail.code.clone()).collect()
    }

    #[test]
    fn what_may_change_changes() {
        let (change, unknown) =
            update(&json!({"name": "a", "tags": {"k": "v"}, "later": 1})).unwrap();
        assert_eq!(change.name, Some(Some("a".to_owned())));
        assert_eq!(change.tags.unwrap()["k"], "v");
        assert_eq!(unknown, ["later"]);
        let (change, _) = update(&json!({"name": "", "tags": {}})).unwrap();
        assert_eq!(change.name, Some(None));
        assert_eq!(change.tags, Some(BTreeMap::new()));
        let nothing = json!({
            "name": null, "telemetry": {}, "viewport": null, "location": null, "start_url": "",
        });
        assert_eq!(update(&nothing).unwrap().0, Change::default());
        let (change, unknown) = update(&json!({
            "viewport": {"width": 800, "height": 600, "force": true, "depth": 24},
            "start_url": "example.com", "location": {"timezone": null, "locale": "DE-de", "city": 1},
            "timeout_seconds": 90,
        }))
        .unwrap();
        let viewport = Viewport { width: 800, height: 600, refresh_rate: Some(60) };
        assert_eq!(change.viewport, Some(Resize { viewport, force: true }));
        assert_eq!(change.start_url.as_deref(), Some("https://example.com/"));
        assert_eq!(change.timeout_seconds, Some(90));
        assert_eq!(change.timezone, Some(None));
        assert_eq!(change.locale, Some(Some("de-DE".into())));
        assert_eq!(unknown, ["viewport.depth", "location.city"]);
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        assert_eq!(
            blamed(&json!({
                "viewport": {"width": 1}, "location": {"timezone": "x"}, "proxy": {"id": "x"},
                "timeout_seconds": 9, "headless": true, "tags": 1, "start_url": "ftp://x",
            })),
            [
                "proxy.id",
                "tags",
                "viewport.height",
                "viewport.width",
                "location.timezone",
                "start_url",
                "timeout_seconds",
                "headless"
            ]
        );
        assert_eq!(blamed(&json!([])), ["body"]);
        assert_eq!(blamed(&json!(null)), ["body"]);
    }
}
