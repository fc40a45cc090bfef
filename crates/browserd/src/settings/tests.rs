use std::net::SocketAddr;
use std::path::Path;

use clap::{CommandFactory, FromArgMatches, Parser};

use super::environment::VARIABLES;
use super::*;
use crate::cli::Cli;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

fn host() -> Host {
    Host {
        is_root: false,
        stderr_is_terminal: false,
        memory: 24 << 30,
        home: Some("/home/op".into()),
        xdg_state_home: None,
    }
}

fn settings(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
    let line =
        Line::try_parse_from(["serve"].iter().chain(arguments)).map_err(|e| e.to_string())?;
    let environment = variables.iter().copied().collect();
    resolve(line.flags, &environment, &host()).map_err(|error| error.to_string())
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("browserd.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn defaults() {
    let settings = settings(&[], &[]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:7878");
    assert_eq!(settings.state_dir, Path::new("/home/op/.local/state/browserd"));
    assert!(settings.api_key.is_none());
    assert_eq!(settings.region, Region::UsEast);
    assert_eq!(settings.max_sessions, 24);
    assert!(settings.allowed_private_hosts.is_empty());
    assert_eq!((settings.timezone.as_str(), settings.locale.as_str()), ("UTC", "en-US"));
    assert_eq!((settings.pids_max, settings.cpu_max_pct), (2048, None));
    assert_eq!((settings.log.as_str(), settings.log_format), ("info", LogFormat::Json));
    assert!(settings.warnings.is_empty());
}

#[test]
fn defaults_follow_the_host() {
    let resolve = |host: &Host| resolve(Flags::default(), &Environment::default(), host);
    let root = Host { is_root: true, stderr_is_terminal: true, memory: 1 << 20, ..host() };
    let settings = resolve(&root).unwrap();
    assert_eq!(settings.state_dir, Path::new("/var/lib/browserd"));
    assert_eq!((settings.log_format, settings.max_sessions), (LogFormat::Text, 1));
    let xdg = Host { xdg_state_home: Some("/state".into()), memory: u64::MAX, ..host() };
    let settings = resolve(&xdg).unwrap();
    assert_eq!(settings.state_dir, Path::new("/state/browserd"));
    assert_eq!(settings.max_sessions, 1000);
    let relative = Host { xdg_state_home: Some("state".into()), ..host() };
    let settings = resolve(&relative).unwrap();
    assert_eq!(settings.state_dir, Path::new("/home/op/.local/state/browserd"));
    let homeless = Host { home: None, ..host() };
    assert!(resolve(&homeless).unwrap_err().to_string().contains("--state-dir"));
}

/// Every setting with a flag, its variable, its line in the file, and how to see it.
type Row =
    (&'static str, &'static str, [&'static str; 3], [&'static str; 3], fn(&Settings) -> String);

const ROWS: [Row; 35] = [
    (
        "listen",
        "BROWSERD_LISTEN",
        ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"],
        ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"],
        |s| s.listen.to_string(),
    ),
    ("state_dir", "BROWSERD_STATE_DIR", ["/1", "/2", "/3"], ["/1", "/2", "/3"], |s| {
        s.state_dir.display().to_string()
    }),
    (
        "public_url",
        "BROWSERD_PUBLIC_URL",
        ["https://1.example", "https://2.example", "https://3.example"],
        ["https://1.example/", "https://2.example/", "https://3.example/"],
        |s| s.public_url(SocketAddr::from(([127, 0, 0, 1], 1))).to_string(),
    ),
    (
        "region",
        "BROWSERD_REGION",
        ["us-west", "eu-west", "ap-southeast"],
        ["us-west", "eu-west", "ap-southeast"],
        |s| s.region.as_str().to_owned(),
    ),
    ("max_sessions", "BROWSERD_MAX_SESSIONS", ["1", "2", "3"], ["1", "2", "3"], |s| {
        s.max_sessions.to_string()
    }),
    (
        "pool",
        "BROWSERD_POOL",
        ["auto", "off", "headful=2"],
        ["Auto", "Fixed({})", "Fixed({Class { headless: false, memory: Gib8 }: 2})"],
        |s| format!("{:?}", s.pool),
    ),
    ("pool_memory_mib", "BROWSERD_POOL_MEMORY_MIB", ["1", "0", "3"], ["1", "0", "3"], |s| {
        (s.pool_memory.unwrap() >> 20).to_string()
    }),
    (
        "create_wait_seconds",
        "BROWSERD_CREATE_WAIT_SECONDS",
        ["1", "0", "30"],
        ["1", "0", "30"],
        |s| s.create_wait.as_secs().to_string(),
    ),
    ("standby_seconds", "BROWSERD_STANDBY_SECONDS", ["1", "0", "3"], ["1", "0", "3"], |s| {
        s.standby.after.map_or(0, |after| after.as_secs()).to_string()
    }),
    ("page_out_seconds", "BROWSERD_PAGE_OUT_SECONDS", ["1", "0", "3"], ["1", "0", "3"], |s| {
        s.standby.page_out_after.map_or(0, |after| after.as_secs()).to_string()
    }),
    (
        "allowed_private_hosts",
        "BROWSERD_ALLOWED_PRIVATE_HOSTS",
        ["a.internal,10.0.0.0/8", "b.internal", "c.internal"],
        ["a.internal 10.0.0.0/8", "b.internal", "c.internal"],
        |s| s.allowed_private_hosts.join(" "),
    ),
    (
        "proxy_check_url",
        "BROWSERD_PROXY_CHECK_URL",
        ["https://1.example", "http://2.example", "http://3.example/x?y"],
        ["https://1.example/", "http://2.example/", "http://3.example/x?y"],
        |s| s.proxy_check_url.to_string(),
    ),
    (
        "standby_silent_seconds",
        "BROWSERD_STANDBY_SILENT_SECONDS",
        ["1", "0", "3"],
        ["1", "0", "3"],
        |s| s.silent_after.map_or(0, |after| after.as_secs()).to_string(),
    ),
    (
        "headless_engine",
        "BROWSERD_HEADLESS_ENGINE",
        ["chromium", "shell", "chromium"],
        ["Chromium", "Shell", "Chromium"],
        |s| format!("{:?}", s.headless_engine),
    ),
    ("headless_shell", "BROWSERD_HEADLESS_SHELL", ["/1", "/2", "/3"], ["/1", "/2", "/3"], |s| {
        s.headless_shell.as_ref().unwrap().display().to_string()
    }),
    ("ksm", "BROWSERD_KSM", ["on", "off", "on"], ["true", "false", "true"], |s| {
        s.merge_memory.to_string()
    }),
    ("chromium", "BROWSERD_CHROMIUM", ["/1", "/2", "/3"], ["/1", "/2", "/3"], |s| {
        s.chromium.as_ref().unwrap().display().to_string()
    }),
    ("xvfb", "BROWSERD_XVFB", ["/1", "/2", "/3"], ["/1", "/2", "/3"], |s| {
        s.xvfb.as_ref().unwrap().display().to_string()
    }),
    ("chromedriver", "BROWSERD_CHROMEDRIVER", ["/1", "/2", "/3"], ["/1", "/2", "/3"], |s| {
        s.chromedriver.as_ref().unwrap().display().to_string()
    }),
    ("ffmpeg", "BROWSERD_FFMPEG", ["/1", "/2", "/3"], ["/1", "/2", "/3"], |s| {
        s.ffmpeg.as_ref().unwrap().display().to_string()
    }),
    ("pulseaudio", "BROWSERD_PULSEAUDIO", ["/1", "/2", "/3"], ["/1", "/2", "/3"], |s| {
        s.pulseaudio.as_ref().unwrap().display().to_string()
    }),
    ("replay_limit_mib", "BROWSERD_REPLAY_LIMIT_MIB", ["1", "2", "3"], ["1", "2", "3"], |s| {
        (s.replay_limit >> 20).to_string()
    }),
    (
        "recording_retention_days",
        "BROWSERD_RECORDING_RETENTION_DAYS",
        ["1", "0", "3"],
        ["86400", "never", "259200"],
        |s| s.retention.age.map_or("never".to_owned(), |age| age.as_secs().to_string()),
    ),
    (
        "session_retention_days",
        "BROWSERD_SESSION_RETENTION_DAYS",
        ["1", "0", "3"],
        ["86400", "never", "259200"],
        |s| s.remembered.map_or("never".to_owned(), |age| age.as_secs().to_string()),
    ),
    (
        "recordings_limit_mib",
        "BROWSERD_RECORDINGS_LIMIT_MIB",
        ["1", "0", "3"],
        ["1048576", "none", "3145728"],
        |s| s.retention.bytes.map_or("none".to_owned(), |bytes| bytes.to_string()),
    ),
    ("node", "BROWSERD_NODE", ["/1", "/2", "/3"], ["/1", "/2", "/3"], |s| {
        s.node.as_ref().unwrap().display().to_string()
    }),
    ("runners_dir", "BROWSERD_RUNNERS_DIR", ["/1", "/2", "/3"], ["/1", "/2", "/3"], |s| {
        s.runners_dir.as_ref().unwrap().display().to_string()
    }),
    (
        "timezone",
        "BROWSERD_TIMEZONE",
        ["Europe/Paris", "Asia/Tokyo", "America/Lima"],
        ["Europe/Paris", "Asia/Tokyo", "America/Lima"],
        |s| s.timezone.clone(),
    ),
    (
        "locale",
        "BROWSERD_LOCALE",
        ["fr-FR", "de", "zh-Hant-TW"],
        ["fr-FR", "de", "zh-Hant-TW"],
        |s| s.locale.clone(),
    ),
    ("pids_max", "BROWSERD_PIDS_MAX", ["301", "302", "303"], ["301", "302", "303"], |s| {
        s.pids_max.to_string()
    }),
    ("cpu_max_pct", "BROWSERD_CPU_MAX_PCT", ["1", "2", "3"], ["1", "2", "3"], |s| {
        s.cpu_max_pct.unwrap().to_string()
    }),
    ("session_disk_mib", "BROWSERD_SESSION_DISK_MIB", ["64", "0", "66"], ["64", "0", "66"], |s| {
        (s.session_disk >> 20).to_string()
    }),
    ("disk_reserve_mib", "BROWSERD_DISK_RESERVE_MIB", ["64", "0", "66"], ["64", "0", "66"], |s| {
        (s.disk_reserve.unwrap() >> 20).to_string()
    }),
    ("log", "BROWSERD_LOG", ["warn", "debug", "a=trace"], ["warn", "debug", "a=trace"], |s| {
        s.log.clone()
    }),
    (
        "log_format",
        "BROWSERD_LOG_FORMAT",
        ["text", "json", "text"],
        ["Text", "Json", "Text"],
        |s| format!("{:?}", s.log_format),
    ),
];

/// A line of the file for `key`, with the value in its type.
fn toml_line(key: &str, value: &str) -> String {
    match key {
        "max_sessions"
        | "pids_max"
        | "standby_seconds"
        | "create_wait_seconds"
        | "pool_memory_mib"
        | "page_out_seconds"
        | "standby_silent_seconds"
        | "cpu_max_pct"
        | "replay_limit_mib"
        | "session_disk_mib"
        | "disk_reserve_mib"
        | "recording_retention_days"
        | "session_retention_days"
        | "recordings_limit_mib" => {
            format!("{key} = {value}\n")
        }
        "allowed_private_hosts" => {
            let items: Vec<_> = value.split(',').map(|item| format!("{item:?}")).collect();
            format!("{key} = [{}]\n", items.join(", "))
        }
        _ => format!("{key} = {value:?}\n"),
    }
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_for_every_setting() {
    for (key, variable, [in_flag, in_variable, in_file], [flag, var, line], seen) in ROWS {
        let (_folder, path) = file(&toml_line(key, in_file));
        let name = format!("--{}", key.replace('_', "-"));
        let with_all =
            settings(&["--config", &path, &name, in_flag], &[(variable, in_variable)]).unwrap();
        assert_eq!(seen(&with_all), flag, "{key}: the flag");
        let without_flag = settings(&["--config", &path], &[(variable, in_variable)]).unwrap();
        assert_eq!(seen(&without_flag), var, "{key}: the variable");
        let only_file = settings(&[], &[("BROWSERD_CONFIG", &path)]).unwrap();
        assert_eq!(seen(&only_file), line, "{key}: the file");
        let empty = settings(&["--config", &path], &[(variable, "")]).unwrap();
        assert_eq!(seen(&empty), line, "{key}: an empty variable is none");
    }
}

#[test]
fn the_file_named_by_the_flag_is_the_one_read() {
    let (_first, by_flag) = file("max_sessions = 1");
    let (_second, by_variable) = file("max_sessions = 2");
    let settings = settings(&["--config", &by_flag], &[("BROWSERD_CONFIG", &by_variable)]).unwrap();
    assert_eq!(settings.max_sessions, 1);
}

#[test]
fn the_help_documents_every_setting_and_no_other() {
    let mut command = Cli::command();
    let serve = command.find_subcommand_mut("serve").unwrap();
    let help = serve.render_long_help().to_string();
    let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for variable in VARIABLES {
        assert!(flat.contains(variable), "{variable} is not in:\n{help}");
    }
    for (key, variable, ..) in ROWS {
        assert!(flat.contains(&format!("--{}", key.replace('_', "-"))), "{key}");
        assert!(flat.contains(&format!("[env: {variable}]")), "{variable}");
    }
    assert_eq!(flat.matches("[env: ").count(), ROWS.len() + 1, "all of ROWS, and BROWSERD_CONFIG");
    assert_eq!(
        VARIABLES.len(),
        ROWS.len() + 2,
        "all of ROWS, BROWSERD_CONFIG and BROWSERD_API_KEY"
    );
    assert!(!flat.contains("--api-key"), "arguments are public");
}

#[test]
fn refusals_name_the_key_and_what_to_write() {
    for (variables, expected) in [
        (("BROWSERD_LISTEN", "7878"), "BROWSERD_LISTEN: \"7878\""),
        (("BROWSERD_LISTEN", ":7878"), "listen: :7878 is every address of this machine"),
        (("BROWSERD_LISTEN", "0.0.0.0:1"), "--public-url http://"),
        (
            ("BROWSERD_REGION", "mars"),
            "BROWSERD_REGION: \"mars\": not a region; write one of us-east",
        ),
        (("BROWSERD_MAX_SESSIONS", "-1"), "BROWSERD_MAX_SESSIONS: \"-1\""),
        (("BROWSERD_MAX_SESSIONS", "0"), "max_sessions: must be at least 1"),
        (("BROWSERD_PUBLIC_URL", "ftp://x"), "public_url: \"ftp://x\" must begin with http://"),
        (("BROWSERD_PUBLIC_URL", "https://u:p@x"), "user name"),
        (("BROWSERD_PUBLIC_URL", "x"), "public_url: \"x\" is no URL"),
        (("BROWSERD_PROXY_CHECK_URL", "ftp://x"), "proxy_check_url: \"ftp://x\" must begin"),
        (("BROWSERD_TIMEZONE", "Mars/Olympus"), "timezone: \"Mars/Olympus\""),
        (("BROWSERD_TIMEZONE", "../../etc/passwd"), "timezone: "),
        (("BROWSERD_LOCALE", "en_US"), "locale: \"en_US\""),
        (("BROWSERD_LOCALE", "--flag"), "locale: "),
        (("BROWSERD_PIDS_MAX", "10"), "pids_max: 10 is not from 256"),
        (("BROWSERD_DISK_RESERVE_MIB", "63"), "disk_reserve_mib: 63 is not from 64"),
        (("BROWSERD_CPU_MAX_PCT", "0"), "cpu_max_pct: 0 is not from 1"),
        (("BROWSERD_LOG", "info,=,"), "log: "),
        (("BROWSERD_LOG_FORMAT", "xml"), "BROWSERD_LOG_FORMAT: \"xml\""),
        (
            ("BROWSERD_ALLOWED_PRIVATE_HOSTS", "ok.internal,http://x"),
            "allowed_private_hosts: \"http",
        ),
        (("BROWSERD_API_KEY", "short"), "BROWSERD_API_KEY: is shorter than 16"),
        (("BROWSERD_API_KEY", "sixteen or more but spaces"), "without spaces"),
        (("BROWSERD_CONFIG", "/nonexistent.toml"), "/nonexistent.toml: No such file"),
    ] {
        let error = settings(&[], &[variables]).unwrap_err();
        assert!(error.contains(expected), "{variables:?}: {error}");
    }
}

#[test]
fn a_state_folder_too_long_for_sockets_is_refused() {
    let long = format!("/{}", "x".repeat(70));
    let error = settings(&["--state-dir", &long], &[]).unwrap_err();
    assert!(error.starts_with("state_dir: ") && error.contains("at most"), "{error}");
}

#[test]
fn refusals_never_quote_a_key() {
    let error = settings(&[], &[("BROWSERD_API_KEY", "canary")]).unwrap_err();
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn refusals_of_the_file_quote_the_line() {
    for (text, key) in [
        ("max_session = 5", "max_session"),
        ("api_key = \"sk_0123456789abcdef\"", "api_key"),
        ("max_sessions = \"five\"", "max_sessions"),
        ("region = \"mars\"", "region"),
        ("listen = ", "listen"),
    ] {
        let (_folder, path) = file(&format!("# first line\n{text}\n"));
        let error = settings(&["--config", &path], &[]).unwrap_err();
        assert!(error.contains(key) && error.contains(&path), "{text}: {error}");
        assert!(error.contains("line 2"), "{text}: {error}");
    }
}

#[test]
fn misspelt_variables_are_noticed() {
    let settings = settings(&[], &[("BROWSERD_LISTENS", "x"), ("OTHER", "y")]).unwrap();
    assert_eq!(settings.warnings.len(), 1);
    assert!(settings.warnings[0].contains("BROWSERD_LISTENS"));
}

#[test]
fn what_crosses_a_network_in_the_clear_is_warned_of() {
    let warnings = |listen: &str, url: &[&str]| {
        let arguments = [&["--listen", listen][..], url].concat();
        settings(&arguments, &[]).unwrap().warnings
    };
    let in_the_clear =
        |warnings: &[String]| warnings.len() == 1 && warnings[0].contains("without encryption");
    for listen in ["127.0.0.1:1", "[::1]:1", "localhost:1"] {
        assert_eq!(warnings(listen, &[]), [""; 0], "{listen}");
    }
    for (listen, url) in [
        ("192.0.2.7:1", &[][..]),
        ("browsers.example:1", &[]),
        (":1", &["--public-url", "http://browsers.example"]),
        ("127.0.0.1:1", &["--public-url", "http://192.0.2.7:1"]),
    ] {
        assert!(in_the_clear(&warnings(listen, url)), "{listen} {url:?}");
    }
    for url in
        ["https://browsers.example", "http://localhost:1", "http://127.0.0.1", "http://[::1]"]
    {
        assert_eq!(warnings(":1", &["--public-url", url]), [""; 0], "{url}");
    }
}

#[test]
fn keys_do_not_print() {
    let settings = settings(&[], &[("BROWSERD_API_KEY", "sk_canary_0123456789")]).unwrap();
    let printed = format!("{settings:?} {settings:#?}");
    assert!(!printed.contains("canary"), "{printed}");
    assert!(settings.api_key.is_some());
}

#[test]
fn urls_follow_the_listener() {
    let plain = settings(&[], &[]).unwrap();
    for (bound, url) in [
        ("127.0.0.1:7878", "http://127.0.0.1:7878/"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
        ("[::]:8080", "http://[::1]:8080/"),
        ("192.0.2.7:80", "http://192.0.2.7/"),
    ] {
        assert_eq!(plain.public_url(bound.parse().unwrap()).as_str(), url);
    }
    let proxied = settings(&["--public-url", "https://browsers.example/x"], &[]).unwrap();
    let url = proxied.public_url("0.0.0.0:1".parse().unwrap());
    assert_eq!(url.as_str(), "https://browsers.example/x");
}

#[test]
fn both_commands_take_the_same_settings() {
    for command in ["serve", "doctor"] {
        let matches = Cli::command()
            .try_get_matches_from([
                "browserd",
                command,
                "--state-dir",
                "/x",
                "--listen",
                "1.2.3.4:5",
            ])
            .unwrap();
        Cli::from_arg_matches(&matches).unwrap();
    }
}
