//! Everything put together: the one place that knows all parts. Nothing below imports it; a handler takes the
//! parts it needs as `State<T>`.

use std::sync::Arc;

use axum::extract::FromRef;
use browserd_fleet::Fleet;
use browserd_store::Store;

use crate::browsers::{BrowserDefaults, Browsers};
use crate::config::ServerConfig;
use crate::docs::Docs;
use crate::keys::ApiKeys;
use crate::metrics::HttpMetrics;
use crate::profiles::Profiles;
use crate::proxies::Checks;
use crate::public_url::PublicUrl;
use crate::relay::{Guests, Relay};
use crate::replays::Replays;
use crate::token::Tokens;
use crate::tunnel::Tunnels;

/// Handle to all parts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

/// The parts; all of them are set once, and are handles themselves.
struct Parts {
    keys: ApiKeys,
    config: ServerConfig,
    fleet: Fleet,
    store: Arc<dyn Store>,
    public: Arc<PublicUrl>,
    tokens: Tokens,
    docs: Arc<Docs>,
    tunnels: Tunnels,
    relay: Relay,
    browsers: Arc<Browsers>,
    replays: Replays,
    profiles: Option<Profiles>,
    checks: Arc<Checks>,
    http: HttpMetrics,
}

impl App {
    pub(crate) fn new(config: ServerConfig, fleet: Fleet, keys: ApiKeys, docs: Docs) -> Self {
        let store = Arc::clone(fleet.store());
        let public = Arc::new(PublicUrl::new(&config.public_url));
        let tokens = Tokens::new(&config.token_secret, &public.host);
        let (guests, tunnels) = (Guests::default(), Tunnels::new(config.idle_after));
        let profiles = config.profiles.clone();
        let defaults = BrowserDefaults {
            region: config.region_default,
            timezone: config.default_timezone.clone(),
            locale: config.default_locale.clone(),
            headless_shell: config.headless_shell,
        };
        let browsers = Browsers {
            store: Arc::clone(&store),
            guests: guests.clone(),
            profiles: profiles.clone(),
            tokens: tokens.clone(),
            public: Arc::clone(&public),
            defaults,
        };
        let recordings = config.recordings.clone();
        let (egress, url) = (config.egress.clone(), config.proxy_check_url.clone());
        Self(Arc::new(Parts {
            replays: Replays::new(fleet.clone(), guests.clone(), recordings),
            relay: Relay::new(guests, tunnels.clone()),
            docs: Arc::new(docs),
            browsers: Arc::new(browsers),
            checks: Arc::new(Checks { egress, url }),
            http: HttpMetrics::new(config.connections),
            keys,
            config,
            fleet,
            store,
            public,
            tokens,
            tunnels,
            profiles,
        }))
    }

    /// The keys that are valid.
    pub(crate) fn keys(&self) -> &ApiKeys {
        &self.0.keys
    }

    /// Settings.
    pub(crate) fn config(&self) -> &ServerConfig {
        &self.0.config
    }
}

macro_rules! parts {
    ($($part:ident: $type:ty;)+) => {$(
        impl FromRef<App> for $type {
            fn from_ref(app: &App) -> Self {
                app.0.$part.clone()
            }
        }
    )+};
}

// What handlers may ask for.
parts! {
    fleet: Fleet;
    store: Arc<dyn Store>;
    public: Arc<PublicUrl>;
    tokens: Tokens;
    docs: Arc<Docs>;
    tunnels: Tunnels;
    relay: Relay;
    browsers: Arc<Browsers>;
    replays: Replays;
    profiles: Option<Profiles>;
    checks: Arc<Checks>;
    http: HttpMetrics;
}
