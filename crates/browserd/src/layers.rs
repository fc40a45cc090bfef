//! Who may import whom. A new import between crates is a decision: it is written here first.
//!
//! ```text
//!                          browserd
//!              ┌──────────────┼──────────────┐
//!           server          shim           guest ── guest-web, -screen, -profile, -computer
//!              │              │              └── guest-fs, -process, -browser, -http, -session
//!            fleet ── store   └── egress, sandbox, chromium
//!              └────────── api ◀ everything
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Every crate, and the other crates of this workspace that it may import.
const MAY_IMPORT: &[(&str, &str)] = &[
    ("api", ""),
    ("sandbox", ""),
    ("protocol", "api"),
    ("rest", "api"),
    ("store", "api"),
    ("chromium", "protocol"),
    ("egress", "api protocol"),
    ("fleet", "api protocol sandbox store"),
    ("shim", "api chromium egress protocol sandbox"),
    ("server", "api chromium egress fleet protocol rest store"),
    ("guest-session", "api chromium protocol rest sandbox"),
    ("guest-http", "api rest"),
    ("guest-browser", "api chromium guest-session protocol sandbox"),
    ("guest-fs", "api guest-http guest-session protocol rest sandbox"),
    ("guest-process", "api guest-http guest-session rest sandbox"),
    ("guest-computer", "api chromium guest-browser guest-http guest-session rest"),
    ("guest-profile", "api chromium guest-browser guest-fs guest-http guest-session rest"),
    ("guest-screen", "api chromium guest-browser guest-session protocol rest sandbox"),
    (
        "guest-web",
        "api chromium guest-browser guest-http guest-process guest-session protocol rest sandbox",
    ),
    (
        "guest",
        "api guest-browser guest-computer guest-fs guest-http guest-process guest-profile \
         guest-screen guest-session guest-web protocol rest sandbox",
    ),
    ("browserd", "api egress fleet guest protocol sandbox server shim store"),
];

/// Crates that know nothing of HTTP servers, and of what makes one.
const NO_HTTP_SERVER: &[&str] = &["sandbox", "chromium", "egress", "store", "fleet", "shim"];
const HTTP_SERVERS: &[&str] = &["axum", "utoipa-axum", "tokio-tungstenite"];

/// What `[dependencies]` of a crate names.
fn imports(folder: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    entries.map(|path| (name(&path), imports(&path))).collect()
}

#[test]
fn crates_import_what_they_may() {
    let crates = crates();
    let listed: BTreeSet<&str> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = crates.keys().map(String::as_str).collect();
    assert_eq!(there, listed, "crates there are, and crates in MAY_IMPORT");
    for (name, may) in MAY_IMPORT {
        let ours = crates[*name].iter().filter_map(|import| import.strip_prefix("browserd-"));
        let does: BTreeSet<&str> = ours.collect();
        assert_eq!(does, may.split_whitespace().collect(), "what {name} imports, and what it may");
    }
}

#[test]
fn what_is_below_the_servers_knows_none() {
    let crates = crates();
    for name in NO_HTTP_SERVER {
        for server in HTTP_SERVERS {
            assert!(!crates[*name].contains(*server), "{name} imports {server}");
        }
    }
}

#[test]
fn nothing_goes_round_in_a_circle() {
    let mut above: BTreeSet<&str> = BTreeSet::new();
    // Cargo refuses circles of crates; the table is written from the bottom up, and stays readable.
    for (name, may) in MAY_IMPORT {
        for import in may.split_whitespace() {
            assert!(above.contains(import), "{name} stands above {import} in MAY_IMPORT");
        }
        above.insert(*name);
    }
}
