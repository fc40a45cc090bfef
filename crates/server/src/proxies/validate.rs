//! What a proxy may be, checked all at once.

use browserd_api::proxies::{ProxyProtocol, ProxyType, Upstream};
use browserd_api::secret::Password;
use browserd_egress::check_proxy;
use browserd_rest::Result;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Body, Checked, Fields, ValidationErrors, name_or_none};

/// What a proxy shall be.
#[derive(Debug, ToSchema)]
pub(crate) struct CreateProxy {
    /// Kind. The hosted original's own (datacenter, isp, residential, mobile) are refused: this server
    /// has none of its own.
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
    #[schema(value_type = Option<String>, max_length = 255, write_only)]
    password: Option<Password>,
}

/// A proxy's new name.
#[derive(Debug, ToSchema)]
pub(crate) struct UpdateProxy {
    /// An empty string takes it away.
    #[schema(max_length = 255, value_type = String)]
    name: Option<String>,
}

impl Body for CreateProxy {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        match fields.text("type") {
            Some("custom") => {}
            Some("datacenter" | "isp" | "residential" | "mobile") => {
                fields.refuse(
                    "type",
                    "this server has no proxies of its own; bring yours as type custom",
                );
                return None;
            }
            _ => fields.refuse("type", "must be custom"),
        }
        let name = fields.parse("name", name_or_none).flatten();
        let protocol = fields.parse("protocol", protocol);
        let bypass_hosts = fields.take("bypass_hosts").and_then(|value| {
            fields.check("bypass_hosts", texts(value).ok_or("must be an array of strings"))
        });
        fields.require("config", "is missing: it says where the proxy is");
        let config = fields.object("config")?;
        Some(Self { r#type: ProxyType::Custom, name, protocol, bypass_hosts, config })
    }
}

impl Body for ProxyAddress {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let host = fields.text("host").map(str::to_owned);
        let port = fields.number("port", 1..=u16::MAX);
        let username = fields.text("username").filter(|text| !text.is_empty()).map(str::to_owned);
        let password = fields.text("password").filter(|text| !text.is_empty()).map(Password::new);
        if let Some(value) = fields.take_undocumented("ca_bundle")
            && fields.as_text("ca_bundle", value).is_some_and(|text| !text.is_empty())
        {
            fields.refuse(
                "ca_bundle",
                "this version does not have proxies that open up TLS; leave the field out",
            );
        }
        for (field, missing) in [("host", host.is_none()), ("port", port.is_none())] {
            if missing {
                fields.refuse(field, "is missing");
            }
        }
        Some(Self { host: host?, port: port?, username, password })
    }
}

fn protocol(text: &str) -> std::result::Result<ProxyProtocol, &'static str> {
    match text {
        "https" => Ok(ProxyProtocol::Https),
        "http" => Ok(ProxyProtocol::Http),
        "socks5" => Ok(ProxyProtocol::Socks5),
        _ => Err("must be http, https or socks5"),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A proxy's name and settings.
type Named = (Option<String>, Upstream);

/// Checks a creation; also answers with the fields this version does not know.
pub(super) fn create(body: Checked<CreateProxy>) -> Result<(Named, Vec<String>)> {
    body.finish_with(|asked, errors| {
        let CreateProxy { r#type: ProxyType::Custom, name, protocol, bypass_hosts, config } = asked;
        let upstream = Upstream {
            protocol: protocol.unwrap_or(ProxyProtocol::Https),
            host: config.host,
            port: config.port,
            username: config.username,
            password: config.password,
            bypass_hosts: bypass_hosts.unwrap_or_default(),
        };
        check(&upstream, errors);
        (name, upstream)
    })
}

fn check(upstream: &Upstream, errors: &mut ValidationErrors) {
    if let Err(error) = check_proxy(upstream) {
        let within = if error.field == "bypass_hosts" { "" } else { "config." };
        errors.add(format!("{within}{}", error.field), error.problem);
    }
}

impl Body for UpdateProxy {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.require("name", "is missing");
        let name = fields.parse("name", name_or_none);
        for fixed in ["type", "protocol", "bypass_hosts", "config"] {
            if fields.take_undocumented(fixed).is_some() {
                fields.refuse(fixed, "is fixed; create another proxy");
            }
        }
        Some(Self { name: name? })
    }
}

/// Checks a change: the new name; also answers with the fields this version does not know.
pub(super) fn update(body: Checked<UpdateProxy>) -> Result<(Option<String>, Vec<String>)> {
    body.finish_with(|asked, _| asked.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn create(body: &Value) -> Result<(Named, Vec<String>)> {
        super::create(Checked::of(body))
    }

    fn update(body: &Value) -> Result<(Option<String>, Vec<String>)> {
        super::update(Checked::of(body))
    }

    fn blamed(body: &Value) -> Vec<String> {
        let error = create(body).unwrap_err();
        error.0.body().details.iter().map(|detail| detail.code.clone()).collect()
    }

    #[test]
    fn a_proxy_is_what_it_says() {
        let ((name, upstream), unknown) = create(&json!({
            "type": "custom", "name": "Berlin", "protocol": "http", "later": 1,
            "bypass_hosts": ["*.intern.example"],
            "config": {"host": "proxy.example", "port": 3128.0, "username": "me", "password": "hunter2", "x": 1},
        }))
        .unwrap();
        assert_eq!(name.as_deref(), Some("Berlin"));
        assert_eq!((upstream.protocol, upstream.port), (ProxyProtocol::Http, 3128));
        assert_eq!(upstream.password, Some(Password::new("hunter2")));
        assert_eq!(unknown, ["config.x", "later"]);
        let least = json!({"type": "custom", "config": {"host": "[::1]", "port": 1}});
        let ((name, upstream), _) = create(&least).unwrap();
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
