//! Programs and files sessions need.

use super::{Check, Distribution, Facts};
use crate::doctor::fonts::Fonts;
use crate::programs::Trouble;

const CHROMIUM: [&str; 3] = ["chromium", "chromium", "chromium"];
/// The others do it when asked to install once more.
const CHROMIUM_AGAIN: [&str; 3] = ["--reinstall chromium chromium-common", "chromium", "chromium"];
const HEADLESS_SHELL: [&str; 3] =
    ["chromium-headless-shell", "chromium-headless", "chromium-headless-shell"];
const XVFB: [&str; 3] = ["xvfb", "xorg-x11-server-Xvfb", "xorg-server-xvfb"];
const CHROMEDRIVER: [&str; 3] = ["chromium-driver", "chromedriver", "chromium"];
const FFMPEG: [&str; 3] = ["ffmpeg", "ffmpeg", "ffmpeg"];
const PULSEAUDIO: [&str; 3] = ["pulseaudio", "pulseaudio", "pulseaudio"];
const NODE: [&str; 3] = ["nodejs", "nodejs", "nodejs"];
/// The oldest Node playwright-core runs on.
const NODE_LEAST: u32 = 18;
const FONTS: [&str; 3] =
    ["fonts-liberation fonts-noto-color-emoji", "liberation-fonts-all", "ttf-liberation"];
/// Fonts for the scripts that those above do not have.
const SCRIPTS: [&str; 3] = [
    "fonts-noto-core fonts-noto-cjk",
    "google-noto-fonts-all google-noto-cjk-fonts",
    "noto-fonts noto-fonts-cjk",
];

/// What is wrong, in words that fit behind the program's name.
fn words(trouble: &Trouble) -> String {
    match trouble {
        Trouble::NotFound => "not found in the usual places".to_owned(),
        Trouble::Missing(path) => format!("{} is not there", path.display()),
        Trouble::NotBelowUsr(path) => {
            format!(
                "{} is not below /usr, the only programs of the host a session sees",
                path.display()
            )
        }
        Trouble::NotExecutable(path) => {
            format!("{} may not be read and executed by everyone", path.display())
        }
        Trouble::Script(path) => {
            format!("{} is a wrapper script; the binary itself is needed", path.display())
        }
        Trouble::NotPrepared(path) => {
            format!("{} lacks the libraries it needs", path.display())
        }
    }
}

/// The command for a program in trouble.
fn mend(facts: &Facts, trouble: &Trouble, flag: &str, install: String) -> String {
    match trouble {
        Trouble::NotExecutable(path) => facts.as_root(&format!("chmod a+rx {}", path.display())),
        Trouble::Missing(_) | Trouble::Script(_) => {
            format!("leave out {flag} and its variable, so that it is looked for; or: {install}")
        }
        Trouble::NotFound | Trouble::NotBelowUsr(_) | Trouble::NotPrepared(_) => install,
    }
}

pub(super) fn chromium(facts: &Facts) -> Check {
    const NAME: &str = "chromium";
    let install = || match facts.distribution {
        // Installing Ubuntu's package installs a snap, which runs in walls of its own only.
        Distribution::Ubuntu => "install a Chromium that is no snap (the snap cannot run inside a \
                                 session) below /usr and name its binary with --chromium"
            .to_owned(),
        _ => facts.install("Chromium", CHROMIUM),
    };
    match (&facts.programs.chromium, &facts.chromium_version) {
        (Err(trouble), _) => {
            let fix = mend(facts, trouble, "--chromium", install());
            Check::fail(NAME, format!("Chromium: {}", words(trouble)), fix)
        }
        (Ok(path), Err(why)) => Check::fail(
            NAME,
            format!("{} does not start: {why}", path.display()),
            facts.install("Chromium again", CHROMIUM_AGAIN),
        ),
        (Ok(path), Ok(version)) => Check::ok(NAME, format!("{version} at {}", path.display())),
    }
}

/// What runs headless sessions in Chromium's place; nothing to check where Chromium does.
pub(super) fn headless_shell(facts: &Facts) -> Option<Check> {
    const NAME: &str = "headless_shell";
    const WHAT: &str = "chromium-headless-shell";
    let version = facts.headless_shell_version.as_ref()?;
    Some(match (facts.programs.headless_shell.as_ref()?, version) {
        (Err(trouble), _) => {
            let install = facts.install(WHAT, HEADLESS_SHELL);
            let fix = mend(facts, trouble, "--headless-shell", install);
            Check::fail(NAME, format!("{WHAT}: {}", words(trouble)), fix)
        }
        (Ok(path), Err(why)) => Check::fail(
            NAME,
            format!("{} does not start: {why}", path.display()),
            facts.install(&format!("{WHAT} again"), HEADLESS_SHELL),
        ),
        (Ok(path), Ok(version)) => {
            Check::ok(NAME, format!("{version} for headless sessions at {}", path.display()))
        }
    })
}

pub(super) fn languages(facts: &Facts) -> Check {
    const NAME: &str = "languages";
    let has = |language: &str| facts.languages.iter().any(|known| known == language);
    let all = || match facts.distribution {
        Distribution::Debian => facts.install("Chromium's languages", ["chromium-l10n", "", ""]),
        _ => facts.install("Chromium's languages", CHROMIUM),
    };
    if facts.programs.chromium.is_err() {
        return Check::warn(NAME, "Chromium's languages: not known without Chromium", all());
    }
    if !has("en-US") {
        return Check::fail(
            NAME,
            "Chromium's own files are incomplete: no locales/en-US.pak",
            all(),
        );
    }
    let language = facts.locale.split('-').next().unwrap_or_default();
    // Chromium has `fr`, but `en-US`, `pt-BR`, `zh-CN`.
    let is_there = has(&facts.locale)
        || has(language)
        || facts.languages.iter().any(|known| known.split('-').next() == Some(language));
    let count = facts.languages.len();
    if !is_there {
        let message = format!(
            "Chromium's interface is not installed in {}, the default language of sessions: pages \
             see it, the browser's own texts stay English",
            facts.locale
        );
        return Check::warn(NAME, message, all());
    }
    if count == 1 {
        let message = "Chromium's interface is installed in English only: sessions with another \
                       locale show pages in it, the browser's own texts stay English";
        return Check::warn(NAME, message, all());
    }
    Check::ok(NAME, format!("Chromium's interface in {count} languages"))
}

pub(super) fn xvfb(facts: &Facts) -> Check {
    const NAME: &str = "xvfb";
    match &facts.programs.xvfb {
        Ok(path) => Check::ok(NAME, format!("X server for headful sessions at {}", path.display())),
        Err(trouble) => {
            let fix = mend(facts, trouble, "--xvfb", facts.install("Xvfb", XVFB));
            let message = format!(
                "Xvfb, the X server of headful sessions (the default kind): {}",
                words(trouble)
            );
            Check::fail(NAME, message, fix)
        }
    }
}

pub(super) fn chromedriver(facts: &Facts) -> Check {
    const NAME: &str = "chromedriver";
    let install = facts.install("chromedriver", CHROMEDRIVER);
    let (path, driver) = match (&facts.programs.chromedriver, &facts.chromedriver_version) {
        (Err(trouble), _) => {
            let fix = mend(facts, trouble, "--chromedriver", install);
            let message = format!("chromedriver: {}; no WebDriver BiDi", words(trouble));
            return Check::warn(NAME, message, fix);
        }
        (Ok(path), Err(why)) => {
            let message = format!("{} does not start ({why}); no WebDriver BiDi", path.display());
            return Check::warn(NAME, message, install);
        }
        (Ok(path), Ok(version)) => (path, version),
    };
    // The driver refuses a browser of another major version.
    if let Ok(browser) = &facts.chromium_version
        && major(browser) != major(driver)
    {
        let message = format!(
            "{} does not fit {browser}, so it will refuse to drive it",
            short_version(driver)
        );
        return Check::warn(NAME, message, install);
    }
    Check::ok(NAME, format!("{} at {}", short_version(driver), path.display()))
}

pub(super) fn ffmpeg(facts: &Facts) -> Check {
    const NAME: &str = "ffmpeg";
    match &facts.programs.ffmpeg {
        Ok(path) => Check::ok(NAME, format!("encoder of recordings at {}", path.display())),
        Err(trouble) => {
            let fix = mend(facts, trouble, "--ffmpeg", facts.install("ffmpeg", FFMPEG));
            Check::warn(NAME, format!("ffmpeg: {}; no recordings", words(trouble)), fix)
        }
    }
}

pub(super) fn pulseaudio(facts: &Facts) -> Check {
    const NAME: &str = "pulseaudio";
    match &facts.programs.pulseaudio {
        Ok(path) => Check::ok(NAME, format!("sound for recordings at {}", path.display())),
        Err(trouble) => {
            let install = facts.install("PulseAudio", PULSEAUDIO);
            let fix = mend(facts, trouble, "--pulseaudio", install);
            let message = format!("PulseAudio: {}; no recordings with sound", words(trouble));
            Check::warn(NAME, message, fix)
        }
    }
}

pub(super) fn node(facts: &Facts) -> Check {
    const NAME: &str = "node";
    const WITHOUT: &str = "no Playwright code and no REPL inside sessions";
    let install = facts.install("Node", NODE);
    match (&facts.programs.node, &facts.node_version) {
        (Err(trouble), _) => {
            let fix = mend(facts, trouble, "--node", install);
            Check::warn(NAME, format!("Node: {}; {WITHOUT}", words(trouble)), fix)
        }
        (Ok(path), Err(why)) => {
            let message = format!("{} does not start ({why}); {WITHOUT}", path.display());
            Check::warn(NAME, message, install)
        }
        (Ok(path), Ok(version)) => {
            let number = version.trim_start_matches('v').split('.').next().unwrap_or_default();
            if number.parse().is_ok_and(|major: u32| major >= NODE_LEAST) {
                return Check::ok(NAME, format!("Node {version} at {}", path.display()));
            }
            let message = format!(
                "Node {version} at {} is older than {NODE_LEAST}; {WITHOUT}",
                path.display()
            );
            Check::warn(NAME, message, format!("name a later one with --node; or: {install}"))
        }
    }
}

pub(super) fn runners(facts: &Facts) -> Check {
    const NAME: &str = "runners";
    match &facts.programs.node_runners {
        Ok(path) => Check::ok(NAME, format!("runners for Node at {}", path.display())),
        Err(trouble) => {
            let fix = mend(facts, trouble, "--runners-dir", "scripts/runners".to_owned());
            let message = format!(
                "runners for Node: {}; no Playwright code and no REPL inside sessions",
                words(trouble)
            );
            Check::warn(NAME, message, fix)
        }
    }
}

/// `ChromeDriver 156.0.1.2 (hash-refs/…)` without what is in brackets.
fn short_version(version: &str) -> &str {
    version.split(" (").next().unwrap_or(version)
}

/// The first number in what a program says of its version.
fn major(version: &str) -> Option<u32> {
    version
        .split(' ')
        .find_map(|word| word.split_once('.').and_then(|(major, _)| major.parse().ok()))
}

pub(super) fn fonts(facts: &Facts) -> Check {
    const NAME: &str = "fonts";
    let Fonts { count, without } = &facts.fonts;
    match (count, &without[..]) {
        (0, _) => Check::fail(
            NAME,
            "no TrueType or OpenType font below /usr/share/fonts: pages would have no text",
            facts.install("some fonts", FONTS),
        ),
        (count, []) => Check::ok(NAME, format!("{count} scalable fonts")),
        (count, without) => Check::warn(
            NAME,
            format!(
                "{count} scalable fonts, none of them with letters of {}: pages show boxes in their place",
                without.join(", ")
            ),
            facts.install("fonts for all scripts", SCRIPTS),
        ),
    }
}

pub(super) fn time_zones(facts: &Facts) -> Check {
    const NAME: &str = "time zones";
    if facts.time_zones {
        Check::ok(NAME, "time zone database in /usr/share/zoneinfo")
    } else {
        Check::warn(
            NAME,
            "no time zone database: sessions that ask for a time zone other than UTC are refused",
            facts.install("tzdata", ["tzdata"; 3]),
        )
    }
}
