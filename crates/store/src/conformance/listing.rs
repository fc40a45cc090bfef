//! Which rows a listing shows, and in what order.

use browserd_api::ProxyId;
use browserd_api::browser::{EndReason, Region, StatusFilter};

use super::{at, insert, named, running, sessions, tags};
use crate::{Filter, SessionRow, Store};

async fn list(store: &dyn Store, filter: Filter) -> (Vec<SessionRow>, bool) {
    sessions(store).list(&filter).await.expect("the store answers")
}

/// Asserts that a filter shows exactly these, in this order.
async fn assert_shows(store: &dyn Store, filter: Filter, expected: &[&SessionRow]) {
    let said = format!("{filter:?}");
    let (rows, more) = list(store, Filter { limit: 100, ..filter }).await;
    let shown: Vec<_> = rows.iter().map(|row| (&row.id, &row.name)).collect();
    let expected: Vec<_> = expected.iter().map(|row| (&row.id, &row.name)).collect();
    assert_eq!(shown, expected, "{said}");
    assert!(!more, "{said}");
}

pub(super) async fn pages_follow_without_gap_or_overlap(store: &dyn Store) {
    let mut rows: Vec<SessionRow> = (0..7).map(|age| running(age / 2)).collect();
    for row in &rows {
        insert(store, row).await;
    }
    // Newest first; equal times have some order, the same on every page.
    let (all, more) = list(store, Filter { limit: 7, ..Default::default() }).await;
    assert!(!more, "exactly as many as asked for are no reason to say more follow");
    assert!(all.is_sorted_by(|a, b| a.created_at >= b.created_at));
    let mut seen = all.clone();
    seen.sort_by(|a, b| a.id.cmp(&b.id));
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(seen, rows);

    for limit in 1..=8_u32 {
        let mut paged = Vec::new();
        loop {
            let offset = u32::try_from(paged.len()).expect("seven");
            let (page, more) = list(store, Filter { limit, offset, ..Default::default() }).await;
            assert!(page.len() <= limit as usize);
            paged.extend(page);
            assert_eq!(more, paged.len() < all.len(), "limit {limit} offset {offset}");
            if !more {
                break;
            }
        }
        assert_eq!(paged, all, "limit {limit}");
    }
    let beyond = Filter { limit: 5, offset: 7, ..Default::default() };
    assert_eq!(list(store, beyond).await, (Vec::new(), false));
    let far = Filter { limit: u32::MAX, offset: u32::MAX, ..Default::default() };
    assert_eq!(list(store, far).await, (Vec::new(), false));
    let none = Filter { limit: 0, ..Default::default() };
    assert_eq!(list(store, none).await, (Vec::new(), true));
}

pub(super) async fn status_selects(store: &dyn Store) {
    let runs = running(1);
    let ended = SessionRow { ended: Some((at(9), EndReason::Crashed, None)), ..running(2) };
    insert(store, &runs).await;
    insert(store, &ended).await;
    let by = |status| Filter { status, ..Default::default() };
    assert_shows(store, by(StatusFilter::Active), &[&runs]).await;
    assert_shows(store, by(StatusFilter::Deleted), &[&ended]).await;
    assert_shows(store, by(StatusFilter::All), &[&ended, &runs]).await;
}

fn query(text: &str) -> Filter {
    Filter { query: Some(text.to_owned()), ..Default::default() }
}

pub(super) async fn query_is_part_of_the_name_or_the_whole_id(store: &dyn Store) {
    let invoices = named(1, "Nightly-Invoices");
    let greek = named(2, "ΔΟΚΙΜΉ Straße");
    let mut plain = running(3);
    let proxy = ProxyId::generate();
    plain.config.proxy = Some(proxy.clone());
    for row in [&invoices, &greek, &plain] {
        insert(store, row).await;
    }
    assert_shows(store, query(proxy.as_str()), &[&plain]).await;
    for text in ["Nightly-Invoices", "nightly", "INVOICES", "y-i"] {
        assert_shows(store, query(text), &[&invoices]).await;
    }
    for text in ["δοκιμή", "STRAßE", "ή s"] {
        assert_shows(store, query(text), &[&greek]).await;
    }
    assert_shows(store, query(""), &[&plain, &greek, &invoices]).await;
    assert_shows(store, query("weekly"), &[]).await;
    assert_shows(store, query(plain.id.as_str()), &[&plain]).await;
    assert_shows(store, query(&plain.id.as_str()[..23]), &[]).await;
    assert_shows(store, query(&plain.id.as_str().to_uppercase()), &[]).await;
}

pub(super) async fn query_is_text_and_no_pattern(store: &dyn Store) {
    let percent = named(1, "100%");
    let score = named(2, "a_b");
    let slash = named(3, "a\\b");
    let quote = named(4, "it's \"x\" [y] *?");
    for row in [&percent, &score, &slash, &quote] {
        insert(store, row).await;
    }
    assert_shows(store, query("%"), &[&percent]).await;
    assert_shows(store, query("_"), &[&score]).await;
    assert_shows(store, query("\\"), &[&slash]).await;
    assert_shows(store, query("'"), &[&quote]).await;
    assert_shows(store, query("\"x\" [y] *?"), &[&quote]).await;
    assert_shows(store, query("a%b"), &[]).await;
    assert_shows(store, query("' OR 1=1 --"), &[]).await;
}

pub(super) async fn tags_must_all_match_exactly(store: &dyn Store) {
    let both = SessionRow { tags: tags(&[("team", "growth"), ("env", "prod")]), ..running(1) };
    let one = SessionRow { tags: tags(&[("team", "growth"), ("env", "test")]), ..running(2) };
    let odd = SessionRow {
        tags: tags(&[("a.b[0]\"'", "1"), ("", "none"), ("num", "1"), ("zero", "a\u{0}b")]),
        ..running(3)
    };
    let bare = running(4);
    for row in [&both, &one, &odd, &bare] {
        insert(store, row).await;
    }
    let by = |pairs: &[(&str, &str)]| Filter { tags: tags(pairs), ..Default::default() };
    assert_shows(store, by(&[("team", "growth")]), &[&one, &both]).await;
    assert_shows(store, by(&[("team", "growth"), ("env", "prod")]), &[&both]).await;
    assert_shows(store, by(&[("team", "growth"), ("missing", "x")]), &[]).await;
    assert_shows(store, by(&[("team", "Growth")]), &[]).await;
    assert_shows(store, by(&[("team", "grow")]), &[]).await;
    assert_shows(store, by(&[("Team", "growth")]), &[]).await;
    assert_shows(store, by(&[("env", "growth")]), &[]).await;
    assert_shows(store, by(&[("a.b[0]\"'", "1"), ("", "none")]), &[&odd]).await;
    assert_shows(store, by(&[("num", "1")]), &[&odd]).await;
    assert_shows(store, by(&[("num", "1.0")]), &[]).await;
    assert_shows(store, by(&[("zero", "a\u{0}b")]), &[&odd]).await;
    assert_shows(store, by(&[("zero", "a\u{0}c")]), &[]).await;
    assert_shows(store, by(&[("zero", "a")]), &[]).await;
}

fn region(region: Region) -> Vec<(&'static str, String)> {
    vec![("region", region.as_str().to_owned())]
}

pub(super) async fn region_selects(store: &dyn Store) {
    let mut rows: Vec<SessionRow> = Vec::new();
    for (age, region) in (0..).zip(Region::ALL) {
        let mut row = running(age);
        row.config.region = region;
        insert(store, &row).await;
        rows.push(row);
    }
    for row in &rows {
        let by = Filter { exactly: region(row.config.region), ..Default::default() };
        assert_shows(store, by, &[row]).await;
    }
}

pub(super) async fn filters_add_up(store: &dyn Store) {
    let wanted = SessionRow {
        tags: tags(&[("k", "v")]),
        ended: Some((at(9), EndReason::Deleted, None)),
        ..named(1, "report")
    };
    let untagged = SessionRow { tags: tags(&[]), id: super::running(0).id, ..wanted.clone() };
    let unnamed = SessionRow { name: None, id: super::running(0).id, ..wanted.clone() };
    let runs = SessionRow { ended: None, id: super::running(0).id, ..wanted.clone() };
    for row in [&wanted, &untagged, &unnamed, &runs] {
        insert(store, row).await;
    }
    let filter = Filter {
        status: StatusFilter::Deleted,
        name: None,
        query: Some("REP".to_owned()),
        tags: tags(&[("k", "v")]),
        exactly: region(Region::UsEast),
        limit: 0,
        offset: 0,
    };
    assert_shows(store, filter.clone(), &[&wanted]).await;
    let elsewhere = Filter { exactly: region(Region::EuWest), ..filter };
    assert_shows(store, elsewhere, &[]).await;
}
