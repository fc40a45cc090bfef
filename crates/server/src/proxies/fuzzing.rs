//! What clients say of proxies.

use browserd_api::proxies::Upstream;
use browserd_egress::check_proxy;
use serde_json::Value;

use super::check::CheckProxy;
use super::validate;
use crate::fields::Checked;

/// What is taken can be used, stored and read back, and is not printed; what is refused says which field.
pub(crate) fn body(body: &Value) {
    match validate::create(Checked::of(body)) {
        Ok(((name, upstream), _)) => {
            assert!(name.is_none_or(|name| !name.contains(['/', '\\', '%'])));
            check_proxy(&upstream).unwrap();
            let stored = serde_json::to_string(&upstream).unwrap();
            assert_eq!(serde_json::from_str::<Upstream>(&stored).unwrap(), upstream);
            let secret = upstream.password.as_ref().map(|password| password.expose().to_owned());
            // A short one may be part of anything.
            if let Some(secret) = secret.filter(|secret| secret.len() > 32) {
                assert!(!format!("{:?}", upstream.password).contains(&secret));
            }
        }
        Err(refusal) => assert!(!refusal.0.body().details.is_empty()),
    }
    if let Err(refusal) = validate::update(Checked::of(body)) {
        assert!(!refusal.0.body().details.is_empty());
    }
    if let Err(refusal) = Checked::<CheckProxy>::of(body).finish() {
        assert!(!refusal.0.body().details.is_empty());
    }
}
