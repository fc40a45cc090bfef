//! A session as clients see it.

use browserd_api::Timestamp;
use browserd_api::browser::{
    Browser, Location, LocationRequest, LocationSource, Usage, UsageStatus,
};
use browserd_api::profiles::{Profile, ProfileInUse};
use browserd_fleet::{SessionView, may_save_profile};
use browserd_rest::Error;

use super::{BrowserDefaults, Browsers};
use crate::caller::Sessions;
use crate::{cdp, relay, webdriver};

/// Shows a session of the caller's. Only one that clients can use gets a token, and with it URLs that lead
/// somewhere: not while it is being created, and not once it has ended.
pub(crate) fn show(
    browsers: &Browsers,
    sessions: &Sessions,
    session: &SessionView,
) -> Result<Browser, Error> {
    let usable = session.ended.is_none() && sessions.live(session.id.as_str()).is_ok();
    let sign = || browsers.tokens.sign(sessions.project(), &session.id, session.created_at);
    let jwt = usable.then(sign).transpose()?;
    let token = jwt.as_ref().map_or_else(String::new, |jwt| format!("?jwt={jwt}"));
    let (http, ws) = (&browsers.public.http, &browsers.public.ws);
    let config = session.config.clone();
    let location = location(&browsers.defaults, config.location);
    let ended = session.ended.clone();
    let last_seen = ended.as_ref().map_or_else(Timestamp::now, |(at, ..)| *at);
    Ok(Browser {
        session_id: session.id.clone(),
        created_at: session.created_at,
        cdp_ws_url: format!("{ws}{}{token}", cdp::PREFIX),
        webdriver_ws_url: format!("{ws}{}/session{token}", webdriver::PREFIX),
        base_url: jwt.is_some().then(|| format!("{http}{}", relay::DIRECT)),
        headless: config.headless,
        stealth: config.stealth,
        kiosk_mode: config.kiosk_mode,
        timeout_seconds: config.timeout_seconds,
        memory: config.memory,
        region: config.region,
        viewport: config.viewport,
        location,
        name: session.name.clone(),
        tags: Some(session.tags.clone()).filter(|tags| !tags.is_empty()),
        start_url: config.start_url,
        profile_save_changes: config.profile.as_ref().map(|profile| profile.save_changes),
        profile_save_error: config
            .profile
            .as_ref()
            .and_then(|profile| save_error(profile, session)),
        profile: config.profile.map(|profile| Profile {
            id: profile.id,
            name: profile.name,
            created_at: profile.created_at,
            updated_at: None,
            last_used_at: None,
        }),
        proxy: config.proxy.clone().into(),
        proxy_id: config.proxy,
        chrome_policy: config.chrome_policy,
        deleted_at: ended.as_ref().map(|(at, ..)| *at),
        deletion_reason: ended.as_ref().map(|(_, reason, _)| *reason),
        usage: Some(Usage { uptime_ms: last_seen.millis_since(session.created_at) }),
        usage_status: Some(if ended.is_some() { UsageStatus::Ready } else { UsageStatus::Pending }),
        deletion_detail: ended.and_then(|(_, _, detail)| detail),
    })
}

/// Why a session's state was not saved into its profile.
fn save_error(profile: &ProfileInUse, session: &SessionView) -> Option<String> {
    let lost = session.ended.as_ref().filter(|(_, reason, _)| !may_save_profile(*reason));
    match lost.filter(|_| profile.save_changes) {
        Some(_) => Some("its browser could not be asked for it; see deletion_reason".to_owned()),
        None => profile.save_error.clone(),
    }
}

/// The location in force for what was asked.
pub(super) fn location(defaults: &BrowserDefaults, asked: LocationRequest) -> Location {
    let (timezone, timezone_source) = settle(asked.timezone, &defaults.timezone);
    let (locale, locale_source) = settle(asked.locale, &defaults.locale);
    Location { timezone, timezone_source, locale, locale_source }
}

fn settle(asked: Option<String>, default: &str) -> (String, LocationSource) {
    match asked {
        Some(value) => (value, LocationSource::Override),
        None => (default.to_owned(), LocationSource::Default),
    }
}
