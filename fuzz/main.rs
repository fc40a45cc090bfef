//! One program with all fuzz targets; `FUZZ_TARGET` names the one that runs, and without it their
//! names are listed. `scripts/fuzz` builds and calls it; arguments are libFuzzer's.
//!
//! The targets themselves are beside the parsers, in each crate's `fuzzing` module.

#![no_main]

use std::io::Write;
use std::process::exit;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// A target takes any bytes and panics where the parser breaks its promises.
type Target = (&'static str, fn(&[u8]));

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn all() -> impl Iterator<Item = &'static Target> {
    [
        browserd_chromium::fuzzing::TARGETS,
        browserd_egress::fuzzing::TARGETS,
        browserd_fleet::fuzzing::TARGETS,
        browserd_guest_browser::fuzzing::TARGETS,
        browserd_guest_computer::fuzzing::TARGETS,
        browserd_guest_fs::fuzzing::TARGETS,
        browserd_guest_http::fuzzing::TARGETS,
        browserd_guest_process::fuzzing::TARGETS,
        browserd_guest_profile::fuzzing::TARGETS,
        browserd_guest_screen::fuzzing::TARGETS,
        browserd_guest_session::fuzzing::TARGETS,
        browserd_guest_web::fuzzing::TARGETS,
        browserd_rest::fuzzing::TARGETS,
        browserd_sandbox::fuzzing::TARGETS,
        browserd_server::fuzzing::TARGETS,
        browserd_shim::fuzzing::TARGETS,
    ]
    .into_iter()
    .flatten()
}

fn choose() {
    let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
    if let Some((_, target)) = all().find(|(name, _)| *name == wanted) {
        TARGET.get_or_init(|| *target);
        return;
    }
    let mut out = std::io::stdout().lock();
    for (name, _) in all() {
        let _ = writeln!(out, "{name}");
    }
    exit(if wanted.is_empty() { 0 } else { 2 });
}

fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(target) = TARGET.get() {
        target(data);
    }
});
