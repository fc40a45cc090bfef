//! Which module may import which. A new import between modules is a decision: it is written here first.
//!
//! ```text
//!  serve ─▶ app, router ──────────────── everything put together; nothing below imports them
//!             │
//!  browsers ─▶ profiles, replays, cdp, webdriver      sessions, and what clients do with them
//!                │
//!  relay ─▶ tunnel, refusal ─▶ proxies                ways into a session
//!                │
//!  wire, token, resource ─▶ caller, fields, query     who asks, and what all resources have alike
//! ```
//!
//! Fuzz targets (`fuzzing.rs`) stand beside what they test, and are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every module, and the modules that it may import, from the bottom up.
const MAY_IMPORT: &[(&str, &str)] = &[
    ("caller", ""),
    ("docs", ""),
    ("fields", ""),
    ("layers", ""),
    ("metrics", ""),
    ("public_url", ""),
    ("query", ""),
    ("keys", "caller"),
    ("resource", "caller fields"),
    ("wire", "caller keys metrics"),
    ("status", "resource"),
    ("auth", "caller wire"),
    ("proxies", "fields resource"),
    ("refusal", "proxies resource"),
    ("token", "query refusal"),
    ("tunnel", "wire"),
    ("relay", "caller query refusal token tunnel wire"),
    ("cdp", "public_url query refusal relay token tunnel wire"),
    ("webdriver", "public_url query relay token tunnel"),
    ("profiles", "fields relay resource"),
    ("replays", "caller fields public_url query refusal relay resource token wire"),
    (
        "browsers",
        "caller cdp fields profiles proxies public_url refusal relay resource token webdriver wire",
    ),
    ("openapi", "browsers fields"),
    ("contract", "openapi relay token"),
    ("config", "profiles replays token"),
    (
        "app",
        "browsers config docs keys metrics profiles proxies public_url relay replays token tunnel",
    ),
    (
        "router",
        "app auth browsers cdp config contract docs metrics openapi profiles proxies relay replays status token \
         webdriver wire",
    ),
    ("bodies", "browsers fields profiles proxies router"),
    ("serve", "app config docs keys metrics replays router tunnel wire"),
];

/// Services: what goes on without a request, or below one. They know no HTTP.
const SERVICES: &[&str] = &[
    "browsers/services.rs",
    "profiles/archive.rs",
    "profiles/load.rs",
    "profiles/save.rs",
    "profiles/saving.rs",
    "profiles/sweep.rs",
    "replays/follow.rs",
    "replays/guest.rs",
    "replays/kept.rs",
    "replays/retention.rs",
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs")
            && path.file_name().is_some_and(|name| name != "fuzzing.rs" && name != "lib.rs")
        {
            into.push(path);
        }
    }
}

/// Each module with the text of its files, without comments.
fn modules() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&folder, &mut paths);
    let mut modules: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for path in paths {
        let inner = path.strip_prefix(&folder).unwrap().to_owned();
        let first = Path::new(inner.components().next().unwrap().as_os_str());
        let module = first.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let code = |line: &&str| !line.trim_start().starts_with("//");
        let text = text.lines().filter(code).collect::<Vec<_>>().join("\n");
        modules.entry(module).or_default().push((inner, text));
    }
    modules
}

/// The modules of this crate that a text names: `crate::a::…` and each of `crate::{a, b::{…}}`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    for (at, path) in text.match_indices("crate::") {
        let inside_a_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        if text[..at].ends_with(inside_a_word) {
            continue;
        }
        let rest = &text[at + path.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let (mut depth, mut start) = (1, Some(0));
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => start = Some(at + 1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if start.is_some_and(|start| start <= at) && c.is_alphanumeric() {
                found.insert(word(&group[at..]));
                start = None;
            }
        }
    }
    found
}

/// How deep a file's module lies: 1 for those of the crate.
fn depth(path: &Path) -> usize {
    path.components().count() - usize::from(path.ends_with("mod.rs"))
}

/// How many levels up an import at a file's top goes.
fn levels_up(line: &str) -> usize {
    let Some((_, path)) =
        line.split_once("use super").filter(|(before, _)| !before.starts_with(' '))
    else {
        return 0;
    };
    1 + path.matches("::super").count()
}

#[test]
fn every_form_of_import_is_read() {
    let text = "use crate::one;\nuse crate::{\n    two, three::{four, five},\n    six::seven,\n};\n\
                fn f() { crate::eight::nine(); $crate::ten(); mycrate::ten(); }";
    let expected = ["eight", "one", "six", "three", "two"];
    assert_eq!(imports(text), expected.map(str::to_owned).into());
    assert_eq!(levels_up("pub(super) use super::super::other;"), 2);
    assert_eq!(levels_up("    use super::*;"), 0, "tests may name what is around them");
    let folders = ["a.rs", "a/mod.rs", "a/b.rs", "a/b/mod.rs"].map(|path| depth(Path::new(path)));
    assert_eq!(folders, [1, 1, 2, 2]);
}

#[test]
fn modules_import_what_they_may() {
    let modules = modules();
    let listed: BTreeSet<&str> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = modules.keys().map(String::as_str).collect();
    assert_eq!(there, listed, "modules there are, and modules in MAY_IMPORT");
    for (name, may) in MAY_IMPORT.iter().filter(|(name, _)| *name != "layers") {
        let mut does: BTreeSet<String> = BTreeSet::new();
        for (path, text) in &modules[*name] {
            let up = text.lines().map(levels_up).max().unwrap_or_default();
            assert!(up < depth(path), "{}: other modules are named from crate", path.display());
            does.extend(imports(text));
        }
        does.remove(*name);
        let may: BTreeSet<String> = may.split_whitespace().map(str::to_owned).collect();
        assert_eq!(does, may, "what {name} imports, and what it may");
    }
}

#[test]
fn nothing_goes_round_in_a_circle() {
    let mut below: BTreeSet<&str> = BTreeSet::new();
    // The table is written from the bottom up, so that it has no circle and stays readable.
    for (name, may) in MAY_IMPORT {
        for import in may.split_whitespace() {
            assert!(below.contains(import), "{name} stands above {import} in MAY_IMPORT");
        }
        below.insert(*name);
    }
}

#[test]
fn services_know_no_http() {
    let modules = modules();
    let files: BTreeMap<&Path, &str> =
        modules.values().flatten().map(|(path, text)| (path.as_path(), text.as_str())).collect();
    for service in SERVICES {
        for http in ["axum", "hyper", "http"] {
            let uses = files[Path::new(service)].contains(&format!("{http}::"));
            assert!(!uses, "{service} uses {http}");
        }
    }
}
