//! What a creation may ask for, and what follows from it.

use std::collections::BTreeMap;

use browserd_api::browser::{LocationRequest, Memory, Region, SessionConfig, Viewport};
use browserd_chromium::policy;
use browserd_fleet::{NewSession, ProfileChoice, ProxyChoice};
use browserd_protocol::Route;
use browserd_rest::Result;
use serde_json::Value;
use utoipa::ToSchema;

use super::profile::ProfileSelection;
use super::proxy::{self, ProxyIdOrNone, ProxySelection};
use super::{TIMEOUT, region, start_url, take_tags, unbuilt};
use crate::fields::{Body, Checked, Fields, ValidationErrors, name};

const TIMEOUT_DEFAULT: u32 = 60;

/// Why a headless session of `chromium-headless-shell` cannot have one.
pub(crate) const NO_PROFILE: &str = "headless sessions of this server run chromium-headless-shell, \
    which takes and gives no profile; ask for a headful session";

/// What the operator decided.
pub(crate) struct Defaults {
    /// Region of sessions that ask for none.
    pub(crate) region: Region,
    /// Whether headless sessions run `chromium-headless-shell`.
    pub(crate) headless_shell: bool,
}

/// What a session shall be; every field may be left out.
#[derive(Debug, ToSchema)]
pub(crate) struct CreateBrowser {
    /// No screen and no X server. Default false.
    headless: Option<bool>,
    /// Name, unique among active sessions, usable wherever a path says `{id_or_name}`. No `/`, no `\`, no
    /// `%`, no control characters, and not of the form of an id.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^(?!\.{1,2}$)(?!\s)[^/\\%\x00-\x1f\x7f]+(?<!\s)$"
    )]
    name: Option<String>,
    /// Labels, to list sessions by.
    tags: Option<BTreeMap<String, String>>,
    /// Seconds without activity after which the session ends; looked at to the second. Default 60.
    /// Activity is an open CDP, WebDriver or attach connection, and any request to something inside
    /// the session for as long as its answer is under way: a running `exec`, a stream being read.
    #[schema(minimum = 10, maximum = 259_200)]
    timeout_seconds: Option<u32>,
    /// Window size. Default 1920×1080.
    viewport: Option<Viewport>,
    /// Hide address bar and tabs. Default false.
    kiosk_mode: Option<bool>,
    /// Taken for clients of the hosted service. What it promises of the browser, every session has
    /// (docs/stealth.md); it adds no proxy and no extension. Default false.
    stealth: Option<bool>,
    /// Page to open: http, https or about; https is understood for a bare host. Its failure does
    /// not fail the creation. The browser is on its way there when the session is answered.
    #[schema(max_length = 2048)]
    start_url: Option<String>,
    /// Time zone and language. Default: the server's.
    location: Option<LocationRequest>,
    /// Enterprise policies laid over the server's own, at most 5 MiB of JSON. Policies about
    /// extensions, proxies and remote debugging are refused.
    #[schema(value_type = Option<Object>)]
    chrome_policy: Option<serde_json::Map<String, Value>>,
    /// Memory limit of the whole session. Headless: 1GiB (default), 2GiB, 4GiB. Headful: 8GiB
    /// (default), 16GiB.
    memory: Option<Memory>,
    /// Region label. Default: the operator's.
    region: Option<Region>,
    /// Cookies and storage to begin with, from an earlier session. Default: none.
    pub(super) profile: Option<ProfileSelection>,
    /// The proxy to go out through. Default: none.
    proxy: Option<ProxySelection>,
    /// Deprecated: the same as `proxy` with an id. Not both.
    #[schema(value_type = Option<String>)]
    proxy_id: Option<ProxyIdOrNone>,
}

/// A creation that fits.
#[derive(Debug)]
pub(crate) struct Creation {
    /// The session, but for its egress route.
    pub(crate) new: NewSession,
    /// The upstream proxy, if one was asked for.
    pub(crate) proxy: Option<ProxyChoice>,
    /// The profile, if one was asked for.
    pub(crate) profile: Option<ProfileChoice>,
}

impl Body for CreateBrowser {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (proxy, proxy_id) = proxy::take(fields);
        let asked = Self {
            profile: fields.object("profile"),
            headless: fields.flag("headless"),
            name: fields.parse("name", name),
            tags: take_tags(fields),
            timeout_seconds: fields.number("timeout_seconds", TIMEOUT),
            viewport: fields.object("viewport"),
            kiosk_mode: fields.flag("kiosk_mode"),
            stealth: fields.flag("stealth"),
            start_url: fields.parse("start_url", start_url::read).flatten(),
            location: fields.object("location"),
            chrome_policy: take_policy(fields),
            memory: fields.parse("memory", memory),
            region: fields.parse("region", region),
            proxy,
            proxy_id,
        };
        unbuilt::refuse_in_create(fields);
        Some(asked)
    }
}

/// Checks a creation; also answers with the fields this version does not know.
pub(crate) fn create(
    body: Checked<CreateBrowser>,
    defaults: &Defaults,
) -> Result<(Creation, Vec<String>)> {
    body.finish_with(|asked, errors| {
        let headless = asked.headless.unwrap_or(false);
        check(&asked, headless, defaults, errors);
        let config = SessionConfig {
            headless,
            viewport: asked.viewport.unwrap_or_default(),
            kiosk_mode: asked.kiosk_mode.unwrap_or(false),
            stealth: asked.stealth.unwrap_or(false),
            start_url: asked.start_url,
            location: asked.location.unwrap_or_default(),
            chrome_policy: asked.chrome_policy.filter(|policy| !policy.is_empty()),
            memory: asked.memory.unwrap_or(classes(headless)[0]),
            region: asked.region.unwrap_or(defaults.region),
            timeout_seconds: asked.timeout_seconds.unwrap_or(TIMEOUT_DEFAULT),
            proxy: None,
            profile: None,
        };
        let tags = asked.tags.unwrap_or_default();
        Creation {
            new: NewSession { config, name: asked.name, tags, route: Route::Direct },
            proxy: proxy::choice(asked.proxy, asked.proxy_id),
            profile: asked.profile.map(ProfileChoice::from),
        }
    })
}

/// Rules that concern several fields.
fn check(
    asked: &CreateBrowser,
    headless: bool,
    defaults: &Defaults,
    errors: &mut ValidationErrors,
) {
    if asked.memory.is_some_and(|memory| !classes(headless).contains(&memory)) {
        errors.add(
            "memory",
            if headless {
                "a headless session has 1GiB, 2GiB or 4GiB"
            } else {
                "a headful session has 8GiB or 16GiB"
            },
        );
    }
    if !(headless && defaults.headless_shell) {
        return;
    }
    if asked.chrome_policy.as_ref().is_some_and(|policy| !policy.is_empty()) {
        errors.add(
            "chrome_policy",
            "headless sessions of this server run chromium-headless-shell, which has no policies; \
             ask for a headful session",
        );
    }
    if asked.profile.is_some() {
        errors.add("profile", NO_PROFILE);
    }
}

/// Memory classes, the default first.
fn classes(headless: bool) -> &'static [Memory] {
    if headless {
        &[Memory::Gib1, Memory::Gib2, Memory::Gib4]
    } else {
        &[Memory::Gib8, Memory::Gib16]
    }
}

fn memory(text: &str) -> std::result::Result<Memory, &'static str> {
    serde_json::from_value(Value::from(text))
        .map_err(|_| "must be 1GiB, 2GiB or 4GiB (headless), 8GiB or 16GiB (headful)")
}

/// Deepest nesting of a `chrome_policy`; far more than any policy has, and far less than the 127
/// that JSON readers on its further way take.
const POLICY_DEPTH: usize = 32;

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Takes `chrome_policy`.
fn take_policy(fields: &mut Fields<'_>) -> Option<serde_json::Map<String, Value>> {
    let value = fields.take("chrome_policy")?;
    let errors = fields.errors();
    let Some(map) = value.as_object() else {
        errors.add("chrome_policy", "must be an object of enterprise policies");
        return None;
    };
    if value.to_string().len() > policy::SIZE_LIMIT {
        errors.add(
            "chrome_policy",
            format!("must have at most {} bytes of JSON", policy::SIZE_LIMIT),
        );
        return None;
    }
    if depth(value) > POLICY_DEPTH {
        errors.add("chrome_policy", format!("must not nest deeper than {POLICY_DEPTH} levels"));
        return None;
    }
    let refused = policy::check(map);
    for (name, why) in &refused {
        let name: String = name.chars().take(128).collect();
        errors.add(format!("chrome_policy.{name}"), why.to_string());
    }
    refused.is_empty().then(|| map.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const DEFAULTS: Defaults = Defaults { region: Region::EuWest, headless_shell: false };

    fn create(body: &Value, defaults: &Defaults) -> Result<(Creation, Vec<String>)> {
        super::create(Checked::of(body), defaults)
    }

    fn made(body: &Value) -> NewSession {
        create(body, &DEFAULTS).unwrap().0.new
    }

    fn blamed(body: &Value) -> Vec<String> {
        let error = create(body, &DEFAULTS).unwrap_err();
        error.0.body().details.iter().map(|detail| detail.code.clone()).collect()
    }

    #[test]
    fn nothing_asked_is_the_default() {
        let new = made(&json!({}));
        let config = new.config;
        assert!(
            !config.headless && !config.kiosk_mode && new.name.is_none() && new.tags.is_empty()
        );
        assert_eq!(config.viewport, Viewport { width: 1920, height: 1080, refresh_rate: Some(25) });
        assert_eq!(
            (config.memory, config.region, config.timeout_seconds),
            (Memory::Gib8, Region::EuWest, 60)
        );
        assert_eq!(made(&json!({"headless": true})).config.memory, Memory::Gib1);
    }

    #[test]
    fn the_headless_shell_has_no_policies_and_no_profiles() {
        let shell = Defaults { headless_shell: true, ..DEFAULTS };
        let policy = json!({"BookmarkBarEnabled": false});
        let refused = create(&json!({"headless": true, "chrome_policy": policy}), &shell);
        assert_eq!(refused.unwrap_err().0.body().details[0].code, "chrome_policy");
        let refused = create(&json!({"headless": true, "profile": {"name": "a"}}), &shell);
        assert_eq!(refused.unwrap_err().0.body().details[0].code, "profile");
        assert!(create(&json!({"profile": {"name": "a"}}), &shell).is_ok());
        for body in
            [json!({"headless": true, "chrome_policy": {}}), json!({"chrome_policy": policy})]
        {
            assert!(create(&body, &shell).is_ok(), "{body}");
        }
    }

    #[test]
    fn every_misfit_is_named_at_once() {
        assert_eq!(
            blamed(&json!({
                "headless": "yes", "name": "a/b", "tags": {"k": 1}, "timeout_seconds": 5,
                "viewport": {"width": 1, "height": 99999, "refresh_rate": 61},
                "start_url": "file:///x", "location": {"timezone": "Mars/Olympus", "locale": "??"},
                "memory": "3GiB", "region": "mars", "stealth": "yes", "proxy": {"id": "x"},
            })),
            [
                "proxy.id",
                "headless",
                "name",
                "tags.k",
                "timeout_seconds",
                "viewport.width",
                "viewport.height",
                "viewport.refresh_rate",
                "stealth",
                "start_url",
                "location.timezone",
                "location.locale",
                "memory",
                "region"
            ]
        );
        assert_eq!(blamed(&json!({"viewport": {}})), ["viewport.width", "viewport.height"]);
        assert_eq!(blamed(&json!({"viewport": 7})), ["viewport"]);
        assert_eq!(blamed(&json!("x")), ["body"]);
    }

    #[test]
    fn memory_goes_with_the_screen() {
        for (headless, memory, good) in [
            (true, "4GiB", true),
            (true, "8GiB", false),
            (false, "1GiB", false),
            (false, "16GiB", true),
        ] {
            let body = json!({"headless": headless, "memory": memory});
            assert_eq!(create(&body, &DEFAULTS).is_ok(), good, "{body}");
        }
    }

    #[test]
    fn unknown_fields_are_listed_with_their_path() {
        let (_, unknown) = create(
            &json!({"zeta": 1, "viewport": {"width": 800, "height": 600, "depth": 24}, "location": {"city": "x"}}),
            &DEFAULTS,
        )
        .unwrap();
        assert_eq!(unknown, ["viewport.depth", "location.city", "zeta"]);
    }

    #[test]
    fn the_refresh_rate_follows_the_size() {
        for (width, height, rate) in
            [(2560, 1440, 10), (1920, 1200, 25), (1440, 900, 25), (1280, 800, 60), (390, 844, 60)]
        {
            let new = made(&json!({"viewport": {"width": width, "height": height}}));
            assert_eq!(new.config.viewport.refresh_rate, Some(rate), "{width}x{height}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(
                    "[a-z_]{1,8}|width|height|timezone|locale",
                    inner,
                    0..4
                )
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_panics_and_what_passes_is_in_bounds(
            fields in prop::collection::btree_map(
                "headless|name|tags|timeout_seconds|viewport|kiosk_mode|start_url|location|chrome_policy|memory|region|stealth|other",
                any_json(), 0..6),
        ) {
            let body = Value::Object(fields.into_iter().collect());
            if let Ok((Creation { new, .. }, _)) = create(&body, &DEFAULTS) {
                prop_assert!((10..=259_200).contains(&new.config.timeout_seconds));
                prop_assert!((320..=7680).contains(&new.config.viewport.width));
                prop_assert!((240..=4320).contains(&new.config.viewport.height));
                prop_assert!(classes(new.config.headless).contains(&new.config.memory));
                prop_assert!(new.tags.len() <= 50);
            } else {
                let error = create(&body, &DEFAULTS).unwrap_err();
                prop_assert!(!error.0.body().details.is_empty());
            }
        }
    }
}
