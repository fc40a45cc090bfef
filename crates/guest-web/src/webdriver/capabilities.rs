//! Making a new driver session attach to the session's Chromium. Pure.

use serde_json::{Map, Value, json};

use super::public_url::PublicUrl;

/// Chromium's own options among the capabilities.
const OPTIONS: &str = "goog:chromeOptions";

/// Options that still mean something when a running browser is attached to; all others are about
/// starting one, and the driver refuses them together with an address.
const KEPT: [&str; 5] = [
    "mobileEmulation",
    "perfLoggingPrefs",
    "devToolsEventsToLog",
    "windowTypes",
    "enableExtensionTargets",
];

/// Changes the parameters of `session.new` (the body of `POST /session` has the same form) so that
/// the driver attaches to `address` whatever the client asked for.
///
/// # Errors
///
/// What is wrong with the parameters, in words.
pub(super) fn attach(parameters: &mut Value, address: &str) -> Result<(), String> {
    let parameters = object(parameters, "the parameters")?;
    // The form of before the standard; a driver that reads it would start a browser of its own.
    parameters.remove("desiredCapabilities");
    parameters.remove("requiredCapabilities");
    let capabilities = entry(parameters, "capabilities")?;
    for (at, alternative) in alternatives(capabilities)?.iter_mut().enumerate() {
        object(alternative, &format!("capabilities.firstMatch[{at}]"))?.remove(OPTIONS);
    }
    let always = entry(capabilities, "alwaysMatch")?;
    let mut options = match always.remove(OPTIONS) {
        Some(Value::Object(options)) => options,
        _ => Map::new(),
    };
    options.retain(|name, _| KEPT.contains(&name.as_str()));
    options.insert("debuggerAddress".into(), json!(address));
    always.insert(OPTIONS.into(), Value::Object(options));
    Ok(())
}

/// Replaces the driver's own `webSocketUrl` in the capabilities of a created session.
pub(super) fn publish_url(created: &mut Value, session_id: &str, url: &PublicUrl) {
    if let Some(own) = created.pointer_mut("/capabilities/webSocketUrl")
        && own.is_string()
    {
        *own = Value::String(url.of_session(session_id));
    }
}

fn object<'a>(value: &'a mut Value, name: &str) -> Result<&'a mut Map<String, Value>, String> {
    value.as_object_mut().ok_or_else(|| format!("{name} must be an object"))
}

/// The object under `name`, made if there is none.
fn entry<'a>(
    parent: &'a mut Map<String, Value>,
    name: &str,
) -> Result<&'a mut Map<String, Value>, String> {
    let value = parent.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    object(value, name)
}

fn alternatives(capabilities: &mut Map<String, Value>) -> Result<&mut [Value], String> {
    match capabilities.get_mut("firstMatch") {
        None | Some(Value::Null) => Ok(&mut []),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err("capabilities.firstMatch must be an array".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "127.0.0.1:9";

    fn attached(mut parameters: Value) -> Value {
        attach(&mut parameters, ADDRESS).unwrap();
        parameters
    }

    #[test]
    fn whatever_is_asked_the_address_is_ours() {
        for asked in [
            json!({}),
            json!({"capabilities": null}),
            json!({"capabilities": {}}),
            json!({"capabilities": {"alwaysMatch": null, "firstMatch": null}}),
            json!({"capabilities": {"alwaysMatch": {OPTIONS: "x"}}}),
            json!({"capabilities": {"alwaysMatch": {OPTIONS: {
                "debuggerAddress": "127.0.0.1:1", "binary": "/bin/sh", "args": ["--x"]}}}}),
            json!({"desiredCapabilities": {OPTIONS: {"binary": "/bin/sh"}}}),
        ] {
            let asked = attached(asked);
            assert_eq!(
                asked["capabilities"]["alwaysMatch"][OPTIONS],
                json!({"debuggerAddress": ADDRESS})
            );
            assert!(asked.get("desiredCapabilities").is_none());
        }
    }

    #[test]
    fn alternatives_cannot_bring_options_back() {
        let asked = attached(json!({"capabilities": {"firstMatch": [
            {"browserName": "chrome", OPTIONS: {"binary": "/bin/sh"}}, {},
        ]}}));
        assert_eq!(asked["capabilities"]["firstMatch"], json!([{"browserName": "chrome"}, {}]));
    }

    #[test]
    fn the_rest_stays() {
        let asked = attached(json!({"capabilities": {"alwaysMatch": {
            "webSocketUrl": true, OPTIONS: {"mobileEmulation": {"deviceName": "x"}}}}}));
        let always = &asked["capabilities"]["alwaysMatch"];
        assert_eq!(always["webSocketUrl"], true);
        assert_eq!(always[OPTIONS]["mobileEmulation"]["deviceName"], "x");
    }

    #[test]
    fn wrong_forms_are_refused_in_words() {
        for asked in [
            json!([]),
            json!({"capabilities": 1}),
            json!({"capabilities": {"alwaysMatch": []}}),
            json!({"capabilities": {"firstMatch": {}}}),
            json!({"capabilities": {"firstMatch": [1]}}),
        ] {
            assert!(
                attach(&mut asked.clone(), ADDRESS).unwrap_err().contains("must be"),
                "{asked}"
            );
        }
    }

    #[test]
    fn urls_are_made_public() {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::HOST, http::HeaderValue::from_static("h"));
        let url = PublicUrl::of(&headers).unwrap();
        let mut created =
            json!({"sessionId": "a", "capabilities": {"webSocketUrl": "ws:///session/a"}});
        publish_url(&mut created, "a", &url);
        assert_eq!(created["capabilities"]["webSocketUrl"], "ws://h/webdriver/session/a");
        let mut classic = json!({"capabilities": {"webSocketUrl": false}});
        publish_url(&mut classic, "a", &url);
        assert_eq!(classic["capabilities"]["webSocketUrl"], false);
    }
}
