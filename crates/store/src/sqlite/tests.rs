//! The suite, and what only a file can do: last, be locked, be private, be from yesterday.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};

use browserd_api::browser::{EndReason, StatusFilter};
use browserd_api::{ProjectId, SessionId, Timestamp};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::{
    ApiKeyRow, Filter, Outage, ProfileRow, ProxyRow, ReplayRow, Rows, SessionRow, conformance,
};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn sessions(store: &SqliteStore) -> Rows<'_, SessionRow> {
    static PROJECT: LazyLock<ProjectId> = LazyLock::new(ProjectId::default);
    (store as &dyn Store).rows(&PROJECT)
}

async fn keys(store: &SqliteStore) -> Vec<ApiKeyRow> {
    let keys = (store as &dyn Store).everywhere::<ApiKeyRow>().all().await.unwrap();
    keys.into_iter().map(|(_, key)| key).collect()
}

fn row(name: &str) -> SessionRow {
    let json = r#"{"headless":true,"viewport":{"width":800,"height":600},"kiosk_mode":false,
                   "memory":"1GiB","region":"us-east","timeout_seconds":60}"#;
    SessionRow {
        id: SessionId::generate(),
        name: Some(name.to_owned()),
        tags: BTreeMap::new(),
        config: serde_json::from_str(json).unwrap(),
        created_at: Timestamp::now(),
        ended: None,
    }
}

#[tokio::test]
async fn passes_the_suite_in_memory() {
    conformance::check(|| async {
        Arc::new(SqliteStore::in_memory().await.unwrap()) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_suite_in_a_file() {
    let folder = folder();
    let count = std::sync::atomic::AtomicU32::new(0);
    conformance::check(|| async {
        let nth = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = folder.path().join(format!("{nth}.db"));
        Arc::new(SqliteStore::open(&path).await.unwrap()) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn rows_outlive_the_store() {
    let folder = folder();
    let path = folder.path().join("browserd.db");
    let kept = row("kept");
    // Closed properly once, dropped once: a crash leaves the write-ahead log behind.
    let store = SqliteStore::open(&path).await.unwrap();
    sessions(&store).insert(&kept).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    let second = row("second");
    sessions(&store).insert(&second).await.unwrap();
    drop(store);
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(sessions(&store).by_id(&kept.id).await.unwrap(), Some(kept));
    assert_eq!(sessions(&store).by_id(&second.id).await.unwrap(), Some(second));
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let folder = folder();
    let path = folder.path().join("browserd.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    sessions(&store).insert(&row("x")).await.unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert_eq!(seen, 3, "database, log and index of the log");
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let error = SqliteStore::open(Path::new("/nonexistent/browserd.db")).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/browserd.db"), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_kept() {
    let folder = folder();
    let path = folder.path().join("browserd.db");
    let text = "this is not a database, but something somebody may want back\n".repeat(20);
    std::fs::write(&path, &text).unwrap();
    SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn the_list_of_migrations_is_the_folder() {
    let mut files: Vec<_> =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
    files.sort();
    let listed: Vec<_> = schema::MIGRATIONS
        .iter()
        .map(|(number, title, _)| format!("{number:04}_{title}.sql"))
        .collect();
    assert_eq!(files, listed);
}

/// Everything the schema consists of, in words.
async fn schema_of(connection: &mut SqliteConnection) -> Vec<(String, String)> {
    sqlx::query("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name")
        .fetch_all(connection)
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect()
}

/// A database as version 1 wrote it, history and rows included.
const VERSION_1: &str = include_str!("../../tests/version_1.sql");

/// The same of version 4, the last one without projects.
const VERSION_4: &str = include_str!("../../tests/version_4.sql");

/// Opens a database that an earlier version wrote, and checks that nothing tells it from a fresh one but its
/// rows.
async fn upgraded(folder: &TempDir, written: &'static str) -> SqliteStore {
    let path = folder.path().join("old.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(written).execute(&mut old).await.unwrap();
    old.close().await.unwrap();

    let upgraded = SqliteStore::open(&path).await.unwrap();
    let fresh = SqliteStore::in_memory().await.unwrap();
    assert_eq!(
        schema_of(&mut upgraded.writer.acquire().await.unwrap()).await,
        schema_of(&mut fresh.writer.acquire().await.unwrap()).await
    );
    upgraded
}

#[tokio::test]
async fn rows_of_the_first_version_are_read_as_what_they_were() {
    let folder = folder();
    let upgraded = upgraded(&folder, VERSION_1).await;
    let filter = Filter { status: StatusFilter::All, limit: 10, ..Filter::default() };
    let (rows, more) = sessions(&upgraded).list(&filter).await.unwrap();
    assert!(!more);
    let names: Vec<_> = rows.iter().map(|row| row.name.as_deref()).collect();
    assert_eq!(names, [Some("Nightly"), None]);
    assert_eq!(rows[0].tags.get("team").map(String::as_str), Some("growth"));
    let (ended_at, reason, detail) = rows[1].ended.clone().unwrap();
    assert_eq!(ended_at, Timestamp::from_micros(1_790_000_060_000_000));
    assert_eq!((reason, detail.as_deref()), (EndReason::TimedOut, Some("no activity for 60 s")));
    assert_eq!(keys(&upgraded).await[0].hash, [0xab; 32]);
}

#[tokio::test]
async fn rows_from_before_projects_are_the_default_ones() {
    let folder = folder();
    let upgraded = upgraded(&folder, VERSION_4).await;
    let (store, default) = (&upgraded as &dyn Store, ProjectId::default());
    let filter = Filter { status: StatusFilter::All, limit: 10, ..Filter::default() };

    let (listed, _) = sessions(&upgraded).list(&filter).await.unwrap();
    assert_eq!(listed.len(), 2);
    let nightly = sessions(&upgraded).find("Nightly").await.unwrap().unwrap();
    assert_eq!(nightly.config.profile.unwrap().name.as_deref(), Some("shop-1"));
    let by_profile = Filter { query: Some("shop-1".to_owned()), ..filter.clone() };
    assert_eq!(sessions(&upgraded).list(&by_profile).await.unwrap().0.len(), 1);
    let replays = store.rows::<ReplayRow>(&default).of_session(&nightly.id).await.unwrap();
    assert_eq!(replays.len(), 2);
    assert_eq!(replays[0].end.as_ref().unwrap().size_bytes, 4096);
    assert_eq!(replays[1].end, None);
    let proxies = store.rows::<ProxyRow>(&default);
    let (listed, _) = proxies.list(&filter).await.unwrap();
    assert_eq!(listed.len(), 2);
    let proxy = proxies.by_id(&"n8b2kq0w5v7yx3mz1c6jtdhr".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((proxy.upstream.host.as_str(), proxy.upstream.port), ("proxy.example", 1080));
    assert_eq!(proxy.checked, Some((Timestamp::from_micros(1_790_000_200_000_000), true)));
    let profiles = store.rows::<ProfileRow>(&default);
    assert_eq!(profiles.list(&filter).await.unwrap().0.len(), 2);
    let profile = profiles.find("shop-1").await.unwrap().unwrap();
    assert_eq!(profile.saved.as_ref().unwrap().bytes, 77);
    assert_eq!(profile.saved.as_ref().unwrap().version, "v7yx3mz1c6jtdhrn8b2kq0w5");
    assert_eq!(keys(&upgraded).await[0].hash, [0xab; 32]);

    // None of it is another project's, and its names are free there.
    let other = ProjectId::generate();
    assert_eq!(store.rows::<SessionRow>(&other).find("Nightly").await.unwrap(), None);
    assert_eq!(store.rows::<ProfileRow>(&other).list(&filter).await.unwrap().0, []);
    let twin = ProfileRow { id: browserd_api::ProfileId::generate(), ..profile };
    assert!(matches!(profiles.insert(&twin).await, Err(StoreError::Taken { .. })));
    store.rows(&other).insert(&twin).await.unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let folder = folder();
    let path = folder.path().join("browserd.db");
    let store = SqliteStore::open(&path).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&store.writer)
    .await
    .unwrap();
    store.close().await;
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration(_)), "{error}");
    assert!(error.to_string().contains("9999"), "{error}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let store = SqliteStore::in_memory().await.unwrap();
    let good = row("good");
    sessions(&store).insert(&good).await.unwrap();
    for damage in [
        "UPDATE sessions SET config = '{}'",
        "UPDATE sessions SET config = 'no json'",
        "UPDATE sessions SET tags = '[1]'",
        "UPDATE sessions SET ended_at = 1, end_reason = 'abducted'",
    ] {
        sqlx::query(AssertSqlSafe(damage)).execute(&store.writer).await.unwrap();
        match sessions(&store).by_id(&good.id).await {
            Err(StoreError::Corrupt { id, .. }) => assert_eq!(id, good.id.as_str()),
            other => panic!("{damage}: {other:?}"),
        }
    }
}

/// A search looks at what it shows, and one bad row is left out of a list by itself.
#[tokio::test]
async fn a_row_that_is_no_json_stops_no_list_and_no_search() {
    let store = SqliteStore::in_memory().await.unwrap();
    let (bad, good) = (row("bad"), row("good"));
    for row in [&bad, &good] {
        sessions(&store).insert(row).await.unwrap();
    }
    let damage = "UPDATE sessions SET config = 'no json' WHERE name = 'bad'";
    sqlx::query(damage).execute(&store.writer).await.unwrap();
    for query in [None, Some("goo".to_owned())] {
        let filter = Filter { query, limit: 10, ..Filter::default() };
        assert_eq!(sessions(&store).list(&filter).await.unwrap().0, std::slice::from_ref(&good));
    }
    // Its end can be recorded even so.
    let at = Timestamp::from_micros(1);
    sessions(&store).end(&bad.id, at, EndReason::Deleted, None).await.unwrap();
}

/// What the plan of a statement says that it reads.
async fn plan(store: &SqliteStore, sql: &'static str) -> String {
    let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
    let steps = plan.fetch_all(&store.writer).await.unwrap();
    steps.iter().map(|step| step.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
}

/// In the words of [`super::statement`], without what is the same for all.
#[tokio::test]
async fn what_is_old_and_what_is_searched_is_found_by_an_index() {
    let store = SqliteStore::in_memory().await.unwrap();
    for (sql, index) in [
        (
            "SELECT config FROM sessions WHERE project_id = 'p' AND ended_at IS NOT NULL AND \
             (id = 'x' OR instr(name_folded, 'x') > 0 OR proxy_id = 'x') \
             ORDER BY created_at DESC, id DESC LIMIT 21 OFFSET 0",
            "sessions_by_age",
        ),
        (
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE ended_at IS NOT NULL \
             AND ended_at < 5 LIMIT 100)",
            "sessions_ended",
        ),
        (
            "SELECT id FROM replays WHERE finished_at IS NOT NULL ORDER BY finished_at, id LIMIT 100",
            "replays_ended",
        ),
    ] {
        let plan = plan(&store, sql).await;
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

/// Makes this test binary the second process: it takes the write lock, says so, and lets go (keeping
/// its row) when its standard input ends.
#[test]
fn hold_the_lock() {
    let Some(path) = std::env::var_os("BROWSERD_TEST_LOCK_DATABASE") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(path);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let mut write = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("INSERT INTO api_keys (id, name, hash, created_at) VALUES ('other', 'other', zeroblob(32), 1)")
            .execute(&mut *write)
            .await
            .unwrap();
        // Past the test harness' capture, which holds back what print! says.
        writeln!(std::io::stderr(), "locked").unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
        write.commit().await.unwrap();
    });
}

struct OtherProcess(Child);

impl OtherProcess {
    fn lock(path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::tests::hold_the_lock", "--nocapture"])
            .env("BROWSERD_TEST_LOCK_DATABASE", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "locked\n");
        Self(child)
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_lock_is_waited_for() {
    let folder = folder();
    let path = folder.path().join("browserd.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let before = row("before");
    sessions(&store).insert(&before).await.unwrap();

    let mut other = OtherProcess::lock(&path);
    // Reading goes on meanwhile, and does not see what is not committed.
    assert_eq!(sessions(&store).by_id(&before.id).await.unwrap().as_ref(), Some(&before));
    assert!(keys(&store).await.is_empty());
    let during = row("during");
    let write = tokio::spawn({
        let (store, during) = (store.clone(), during.clone());
        async move { sessions(&store).insert(&during).await }
    });
    // The write has the only connection to write with: it has begun.
    while store.writer.num_idle() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!write.is_finished());
    drop(other.0.stdin.take());
    assert!(other.0.wait().unwrap().success());
    write.await.unwrap().unwrap();
    assert_eq!(sessions(&store).by_id(&during.id).await.unwrap(), Some(during));
    assert_eq!(keys(&store).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_that_keeps_or_loses_the_lock_is_survived() {
    let folder = folder();
    let path = folder.path().join("browserd.db");
    let store = SqliteStore::open_with(&path, Duration::from_millis(50)).await.unwrap();
    let wanted = row("wanted");

    let other = OtherProcess::lock(&path);
    let refusal = sessions(&store).insert(&wanted).await.unwrap_err();
    assert!(
        matches!(refusal, StoreError::Unavailable { outage: Outage::Locked, .. }),
        "{refusal:?}"
    );
    assert!(store.check().await.is_err());
    assert_eq!(sessions(&store).by_id(&wanted.id).await.unwrap(), None);
    drop(other); // SIGKILL, with its transaction open

    sessions(&store).insert(&wanted).await.unwrap();
    store.check().await.unwrap();
    assert_eq!(sessions(&store).by_id(&wanted.id).await.unwrap(), Some(wanted));
    assert_eq!(keys(&store).await, [], "what was not committed is not there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_in_doubt_is_replaced() {
    let folder = folder();
    let store = SqliteStore::open(&folder.path().join("browserd.db")).await.unwrap();
    // As after an error in which SQLite and sqlx do not agree on whether a transaction is open.
    let mut writer = store.writer.acquire().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *writer).await.unwrap();
    drop(writer);
    sessions(&store).insert(&row("first")).await.unwrap_err();
    sessions(&store).insert(&row("second")).await.unwrap();
    // A refusal for what is in the rows leaves it as it was: what only this connection has is there.
    let run = async |sql: &'static str| {
        let mut writer = store.writer.acquire().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut *writer).await.unwrap();
    };
    run("CREATE TEMP TABLE mark (x)").await;
    sessions(&store).insert(&row("second")).await.unwrap_err();
    run("SELECT x FROM mark").await;
}
