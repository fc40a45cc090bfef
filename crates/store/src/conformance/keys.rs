//! API keys.

use super::at;
use crate::{ApiKeyRow, Store};

pub(super) async fn keys_come_back_and_double_hashes_do_not(store: &dyn Store) {
    assert_eq!(store.api_keys().await.expect("the store answers"), []);
    let key = |id: &str, byte: u8, age| ApiKeyRow {
        id: id.to_owned(),
        name: format!("key {id}"),
        hash: [byte; 32],
        created_at: at(age),
    };
    let (first, second) = (key("b", 0, 1), key("a", 0xff, 2));
    for row in [&first, &second, &key("c", 0, 3), &first] {
        store.insert_api_key(row).await.expect("adding a known hash is no error");
    }
    assert_eq!(store.api_keys().await.expect("the store answers"), [first, second]);
}
