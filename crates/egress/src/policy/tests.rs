//! The policy as tables: entries × destinations × addresses.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

fn policy(entries: &[&str]) -> Policy {
    Policy::parse(&EgressPolicy {
        allowed_private_hosts: entries.iter().map(ToString::to_string).collect(),
    })
    .expect("valid entries")
}

fn dest(text: &str) -> Destination {
    Destination::parse(text, Some(80)).expect("a destination")
}

/// Whether `asked`, found at `ip`, is reachable.
fn admits(entries: &[&str], asked: &str, ip: &str) -> bool {
    policy(entries).admit(&dest(asked), ip.parse().expect("an address"), false)
}

#[test]
fn public_is_open_and_the_rest_is_closed() {
    assert!(admits(&[], "example.com", "93.184.215.14"));
    assert!(admits(&[], "93.184.215.14:8443", "93.184.215.14"));
    for ip in ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:8.8.8.8"] {
        assert!(!admits(&[], "example.com", ip), "{ip}");
    }
}

#[test]
fn the_hosts_own_public_address_is_private() {
    let ip = "93.184.215.14".parse().expect("an address");
    assert!(!policy(&[]).admit(&dest("example.com"), ip, true));
    assert!(policy(&["example.com"]).admit(&dest("example.com"), ip, true));
    assert!(policy(&["93.184.215.14"]).admit(&dest("example.com"), ip, true));
}

#[test]
fn names_open_private_and_loopback_only() {
    for ip in ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "100.64.0.1", "192.168.1.1"] {
        assert!(admits(&["intra.example"], "Intra.Example.:8080", ip), "{ip}");
        assert!(!admits(&["intra.example"], "other.example", ip), "{ip}");
    }
    for ip in [
        "169.254.169.254",
        "169.254.1.1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "100.100.100.200",
        "fd00:ec2::254",
        "fe80::1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "::ffff:10.0.0.1",
        "168.63.129.16",
    ] {
        assert!(!admits(&["intra.example", "*.example"], "intra.example", ip), "{ip}");
    }
    // A name is not its address.
    assert!(!admits(&["intra.example"], "10.0.0.1", "10.0.0.1"));
}

#[test]
fn ports_narrow_an_entry() {
    assert!(admits(&["intra.example:8080"], "intra.example:8080", "10.0.0.1"));
    assert!(!admits(&["intra.example:8080"], "intra.example:81", "10.0.0.1"));
    assert!(admits(&["127.0.0.1:3000"], "localhost:3000", "127.0.0.1"));
    assert!(!admits(&["127.0.0.1:3000"], "localhost:3001", "127.0.0.1"));
    assert!(admits(&["[::1]:3000"], "[::1]:3000", "::1"));
    assert!(!admits(&["[::1]:3000"], "[::1]:3001", "::1"));
}

#[test]
fn suffixes_cover_names_below_only() {
    assert!(admits(&["*.corp.example"], "a.b.corp.example", "10.0.0.1"));
    assert!(!admits(&["*.corp.example"], "corp.example", "10.0.0.1"));
    assert!(!admits(&["*.corp.example"], "evilcorp.example", "10.0.0.1"));
    assert!(admits(&["*.localhost"], "app.localhost", "127.0.0.1"));
    assert!(!admits(&["localhost"], "app.localhost", "127.0.0.1"));
    assert!(admits(&["*.corp.example:81"], "a.corp.example:81", "10.0.0.1"));
    assert!(!admits(&["*.corp.example:81"], "a.corp.example:82", "10.0.0.1"));
}

#[test]
fn addresses_are_open_however_they_are_named() {
    for entry in ["10.0.0.1", "10.0.0.0/8", "0x0a000001", "10.0.0.1:80"] {
        assert!(admits(&[entry], "10.0.0.1", "10.0.0.1"), "{entry}");
        assert!(admits(&[entry], "anything.example", "10.0.0.1"), "{entry}");
        assert!(!admits(&[entry], "11.1.1.1", "192.168.0.1"), "{entry}");
    }
    assert!(admits(&["169.254.0.0/16"], "169.254.1.1", "169.254.1.1"));
    assert!(admits(&["::1"], "[::1]", "::1"));
    assert!(!admits(&["::/0"], "[::ffff:127.0.0.1]", "::ffff:127.0.0.1"));
}

#[test]
fn metadata_needs_its_exact_address() {
    let ip = "169.254.169.254";
    assert!(!admits(&["169.254.0.0/16", "0.0.0.0/0", "*.internal"], "metadata.internal", ip));
    assert!(admits(&["169.254.169.254"], "metadata.internal", ip));
    assert!(admits(&["169.254.169.254:80"], "169.254.169.254", ip));
    assert!(!admits(&["169.254.169.254:80"], "169.254.169.254:81", ip));
}

#[test]
fn ask_decides_before_the_lookup() {
    let ask = |entries: &[&str], d: &str| policy(entries).ask(&dest(d));
    assert_eq!(ask(&[], "Example.com."), Ok(Ask::LookUp("example.com".into())));
    assert_eq!(ask(&[], "0x7f.1"), Ok(Ask::Known(vec![Ipv4Addr::LOCALHOST.into()])));
    for d in ["localhost", "LOCALHOST.", "a.b.localhost:9000"] {
        assert!(matches!(ask(&[], d), Ok(Ask::Known(ips)) if ips.len() == 2), "{d}");
    }
    for host in BROWSER_SERVICES {
        assert!(matches!(ask(&[], host), Err(Refusal::BrowserService(_))), "{host}");
        assert!(matches!(ask(&["*.com"], host), Err(Refusal::BrowserService(_))), "{host}");
        assert!(ask(&[host], host).is_ok(), "{host}");
    }
    for port in MAIL_PORTS {
        let d = format!("mail.example:{port}");
        assert!(matches!(ask(&[], &d), Err(Refusal::Port(_))), "{d}");
        assert!(matches!(ask(&["mail.example"], &d), Err(Refusal::Port(_))), "{d}");
        assert!(ask(&[&d], &d).is_ok(), "{d}");
    }
}

#[test]
fn malformed_entries_are_named() {
    for entry in [
        "",
        " ",
        "*",
        "http://a.example",
        "a.example/",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "10.0.0.0/8:80",
        "a.example:",
        "a.example:0",
        "a.example:99999",
        "*.1.2.3.4",
        "*.",
        "a..b",
        "a b",
        "[::1",
        "user@a.example",
        "::ffff:10.0.0.1",
        "::ffff:10.0.0.0/104",
        "a.*.example",
        "256.1.1.1",
    ] {
        let error = Policy::parse(&EgressPolicy {
            allowed_private_hosts: vec!["ok.example".into(), entry.into()],
        })
        .expect_err(entry);
        assert_eq!(error.entry, entry);
        assert!(error.to_string().contains("allowed_private_hosts"), "{error}");
    }
    let many = vec!["a.example".to_owned(); ENTRY_LIMIT + 1];
    assert!(Policy::parse(&EgressPolicy { allowed_private_hosts: many }).is_err());
}

proptest! {
    /// Without entries nothing but public addresses is admitted, by whatever name.
    #[test]
    fn closed_by_default(bits: u128, low: u32, own: bool) {
        for ip in [IpAddr::V6(bits.into()), IpAddr::V4(low.into())] {
            let admitted = Policy::default().admit(&dest("a.example"), ip, own);
            prop_assert_eq!(admitted, scope(ip) == Scope::Public && !own, "{}", ip);
        }
    }

    /// No entry text panics, and those taken for names cover only what they say.
    #[test]
    fn any_entry_text(text in "\\PC{0,30}") {
        if let Ok(p) = Policy::parse(&EgressPolicy { allowed_private_hosts: vec![text] }) {
            let ip = "169.254.169.254".parse().expect("an address");
            prop_assert!(!p.admit(&dest("a.example"), ip, false) || p.lists_address_exactly(ip, 80));
        }
    }
}
