//! What a proxy may be, checked all at once.

use browserd_api::ApiError;
use browserd_api::proxies::{ProxyProtocol, ProxyType, Upstream};
use browserd_api::secret::Password;
use browserd_egress::check_proxy;
use browserd_rest::{Error, Result};
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Faults, Object, name};

/// What a proxy shall be.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; create() reads it")]
pub(crate) struct CreateProxy {
    /// Kind. The hosted original's own (datacenter, isp, residential, mobile) are refused: this server
    /// has none to lend.
    #[schema(rename = "type")]
    r#type: ProxyType,
    /// Name, usable wherever a path says `{id_or_name}` while no other proxy has it. No `/`, no `\`, no
    /// `%`, no control characters, and not of the form of an id.
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    /// What is spoken with it. Default https.
    protocol: Option<ProxyProtocol>,
    /// Hosts that are reached without it: names, or `*.` and a name for all below it.
    #[schema(max_items = 100)]
    bypass_hosts: Option<Vec<String>>,
    /// Where it is.
    config: ProxyAddress,
}

/// Where a proxy is, and what it is shown.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; create() reads it")]
pub(crate) struct ProxyAddress {
    /// Host name or address.
    host: String,
    /// Port.
    #[schema(minimum = 1, maximum = 65535)]
    port: u16,
    /// User name.
    #[schema(max_length = 255)]
    username: Option<String>,
    /// Password; never shown again.
    #[schema(max_length = 255, write_only)]
    password: Option<String>,
}

/// A proxy's new name.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; update() reads it")]
pub(crate) struct UpdateProxy {
    /// An empty string takes it away.
    #[schema(max_length = 255)]
    name: String,
}

/// Name, settings, and the fields this version does not know.
type Creation = (Option<String>, Upstream, Vec<String>);

/// Checks a creation.
pub(super) fn create(body: &Value) -> Result<Creation> {
    let mut faults = Faults::default();
    let mut unknown = Vec::new();
    let made = Object::read("", body, &mut faults)
        .and_then(|object| read(object, &mut faults, &mut unknown));
    faults.into_result().map_err(|faults| Error(ApiError::fields(faults)))?;
    let (name, upstream) = made.unwrap_or_else(|| unreachable!("what is missing is a fault"));
    Ok((name, upstream, unknown))
}

fn read(
    mut object: Object<'_>,
    faults: &mut Faults,
    unknown: &mut Vec<String>,
) -> Option<(Option<String>, Upstream)> {
    match object.text("type", faults) {
        Some("custom") => {}
        Some("datacenter" | "isp" | "residential" | "mobile") => {
            faults.add("type", "this server has no proxies of its own; bring yours as type custom");
            return None;
        }
        _ => faults.add("type", "must be custom"),
    }
    let name = object
        .text("name", faults)
        .filter(|text| !text.is_empty())
        .and_then(|text| name(text, faults));
    let protocol = match object.text("protocol", faults) {
        None | Some("https") => ProxyProtocol::Https,
        Some("http") => ProxyProtocol::Http,
        Some("socks5") => ProxyProtocol::Socks5,
        Some(_) => {
            faults.add("protocol", "must be http, https or socks5");
            ProxyProtocol::Https
        }
    };
    let bypass_hosts = object.take("bypass_hosts").map_or_else(Vec::new, |value| {
        let texts = value
            .as_array()
            .and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        texts.unwrap_or_else(|| {
            faults.add("bypass_hosts", "must be an array of strings");
            Vec::new()
        })
    });
    let config = object.take("config");
    unknown.extend(object.unknown());
    let Some(config) = config else {
        faults.add("config", "is missing: it says where the proxy is");
        return None;
    };
    let mut config = Object::read("config", config, faults)?;
    let host = config.text("host", faults);
    let port = config.number("port", 1, 65535, faults);
    let username = config.text("username", faults).filter(|text| !text.is_empty());
    let password = config.text("password", faults).filter(|text| !text.is_empty());
    if config.text("ca_bundle", faults).is_some_and(|text| !text.is_empty()) {
        faults.add(
            "config.ca_bundle",
            "this version does not have proxies that open up TLS; leave the field out",
        );
    }
    unknown.extend(config.unknown());
    for (field, missing) in [("config.host", host.is_none()), ("config.port", port.is_none())] {
        if missing {
            faults.add(field, "is missing");
        }
    }
    let upstream = Upstream {
        protocol,
        host: host?.to_owned(),
        // In range, as it was read.
        port: u16::try_from(port?).unwrap_or(u16::MAX),
        username: username.map(str::to_owned),
        password: password.map(Password::new),
        bypass_hosts,
    };
    if let Err(error) = check_proxy(&upstream) {
        let within = if error.field == "bypass_hosts" { "" } else { "config." };
        faults.add(format!("{within}{}", error.field), error.problem);
    }
    Some((name, upstream))
}

/// Checks a change; also answers with the fields this version does not know.
pub(super) fn update(body: &Value) -> Result<(Option<String>, Vec<String>)> {
    let mut faults = Faults::default();
    let mut unknown = Vec::new();
    let mut new = None;
    if let Some(mut object) = Object::read("", body, &mut faults) {
        match object.text("name", &mut faults) {
            Some("") => {}
            Some(text) => new = name(text, &mut faults),
            None if faults.len() == 0 => faults.add("name", "is missing"),
            None => {}
        }
        for fixed in ["type", "protocol", "bypass_hosts", "config"] {
            if object.take(fixed).is_some() {
                faults.add(fixed, "is fixed; create another proxy");
            }
        }
        unknown.extend(object.unknown());
    }
    faults.into_result().map_err(|faults| Error(ApiError::fields(faults)))?;
    Ok((new, unknown))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blamed(body: &Value) -> Vec<String> {
        let error = create(body).unwrap_err();
        error.0.body().details.iter().map(|detail| detail.code.clone()).collect()
    }

    #[test]
    fn a_proxy_is_what_it_says() {
        let (name, upstream, unknown) = create(&json!({
            "type": "custom", "name": "Berlin", "protocol": "http", "later": 1,
            "bypass_hosts": ["*.intern.example"],
            "config": {"host": "proxy.example", "port": 3128.0, "username": "me", "password": "hunter2", "x": 1},
        }))
        .unwrap();
        assert_eq!(name.as_deref(), Some("Berlin"));
        assert_eq!((upstream.protocol, upstream.port), (ProxyProtocol::Http, 3128));
        assert_eq!(upstream.password, Some(Password::new("hunter2")));
        assert_eq!(unknown, ["later", "config.x"]);
        let least = json!({"type": "custom", "config": {"host": "[::1]", "port": 1}});
        let (name, upstream, _) = create(&least).unwrap();
        assert_eq!((name, upstream.protocol), (None, ProxyProtocol::Https));
    }

    #[test]
    fn every_misfit_is_named_at_once() {
        assert_eq!(blamed(&json!({})), ["type", "config"]);
        assert_eq!(blamed(&json!([])), ["body"]);
        assert_eq!(blamed(&json!({"type": "residential", "config": {}})), ["type"]);
        assert_eq!(
            blamed(&json!({
                "type": "other", "name": "a/b", "protocol": "ftp", "bypass_hosts": [1],
                "config": {"port": 0, "ca_bundle": "x"},
            })),
            [
                "type",
                "name",
                "protocol",
                "bypass_hosts",
                "config.port",
                "config.ca_bundle",
                "config.host",
                "config.port"
            ]
        );
        let at = |host: &str| json!({"type": "custom", "config": {"host": host, "port": 1}});
        assert_eq!(blamed(&at("a b")), ["config.host"]);
        let mut bypass = at("a.example");
        bypass["bypass_hosts"] = json!(["10.0.0.1"]);
        assert_eq!(blamed(&bypass), ["bypass_hosts"]);
        let mut colon = at("a.example");
        colon["config"]["username"] = json!("a:b");
        assert_eq!(blamed(&colon), ["config.username"]);
    }

    #[test]
    fn only_the_name_changes() {
        assert_eq!(
            update(&json!({"name": "a", "z": 1})).unwrap(),
            (Some("a".into()), vec!["z".into()])
        );
        assert_eq!(update(&json!({"name": ""})).unwrap().0, None);
        for body in
            [json!({}), json!({"name": "a/b"}), json!({"name": "a", "config": {}}), json!(1)]
        {
            assert!(update(&body).is_err(), "{body}");
        }
    }
}
