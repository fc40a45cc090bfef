use std::path::PathBuf;

use browserd_protocol::DiskReserve;
use browserd_sandbox::cgroup::Trial;

use super::checks::check;
use super::facts::{Cgroups, Disk, Distribution, Facts, Kernel, Memory, Namespaces};
use super::fonts::Fonts;
use super::*;
use crate::programs::{Search, Trouble};

const GIB: u64 = 1 << 30;

/// A host that lacks nothing.
fn good() -> Facts {
    Facts {
        distribution: Distribution::Debian,
        is_root: true,
        kernel: Kernel {
            release: "6.1.0-28-amd64".to_owned(),
            seccomp: true,
            overlay: true,
            ptrace_scope: Some(1),
            shared_memory: true,
        },
        programs: Search {
            chromium: Ok("/usr/lib/chromium/chromium".into()),
            headless_shell: None,
            xvfb: Ok("/usr/bin/Xvfb".into()),
            chromedriver: Ok("/usr/bin/chromedriver".into()),
            ffmpeg: Ok("/usr/bin/ffmpeg".into()),
            pulseaudio: Ok("/usr/bin/pulseaudio".into()),
            node: Ok("/usr/bin/node".into()),
            node_runners: Ok("/opt/browserd/runners/node".into()),
        },
        chromium_version: Ok("Chromium 156.0.8078.79".to_owned()),
        headless_shell_version: None,
        chromedriver_version: Ok("ChromeDriver 156.0.8078.79 (abc-refs/x)".to_owned()),
        node_version: Ok("v18.20.4".to_owned()),
        languages: ["en-US", "en-GB", "fr", "pt-BR"].map(str::to_owned).to_vec(),
        locale: "en-US".to_owned(),
        fonts: Fonts { count: 12, without: Vec::new() },
        time_zones: true,
        namespaces: Namespaces {
            most: Some(96_000),
            unprivileged_allowed: Some(true),
            apparmor_restricts: None,
            tried: Ok(()),
            network: Ok(()),
        },
        cgroups: Cgroups { v2_mounted: true, tried: Ok(trial(true, true, &[])) },
        disk: Disk {
            state_dir: "/var/lib/browserd".into(),
            free: Ok(100 * GIB),
            is_overlay: false,
            writable: true,
            session_limit: 10 * GIB,
            reserve: DiskReserve::of(GIB / 4),
        },
        memory: Memory { total: 24 * GIB, available: 20 * GIB, swap: 0 },
        merging: None,
        max_sessions: 24,
    }
}

/// What came of trying to make groups, with cpu wherever it goes with the others.
fn trial(v2: bool, v2_controllers: bool, v1: &[&str]) -> Trial {
    Trial {
        v2,
        v2_controllers,
        cpu: v2_controllers || v1.contains(&"cpu"),
        v1: v1.iter().map(|&name| name.to_owned()).collect(),
    }
}

/// The host with something changed.
fn but(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = good();
    change(&mut facts);
    facts
}

/// Asserts that only the check `name` is not ok, and what it says.
#[track_caller]
fn assert_only(facts: &Facts, name: &str, level: Level, message: &str, fix: &str) {
    let checks = check(facts);
    let others: Vec<_> =
        checks.iter().filter(|check| check.level != Level::Ok && check.name != name).collect();
    assert!(others.is_empty(), "{others:#?}");
    let found = checks.iter().find(|check| check.name == name).expect("there is such a check");
    assert_eq!(found.level, level, "{found:?}");
    assert!(found.message.contains(message), "{:?} has no {message:?}", found.message);
    let has = found.fix.as_deref().unwrap_or_default();
    assert!(has.contains(fix), "{has:?} has no {fix:?}");
}

#[test]
fn a_host_that_lacks_nothing_is_ready() {
    let checks = check(&good());
    assert!(
        checks.iter().all(|check| check.level == Level::Ok && check.fix.is_none()),
        "{checks:#?}"
    );
    assert_eq!(hard_failures(&checks), Vec::<String>::new());
    assert!(report::text(&checks).ends_with("This host is ready for browserd.\n"));
}

#[test]
fn every_line_that_is_not_ok_says_what_to_do() {
    let worst = Facts {
        is_root: false,
        kernel: Kernel {
            release: "4.19.0".to_owned(),
            seccomp: false,
            overlay: false,
            ptrace_scope: Some(3),
            shared_memory: false,
        },
        programs: Search {
            headless_shell: None,
            chromium: Err(Trouble::NotFound),
            xvfb: Err(Trouble::NotFound),
            chromedriver: Err(Trouble::NotFound),
            ffmpeg: Err(Trouble::NotFound),
            pulseaudio: Err(Trouble::NotFound),
            node: Err(Trouble::NotFound),
            node_runners: Err(Trouble::NotFound),
        },
        chromium_version: Err("not found".to_owned()),
        chromedriver_version: Err("not found".to_owned()),
        node_version: Err("not found".to_owned()),
        languages: Vec::new(),
        fonts: Fonts::default(),
        time_zones: false,
        namespaces: Namespaces {
            tried: Err("make a user namespace: no".to_owned()),
            ..good().namespaces
        },
        cgroups: Cgroups { v2_mounted: false, tried: Ok(Trial::default()) },
        disk: Disk { writable: false, ..good().disk },
        memory: Memory { total: GIB, available: GIB / 4, swap: 0 },
        ..good()
    };
    for distribution in [
        Distribution::Debian,
        Distribution::Ubuntu,
        Distribution::Fedora,
        Distribution::Arch,
        Distribution::Other,
    ] {
        let checks = check(&Facts { distribution, ..worst.clone() });
        for check in &checks {
            let has_fix = check.fix.as_deref().is_some_and(|fix| !fix.trim().is_empty());
            assert_eq!(has_fix, check.level != Level::Ok, "{check:?}");
        }
        let failed = checks.iter().filter(|check| check.level == Level::Fail).count();
        assert_eq!(hard_failures(&checks).len(), failed);
        assert!(failed >= 6, "{checks:#?}");
        // `serve` refuses with the very lines `doctor` prints.
        let text = report::text(&checks);
        assert!(hard_failures(&checks).iter().all(|lines| text.contains(lines)), "{text}");
    }
}

#[test]
fn programs() {
    let facts = but(|f| f.programs.chromium = Err(Trouble::NotFound));
    let checks = check(&facts);
    assert_eq!(checks[0].level, Level::Fail);
    assert_eq!(checks[0].fix.as_deref(), Some("apt-get install -y chromium"));
    let user = check(&Facts { is_root: false, ..facts.clone() });
    assert_eq!(user[0].fix.as_deref(), Some("sudo apt-get install -y chromium"));
    let fedora = check(&Facts { distribution: Distribution::Fedora, ..facts.clone() });
    assert_eq!(fedora[0].fix.as_deref(), Some("dnf install -y chromium"));
    let ubuntu = check(&Facts { distribution: Distribution::Ubuntu, ..facts });
    assert!(ubuntu[0].fix.as_deref().unwrap().contains("snap"));

    let wrapper = PathBuf::from("/usr/bin/chromium");
    let facts = but(|f| f.programs.chromium = Err(Trouble::Script(wrapper)));
    assert!(check(&facts)[0].message.contains("/usr/bin/chromium is a wrapper script"));
    let facts = but(|f| f.chromium_version = Err("exit status: 127".to_owned()));
    assert_only(&facts, "chromium", Level::Fail, "does not start: exit status: 127", "--reinstall");

    let facts = but(|f| {
        f.programs.headless_shell = Some(Err(Trouble::NotFound));
        f.headless_shell_version = Some(Err("not found".to_owned()));
    });
    let install = "apt-get install -y chromium-headless-shell";
    assert_only(&facts, "headless_shell", Level::Fail, "not found", install);

    let closed = PathBuf::from("/usr/bin/Xvfb");
    let facts = but(|f| f.programs.xvfb = Err(Trouble::NotExecutable(closed)));
    assert_only(&facts, "xvfb", Level::Fail, "headful", "chmod a+rx /usr/bin/Xvfb");
    let facts = but(|f| f.programs.xvfb = Err(Trouble::NotFound));
    assert_only(&facts, "xvfb", Level::Fail, "not found", "apt-get install -y xvfb");

    let facts = but(|f| f.programs.chromedriver = Err(Trouble::NotFound));
    assert_only(&facts, "chromedriver", Level::Warn, "no WebDriver BiDi", "chromium-driver");
    let facts = but(|f| f.chromedriver_version = Ok("ChromeDriver 155.0.1.2 (x)".to_owned()));
    assert_only(&facts, "chromedriver", Level::Warn, "ChromeDriver 155.0.1.2 does not fit", "");

    let facts = but(|f| f.programs.node = Err(Trouble::NotFound));
    assert_only(&facts, "node", Level::Warn, "no Playwright code", "apt-get install -y nodejs");
    let facts = but(|f| f.node_version = Ok("v16.20.2".to_owned()));
    assert_only(&facts, "node", Level::Warn, "older than 18", "--node");
    let bare = PathBuf::from("/opt/runners/node");
    let facts = but(|f| f.programs.node_runners = Err(Trouble::NotPrepared(bare)));
    assert_only(&facts, "runners", Level::Warn, "lacks the libraries", "scripts/runners");
}

#[test]
fn languages_fonts_and_time_zones() {
    let facts = but(|f| f.languages = vec!["en-US".to_owned()]);
    assert_only(&facts, "languages", Level::Warn, "English only", "chromium-l10n");
    let facts = but(|f| f.languages.clear());
    assert_only(&facts, "languages", Level::Fail, "en-US.pak", "");
    let facts = but(|f| f.locale = "de-AT".to_owned());
    assert_only(&facts, "languages", Level::Warn, "not installed in de-AT", "chromium-l10n");
    for installed in ["fr-CA", "fr", "pt", "en-GB"] {
        let facts = but(|f| f.locale = installed.to_owned());
        assert!(check(&facts).iter().all(|check| check.level == Level::Ok), "{installed}");
    }
    let facts = but(|f| f.fonts = Fonts::default());
    assert_only(&facts, "fonts", Level::Fail, "no text", "fonts-liberation");
    let facts = but(|f| f.fonts.without = ["Chinese", "Thai"].to_vec());
    assert_only(&facts, "fonts", Level::Warn, "letters of Chinese, Thai", "fonts-noto-cjk");
    let facts = but(|f| f.time_zones = false);
    assert_only(&facts, "time zones", Level::Warn, "UTC", "apt-get install -y tzdata");
}

#[test]
fn user_namespaces() {
    let refused = |change: fn(&mut Namespaces)| {
        but(|f| {
            f.namespaces.tried = Err("make a mount namespace: Operation not permitted".to_owned());
            change(&mut f.namespaces);
        })
    };
    for (change, fix) in [
        ((|n| n.most = Some(0)) as fn(&mut Namespaces), "user.max_user_namespaces=65536"),
        (|n| n.unprivileged_allowed = Some(false), "kernel.unprivileged_userns_clone=1"),
        (|n| n.apparmor_restricts = Some(true), "kernel.apparmor_restrict_unprivileged_userns=0"),
        (|_| {}, "docker run"),
    ] {
        assert_only(&refused(change), "user namespaces", Level::Fail, "", fix);
    }
    let facts = refused(|_| {});
    assert_only(&facts, "user namespaces", Level::Fail, "make a mount namespace: Operation", "");
    // What counts is what happens: knobs that look bad do not matter where it works.
    let facts = but(|f| f.namespaces.apparmor_restricts = Some(true));
    assert!(check(&facts).iter().all(|check| check.level == Level::Ok));
}

#[test]
fn kernels() {
    for (release, level) in [
        ("5.10.0-30-amd64", Level::Fail),
        ("5.15.0", Level::Warn),
        ("6.18.44-fc", Level::Ok),
        ("7.0", Level::Ok),
    ] {
        let facts = but(|f| f.kernel.release = release.to_owned());
        assert_only(&facts, "kernel", level, release, "");
    }
    let facts = but(|f| f.namespaces.network = Err("make a network interface: no".to_owned()));
    assert_only(&facts, "network", Level::Warn, "offline", "modprobe -a bridge");
    let facts = but(|f| f.kernel.seccomp = false);
    assert_only(&facts, "seccomp", Level::Fail, "system calls", "");
    let facts = but(|f| f.kernel.ptrace_scope = Some(3));
    assert_only(&facts, "ptrace", Level::Warn, "strace", "ptrace_scope=1");
    let facts = but(|f| f.kernel.shared_memory = false);
    assert_only(&facts, "shared memory", Level::Warn, "/dev/shm", "mount -t tmpfs");
    let facts = but(|f| f.kernel.overlay = false);
    assert_only(&facts, "overlay", Level::Warn, "read-only /usr", "modprobe overlay");
    let facts = but(|f| f.disk.is_overlay = true);
    assert_only(&facts, "overlay", Level::Warn, "/var/lib/browserd is itself on an overlay", "-v");
}

#[test]
fn cgroups_say_exactly_who_enforces_what() {
    let with = |v2_mounted, v2, v2_controllers, v1: &[&str]| {
        but(|f| f.cgroups = Cgroups { v2_mounted, tried: Ok(trial(v2, v2_controllers, v1)) })
    };
    let said = |facts: &Facts| {
        let check = check(facts).into_iter().find(|check| check.name == "cgroups").unwrap();
        (check.level, check.message)
    };
    let (level, message) = said(&with(true, true, true, &[]));
    assert!(level == Level::Ok && message.contains("enforces every"), "{message}");
    let (level, message) = said(&with(true, true, false, &["memory", "pids", "cpu"]));
    assert!(level == Level::Ok && message.contains("v1 enforces"), "{message}");
    let (level, message) = said(&with(true, true, false, &["memory"]));
    assert!(level == Level::Warn && message.contains("not for the session"), "{message}");
    assert!(message.contains("CPU is not limited") && !message.contains("watched"), "{message}");
    let without_cpu = Trial { cpu: false, ..trial(true, true, &[]) };
    let facts = but(|f| f.cgroups.tried = Ok(without_cpu));
    assert_only(&facts, "cgroups", Level::Warn, "without the controller cpu", "Delegate=yes");
    let facts = but(|f| f.cgroups.tried = Err("create cgroup /x: Read-only".to_owned()));
    assert_only(&facts, "cgroups", Level::Fail, "Read-only", "Delegate=yes");

    let user = Facts { is_root: false, ..with(true, false, false, &[]) };
    let (level, message) = said(&user);
    assert_eq!(level, Level::Warn);
    for part in ["may not make groups", "watched by", "by RLIMIT_NPROC", "first process alone"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(report::text(&check(&user)).contains("systemd-run --user --scope -p Delegate=yes"));
    assert_only(
        &with(false, false, false, &[]),
        "cgroups",
        Level::Warn,
        "no v2 tree",
        "mount -t cgroup2",
    );
    let root = with(true, true, false, &[]);
    assert_only(
        &root,
        "cgroups",
        Level::Warn,
        "without the controllers",
        "systemd-run -p Delegate=yes",
    );
}

#[test]
fn room() {
    for (free, level) in [
        (GIB - 1, Level::Fail),
        (GIB, Level::Warn),
        (5 * GIB - 1, Level::Warn),
        (5 * GIB, Level::Ok),
    ] {
        let facts = but(|f| f.disk.free = Ok(free));
        assert_only(&facts, "disk", level, "left for /var/lib/browserd", "");
    }
    let facts = but(|f| f.disk.writable = false);
    assert_only(&facts, "disk", Level::Fail, "cannot be written to", "--state-dir");
    let facts = but(|f| f.disk.free = Err("no such device".to_owned()));
    assert_only(&facts, "disk", Level::Fail, "no such device", "");
    for (session_limit, level, message, fix) in
        [(10 * GIB, Level::Ok, "10240 MiB", ""), (0, Level::Warn, "may fill", "--session-disk-mib")]
    {
        let facts = but(|f| f.disk.session_limit = session_limit);
        assert_only(&facts, "session disk", level, message, fix);
    }
    for (reserve, level, message, fix) in [
        (4 * GIB, Level::Ok, "4.0 GiB are kept free", ""),
        (0, Level::Warn, "nothing left", "--disk-reserve-mib"),
        (100 * GIB, Level::Warn, "no session is made", "--disk-reserve-mib"),
    ] {
        let facts = but(|f| f.disk.reserve = DiskReserve::of(reserve));
        assert_only(&facts, "disk reserve", level, message, fix);
    }
    let facts = but(|f| f.memory.available = GIB);
    assert_only(&facts, "memory", Level::Warn, "1.0 GiB of 24.0 GiB", "--max-sessions");
}

#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    let facts = but(|f| f.is_root = false);
    assert_only(&facts, "user", Level::Warn, "as_root is refused", "sudo browserd serve");
}

#[test]
fn json_has_the_same_lines() {
    let checks = check(&but(|f| f.fonts = Fonts::default()));
    let json: serde_json::Value = serde_json::from_str(&report::json(&checks).unwrap()).unwrap();
    assert_eq!(json["ready"], false);
    assert_eq!(json["checks"].as_array().unwrap().len(), checks.len());
    let fonts = json["checks"].as_array().unwrap().iter().find(|c| c["name"] == "fonts").unwrap();
    assert_eq!(fonts["level"], "fail");
    assert!(fonts["fix"].as_str().unwrap().starts_with("apt-get"));
    assert!(json["checks"][0].get("fix").is_none());
}

#[test]
fn merging_is_looked_at_when_it_is_asked_for() {
    assert_only(&but(|f| f.merging = Some(None)), "ksm", Level::Fail, "no KSM", "--ksm");
    let off = but(|f| f.merging = Some(Some(false)));
    assert_only(&off, "ksm", Level::Warn, "switch is off", "echo 1 > /sys/kernel/mm/ksm/run");
    let on = check(&but(|f| f.merging = Some(Some(true))));
    assert!(on.last().unwrap().message.contains("can measure"));
}

#[test]
fn reads_os_release_and_meminfo() {
    for (text, expected) in [
        ("ID=debian\n", Distribution::Debian),
        ("NAME=x\nID=ubuntu\nID_LIKE=debian\n", Distribution::Ubuntu),
        ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Distribution::Ubuntu),
        ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Distribution::Fedora),
        ("ID=arch\n", Distribution::Arch),
        ("", Distribution::Other),
        ("ID=debianish\n", Distribution::Other),
    ] {
        assert_eq!(gather::distribution(text), expected, "{text}");
    }
    let memory = gather::memory("MemTotal:  24682416 kB\nMemFree: 1 kB\nMemAvailable:   100 kB\n");
    assert_eq!((memory.total, memory.available), (24_682_416 << 10, 100 << 10));
}
