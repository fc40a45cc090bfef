//! What a change may ask for.

use std::collections::BTreeMap;

use browserd_api::ApiError;
use browserd_fleet::Change;
use browserd_rest::Error;
use serde_json::Value;
use utoipa::ToSchema;

use super::profile::{self, ProfileSelection};
use super::proxy::{self, ProxySelection};
use super::{TIMEOUT, location, start_url, tags, unbuilt, viewport};
use crate::fields::{Faults, Object, name};

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
#[derive(Debug, Default, ToSchema)]
#[expect(dead_code, reason = "describes the body; update() reads it")]
pub(crate) struct UpdateBrowser {
    /// New name; an empty string takes it away.
    #[schema(max_length = 255, pattern = r"^[^/\\%\x00-\x1f\x7f]*$")]
    name: Option<String>,
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
    /// Another way out, at once: connections that went another way are closed, and the browser's
    /// next requests open new ones.
    proxy: Option<ProxySelection>,
    /// Deprecated: the same as `proxy` with an id; an empty string is none. Not both.
    proxy_id: Option<String>,
}

/// Time zone and language. What is left out stays as it is; null is the server's default.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; update() reads it")]
pub(crate) struct UpdateLocation {
    /// IANA name, e.g. `Europe/Paris`.
    timezone: Option<String>,
    /// BCP 47 tag, e.g. `fr-FR`.
    locale: Option<String>,
}

/// A window size, pixels.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; update() reads it")]
pub(crate) struct UpdateViewport {
    /// 320 to 7680.
    #[schema(minimum = 320, maximum = 7680)]
    width: u32,
    /// 240 to 4320.
    #[schema(minimum = 240, maximum = 4320)]
    height: u32,
    /// As in a creation.
    #[schema(minimum = 1, maximum = 60)]
    refresh_rate: Option<u32>,
    /// Also while the screen is being recorded, which is 409 `being_recorded` otherwise. Recordings
    /// keep the size they began with; the new one is fitted into it. Default false.
    force: Option<bool>,
}

/// Checks a change; also answers with the fields this version does not know.
pub(crate) fn update(body: &Value) -> Result<(Change, Vec<String>), Error> {
    let mut faults = Faults::default();
    let (mut change, mut unknown) = (Change::default(), Vec::new());
    if let Some(mut object) = Object::read("", body, &mut faults) {
        change.proxy = proxy::read(&mut object, &mut faults, &mut unknown);
        change.profile = object
            .take("profile")
            .and_then(|value| profile::read(value, &mut faults, &mut unknown));
        change.name = match object.text("name", &mut faults) {
            Some("") => Some(None),
            Some(text) => name(text, &mut faults).map(Some),
            None => None,
        };
        change.tags = object.take("tags").and_then(|value| tags(value, &mut faults));
        if let Some(value) = object.take("viewport")
            && let Some(asked) = viewport::read(value, true, &mut faults, &mut unknown)
        {
            change.viewport = Some(asked);
        }
        if let Some(value) = object.take("location") {
            (change.timezone, change.locale) =
                location::read_change(value, &mut faults, &mut unknown);
        }
        change.start_url = object
            .text("start_url", &mut faults)
            .filter(|text| !text.is_empty())
            .and_then(|text| start_url::read(text, &mut faults));
        change.timeout_seconds =
            object.number("timeout_seconds", TIMEOUT.0, TIMEOUT.1, &mut faults);
        unbuilt::refuse_in_update(&mut object, &mut faults);
        for field in FIXED {
            if object.take(field).is_some() {
                faults.add(
                    field,
                    "is fixed when a session is created; create another session to change it",
                );
            }
        }
        unknown.extend(object.unknown());
    }
    faults.into_result().map_err(|faults| Error(ApiError::fields(faults)))?;
    Ok((change, unknown))
}

#[cfg(test)]
mod tests {
    use browserd_api::browser::Viewport;
    use browserd_fleet::Resize;
    use serde_json::json;

    use super::*;

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
