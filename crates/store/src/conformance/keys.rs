//! API keys.

use browserd_api::ProjectId;

use super::{at, default_project};
use crate::{ApiKeyRow, Store};

pub(super) async fn keys_come_back_and_double_hashes_do_not(store: &dyn Store) {
    let everywhere = store.everywhere::<ApiKeyRow>();
    assert_eq!(everywhere.all().await.expect("the store answers"), []);
    let key = |id: &str, byte: u8, age| ApiKeyRow {
        id: id.to_owned(),
        name: format!("key {id}"),
        hash: [byte; 32],
        created_at: at(age),
    };
    let (first, second) = (key("b", 0, 1), key("a", 0xff, 2));
    for row in [&first, &second, &key("c", 0, 3), &first] {
        let mine = store.rows(default_project());
        mine.insert(row).await.expect("adding a known hash is no error");
    }
    let other = ProjectId::generate();
    let third = key("d", 1, 4);
    store.rows(&other).insert(&third).await.expect("it is new");
    let mine = |row| (ProjectId::default(), row);
    assert_eq!(
        everywhere.all().await.expect("the store answers"),
        [mine(first), mine(second), (other, third)]
    );
}
