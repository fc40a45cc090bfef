//! What a change may ask for.

use std::collections::BTreeMap;

use browserd_api::ApiError;
use browserd_fleet::SessionPatch;
use browserd_rest::Error;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Faults, Object, name, tags, unbuilt};

/// Fields fixed when a session is created.
const FIXED: [&str; 11] = [
    "headless",
    "stealth",
    "gpu",
    "kiosk_mode",
    "timeout_seconds",
    "memory",
    "video_memory",
    "region",
    "chrome_policy",
    "extensions",
    "vaults",
];

/// Changes to a running session.
#[derive(Debug, Default, ToSchema)]
pub(crate) struct UpdateBrowser {
    /// New name; an empty string takes it away.
    #[schema(max_length = 255, pattern = r"^[^/%\x00-\x1f\x7f]*$")]
    name: Option<String>,
    /// New tags, all of them; an empty object takes them away.
    tags: Option<BTreeMap<String, String>>,
}

/// Checks a change; also answers with the fields this version does not know.
pub(crate) fn update(body: &Value) -> Result<(SessionPatch, Vec<String>), Error> {
    let mut faults = Faults::default();
    let (mut asked, mut unknown) = (UpdateBrowser::default(), Vec::new());
    if let Some(mut object) = Object::read("", body, &mut faults) {
        asked.name = match object.text("name", &mut faults) {
            Some("") => Some(String::new()),
            Some(text) => name(text, &mut faults),
            None => None,
        };
        asked.tags = object.take("tags").and_then(|value| tags(value, &mut faults));
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
    let name = asked.name.map(|name| Some(name).filter(|name| !name.is_empty()));
    Ok((SessionPatch { name, tags: asked.tags }, unknown))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blamed(body: &Value) -> Vec<String> {
        let error = update(body).unwrap_err();
        error.0.body().details.iter().map(|detail| detail.code.clone()).collect()
    }

    #[test]
    fn names_and_tags_change() {
        let (patch, unknown) =
            update(&json!({"name": "a", "tags": {"k": "v"}, "later": 1})).unwrap();
        assert_eq!(patch.name, Some(Some("a".to_owned())));
        assert_eq!(patch.tags.unwrap()["k"], "v");
        assert_eq!(unknown, ["later"]);
        let (patch, _) = update(&json!({"name": "", "tags": {}})).unwrap();
        assert_eq!(patch.name, Some(None));
        assert_eq!(patch.tags, Some(BTreeMap::new()));
        let (patch, _) = update(&json!({"name": null, "telemetry": {}, "viewport": null})).unwrap();
        assert_eq!((patch.name, patch.tags), (None, None));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        assert_eq!(
            blamed(
                &json!({"viewport": {"width": 1}, "timeout_seconds": 60, "headless": true, "tags": 1})
            ),
            ["tags", "viewport", "headless", "timeout_seconds"]
        );
        assert_eq!(blamed(&json!([])), ["body"]);
        assert_eq!(blamed(&json!(null)), ["body"]);
    }
}
