//! Chromium's managed policies: the server's own, the client's over them, and the names a client
//! may not set.

use browserd_protocol::inside;
use serde_json::{Map, Value, json};

use crate::locale;

/// Largest `chrome_policy`, bytes of JSON.
pub const SIZE_LIMIT: usize = 5 << 20;

/// Folder of the policies inside a session, read by Chromium at start.
pub const MANAGED_DIR: &str = inside::POLICIES;

/// [`MANAGED_DIR`], seen from /etc.
pub const MANAGED_BELOW_ETC: &str = "chromium/policies/managed";

/// Name of the file in [`MANAGED_DIR`] with the server's and the client's policies.
pub const MANAGED_FILE: &str = "browserd.json";

/// Name of the file in [`MANAGED_DIR`] with [`languages`]. Of two files with one policy Chromium takes
/// the one whose name comes last, so a client's languages win.
pub const LANGUAGES_FILE: &str = "browserd-languages.json";

/// Name of the file in [`MANAGED_DIR`] with [`extensions`]; no other file may have what is in it.
pub const EXTENSIONS_FILE: &str = "browserd-extensions.json";

/// The policy with the languages pages are told.
pub const LANGUAGES: &str = "ForcedLanguages";

/// Longest name of a policy taken; the longest of Chromium's has under 80 letters.
const NAME_LIMIT: usize = 128;

const EXTENSIONS: &str = "extensions are chosen when the session is created, not by policy";
const PROXY: &str = "all traffic of a session goes through its egress gateway";
const CONTROL: &str =
    "the session is driven through remote debugging, which this policy would switch off";
const PROFILE: &str = "the server decides where the profile is and how long it lives";
const SANDBOX: &str = "Chromium's own sandbox stays as it is";
const CLOUD: &str = "policies from a cloud console would override the ones of the session";
const NO_NAME: &str = "a policy's name has letters and digits only, starting with a letter";

/// Policies a client may not set, and why. Every name that starts with `Extension` is one as well.
const BLOCKED: &[(&str, &str)] = &[
    ("BlockExternalExtensions", EXTENSIONS),
    ("MandatoryExtensionsForIncognitoNavigation", EXTENSIONS),
    ("ProxySettings", PROXY),
    ("ProxyMode", PROXY),
    ("ProxyServer", PROXY),
    ("ProxyServerMode", PROXY),
    ("ProxyPacUrl", PROXY),
    ("ProxyBypassList", PROXY),
    ("ProxyOverrideRules", PROXY),
    ("EnableProxyOverrideRulesForAllUsers", PROXY),
    ("QuicAllowed", PROXY),
    ("WebRtcIPHandling", PROXY),
    ("WebRtcIPHandlingUrl", PROXY),
    ("WebRtcUdpPortRange", PROXY),
    ("RemoteDebuggingAllowed", CONTROL),
    ("DeveloperToolsAvailability", CONTROL),
    ("DeveloperToolsAvailabilityAllowlist", CONTROL),
    ("DeveloperToolsAvailabilityBlocklist", CONTROL),
    ("DeveloperToolsDisabled", CONTROL),
    ("HeadlessMode", CONTROL),
    ("UserDataDir", PROFILE),
    ("DiskCacheDir", PROFILE),
    ("ForceEphemeralProfiles", PROFILE),
    ("RoamingProfileLocation", PROFILE),
    ("RoamingProfileSupportEnabled", PROFILE),
    ("AudioSandboxEnabled", SANDBOX),
    ("NetworkServiceSandboxEnabled", SANDBOX),
    ("CloudManagementEnrollmentToken", CLOUD),
    ("CloudManagementEnrollmentMandatory", CLOUD),
    ("CloudPolicyOverridesPlatformPolicy", CLOUD),
    ("CloudUserPolicyMerge", CLOUD),
    ("CloudUserPolicyOverridesCloudMachinePolicy", CLOUD),
];

/// Why `name` may not be set; `None` if it may. Letter case is not looked at, so that a name
/// Chromium would ignore for its case is refused with words.
fn refusal(name: &str) -> Option<&'static str> {
    let mut bytes = name.bytes();
    let well_formed = name.len() <= NAME_LIMIT
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric());
    if !well_formed {
        return Some(NO_NAME);
    }
    if name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("Extension")) {
        return Some(EXTENSIONS);
    }
    BLOCKED.iter().find(|(blocked, _)| blocked.eq_ignore_ascii_case(name)).map(|(_, why)| *why)
}

/// The names in `policy` that a client may not set, each with the reason in words.
#[must_use]
pub fn check(policy: &Map<String, Value>) -> Vec<(String, &'static str)> {
    policy.keys().filter_map(|name| Some((name.clone(), refusal(name)?))).collect()
}

/// Files that Chromium would keep back until somebody in front of it says that they are to be kept: it takes
/// them for dangerous where there are no lists of dangerous sites (`SafeBrowsingProtectionLevel` 0). These are
/// the extensions that Chromium 156 has so marked on Linux.
const NEVER_KEPT_BACK: [&str; 33] = [
    "apk", "bash", "class", "crx", "csh", "deb", "desktop", "efi", "jar", "jnlp", "ksh", "out",
    "oxt", "pet", "pkg", "pl", "pup", "py", "pyc", "pyd", "pyo", "pyw", "pyz", "pyzw", "rb", "rpm",
    "run", "sh", "shar", "slp", "spl", "swf", "tcsh",
];

/// What every session starts from. A client's value for the same name replaces one of these.
fn base() -> Map<String, Value> {
    let from_anywhere = |extension| json!({ "file_extension": extension, "domains": ["*"] });
    let base = json!({
        // Bubbles and prompts nobody would answer, which cover the page and take the focus.
        "PasswordManagerEnabled": false,
        "AutofillAddressEnabled": false,
        "AutofillCreditCardEnabled": false,
        "TranslateEnabled": false,
        "DefaultBrowserSettingEnabled": false,
        "PromotionsEnabled": false,
        "PrivacySandboxPromptEnabled": false,
        "PromptForDownloadLocation": false,
        // Permission prompts: refused (2) instead of asked. Drivers that grant them through remote
        // debugging still can.
        "DefaultNotificationsSetting": 2,
        "DefaultGeolocationSetting": 2,
        // No account, nothing sent home.
        "BrowserSignin": 0,
        "SyncDisabled": true,
        "MetricsReportingEnabled": false,
        "ComponentUpdatesEnabled": false,
        "UserFeedbackAllowed": false,
        "BrowserNetworkTimeQueriesEnabled": false,
        // Lists of dangerous sites, fetched a few minutes after every start. A client who wants them
        // sets another level.
        "SafeBrowsingProtectionLevel": 0,
        // Without them, downloads of some kinds would wait for an answer that nobody gives.
        "ExemptDomainFileTypePairsFromFileTypeDownloadWarnings": NEVER_KEPT_BACK.map(from_anywhere)[..],
        // A bar over the page about a flag of ours (AutomationControlled).
        "CommandLineFlagSecurityWarningsEnabled": false,
        // Looks for devices on a network that is not there.
        "EnableMediaRouter": false,
        // Must end with its last window.
        "BackgroundModeEnabled": false,
        "DefaultDownloadDirectory": inside::DOWNLOADS,
        // There is one proxy for everything, so that its limit is the limit of the whole browser:
        // the highest Chromium takes instead of 32.
        "MaxConnectionsPerProxy": 99,
        // The same as the flags of these names, for contexts and pages that ask again.
        "QuicAllowed": false,
        "WebRtcIPHandling": "default",
    });
    match base {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The contents of the policy file: the server's policies with the client's over them. Names that
/// [`check`] refuses are left out, should they have come this far.
#[must_use]
pub fn merged(policy: Option<&Map<String, Value>>) -> Vec<u8> {
    let mut all = base();
    for (name, value) in policy.into_iter().flatten() {
        if refusal(name).is_none() {
            all.insert(name.clone(), value.clone());
        }
    }
    Value::Object(all).to_string().into_bytes()
}

/// The contents of [`LANGUAGES_FILE`] for a BCP 47 tag.
#[must_use]
pub fn languages(tag: &str) -> Vec<u8> {
    let list = locale::accept_languages(tag);
    json!({ LANGUAGES: list.split(',').collect::<Vec<_>>() }).to_string().into_bytes()
}

/// The contents of [`EXTENSIONS_FILE`]: extensions that are to be there, each an id and the address of
/// its update manifest. Chromium asks no other address for them, whatever their own manifests say.
#[must_use]
pub fn extensions<'a>(installed: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let settings: Map<String, Value> = installed
        .into_iter()
        .map(|(id, update_url)| {
            let setting = json!({
                "installation_mode": "force_installed",
                "update_url": update_url,
                "override_update_url": true,
            });
            (id.to_owned(), setting)
        })
        .collect();
    json!({ "ExtensionSettings": settings }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_where_chromium_looks_and_the_clients_comes_last() {
        assert_eq!(format!("/etc/{MANAGED_BELOW_ETC}"), MANAGED_DIR);
        assert!(LANGUAGES_FILE < MANAGED_FILE);
    }

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => panic!("not an object"),
        }
    }

    fn read(bytes: &[u8]) -> Map<String, Value> {
        map(serde_json::from_slice(bytes).unwrap())
    }

    #[test]
    fn blocked_names_come_with_a_reason() {
        let policy = map(json!({
            "ExtensionInstallForcelist": [], "extensionsettings": {}, "ProxyMode": "direct",
            "RemoteDebuggingAllowed": false, "DeveloperToolsAvailability": 2, "": 1, "a b": 2,
            "HomepageLocation": "https://example.com", "SomethingNew": true,
        }));
        let refused = check(&policy);
        let names: Vec<_> = refused.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(refused.len(), 7, "{names:?}");
        assert!(!names.contains(&"HomepageLocation"));
        assert!(!names.contains(&"SomethingNew"));
        assert!(refused.iter().all(|(_, why)| !why.is_empty()));
    }

    #[test]
    fn the_clients_values_win_and_blocked_ones_do_not_get_in() {
        let client = map(json!({
            "TranslateEnabled": true, "HomepageLocation": "https://example.com",
            "ProxyMode": "direct", "QuicAllowed": true,
        }));
        let all = read(&merged(Some(&client)));
        assert_eq!(all["TranslateEnabled"], true);
        assert_eq!(all["HomepageLocation"], "https://example.com");
        assert_eq!(all["PasswordManagerEnabled"], false);
        assert_eq!(all["QuicAllowed"], false);
        assert!(!all.contains_key("ProxyMode"));
    }

    #[test]
    fn extensions_are_forced_and_a_client_has_no_say_in_them() {
        let ours = read(&extensions([("aaaa", "http://127.0.0.1:1/a/update.xml")]));
        let setting = &ours["ExtensionSettings"]["aaaa"];
        assert_eq!(setting["installation_mode"], "force_installed");
        assert_eq!(setting["update_url"], "http://127.0.0.1:1/a/update.xml");
        assert_eq!(check(&ours).len(), ours.len());
        assert!(read(&merged(None)).keys().all(|name| !ours.contains_key(name)));
    }

    #[test]
    fn no_download_waits_for_an_answer() {
        let exempt = &base()["ExemptDomainFileTypePairsFromFileTypeDownloadWarnings"];
        let of = |extension| json!({ "file_extension": extension, "domains": ["*"] });
        let exempt = exempt.as_array().unwrap();
        assert!(["sh", "py", "jar", "deb"].into_iter().all(|kind| exempt.contains(&of(kind))));
        assert!(NEVER_KEPT_BACK.is_sorted(), "each once, and easy to compare");
    }

    #[test]
    fn without_a_client_it_is_the_base() {
        assert_eq!(read(&merged(None)), base());
        assert!(base().len() > 10);
    }
}
