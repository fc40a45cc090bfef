//! A row of each kind.

use browserd_api::proxies::{ProxyProtocol, Upstream};
use browserd_api::{ProfileId, ProxyId, ReplayId, SessionId};

use super::{Sample, at, running};
use crate::{ApiKeyRow, ProfileRow, ProxyRow, ReplayRow, SessionRow};

impl Sample for SessionRow {
    fn sample(age: i64, name: Option<&str>) -> Self {
        Self { name: name.map(str::to_owned), ..running(age) }
    }
}

impl Sample for ReplayRow {
    fn sample(age: i64, _: Option<&str>) -> Self {
        let session_id = SessionId::generate();
        Self { id: ReplayId::generate(), session_id, started_at: at(age), end: None }
    }
}

impl Sample for ProfileRow {
    fn sample(age: i64, name: Option<&str>) -> Self {
        Self {
            id: ProfileId::generate(),
            name: name.map(str::to_owned),
            created_at: at(age),
            updated_at: None,
            last_used_at: None,
            saved: None,
        }
    }
}

impl Sample for ProxyRow {
    fn sample(age: i64, name: Option<&str>) -> Self {
        let upstream = Upstream {
            protocol: ProxyProtocol::Http,
            host: "proxy.example".to_owned(),
            port: 3128,
            username: None,
            password: None,
            bypass_hosts: Vec::new(),
        };
        let (id, name) = (ProxyId::generate(), name.map(str::to_owned));
        Self { id, name, upstream, created_at: at(age), checked: None }
    }
}

impl Sample for ApiKeyRow {
    fn sample(age: i64, _: Option<&str>) -> Self {
        let id = SessionId::generate().to_string();
        let mut hash = [0; 32];
        hash[..24].copy_from_slice(id.as_bytes());
        Self { id, name: "key".to_owned(), hash, created_at: at(age) }
    }
}
