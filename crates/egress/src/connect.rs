//! From a destination to an open connection: look up once, check every address, dial only those.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::destination::Destination;
use crate::limits::Limits;
use crate::policy::{Ask, Policy};
use crate::ranges::{Scope, scope};
use crate::refusal::{Refusal, Stage};
use crate::resolve::{BoxFuture, Resolver};

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
/// counts as yes: what runs inside may see to it that there are no descriptors left to ask with.
fn may_be_own(ip: IpAddr, source: io::Result<IpAddr>) -> bool {
    use rustix::io::Errno;
    // No way there, or no such family here; to its own addresses a host always has one.
    let nowhere = [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT];
    match source {
        Ok(source) => source == ip,
        Err(error) => !Errno::from_io_error(&error).is_some_and(|errno| nowhere.contains(&errno)),
    }
}

/// Notices a vanished peer within about three minutes, and keeps address translation on the way
/// from forgetting quiet tunnels.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepcnt(stream, 4)?;
    Ok(())
}

/// A destination and the address it was reached at: all a policy needs to judge it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) dest: Destination,
    pub(crate) ip: IpAddr,
    pub(crate) own: bool,
}

impl Reached {
    pub(crate) fn allowed_by(&self, policy: &Policy) -> bool {
        policy.ask(&self.dest).is_ok() && policy.admit(&self.dest, self.ip, self.own)
    }
}

/// Looks up and dials.
pub(crate) struct Connector {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) dialer: Arc<dyn Dialer>,
    pub(crate) limits: Limits,
}

impl Connector {
    /// Opens a connection to `dest`, or says why not. Takes at most
    /// [`Limits::resolve`] + [`Limits::connect`].
    pub(crate) async fn connect(
        &self,
        policy: &Policy,
        dest: &Destination,
    ) -> Result<(TcpStream, Reached), Refusal> {
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
    ) -> VecDeque<Reached> {
        let mut distinct: Vec<IpAddr> = Vec::new();
        for ip in found {
            if !distinct.contains(&ip) && distinct.len() < 64 {
                distinct.push(ip);
            }
        }
        let first_is_v6 = distinct.first().is_some_and(IpAddr::is_ipv6);
        let (mut a, mut b): (VecDeque<_>, VecDeque<_>) = distinct
            .into_iter()
            .map(|ip| Reached {
                dest: dest.clone(),
                ip,
                own: scope(ip) == Scope::Public && self.dialer.is_own(ip),
            })
            .filter(|reached| reached.allowed_by(policy))
            .partition(|reached| reached.ip.is_ipv6() == first_is_v6);
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
        mut waiting: VecDeque<Reached>,
    ) -> Result<(TcpStream, Reached), Refusal> {
        let mut attempts: JoinSet<Attempt> = JoinSet::new();
        let mut timed_out = false;
        let mut next_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(done) = attempts.join_next(), if !attempts.is_empty() => {
                    match done {
                        Ok(Attempt::Connected(stream, reached)) => {
                            // Small writes (handshakes, frames) must not wait for more.
                            stream.set_nodelay(true).ok();
                            return Ok((stream, reached));
                        }
                        Ok(Attempt::TimedOut) => timed_out = true,
                        Ok(Attempt::Failed) | Err(_) => {}
                    }
                    next_at = Instant::now();
                }
                () = sleep_until(next_at), if !waiting.is_empty() => {
                    let Some(reached) = waiting.pop_front() else { continue };
                    next_at = Instant::now() + self.limits.stagger;
                    let dialer = Arc::clone(&self.dialer);
                    let (limit, port) = (self.limits.connect_address, dest.port);
                    attempts.spawn(async move {
                        let addr = SocketAddr::new(reached.ip, port);
                        match timeout(limit, dialer.dial(addr)).await {
                            Ok(Ok(stream)) => Attempt::Connected(stream, reached),
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
    Connected(TcpStream, Reached),
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
