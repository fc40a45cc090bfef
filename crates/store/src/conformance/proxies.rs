//! Upstream proxies.

use browserd_api::ProxyId;
use browserd_api::proxies::{ProxyProtocol, Upstream};
use browserd_api::secret::Password;

use super::{at, default_project};
use crate::{Filter, ProxyRow, Rows, Store, StoreError};

fn row(age: i64, name: Option<&str>, host: &str) -> ProxyRow {
    let upstream = Upstream {
        protocol: ProxyProtocol::Socks5,
        host: host.to_owned(),
        port: 1080,
        username: Some("me".to_owned()),
        password: Some(Password::new("hunter2")),
        bypass_hosts: vec!["*.a.example".to_owned()],
    };
    let name = name.map(str::to_owned);
    ProxyRow { id: ProxyId::generate(), name, upstream, created_at: at(age), checked: None }
}

fn proxies(store: &dyn Store) -> Rows<'_, ProxyRow> {
    store.rows(default_project())
}

fn all() -> Filter {
    Filter { limit: 10, ..Filter::default() }
}

pub(super) async fn a_proxy_comes_back_and_changes(store: &dyn Store) {
    let (proxies, first) = (proxies(store), row(1, Some("Größe"), "proxy.example"));
    proxies.insert(&first).await.expect("it is new");
    proxies.insert(&first).await.expect_err("an id is used once");
    assert_eq!(proxies.by_id(&first.id).await.expect("an answer"), Some(first.clone()));
    let renamed = proxies.update(&first.id, |row| row.name = None).await.expect("it is there");
    assert_eq!(renamed, ProxyRow { name: None, ..first.clone() });
    let checked = proxies.checked(&first.id, at(5), true).await.expect("it is there");
    assert_eq!(checked, ProxyRow { checked: Some((at(5), true)), ..renamed });
    assert_eq!(proxies.delete(&first.id).await.expect("it is there").id, first.id);
    assert_eq!(proxies.by_id(&first.id).await.expect("an answer"), None);
    for gone in [
        proxies.delete(&first.id).await.err(),
        proxies.update(&first.id, |row| row.name = None).await.err(),
        proxies.checked(&first.id, at(6), false).await.err(),
    ] {
        assert!(matches!(gone, Some(StoreError::NotFound)), "{gone:?}");
    }
}

pub(super) async fn proxies_are_listed_newest_first_and_found_by_words(store: &dyn Store) {
    let proxies = proxies(store);
    let old = row(1, Some("Größe"), "a.example");
    let middle = row(2, Some("other"), "b%.example");
    let new = row(3, Some("GRÖSSE"), "c.example");
    for row in [&middle, &new, &old] {
        proxies.insert(row).await.expect("it is new");
    }
    let listed = async |filter| proxies.list(&filter).await.expect("an answer");
    let ids = |rows: Vec<ProxyRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    let (rows, more) = listed(Filter { limit: 2, ..all() }).await;
    assert_eq!((rows, more), (vec![new.clone(), middle.clone()], true));
    let (rows, more) = listed(Filter { limit: 2, offset: 2, ..all() }).await;
    assert_eq!((rows, more), (vec![old.clone()], false));
    let named = |name: &str| Filter { name: Some(name.to_owned()), ..all() };
    assert_eq!(ids(listed(named("grösse")).await.0), std::slice::from_ref(&new.id));
    assert_eq!(ids(listed(named("GRÖßE")).await.0), std::slice::from_ref(&old.id));
    let matching = |query: &str| Filter { query: Some(query.to_owned()), ..all() };
    assert_eq!(ids(listed(matching("Grö")).await.0), [new.id.clone(), old.id.clone()]);
    assert_eq!(ids(listed(matching("B%")).await.0), std::slice::from_ref(&middle.id));
    assert_eq!(ids(listed(matching(old.id.as_str())).await.0), std::slice::from_ref(&old.id));
    assert!(listed(matching("%")).await.0.len() == 1);
}
