//! What every handler shares.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use browserd_api::ProjectId;
use browserd_fleet::{Fleet, ProjectFleet};
use browserd_store::Store;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::config::ServerConfig;
use crate::docs::Docs;
use crate::keys::ApiKeys;
use crate::relay::Guests;
use crate::replays::Replays;
use crate::resource::{Mine, Resource};
use crate::token::Tokens;

/// Handle to the shared state. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<State>);

/// The shared state; all of it is set once, or is itself a handle.
pub(crate) struct State {
    /// The sessions.
    pub(crate) fleet: Fleet,
    /// Valid API keys.
    pub(crate) keys: ApiKeys,
    /// Signs and checks session tokens.
    pub(crate) tokens: Tokens,
    /// The beginnings of the URLs handed out.
    pub(crate) public: PublicUrl,
    /// Keep-alive connections to guests.
    pub(crate) guests: Guests,
    /// Documents about the API.
    pub(crate) docs: Docs,
    /// Recordings that are followed to their end.
    pub(crate) replays: Replays,
    /// Open tunnels, which outlive the HTTP connection they began on.
    pub(crate) tunnels: TaskTracker,
    /// Settings.
    pub(crate) config: ServerConfig,
}

impl App {
    pub(crate) fn new(config: ServerConfig, fleet: Fleet, keys: ApiKeys) -> Self {
        let public = PublicUrl::new(&config.public_url);
        Self(Arc::new(State {
            tokens: Tokens::new(&config.token_secret, &public.host),
            docs: Docs::new(&crate::router::document(&config.guest_openapi)),
            guests: Guests::default(),
            replays: Replays::default(),
            tunnels: TaskTracker::new(),
            public,
            fleet,
            keys,
            config,
        }))
    }

    /// The sessions of a project.
    pub(crate) fn sessions(&self, project: &ProjectId) -> ProjectFleet {
        self.fleet.project(project)
    }

    /// The resources of one kind in a project.
    pub(crate) fn mine<R: Resource>(&self, project: &ProjectId) -> Mine<R> {
        Mine::of(Arc::clone(self.fleet.store()), project)
    }
}

impl FromRef<App> for Arc<dyn Store> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(app.fleet.store())
    }
}

impl Deref for App {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

/// The public URL in the forms it is needed in, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    /// `http://host:port`
    pub(crate) http: String,
    /// `ws://host:port`
    pub(crate) ws: String,
    /// `host`
    pub(crate) host: String,
}

impl PublicUrl {
    fn new(url: &Url) -> Self {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let http = url.as_str().trim_end_matches('/').to_owned();
        // "http…" and "ws…" differ in their first four letters only, and so do the secure forms.
        let ws = http.strip_prefix("http").map_or_else(|| http.clone(), |rest| format!("ws{rest}"));
        Self { http, ws, host: url.host_str().unwrap_or("localhost").to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_takes_both_schemes() {
        let url = PublicUrl::new(&Url::parse("http://127.0.0.1:7878").unwrap());
        assert_eq!(url.http, "http://127.0.0.1:7878");
        assert_eq!(url.ws, "ws://127.0.0.1:7878");
        assert_eq!(url.host, "127.0.0.1");
        let url = PublicUrl::new(&Url::parse("https://browsers.example/cloud/?x#y").unwrap());
        assert_eq!(url.http, "https://browsers.example/cloud");
        assert_eq!(url.ws, "wss://browsers.example/cloud");
    }
}
