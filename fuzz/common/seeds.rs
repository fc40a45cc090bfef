//! Every committed seed through its target, as an ordinary test: what a fuzzer has found once is
//! looked at by every `cargo test`.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs `targets` on their seeds; each target has some.
pub(crate) fn hold(targets: &[super::Target]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets {
        let folder = corpus.join(name);
        let seeds = std::fs::read_dir(&folder);
        let seeds = seeds.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut seeds: Vec<PathBuf> = seeds.map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        seeds.sort();
        for seed in seeds {
            let bytes = std::fs::read(&seed).unwrap();
            let named = Named(&seed);
            target(&bytes);
            drop(named);
        }
    }
}

/// Says which seed it was.
struct Named<'a>(&'a Path);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the seed is {}", self.0.display());
        }
    }
}
