//! Figures of the fleet, as Prometheus takes them.

use std::time::Duration;

use browserd_api::ProjectId;
use browserd_api::browser::EndReason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::Limit;
use crate::session::Stages;

/// Upper bounds of durations, seconds: from a claim of a ready session to a start on a busy host.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    /// `pool` or `start`.
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ending {
    project: String,
    reason: String,
}

/// Projects are few; what is counted more finely than this has no label for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Project {
    project: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Hit {
    limit: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    /// `headless` or `headful`.
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Saved {
    /// `saved`, `profile_gone` or `failed`.
    outcome: &'static str,
}

/// What is counted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    created: Family<Source, Histogram, fn() -> Histogram>,
    admitted: Histogram,
    refused: Family<Hit, Counter>,
    failed: Counter,
    ended: Family<Ending, Counter>,
    gone: Histogram,
    profile_saves: Family<Saved, Counter>,
    active: Family<Project, Gauge>,
    suspended: Gauge,
    thawed: Histogram,
    paged_out: Counter,
    ready: Family<Kind, Gauge>,
    frozen: Family<Kind, Gauge>,
    discarded: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let (ready, frozen) = <(Family<Kind, Gauge>, Family<Kind, Gauge>)>::default();
        let active = Family::<Project, Gauge>::default();
        // Also while none has ever been there.
        drop(active.get_or_create(&project(&ProjectId::default())));
        for headless in [true, false] {
            drop(ready.get_or_create(&kind(headless)));
            drop(frozen.get_or_create(&kind(headless)));
        }
        Self {
            created: Family::new_with_constructor(seconds),
            admitted: seconds(),
            refused: Family::default(),
            failed: Counter::default(),
            ended: Family::default(),
            gone: seconds(),
            profile_saves: Family::default(),
            active,
            suspended: Gauge::default(),
            thawed: seconds(),
            paged_out: Counter::default(),
            ready,
            frozen,
            discarded: Counter::default(),
        }
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn project(id: &ProjectId) -> Project {
    Project { project: id.to_string() }
}

fn kind(headless: bool) -> Kind {
    Kind { kind: if headless { "headless" } else { "headful" } }
}

impl Metrics {
    /// Puts all of them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("browserd");
        registry.register_with_unit(
            "session_create",
            "From the request for a session until clients can connect, by where it came from",
            Unit::Seconds,
            self.created.clone(),
        );
        registry.register_with_unit(
            "session_admission",
            "Waiting for a permit and the host's resources, part of session_create",
            Unit::Seconds,
            self.admitted.clone(),
        );
        registry.register(
            "session_refusals",
            "Sessions that were refused because a limit was hit, by limit",
            self.refused.clone(),
        );
        registry.register(
            "session_create_failures",
            "Sessions that did not start",
            self.failed.clone(),
        );
        registry.register(
            "sessions_ended",
            "Sessions that ended, by project and reason",
            self.ended.clone(),
        );
        registry.register_with_unit(
            "session_clear",
            "From the end of a session until nothing of it is left",
            Unit::Seconds,
            self.gone.clone(),
        );
        registry.register(
            "profile_saves",
            "Profiles that were to be saved when their session ended, by outcome",
            self.profile_saves.clone(),
        );
        registry.register(
            "sessions_active",
            "Sessions clients can use, by project",
            self.active.clone(),
        );
        registry.register(
            "sessions_standby",
            "Those of them that are in standby (suspended)",
            self.suspended.clone(),
        );
        registry.register_with_unit(
            "session_thaw",
            "Resuming a suspended session",
            Unit::Seconds,
            self.thawed.clone(),
        );
        registry.register(
            "session_page_outs",
            "Suspended sessions whose memory was pushed out to swap",
            self.paged_out.clone(),
        );
        registry.register(
            "pool_ready",
            "Sessions of the pool, ready for a client",
            self.ready.clone(),
        );
        registry.register(
            "pool_frozen",
            "Those of them whose browser has settled, and which are frozen",
            self.frozen.clone(),
        );
        registry.register(
            "pool_discarded",
            "Sessions of the pool that ended without having had a client",
            self.discarded.clone(),
        );
    }

    pub(crate) fn opened(&self, by: &ProjectId, stages: &Stages) {
        let source = if stages.from_pool { "pool" } else { "start" };
        let took = (stages.admitted + stages.stored + stages.started).as_secs_f64();
        self.admitted.observe(stages.admitted.as_secs_f64());
        self.created.get_or_create(&Source { source }).observe(took);
        self.active.get_or_create(&project(by)).inc();
    }

    pub(crate) fn refused(&self, limit: Limit) {
        self.refused.get_or_create(&Hit { limit: limit.as_str() }).inc();
    }

    pub(crate) fn failed(&self) {
        self.failed.inc();
    }

    pub(crate) fn ended(&self, of: &ProjectId, reason: EndReason) {
        let name = serde_json::to_value(reason).ok();
        let reason = name.as_ref().and_then(|name| name.as_str()).unwrap_or("other").to_owned();
        self.ended.get_or_create(&Ending { project: of.to_string(), reason }).inc();
    }

    /// A session that was open is over for clients.
    pub(crate) fn closed(&self, of: &ProjectId) {
        self.active.get_or_create(&project(of)).dec();
    }

    pub(crate) fn gone(&self, after: Duration) {
        self.gone.observe(after.as_secs_f64());
    }

    pub(crate) fn profile_save(&self, outcome: &'static str) {
        self.profile_saves.get_or_create(&Saved { outcome }).inc();
    }

    pub(crate) fn froze(&self) {
        self.suspended.inc();
    }

    /// A suspended session was resumed, with the time that took, or has ended.
    pub(crate) fn thawed(&self, took: Option<Duration>) {
        self.suspended.dec();
        if let Some(took) = took {
            self.thawed.observe(took.as_secs_f64());
        }
    }

    pub(crate) fn paged_out(&self) {
        self.paged_out.inc();
    }

    pub(crate) fn ready(&self, headless: bool, by: i64) {
        self.ready.get_or_create(&kind(headless)).inc_by(by);
    }

    pub(crate) fn ready_frozen(&self, headless: bool, by: i64) {
        self.frozen.get_or_create(&kind(headless)).inc_by(by);
    }

    pub(crate) fn discarded(&self) {
        self.discarded.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_in_the_text() {
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let took = Duration::from_millis(3);
        metrics.opened(
            &ProjectId::default(),
            &Stages { from_pool: true, admitted: took, stored: took, started: took },
        );
        metrics.refused(Limit::MaxSessions);
        metrics.froze();
        metrics.thawed(Some(took));
        metrics.ended(&ProjectId::default(), EndReason::TimedOut);
        metrics.profile_save("failed");
        metrics.ready(true, 2);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "browserd_session_create_seconds_count{source=\"pool\"} 1",
            "browserd_session_create_seconds_bucket{le=\"0.01\",source=\"pool\"} 1",
            "browserd_session_admission_seconds_count 1",
            "browserd_session_refusals_total{limit=\"max_sessions\"} 1",
            "browserd_sessions_ended_total{project=\"default00000000000000000\",reason=\"timed_out\"} 1",
            "browserd_sessions_active{project=\"default00000000000000000\"} 1",
            "browserd_profile_saves_total{outcome=\"failed\"} 1",
            "browserd_sessions_standby 0",
            "browserd_session_thaw_seconds_count 1",
            "browserd_pool_ready{kind=\"headless\"} 2",
            "browserd_pool_ready{kind=\"headful\"} 0",
            "browserd_pool_frozen{kind=\"headless\"} 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in:\n{text}");
        }
    }
}
