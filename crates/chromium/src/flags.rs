//! Chromium's command line.
//!
//! The set was measured: apart from the features switched off, no flag moves start time by more
//! than noise; they are here for quiet and privacy. `--no-sandbox` is never among them: the
//! session's walls and Chromium's own sandbox both stand.

use std::ffi::OsString;
use std::path::Path;

/// Flags every Chromium gets.
const ALWAYS: &[&str] = &[
    // There is no user in front of it to answer.
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-default-apps",
    "--disable-search-engine-choice-screen",
    "--hide-crash-restore-bubble",
    // Nobody sees the sign that a popup was held back, and drivers open them without a gesture.
    "--disable-popup-blocking",
    "--noerrdialogs",
    // No keyring runs in a session.
    "--password-store=basic",
    // Requests that no client asked for. Component updates are asked for in spite of these; the gateway
    // refuses them. --disable-background-networking is not among them: it would stop the
    // installation of extensions by policy, which is asked for; what else it stops, a policy does.
    "--disable-component-update",
    "--disable-sync",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--no-pings",
    "--metrics-recording-only",
    // No crash reports leave. (The two crashpad handlers stay, 3 MiB together: the one flag that
    // stops them, --disable-crashpad-for-testing, makes Chromium 156's network service crash at
    // every start with an "FD ownership violation".)
    "--disable-breakpad",
    "--disable-crash-reporter",
    // Background pages of built-in extensions: a renderer each, of no use here.
    "--disable-component-extensions-with-background-pages",
    // Hidden omnibox pages hold a renderer of their own, in headless too, and again in every new
    // browser context; with the spare renderer that is 45 to 65 MiB and four fifths of the time a
    // new context takes. HttpsUpgrades would ask for https:// first where a client said http://.
    // Names of features change: check them with every new Chromium.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup,SpareRendererForSitePerProcess,HttpsUpgrades",
    // UDP does not leave a session; without this, pages that offer HTTP/3 wait for it first.
    "--disable-quic",
    // Peers of one session reach each other by its address; of what is outside UDP reaches nothing.
    "--webrtc-ip-handling-policy=default",
    // A suspended session, or a ready one that waits for its client, is frozen: to watchdogs that looks as if
    // something hung, and they would end it when it goes on.
    "--disable-gpu-watchdog",
    "--disable-hang-monitor",
    // What pages write to their console goes to stderr, and so to the session's log. Level 0 is
    // where console messages are, whatever their own level.
    "--enable-logging=stderr",
    "--log-level=0",
    // The pipe (fds 3 and 4) is ours alone, the port is for clients. Chromium checks the Origin
    // header on the port, and no origin is allowed: whoever relays clients must drop that header,
    // and pages inside cannot use the port.
    "--remote-debugging-pipe",
    "--remote-debugging-port=0",
    // The pipe, port 0 and headless each have `navigator.webdriver` say true. It is false in a Chromium with a
    // port of its own choice, and so it is here. A policy keeps Chromium from warning of this flag.
    "--disable-blink-features=AutomationControlled",
];

/// What a page is reckoned to take when renderers are counted, bytes. Half of the memory is for pages.
/// Pages of one site share renderers when there are so many; those of other sites get one of their own
/// all the same.
const OF_A_PAGE: u64 = 64 << 20;
/// Renderers that pages of one site may have in any case.
const FEWEST_RENDERERS: u64 = 4;

/// What the browser's own interface (tabs, address bar) takes of a window's height, pixels. A page of a
/// headless session is to have the size asked for, so its window has this on top. Where another version of
/// Chromium takes more or less, windows are corrected when they are looked at.
const INTERFACE: u32 = 87;

/// How high a window of a headless Chromium is whose page has `height`; a `bare` one has no interface.
#[must_use]
pub fn headless_window_height(height: u32, bare: bool) -> u32 {
    if bare { height } else { height + INTERFACE }
}

/// That something hovers and points exactly.
const MOUSE: &str =
    "primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4";

/// What Chromium calls itself when it has a screen. Without one it says `HeadlessChrome`, and many sites are
/// closed to that.
fn user_agent(version: &str) -> Option<String> {
    let major: u32 = version.split('.').next()?.parse().ok()?;
    Some(format!(
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 \
         Safari/537.36"
    ))
}

/// Which browser a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine<'a> {
    /// Chromium with a screen.
    Headful,
    /// Chromium without one.
    Headless,
    /// `chromium-headless-shell`: half of the memory, and neither policies nor extensions.
    Shell {
        /// The languages pages see, as `Accept-Language` has them; elsewhere they are a policy.
        languages: &'a str,
    },
}

/// What one Chromium is to be.
#[derive(Debug, Clone)]
pub struct LaunchConfig<'a> {
    /// Which browser it is.
    pub engine: Engine<'a>,
    /// The browser's version, where it is known.
    pub version: Option<&'a str>,
    /// Width of the screen, pixels.
    pub width: u32,
    /// Height of the screen, pixels. Without one (headless) it is the height of pages.
    pub height: u32,
    /// Hide the browser's own interface.
    pub kiosk: bool,
    /// What the session may have of memory, bytes.
    pub memory: u64,
    /// The profile's folder, owned by the uid Chromium runs as.
    pub user_data_dir: &'a Path,
    /// `host:port` of the HTTP proxy; none: direct.
    ///
    /// Loopback addresses are not proxied, and `<-loopback>` must not be added: 127.0.0.1 is the
    /// session's own, where a server started by a process of the session is to be reachable, and
    /// the gateway refuses it, as it stands on the host's side.
    pub proxy: Option<&'a str>,
}

/// The arguments after the program's name. The last one is the page of the first tab.
#[must_use]
pub fn arguments(config: &LaunchConfig<'_>) -> Vec<OsString> {
    let LaunchConfig { engine, width, .. } = *config;
    let height = match engine {
        Engine::Headful => config.height,
        Engine::Headless => headless_window_height(config.height, config.kiosk),
        Engine::Shell { .. } => headless_window_height(config.height, true),
    };
    let mut arguments: Vec<OsString> = ALWAYS.iter().map(OsString::from).collect();
    let mut user_data_dir = OsString::from("--user-data-dir=");
    user_data_dir.push(config.user_data_dir);
    arguments.push(user_data_dir);
    arguments.push(format!("--window-size={width},{height}").into());
    arguments.push("--window-position=0,0".into());
    match engine {
        Engine::Headful => {}
        Engine::Headless => arguments.push("--headless=new".into()),
        // It installs nothing by policy, so this has nothing to stop that is asked for.
        Engine::Shell { .. } => arguments.push("--disable-background-networking".into()),
    }
    if engine != Engine::Headful {
        // A page without a screen has a mouse all the same, and is told so.
        arguments.push(format!("--blink-settings={MOUSE}").into());
        if let Some(agent) = config.version.and_then(user_agent) {
            arguments.push(format!("--user-agent={agent}").into());
        }
        // Without it `screen.width` is 800 whatever the window's size.
        arguments.push(format!("--screen-info={{{width}x{height}}}").into());
    }
    let languages = match engine {
        Engine::Shell { languages } => languages,
        // The languages themselves are a policy, which can be changed; what follows them is the least
        // there can be, as the flag cannot. Every list of ours ends with it.
        Engine::Headful | Engine::Headless => "en",
    };
    arguments.push(format!("--accept-lang={languages}").into());
    // Else it reckons with the memory of the host.
    let renderers = (config.memory / 2 / OF_A_PAGE).max(FEWEST_RENDERERS);
    arguments.push(format!("--renderer-process-limit={renderers}").into());
    if config.kiosk {
        arguments.push("--kiosk".into());
    }
    if let Some(proxy) = config.proxy {
        arguments.push(format!("--proxy-server=http://{proxy}").into());
    }
    arguments.push("about:blank".into());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Engine<'static> = Engine::Shell { languages: "fr-FR,fr,en" };

    fn config(engine: Engine<'static>) -> LaunchConfig<'static> {
        LaunchConfig {
            engine,
            version: Some("156.0.8078.108"),
            width: 1280,
            height: 800,
            kiosk: false,
            memory: 2 << 30,
            user_data_dir: Path::new("/home/kernel/user-data"),
            proxy: Some("127.0.0.1:3128"),
        }
    }

    fn has(arguments: &[OsString], wanted: &str) -> bool {
        arguments.iter().any(|argument| argument == wanted)
    }

    #[test]
    fn both_ways_of_debugging_and_never_without_sandbox() {
        for engine in [Engine::Headful, Engine::Headless, SHELL] {
            let arguments = arguments(&config(engine));
            assert!(has(&arguments, "--remote-debugging-pipe"));
            assert!(has(&arguments, "--remote-debugging-port=0"));
            assert!(has(&arguments, "--user-data-dir=/home/kernel/user-data"));
            assert!(has(&arguments, "--proxy-server=http://127.0.0.1:3128"));
            assert_eq!(arguments.last().unwrap(), "about:blank");
            for argument in &arguments {
                let argument = argument.to_string_lossy();
                assert!(!argument.contains("sandbox"), "{argument}");
                assert!(!argument.contains("<-loopback>"), "{argument}");
                assert!(!argument.contains("remote-allow-origins"), "{argument}");
            }
        }
    }

    #[test]
    fn no_page_is_told_of_a_driver() {
        for engine in [Engine::Headful, Engine::Headless, SHELL] {
            let arguments = arguments(&config(engine));
            assert!(has(&arguments, "--disable-blink-features=AutomationControlled"));
        }
        // Else a bar that says so covers the page.
        let policies: serde_json::Value =
            serde_json::from_slice(&crate::policy::merged(None)).unwrap();
        assert_eq!(policies["CommandLineFlagSecurityWarningsEnabled"], false);
    }

    #[test]
    fn a_headless_page_has_the_size_and_the_screen_has_room_for_its_window() {
        let size = |config: &LaunchConfig<'_>, height: u32| {
            let arguments = arguments(config);
            assert!(has(&arguments, &format!("--window-size=1280,{height}")));
            let screen = has(&arguments, &format!("--screen-info={{1280x{height}}}"));
            assert_eq!(screen, config.engine != Engine::Headful);
        };
        size(&config(Engine::Headful), 800);
        size(&config(Engine::Headless), 800 + INTERFACE);
        size(&LaunchConfig { kiosk: true, ..config(Engine::Headless) }, 800);
        size(&config(SHELL), 800);
        assert!(has(&arguments(&config(Engine::Headless)), "--headless=new"));
        assert!(!has(&arguments(&config(Engine::Headful)), "--headless=new"));
    }

    #[test]
    fn no_page_is_told_that_there_is_no_screen() {
        let agent = "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                     Chrome/156.0.0.0 Safari/537.36";
        for (engine, given) in [(Engine::Headful, false), (Engine::Headless, true), (SHELL, true)] {
            assert_eq!(has(&arguments(&config(engine)), agent), given);
        }
        for version in [None, Some("unknown")] {
            let unknown = LaunchConfig { version, ..config(Engine::Headless) };
            let flags = arguments(&unknown);
            assert!(!flags.iter().any(|flag| flag.to_string_lossy().starts_with("--user-agent")));
        }
    }

    #[test]
    fn languages_are_a_flag_where_there_are_no_policies() {
        assert!(has(&arguments(&config(SHELL)), "--accept-lang=fr-FR,fr,en"));
        assert!(has(&arguments(&config(Engine::Headless)), "--accept-lang=en"));
    }

    #[test]
    fn renderers_are_as_many_as_the_memory_is_for() {
        for (memory, limit) in [(0, 4), (1 << 30, 8), (2 << 30, 16), (16 << 30, 128)] {
            let config = LaunchConfig { memory, ..config(Engine::Headless) };
            assert!(has(&arguments(&config), &format!("--renderer-process-limit={limit}")));
        }
    }

    #[test]
    fn each_flag_once() {
        // Chromium takes the last of two --disable-features and forgets the first.
        for engine in [Engine::Headful, Engine::Headless, SHELL] {
            let mut names: Vec<String> = arguments(&config(engine))
                .iter()
                .map(|a| a.to_string_lossy().split('=').next().unwrap_or_default().to_owned())
                .collect();
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }
}
