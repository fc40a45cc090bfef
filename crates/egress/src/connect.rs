//! From a destination to an open connection: look up once, check every address, dial only those.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::destination::Destination;
use crate::limits::Limits;
use crate::policy::{Ask, Policy};
use crate::proxy::{Proxy, Purpose};
use crate::ranges::{Scope, scope};
use crate::refusal::{Denial, Refusal, Stage};
use crate::resolve::{BoxFuture, Resolver};
use crate::stream::Stream;

/// Most addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// Opens connections on the host's side.
pub trait Dialer: Send + Sync + 'static {
    /// Whether `ip` is an address of this very host.
    fn is_own(&self, ip: IpAddr) -> bool;

    /// Connects. The caller bounds the time.
    ///
    /// # Errors
    /// Whatever the system says.
    fn dial(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>>;
}

/// The host's network.
#[derive(Debug, Default)]
pub struct HostDialer;

impl Dialer for HostDialer {
    fn is_own(&self, ip: IpAddr) -> bool {
        // Connecting a UDP socket sends nothing; it only asks the routing table which source
        // address would be used, and that is the destination itself exactly when it is ours.
        let any: IpAddr = match ip {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let asked = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect((ip, 9))?;
            socket.local_addr()
        });
        may_be_own(ip, asked.map(|local| local.ip()))
    }

    fn dial(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(addr).await?;
            keep_alive(&stream)?;
            Ok(stream)
        })
    }
}

/// Whether `ip` is the host's own, by the source address it would be reached from. Not knowing
/// counts as yes: programs inside may use up the descriptors that finding out takes.
fn may_be_own(ip: IpAddr, source: io::Result<IpAddr>) -> bool {
    use rustix::io::Errno;
    // No route there, or no such family here; to its own addresses a host always has one.
    let nowhere = [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT];
    match source {
        Ok(source) => source == ip,
        Err(error) => !Errno::from_io_error(&error).is_some_and(|errno| nowhere.contains(&errno)),
    }
}

/// Notices a vanished peer within about three minutes, and keeps address translation on the way
/// from forgetting quiet tunnels.
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepcnt(stream, 4)?;
    Ok(())
}

/// A destination, the route it was reached by and the address that was dialled for it: all a policy needs
/// to judge it again.
#[derive(Debug, Clone)]
pub(crate) struct Reached {
    dest: Destination,
    through: Option<Arc<Proxy>>,
    dialled: Dialled,
}

impl Reached {
    pub(crate) fn allowed_by(&self, policy: &Policy) -> bool {
        self.goes_as(policy) && self.dialled.allowed_by(policy)
    }

    /// Whether a policy would use the same route for it, if it may be reached at all.
    pub(crate) fn goes_as(&self, policy: &Policy) -> bool {
        policy.proxy_for(&self.dest).is_ok_and(|now| now == self.through.as_ref())
    }
}

/// A destination and the address it was dialled at.
#[derive(Debug, Clone)]
struct Dialled {
    dest: Destination,
    ip: IpAddr,
    own: bool,
}

impl Dialled {
    fn allowed_by(&self, policy: &Policy) -> bool {
        policy.ask(&self.dest).is_ok() && policy.admit(&self.dest, self.ip, self.own)
    }
}

/// An open connection.
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    /// What came over it meanwhile.
    pub(crate) early: Bytes,
    /// Set when requests over it name the whole URL, for this proxy to forward.
    pub(crate) forwarder: Option<Arc<Proxy>>,
    pub(crate) reached: Reached,
}

/// Looks up and dials.
pub(crate) struct Connector {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) dialer: Arc<dyn Dialer>,
    pub(crate) limits: Limits,
}

impl Connector {
    /// Opens a connection to `dest`, or says why not. Takes at most [`Limits::resolve`] +
    /// [`Limits::connect`], and through a proxy the latter once more.
    pub(crate) async fn connect(
        &self,
        policy: &Policy,
        dest: &Destination,
        purpose: Purpose,
    ) -> Result<Opened, Refusal> {
        let Some(proxy) = policy.proxy_for(dest)?.cloned() else {
            let (stream, dialled) = self.dial(policy, dest).await?;
            let reached = Reached { dest: dest.clone(), through: None, dialled };
            let (stream, early) = (Stream::Bare(stream), Bytes::new());
            return Ok(Opened { stream, early, forwarder: None, reached });
        };
        let (stream, dialled) = self.dial(policy, &proxy.at).await.map_err(|refusal| {
            let denial = match refusal {
                Refusal::Blocked(_) | Refusal::Port(_) => Denial::Private,
                _ => Denial::Unreachable,
            };
            Refusal::Proxy(dest.clone(), denial)
        })?;
        let opened = timeout(self.limits.connect, proxy.open(stream, dest, purpose)).await;
        let (stream, early) =
            opened.unwrap_or_else(|_| Err(Refusal::Timeout(dest.clone(), Stage::Connect)))?;
        let forwarder = proxy.takes_requests(purpose).then(|| Arc::clone(&proxy));
        let reached = Reached { dest: dest.clone(), through: Some(proxy), dialled };
        Ok(Opened { stream, early, forwarder, reached })
    }

    /// Opens a connection to `dest` itself.
    async fn dial(
        &self,
        policy: &Policy,
        dest: &Destination,
    ) -> Result<(TcpStream, Dialled), Refusal> {
        let found = match policy.ask(dest)? {
            Ask::Known(ips) => ips,
            Ask::LookUp(name) => {
                match timeout(self.limits.resolve, self.resolver.resolve(&name)).await {
                    Ok(Ok(ips)) if !ips.is_empty() => ips,
                    Ok(_) => return Err(Refusal::Dns(dest.clone())),
                    Err(_) => return Err(Refusal::Timeout(dest.clone(), Stage::Resolve)),
                }
            }
        };
        let admitted = self.admitted(policy, dest, found);
        if admitted.is_empty() {
            return Err(Refusal::Blocked(dest.clone()));
        }
        match timeout(self.limits.connect, self.race(dest, admitted)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Refusal::Timeout(dest.clone(), Stage::Connect)),
        }
    }

    /// The addresses that may be dialled, families alternating.
    fn admitted(
        &self,
        policy: &Policy,
        dest: &Destination,
        found: Vec<IpAddr>,
    ) -> VecDeque<Dialled> {
        let mut distinct: Vec<IpAddr> = Vec::new();
        for ip in found {
            if !distinct.contains(&ip) && distinct.len() < 64 {
                distinct.push(ip);
            }
        }
        let first_is_v6 = distinct.first().is_some_and(IpAddr::is_ipv6);
        let (mut a, mut b): (VecDeque<_>, VecDeque<_>) = distinct
            .into_iter()
            .map(|ip| Dialled {
                dest: dest.clone(),
                ip,
                own: scope(ip) == Scope::Public && self.dialer.is_own(ip),
            })
            .filter(|dialled| dialled.allowed_by(policy))
            .partition(|dialled| dialled.ip.is_ipv6() == first_is_v6);
        let mut order = VecDeque::new();
        while order.len() < ADDRESSES && !(a.is_empty() && b.is_empty()) {
            order.extend(a.pop_front());
            order.extend(b.pop_front());
        }
        order
    }

    /// Tries addresses in order: the next one starts when the one before failed or has been silent
    /// for [`Limits::stagger`]. The first connection wins.
    async fn race(
        &self,
        dest: &Destination,
        mut waiting: VecDeque<Dialled>,
    ) -> Result<(TcpStream, Dialled), Refusal> {
        let mut attempts: JoinSet<Attempt> = JoinSet::new();
        let mut timed_out = false;
        let mut next_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(done) = attempts.join_next(), if !attempts.is_empty() => {
                    match done {
                        Ok(Attempt::Connected(stream, dialled)) => {
                            // Small writes (handshakes, frames) must not wait for more.
                            stream.set_nodelay(true).ok();
                            return Ok((stream, dialled));
                        }
                        Ok(Attempt::TimedOut) => timed_out = true,
                        Ok(Attempt::Failed) | Err(_) => {}
                    }
                    next_at = Instant::now();
                }
                () = sleep_until(next_at), if !waiting.is_empty() => {
                    let Some(dialled) = waiting.pop_front() else { continue };
                    next_at = Instant::now() + self.limits.stagger;
                    let dialer = Arc::clone(&self.dialer);
                    let (limit, port) = (self.limits.connect_address, dest.port);
                    attempts.spawn(async move {
                        let addr = SocketAddr::new(dialled.ip, port);
                        match timeout(limit, dialer.dial(addr)).await {
                            Ok(Ok(stream)) => Attempt::Connected(stream, dialled),
                            Ok(Err(_)) => Attempt::Failed,
                            Err(_) => Attempt::TimedOut,
                        }
                    });
                }
                else => {
                    return Err(if timed_out {
                        Refusal::Timeout(dest.clone(), Stage::Connect)
                    } else {
                        Refusal::Connect(dest.clone())
                    });
                }
            }
        }
    }
}

/// How one address answered.
enum Attempt {
    Connected(TcpStream, Dialled),
    Failed,
    TimedOut,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_known_and_others_are_not_own() {
        for ip in ["127.0.0.1", "::1"] {
            assert!(HostDialer.is_own(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["198.51.100.7", "2001:db8::1"] {
            assert!(!HostDialer.is_own(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_asked_about_counts_as_own() {
        use rustix::io::Errno;
        let ip = IpAddr::from([198, 51, 100, 7]);
        for (errno, own) in [
            (Errno::NETUNREACH, false),
            (Errno::AFNOSUPPORT, false),
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::NOBUFS, true),
        ] {
            assert_eq!(may_be_own(ip, Err(errno.into())), own, "{errno}");
        }
    }
}
