//! What the server must be told.

use std::time::Duration;

use browserd_api::browser::Region;
use browserd_protocol::EgressPolicy;
use url::Url;

use crate::profiles::Profiles;
use crate::replays::Recordings;
use crate::token::TokenSecret;

/// Settings of the HTTP face, resolved by the caller.
pub struct ServerConfig {
    /// Scheme, host and port clients reach this server at; every URL handed out begins with it.
    pub public_url: Url,
    /// Region of sessions that ask for none.
    pub region_default: Region,
    /// Signs session tokens. Tokens of another secret are refused.
    pub token_secret: TokenSecret,
    /// Time zone (IANA) of sessions that ask for none.
    pub default_timezone: String,
    /// Language (BCP 47) of sessions that ask for none.
    pub default_locale: String,
    /// Whether headless sessions run `chromium-headless-shell`, which has no policies.
    pub headless_shell: bool,
    /// How long a connected CDP client may be idle before it no longer keeps its session from being
    /// suspended; none: for ever.
    pub idle_after: Option<Duration>,
    /// Connections served at one time, tunnels among them; more wait to be accepted.
    pub connections: usize,
    /// Longest body of `POST /browsers`, bytes. Must leave room for 5 MiB of policies.
    pub create_body_limit: usize,
    /// Longest body of every other JSON route of this server, bytes. The guest decides for its own.
    pub json_body_limit: usize,
    /// How long a client may take to send a request's head, and how long an idle connection is kept.
    pub header_read_timeout: Duration,
    /// How long `serve` waits for open connections once it was asked to stop.
    pub shutdown_grace: Duration,
    /// Where profiles are kept; none: there are none.
    pub profiles: Option<Profiles>,
    /// What may be reached, as sessions' gateways decide it: for checks of proxies.
    pub egress: EgressPolicy,
    /// What a proxy is checked with when a check names no URL.
    pub proxy_check_url: Url,
    /// Where recordings are kept; none: nothing can be recorded.
    pub recordings: Option<Recordings>,
    /// The guest's document. Its paths (`/process/exec`) are routed and described below
    /// `/browsers/{id_or_name}`.
    pub guest_openapi: utoipa::openapi::OpenApi,
}

impl ServerConfig {
    /// Default of [`Self::connections`]. Each session's clients, its guest connection and the inner half of
    /// its tunnels take descriptors too.
    pub const CONNECTIONS: usize = 16_384;
    /// Default of [`Self::create_body_limit`].
    pub const CREATE_BODY_LIMIT: usize = 6 << 20;
    /// Default of [`Self::json_body_limit`].
    pub const JSON_BODY_LIMIT: usize = 1 << 20;
    /// Default of [`Self::header_read_timeout`].
    pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
    /// Default of [`Self::shutdown_grace`].
    pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

    /// Default of the field of this name: a host that is there for being asked (RFC 2606, section 3).
    #[must_use]
    pub fn proxy_check_url() -> Url {
        Url::parse("https://example.com/").unwrap_or_else(|_| unreachable!("it is a URL"))
    }

    /// Settings with the default limits, UTC and en-US.
    #[must_use]
    pub fn new(
        public_url: Url,
        token_secret: TokenSecret,
        guest_openapi: utoipa::openapi::OpenApi,
    ) -> Self {
        Self {
            public_url,
            region_default: Region::default(),
            token_secret,
            default_timezone: "UTC".to_owned(),
            default_locale: "en-US".to_owned(),
            headless_shell: false,
            idle_after: None,
            connections: Self::CONNECTIONS,
            create_body_limit: Self::CREATE_BODY_LIMIT,
            json_body_limit: Self::JSON_BODY_LIMIT,
            header_read_timeout: Self::HEADER_READ_TIMEOUT,
            shutdown_grace: Self::SHUTDOWN_GRACE,
            profiles: None,
            egress: EgressPolicy::default(),
            proxy_check_url: Self::proxy_check_url(),
            recordings: None,
            guest_openapi,
        }
    }
}
