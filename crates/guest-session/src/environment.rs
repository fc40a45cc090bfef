//! The clean environment programs start with; never the guest's own.

use std::ffi::CString;

use browserd_protocol::inside;

use crate::locale;
use crate::session::Session;

/// The display of a headful session's X server, as `DISPLAY` has it.
#[must_use]
pub fn display(session: &Session) -> String {
    format!(":{}", session.places.display)
}

/// Where programs are looked for.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Destinations that are reached without the gateway: the session's own loopback.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// Whom an environment is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Home.
    pub home: String,
    /// Shell.
    pub shell: String,
}

impl User {
    /// The user programs run as unless asked otherwise.
    #[must_use]
    pub fn browser(session: &Session) -> Self {
        Self {
            name: inside::USER.into(),
            home: session.places.home.to_string_lossy().into_owned(),
            shell: "/bin/bash".into(),
        }
    }
}

/// The clean environment of `user` in `session`, names and values.
#[must_use]
pub fn base(session: &Session, user: &User) -> Vec<(String, String)> {
    let proxy = format!("http://{}", inside::PROXY_ADDR);
    let location = session.location.get();
    let locale = locale::lang(&location.locale);
    let mut env: Vec<(String, String)> = [
        ("HOME", user.home.as_str()),
        ("USER", &user.name),
        ("LOGNAME", &user.name),
        ("SHELL", &user.shell),
        ("PATH", PATH),
        ("LANG", &locale),
        ("TZ", &location.timezone),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if !session.spec.config.headless {
        env.push(("DISPLAY".into(), display(session)));
    }
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        env.push((name.into(), proxy.clone()));
    }
    for name in ["no_proxy", "NO_PROXY"] {
        env.push((name.into(), NO_PROXY.into()));
    }
    env
}

/// `env` as the kernel takes it. Entries with a NUL byte are left out.
#[must_use]
pub fn to_envp(env: &[(String, String)]) -> Vec<CString> {
    env.iter().filter_map(|(name, value)| CString::new(format!("{name}={value}")).ok()).collect()
}
