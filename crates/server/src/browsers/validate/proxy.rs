//! The upstream proxy a session asks for.

use browserd_api::ProxyId;
use browserd_api::proxies::ProxyMode;
use browserd_fleet::ProxyChoice;
use utoipa::ToSchema;

use crate::fields::{Body, Fields};

/// An upstream proxy, or none. Exactly one of these.
#[derive(Debug, ToSchema)]
pub(crate) struct ProxySelection {
    /// Through the proxy with this id.
    id: Option<ProxyId>,
    /// Through the one proxy with this name.
    name: Option<String>,
    /// Without one; two forms mean this.
    mode: Option<ProxyMode>,
}

/// What `proxy_id` says: an id, or no proxy.
pub(super) type ProxyIdOrNone = Option<ProxyId>;

/// Takes `proxy` and `proxy_id`, of which one is enough.
pub(super) fn take(fields: &mut Fields<'_>) -> (Option<ProxySelection>, Option<ProxyIdOrNone>) {
    let by_id = fields.parse("proxy_id", id_or_none);
    if by_id.is_some() && fields.has("proxy") {
        fields.refuse("proxy_id", "cannot stand beside proxy; leave it out");
    }
    (fields.object("proxy"), by_id)
}

/// The egress route they ask for; none when neither says anything.
pub(super) fn choice(
    selection: Option<ProxySelection>,
    by_id: Option<ProxyIdOrNone>,
) -> Option<ProxyChoice> {
    let by_id = by_id.map(|id| id.map_or(ProxyChoice::Direct, ProxyChoice::Id));
    selection.map(ProxyChoice::from).or(by_id)
}

impl Body for ProxySelection {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (id, name, mode) = (fields.text("id"), fields.text("name"), fields.text("mode"));
        if [id, name, mode].into_iter().flatten().count() != 1 {
            fields.refuse_all("must have exactly one of id, name and mode");
            return None;
        }
        Some(Self {
            id: id.and_then(|text| fields.check("id", proxy_id(text))),
            name: name.map(str::to_owned),
            mode: mode.and_then(|text| fields.check("mode", proxy_mode(text))),
        })
    }
}

fn id_or_none(text: &str) -> Result<ProxyIdOrNone, &'static str> {
    if text.is_empty() { Ok(None) } else { proxy_id(text).map(Some) }
}

fn proxy_id(text: &str) -> Result<ProxyId, &'static str> {
    text.parse().map_err(|_| "must be a proxy's id (24 lower-case letters and digits)")
}

fn proxy_mode(text: &str) -> Result<ProxyMode, &'static str> {
    match text {
        "direct" => Ok(ProxyMode::Direct),
        "default" => Ok(ProxyMode::Default),
        _ => Err("must be direct or default"),
    }
}

impl From<ProxySelection> for ProxyChoice {
    fn from(asked: ProxySelection) -> Self {
        match (asked.id, asked.name, asked.mode) {
            (Some(id), _, _) => Self::Id(id),
            (_, Some(name), _) => Self::Name(name),
            (_, _, Some(ProxyMode::Direct | ProxyMode::Default) | None) => Self::Direct,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::browsers::validate::UpdateBrowser;
    use crate::fields::Checked;

    const ID: &str = "n8b2kq0w5v7yx3mz1c6jtdhr";

    fn asked(body: &Value) -> Result<Option<ProxyChoice>, Vec<String>> {
        Checked::<UpdateBrowser>::of(body)
            .finish()
            .map(|(asked, _)| choice(asked.proxy, asked.proxy_id))
            .map_err(|error| error.0.body().details.iter().map(|d| d.code.clone()).collect())
    }

    #[test]
    fn one_proxy_is_asked_for() {
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
