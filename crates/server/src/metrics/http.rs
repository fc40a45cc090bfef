//! What is counted of requests and connections.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::MatchedPath;
use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::Semaphore;

/// Upper bounds of the time to an answer's head, seconds.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 20.0, 60.0, 300.0];

/// Methods that are counted by name; a client may send any word.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    /// The route's template; `-` where there is no such route.
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Routed {
    route: String,
}

/// Requests and connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    answered: Family<Answered, Counter>,
    took: Family<Routed, Histogram, fn() -> Histogram>,
    slots: Arc<Semaphore>,
    most: usize,
}

impl HttpMetrics {
    /// For a server that serves as many connections at one time.
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            answered: Family::default(),
            took: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            slots: Arc::new(Semaphore::new(connections)),
            most: connections,
        }
    }

    /// The places of connections.
    pub(crate) fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }

    /// Counts an answer.
    pub(crate) fn count(
        &self,
        method: &Method,
        route: Option<&MatchedPath>,
        status: StatusCode,
        took: Duration,
    ) {
        let method = if METHODS.contains(method) { method.as_str() } else { "other" }.to_owned();
        let route = route.map_or("-", MatchedPath::as_str).to_owned();
        self.took.get_or_create(&Routed { route: route.clone() }).observe(took.as_secs_f64());
        self.answered.get_or_create(&Answered { method, route, status: status.as_u16() }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "browserd_http_answers",
            "Answers by method, route and status",
            self.answered.clone(),
        );
        registry.register_with_unit(
            "browserd_http_answer",
            "Time to the head of an answer, by route",
            Unit::Seconds,
            self.took.clone(),
        );
        let open = self.most.saturating_sub(self.slots.available_permits());
        for (name, help, figure) in [
            ("browserd_connections", "Open connections of clients, tunnels among them", open),
            ("browserd_connections_limit", "Most that are served at one time", self.most),
        ] {
            registry.register(
                name,
                help,
                ConstGauge::new(u64::try_from(figure).unwrap_or_default()),
            );
        }
    }
}
