//! The gateway itself: accepts clients and keeps their number bounded.

use std::sync::Arc;

use browserd_protocol::{EgressPolicy, Route};
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};
use tracing::warn;

use crate::connect::{Connector, Dialer, HostDialer, keep_alive};
use crate::connection;
use crate::limits::Limits;
use crate::names::Names;
use crate::policy::{Policy, PolicyError};
use crate::proxy::ProxyError;
use crate::redirected;
use crate::refusal_log::RefusalLog;
use crate::resolve::{Resolver, SystemResolver};
use crate::tunnel::Held;

/// What every connection of a gateway shares.
pub(crate) struct Shared {
    pub(crate) connector: Connector,
    pub(crate) policy: watch::Sender<Arc<Policy>>,
    pub(crate) log: RefusalLog,
    pub(crate) held: Held,
    pub(crate) names: Names,
    connections: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
}

/// A session's egress gateway. Clones share policy and limits.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
}

impl Gateway {
    /// A gateway that dials from the network of this process.
    ///
    /// # Errors
    /// Names the entry of `allowed_private_hosts` that is malformed.
    pub fn new(policy: &EgressPolicy) -> Result<Self, PolicyError> {
        Self::with_parts(
            policy,
            Arc::new(SystemResolver::default()),
            Arc::new(HostDialer),
            Limits::default(),
        )
    }

    /// A gateway with its own way of looking up and dialling, and its own limits.
    ///
    /// # Errors
    /// Names the entry of `allowed_private_hosts` that is malformed.
    pub fn with_parts(
        policy: &EgressPolicy,
        resolver: Arc<dyn Resolver>,
        dialer: Arc<dyn Dialer>,
        limits: Limits,
    ) -> Result<Self, PolicyError> {
        let policy = Arc::new(Policy::parse(policy)?);
        let shared = Shared {
            connector: Connector { resolver, dialer, limits },
            policy: watch::Sender::new(policy),
            log: RefusalLog::new(),
            held: Held::new(limits.held_bytes),
            names: Names::default(),
            connections: Arc::new(Semaphore::new(limits.connections)),
            turned_away: Arc::new(Semaphore::new(limits.turned_away)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Puts another policy in force. New requests are decided by it at once; open connections that
    /// it does not allow are closed, the others are left alone.
    ///
    /// # Errors
    /// Names the entry that is malformed; the policy in force stays.
    pub fn set_policy(&self, policy: &EgressPolicy) -> Result<(), PolicyError> {
        let policy = Policy::parse(policy)?;
        self.shared.policy.send_modify(|now| *now = Arc::new(policy.routed_as(now)));
        Ok(())
    }

    /// Takes another egress route. New requests use it at once; open connections over another route
    /// are closed, since whatever keeps one open would go on using it.
    ///
    /// # Errors
    /// Names what is wrong with the proxy; the route in force stays.
    pub fn set_route(&self, route: &Route) -> Result<(), ProxyError> {
        let policy = self.shared.policy.borrow().with_route(route)?;
        self.shared.policy.send_replace(Arc::new(policy));
        Ok(())
    }

    /// Serves clients of `listener`, who speak to a proxy, for as long as the future is polled. Dropping
    /// it closes every connection it accepted.
    pub async fn serve(&self, listener: TcpListener) {
        self.accept(listener, connection::serve, connection::turn_away).await;
    }

    /// Serves connections that were redirected to `listener` and do not know of it, in the same way.
    pub async fn serve_redirected(&self, listener: TcpListener) {
        self.accept(listener, redirected::serve, redirected::turn_away).await;
    }

    /// Has each connection served, and those that are too many turned away.
    async fn accept<Served, Refused>(
        &self,
        listener: TcpListener,
        serve: fn(Arc<Shared>, TcpStream) -> Served,
        turn_away: fn(Arc<Shared>, TcpStream) -> Refused,
    ) where
        Served: Future<Output = ()> + Send + 'static,
        Refused: Future<Output = ()> + Send + 'static,
    {
        if let Err(error) = bound_buffers(&listener, self.shared.connector.limits.socket_buffer) {
            warn!(
                %error,
                "the egress gateway could not limit its socket buffers and keeps the system's sizes; \
                 nothing needs to be done"
            );
        }
        let mut clients = JoinSet::new();
        let mut backoff = Backoff::default();
        loop {
            while clients.try_join_next().is_some() {}
            // Taken before accepting: a client that cannot even be told no waits in the backlog.
            let Ok(permit) = Arc::clone(&self.shared.turned_away).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    if let Some(pause) = backoff.after(&error) {
                        warn!(
                            %error,
                            "the egress gateway cannot accept a connection and will try again; if this \
                             goes on, the limit of open files is too low"
                        );
                        // Whatever is short may come back when a client leaves.
                        tokio::select! {
                            Some(_) = clients.join_next() => {}
                            () = sleep(pause) => {}
                        }
                    }
                    continue;
                }
            };
            backoff = Backoff::default();
            // A client that is gone altogether is not one that only ended its own direction.
            keep_alive(&stream).ok();
            let shared = Arc::clone(&self.shared);
            match Arc::clone(&self.shared.connections).try_acquire_owned() {
                Ok(taken) => {
                    drop(permit);
                    clients.spawn(async move {
                        serve(shared, stream).await;
                        drop(taken);
                    });
                }
                Err(_) => {
                    clients.spawn(async move {
                        turn_away(shared, stream).await;
                        drop(permit);
                    });
                }
            }
        }
    }
}

/// Sets what the kernel holds of each connection the listener accepts. Left to itself it lets a
/// connection grow to several megabytes each way, for clients who need only not read. On the way
/// to an origin distance makes large buffers worth having; to a client there is none.
fn bound_buffers(listener: &TcpListener, bytes: usize) -> rustix::io::Result<()> {
    sockopt::set_socket_recv_buffer_size(listener, bytes)?;
    sockopt::set_socket_send_buffer_size(listener, bytes)
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("policy", &*self.shared.policy.borrow())
            .finish_non_exhaustive()
    }
}

/// How long to leave a listener alone that fails: longer each time, so that running out of file
/// descriptors neither spins nor ends the gateway.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    /// None when the failure is the client's own and the next accept may follow at once.
    fn after(&mut self, error: &std::io::Error) -> Option<Duration> {
        use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return None;
        }
        let pause = Duration::from_millis(50 << self.failures.min(5));
        self.failures += 1;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_accepts_slow_down_and_stay_bounded() {
        let emfile = std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..8).filter_map(|_| backoff.after(&emfile)).collect();
        assert_eq!(pauses[0], Duration::from_millis(50));
        assert!(pauses.windows(2).all(|p| p[0] <= p[1]));
        assert_eq!(pauses[7], Duration::from_millis(1600));
        assert_eq!(backoff.after(&std::io::ErrorKind::ConnectionAborted.into()), None);
    }
}
