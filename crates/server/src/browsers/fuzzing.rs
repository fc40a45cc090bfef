//! The targets of this module.

use browserd_api::browser::{Region, SessionConfig};
use http::HeaderMap;
use serde_json::Value;
use url::Url;

use super::validate::{self, Creation, Defaults};
use super::{ignored, list};
use crate::fields::Checked;

/// The body of a creation and of a change: what is taken is within its bounds and is stored and read
/// back as it is, what is refused says which field.
pub(crate) fn session_body(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(data) else { return };
    let defaults = Defaults { region: Region::default(), headless_shell: false };
    match validate::create(Checked::of(&body), &defaults) {
        Ok((Creation { new: session, .. }, unknown)) => {
            let config = &session.config;
            assert!((10..=259_200).contains(&config.timeout_seconds));
            viewport(config.viewport);
            page(config.start_url.as_deref());
            name(session.name.as_deref());
            assert!(session.tags.len() <= validate::TAGS_MAX);
            let stored = serde_json::to_string(config).unwrap();
            assert_eq!(&serde_json::from_str::<SessionConfig>(&stored).unwrap(), config);
            named(&unknown);
        }
        Err(refusal) => assert!(!refusal.0.body().details.is_empty()),
    }
    match validate::update(Checked::of(&body)) {
        Ok((change, unknown)) => {
            if let Some(asked) = change.viewport {
                viewport(asked.viewport);
            }
            page(change.start_url.as_deref());
            name(change.name.flatten().as_deref());
            named(&unknown);
        }
        Err(refusal) => assert!(!refusal.0.body().details.is_empty()),
    }
}

fn viewport(viewport: browserd_api::browser::Viewport) {
    assert!((320..=7680).contains(&viewport.width) && (240..=4320).contains(&viewport.height));
    assert!(viewport.refresh_rate.is_none_or(|rate| (1..=60).contains(&rate)));
}

/// Nothing but the web is opened.
fn page(url: Option<&str>) {
    let Some(url) = url else { return };
    let scheme = Url::parse(url).unwrap().scheme().to_owned();
    assert!(["http", "https", "about"].contains(&scheme.as_str()), "{url}");
}

/// A name is one segment of a path, and no id.
fn name(name: Option<&str>) {
    let Some(name) = name else { return };
    let url = Url::parse(&format!("http://b.example/browsers/{name}?x")).unwrap();
    assert_eq!(url.path_segments().unwrap().count(), 2, "{name:?}");
    assert!(name.parse::<browserd_api::SessionId>().is_err());
}

fn named(unknown: &[String]) {
    let mut headers = HeaderMap::new();
    ignored::name_in_header(&mut headers, unknown);
    let value = headers.get(ignored::IGNORED).map(|value| value.to_str().unwrap());
    assert_eq!(value.is_some(), unknown.iter().any(|field| !field.is_empty()));
    assert!(value.is_none_or(|value| value.len() < 1100));
}

/// The query of a list: what is taken is within its bounds.
pub(crate) fn session_query(data: &[u8]) {
    let Ok(query) = std::str::from_utf8(data) else { return };
    match list::parse(query) {
        Ok(filter) => {
            assert!((1..=100).contains(&filter.limit) && filter.offset <= i32::MAX as u32);
            assert!(filter.tags.len() <= validate::TAGS_MAX);
        }
        Err(refusal) => assert!(!refusal.0.body().details.is_empty()),
    }
}
