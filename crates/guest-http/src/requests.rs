//! How many requests came for each route, how they went, and how long their answers took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use parking_lot::Mutex;

/// Routes told apart; more are counted together. The guest has fewer.
const ROUTES: usize = 128;
/// Upper bounds of the buckets, milliseconds; one more has the rest.
pub const BUCKETS_MS: [u64; 8] = [1, 5, 25, 100, 500, 2_500, 10_000, 60_000];
/// What requests for no route are counted under.
const UNROUTED: &str = "(none)";
/// And what there was no room for.
const OTHERS: &str = "(others)";

/// What is known of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCounts {
    /// Method and path, as the document has it.
    pub method: Method,
    /// The path.
    pub route: String,
    /// Answers.
    pub count: u64,
    /// Answers of 400 to 499.
    pub client_errors: u64,
    /// Answers of 500 and more.
    pub server_errors: u64,
    /// Time until the head of the answer, all together.
    pub latency: Duration,
    /// Answers by that time; the bounds are [`BUCKETS_MS`].
    pub buckets: [u64; BUCKETS_MS.len() + 1],
}

/// The counts of all routes. Memory is bounded, whatever is asked for.
#[derive(Debug, Default)]
pub struct Requests(Mutex<Vec<RouteCounts>>);

impl Requests {
    /// Counts an answer.
    fn add(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let mut all = self.0.lock();
        let known = |all: &[RouteCounts], method: &Method, route: &str| {
            all.iter().position(|it| it.route == route && it.method == *method)
        };
        let at = known(&all, method, route).unwrap_or_else(|| {
            let full = all.len() + 1 >= ROUTES;
            let (method, route) = if full { (&Method::GET, OTHERS) } else { (method, route) };
            known(&all, method, route).unwrap_or_else(|| {
                all.push(RouteCounts {
                    method: method.clone(),
                    route: route.to_owned(),
                    count: 0,
                    client_errors: 0,
                    server_errors: 0,
                    latency: Duration::ZERO,
                    buckets: [0; BUCKETS_MS.len() + 1],
                });
                all.len() - 1
            })
        });
        let counts = &mut all[at];
        counts.count += 1;
        counts.client_errors += u64::from((400..500).contains(&status));
        counts.server_errors += u64::from(status >= 500);
        counts.latency += took;
        let over = BUCKETS_MS.iter().position(|bound| took <= Duration::from_millis(*bound));
        counts.buckets[over.unwrap_or(BUCKETS_MS.len())] += 1;
    }

    /// The counts as they are now, in the order routes were first used.
    #[must_use]
    pub fn snapshot(&self) -> Vec<RouteCounts> {
        self.0.lock().clone()
    }
}

/// Middleware: counts every request and notes it in the log.
pub async fn count(
    State(requests): State<Arc<Requests>>,
    request: Request,
    next: Next,
) -> Response {
    let method = match request.method() {
        known if known.as_str().len() <= 7 => known.clone(),
        _ => Method::default(),
    };
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let start = Instant::now();
    let response = next.run(request).await;
    let took = start.elapsed();
    let route = matched.as_ref().map_or(UNROUTED, MatchedPath::as_str);
    let status = response.status().as_u16();
    requests.add(&method, route, status, took);
    tracing::debug!(%method, route, status, took_us = took.as_micros(), "request");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_route_and_time() {
        let requests = Requests::default();
        requests.add(&Method::GET, "/a", 200, Duration::from_micros(10));
        requests.add(&Method::GET, "/a", 404, Duration::from_millis(5));
        requests.add(&Method::GET, "/a", 507, Duration::from_secs(100));
        requests.add(&Method::PUT, "/a", 201, Duration::ZERO);
        let all = requests.snapshot();
        assert_eq!(all.len(), 2);
        let counts = &all[0];
        assert_eq!((counts.count, counts.client_errors, counts.server_errors), (3, 1, 1));
        assert_eq!(counts.latency, Duration::from_micros(100_005_010));
        assert_eq!(counts.buckets, [1, 1, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn bounded() {
        let requests = Requests::default();
        for number in 0..ROUTES * 3 {
            requests.add(&Method::GET, &format!("/{number}"), 200, Duration::ZERO);
        }
        let all = requests.snapshot();
        assert_eq!(all.len(), ROUTES);
        assert_eq!(all.iter().map(|it| it.count).sum::<u64>(), ROUTES as u64 * 3);
    }
}
