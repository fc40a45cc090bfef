//! The programs a session runs, found on this host.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use browserd_protocol::Programs;

use crate::settings::{HeadlessEngine, Settings};

/// Where distributions put the binary itself. What stands in /usr/bin is a shell script that adds
/// flags of its own.
const CHROMIUM: [&str; 5] = [
    "/usr/lib/chromium/chromium",
    "/usr/lib64/chromium-browser/chromium-browser",
    "/usr/lib/chromium-browser/chromium-browser",
    "/usr/lib/chromium/chrome",
    "/usr/lib64/chromium/chromium",
];
const HEADLESS_SHELL: [&str; 2] =
    ["/usr/lib/chromium/chromium-headless-shell", "/usr/lib/chromium/headless_shell"];
const XVFB: [&str; 2] = ["/usr/bin/Xvfb", "/usr/local/bin/Xvfb"];
const CHROMEDRIVER: [&str; 3] =
    ["/usr/bin/chromedriver", "/usr/lib/chromium/chromedriver", "/usr/local/bin/chromedriver"];
const FFMPEG: [&str; 2] = ["/usr/bin/ffmpeg", "/usr/local/bin/ffmpeg"];
const PULSEAUDIO: [&str; 2] = ["/usr/bin/pulseaudio", "/usr/local/bin/pulseaudio"];

const NODE: [&str; 4] =
    ["/usr/bin/node", "/usr/bin/nodejs", "/usr/local/bin/node", "/usr/lib/nodejs/bin/node"];

/// A file of the runners for Node, and one of what `scripts/runners` installs beside them.
const RUNNER: &str = "playwright.mjs";
const LIBRARY: &str = "node_modules/playwright-core/package.json";

/// What is wrong with a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is in none of the usual places.
    NotFound,
    /// The file that was named is not there.
    Missing(PathBuf),
    /// Sessions see the host's /usr and nothing else of its programs.
    NotBelowUsr(PathBuf),
    /// It may not be executed.
    NotExecutable(PathBuf),
    /// It is a script, not the program.
    Script(PathBuf),
    /// A folder of runners that lacks what they need.
    NotPrepared(PathBuf),
}

/// A program, or why it cannot be used.
pub(crate) type Found = Result<PathBuf, Trouble>;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) chromium: Found,
    /// What runs headless sessions in Chromium's place, when that was chosen.
    pub(crate) headless_shell: Option<Found>,
    pub(crate) xvfb: Found,
    pub(crate) chromedriver: Found,
    pub(crate) ffmpeg: Found,
    pub(crate) pulseaudio: Found,
    pub(crate) node: Found,
    /// The runners for Node.
    pub(crate) node_runners: Found,
}

impl Search {
    /// Looks where the settings say, else in the usual places.
    pub(crate) fn on_this_host(settings: &Settings) -> Self {
        Self {
            chromium: find(settings.chromium.as_deref(), &CHROMIUM, true),
            headless_shell: match settings.headless_engine {
                HeadlessEngine::Chromium => None,
                HeadlessEngine::Shell => {
                    Some(find(settings.headless_shell.as_deref(), &HEADLESS_SHELL, true))
                }
            },
            xvfb: find(settings.xvfb.as_deref(), &XVFB, true),
            // Debian's is a binary, others wrap it in a script; both will do.
            chromedriver: find(settings.chromedriver.as_deref(), &CHROMEDRIVER, false),
            ffmpeg: find(settings.ffmpeg.as_deref(), &FFMPEG, false),
            pulseaudio: find(settings.pulseaudio.as_deref(), &PULSEAUDIO, false),
            node: find(settings.node.as_deref(), &NODE, true),
            node_runners: runners(settings.runners_dir.as_deref()),
        }
    }

    /// What runs headless sessions.
    pub(crate) fn headless(&self) -> &Found {
        self.headless_shell.as_ref().unwrap_or(&self.chromium)
    }

    /// The programs for a session; none without the browsers it may run. `said` is what the one that runs
    /// headless sessions says of its version.
    pub(crate) fn programs(&self, said: Option<&str>) -> Option<Programs> {
        Some(Programs {
            chromium: self.chromium.clone().ok()?,
            headless_shell: self.headless_shell.clone().transpose().ok()?,
            headless_version: said.and_then(version_in).map(str::to_owned),
            xvfb: self.xvfb.clone().ok(),
            chromedriver: self.chromedriver.clone().ok(),
            ffmpeg: self.ffmpeg.clone().ok(),
            pulseaudio: self.pulseaudio.clone().ok(),
            node: self.node.clone().ok(),
            node_runners: self.node_runners.clone().ok(),
        })
    }
}

/// The version in what a browser says of itself (`Chromium 156.0.8078.108 built on …`).
fn version_in(said: &str) -> Option<&str> {
    said.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
}

fn find(named: Option<&Path>, places: &[&str], must_be_binary: bool) -> Found {
    if let Some(path) = named {
        return usable(path, must_be_binary);
    }
    let mut trouble = Trouble::NotFound;
    for place in places {
        match usable(Path::new(place), must_be_binary) {
            Ok(path) => return Ok(path),
            Err(Trouble::Missing(_)) => {}
            Err(other) => trouble = other,
        }
    }
    Err(trouble)
}

/// The path with links resolved, as it has to be reached inside a session.
fn usable(path: &Path, must_be_binary: bool) -> Found {
    let Ok(real) = path.canonicalize() else { return Err(Trouble::Missing(path.to_owned())) };
    if !real.starts_with("/usr") {
        return Err(Trouble::NotBelowUsr(real));
    }
    check(real, must_be_binary)
}

/// The runners for Node: in the named folder, else in `runners` beside this program or above it, as
/// in the checkout it was built in.
fn runners(named: Option<&Path>) -> Found {
    if let Some(folder) = named {
        return prepared(&folder.join("node"));
    }
    let program = std::env::current_exe().unwrap_or_default();
    let above = program.ancestors().skip(1).take(4);
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(2).take(1);
    let mut trouble = Trouble::NotFound;
    for folder in above.chain(built_in).map(|folder| folder.join("runners/node")) {
        match prepared(&folder) {
            Ok(folder) => return Ok(folder),
            Err(Trouble::Missing(_)) => {}
            Err(other) => trouble = other,
        }
    }
    Err(trouble)
}

/// The folder with links resolved, if everything runners need is in it.
fn prepared(folder: &Path) -> Found {
    let Ok(real) = folder.canonicalize() else { return Err(Trouble::Missing(folder.to_owned())) };
    if !real.join(RUNNER).is_file() {
        return Err(Trouble::Missing(real.join(RUNNER)));
    }
    if !real.join(LIBRARY).is_file() {
        return Err(Trouble::NotPrepared(real));
    }
    let readable = real.metadata().is_ok_and(|found| found.permissions().mode() & 0o005 == 0o005);
    if readable { Ok(real) } else { Err(Trouble::NotExecutable(real)) }
}

fn check(path: PathBuf, must_be_binary: bool) -> Found {
    // A session's user is nobody the host knows: the file must be executable for everyone.
    let is_executable = path
        .metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o005 == 0o005);
    if !is_executable {
        return Err(Trouble::NotExecutable(path));
    }
    let mut magic = [0; 4];
    let is_binary = File::open(&path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF";
    if must_be_binary && !is_binary { Err(Trouble::Script(path)) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(mode: u32, text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn takes_binaries_everyone_may_execute() {
        let (_folder, path) = file(0o755, b"\x7fELF...");
        assert_eq!(check(path.clone(), true), Ok(path));
        let (_folder, path) = file(0o750, b"\x7fELF...");
        assert_eq!(check(path.clone(), true), Err(Trouble::NotExecutable(path)));
        let (_folder, path) = file(0o755, b"#!/bin/sh\nexec chromium \"$@\"\n");
        assert_eq!(check(path.clone(), true), Err(Trouble::Script(path.clone())));
        assert_eq!(check(path.clone(), false), Ok(path));
    }

    #[test]
    fn a_named_file_is_not_replaced_by_another() {
        let nowhere = Path::new("/usr/nowhere/chromium");
        let found = find(Some(nowhere), &["/usr/bin/env"], true);
        assert_eq!(found, Err(Trouble::Missing(nowhere.to_owned())));
        assert!(find(None, &["/usr/nowhere/chromium", "/usr/bin/env"], true).is_ok());
        assert_eq!(find(None, &["/usr/nowhere/chromium"], true), Err(Trouble::NotFound));
    }

    #[test]
    fn runners_need_what_is_installed_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let node = folder.path().join("node");
        assert_eq!(runners(Some(folder.path())), Err(Trouble::Missing(node.clone())));
        std::fs::create_dir(&node).unwrap();
        std::fs::write(node.join(RUNNER), "").unwrap();
        let real = node.canonicalize().unwrap();
        assert_eq!(runners(Some(folder.path())), Err(Trouble::NotPrepared(real.clone())));
        std::fs::create_dir_all(node.join("node_modules/playwright-core")).unwrap();
        std::fs::write(node.join(LIBRARY), "{}").unwrap();
        std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(runners(Some(folder.path())), Ok(real.clone()));
        std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(runners(Some(folder.path())), Err(Trouble::NotExecutable(real)));
    }

    #[test]
    fn programs_outside_usr_cannot_be_reached_by_sessions() {
        let (folder, path) = file(0o755, b"\x7fELF...");
        let real = folder.path().canonicalize().unwrap().join("program");
        assert_eq!(usable(&path, true), Err(Trouble::NotBelowUsr(real)));
    }
}
