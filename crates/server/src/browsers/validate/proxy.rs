//! The way out a session asks for.

use browserd_api::ProxyId;
use browserd_api::proxies::ProxyMode;
use browserd_fleet::ProxyChoice;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Faults, Object};

/// A way out. Exactly one of these.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; read() reads it")]
pub(crate) struct ProxySelection {
    /// Through the proxy with this id.
    id: Option<ProxyId>,
    /// Through the one proxy with this name.
    name: Option<String>,
    /// Without one, both ways to say it.
    mode: Option<ProxyMode>,
}

/// Takes `proxy` and `proxy_id`; none when neither says anything.
pub(super) fn read(
    object: &mut Object<'_>,
    faults: &mut Faults,
    unknown: &mut Vec<String>,
) -> Option<ProxyChoice> {
    let by_id = match object.text("proxy_id", faults) {
        None => None,
        Some("") => Some(ProxyChoice::Direct),
        Some(text) => id("proxy_id", text, faults),
    };
    let Some(value) = object.take("proxy") else { return by_id };
    if by_id.is_some() {
        faults.add("proxy_id", "cannot stand beside proxy; leave it out");
    }
    selection(value, faults, unknown)
}

fn selection(value: &Value, faults: &mut Faults, unknown: &mut Vec<String>) -> Option<ProxyChoice> {
    let mut object = Object::read("proxy", value, faults)?;
    let by_id = object.text("id", faults);
    let by_name = object.text("name", faults);
    let mode = object.text("mode", faults);
    unknown.extend(object.unknown());
    match (by_id, by_name, mode) {
        (Some(text), None, None) => id("proxy.id", text, faults),
        (None, Some(name), None) => Some(ProxyChoice::Name(name.to_owned())),
        (None, None, Some("direct" | "default")) => Some(ProxyChoice::Direct),
        (None, None, Some(_)) => {
            faults.add("proxy.mode", "must be direct or default");
            None
        }
        _ => {
            faults.add("proxy", "must have exactly one of id, name and mode");
            None
        }
    }
}

fn id(field: &str, text: &str, faults: &mut Faults) -> Option<ProxyChoice> {
    let id = text.parse().ok().map(ProxyChoice::Id);
    if id.is_none() {
        faults.add(field, "must be a proxy's id (24 lower-case letters and digits)");
    }
    id
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "n8b2kq0w5v7yx3mz1c6jtdhr";

    fn asked(body: &Value) -> Result<Option<ProxyChoice>, Vec<String>> {
        let mut faults = Faults::default();
        let mut object = Object::read("", body, &mut faults).unwrap();
        let asked = read(&mut object, &mut faults, &mut Vec::new());
        faults
            .into_result()
            .map(|()| asked)
            .map_err(|faults| faults.into_iter().map(|fault| fault.code).collect())
    }

    #[test]
    fn one_way_out_is_asked_for() {
        let id = Some(ProxyChoice::Id(ID.parse().unwrap()));
        for (body, out) in [
            (json!({}), None),
            (json!({"proxy": null, "proxy_id": null}), None),
            (json!({"proxy": {"id": ID}}), id.clone()),
            (json!({"proxy_id": ID}), id),
            (json!({"proxy": {"name": "a"}}), Some(ProxyChoice::Name("a".into()))),
            (json!({"proxy": {"mode": "direct"}}), Some(ProxyChoice::Direct)),
            (json!({"proxy": {"mode": "default"}}), Some(ProxyChoice::Direct)),
            (json!({"proxy_id": ""}), Some(ProxyChoice::Direct)),
        ] {
            assert_eq!(asked(&body), Ok(out), "{body}");
        }
        for (body, field) in [
            (json!({"proxy": {}}), "proxy"),
            (json!({"proxy": "x"}), "proxy"),
            (json!({"proxy": {"id": ID, "name": "a"}}), "proxy"),
            (json!({"proxy": {"id": ID, "mode": "direct"}}), "proxy"),
            (json!({"proxy": {"id": "x"}}), "proxy.id"),
            (json!({"proxy": {"mode": "stealth"}}), "proxy.mode"),
            (json!({"proxy": {"id": ID}, "proxy_id": ID}), "proxy_id"),
            (json!({"proxy_id": "x"}), "proxy_id"),
        ] {
            assert_eq!(asked(&body), Err(vec![field.to_owned()]), "{body}");
        }
    }
}
