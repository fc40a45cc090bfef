//! DNS as programs inside a session find it: every name that exists has one address, which stands for
//! the name ([`crate::names`]). What the name really leads to is looked up when a connection is made.
//!
//! | asked for | answer |
//! |---|---|
//! | A | an address, if the name exists or a proxy is to look it up; of `localhost` and below 127.0.0.1 |
//! | AAAA, HTTPS, SVCB | nothing, without an error |
//! | PTR of such an address | its name |
//! | anything else | "not implemented" |

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use simple_dns::rdata::{A, PTR, RData};
use simple_dns::{
    CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE,
};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};

use crate::destination::{Destination, Host};
use crate::gateway::{Gateway, Shared};

/// Questions being answered at once; more than that wait in the socket, and are lost when it is full.
const QUESTIONS: usize = 64;

/// Longest question, bytes; one over UDP has at most 512, and EDNS adds little.
const QUESTION_LIMIT: usize = 1024;

/// How long an answer holds, seconds. The name may be gone by then; its address stays for longer.
const HOLDS: u32 = 60;

/// How long a lookup may take before the answer is "try again". Programs ask again after 5 s (resolv.conf(5)).
const LOOKUP: Duration = Duration::from_secs(4);

impl Gateway {
    /// Answers DNS questions for as long as the future is polled.
    pub async fn answer_names(&self, socket: UdpSocket) {
        let socket = Arc::new(socket);
        let slots = Arc::new(Semaphore::new(QUESTIONS));
        let mut asked = JoinSet::new();
        let mut question = [0; QUESTION_LIMIT];
        loop {
            while asked.try_join_next().is_some() {}
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let (length, from) = match socket.recv_from(&mut question).await {
                Ok(received) => received,
                Err(error) => {
                    // Such as who asked has gone; anything that lasts must not spin.
                    tracing::debug!(%error, "a DNS question could not be read");
                    sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            let question = question.get(..length).unwrap_or_default().to_vec();
            let (shared, socket) = (Arc::clone(&self.shared), Arc::clone(&socket));
            asked.spawn(async move {
                if let Some(answer) = answer(&shared, &question).await {
                    tell(&socket, &answer, from).await;
                }
                drop(slot);
            });
        }
    }
}

async fn tell(socket: &UdpSocket, answer: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(answer, to).await {
        tracing::debug!(%error, "a DNS answer could not be sent");
    }
}

/// What is answered; none to what is not a question.
pub(crate) async fn answer(shared: &Shared, datagram: &[u8]) -> Option<Vec<u8>> {
    let question = only_question(datagram)?;
    let asked = Packet::parse(&question).ok()?;
    let mut reply = Packet::new_reply(asked.id());
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if asked.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    let question = asked.questions.first()?;
    reply.questions.push(question.clone());
    match resolve(shared, &asked, question).await {
        Ok(Some(data)) => {
            let record = ResourceRecord::new(question.qname.clone(), CLASS::IN, HOLDS, data);
            reply.answers.push(record);
        }
        Ok(None) => {}
        Err(code) => *reply.rcode_mut() = code,
    }
    reply.build_bytes_vec().ok()
}

/// The head and the one question of a datagram, without what else there may be (EDNS); none: it is no
/// question.
fn only_question(datagram: &[u8]) -> Option<Vec<u8>> {
    const HEAD: usize = 12;
    const RESPONSE: u8 = 0x80;
    let (head, rest) = datagram.split_at_checked(HEAD)?;
    // More than one question nobody asks (RFC 9619).
    if head.get(2)? & RESPONSE != 0 || head.get(4..6)? != [0, 1] {
        return None;
    }
    Some([head.get(..4)?, &[0, 1, 0, 0, 0, 0, 0, 0], rest].concat())
}

/// What there is of what is asked for; none: the name has nothing of the kind.
async fn resolve<'a>(
    shared: &Shared,
    asked: &Packet<'_>,
    question: &Question<'_>,
) -> Result<Option<RData<'a>>, RCODE> {
    if asked.opcode() != OPCODE::StandardQuery || question.qclass != QCLASS::CLASS(CLASS::IN) {
        return Err(RCODE::NotImplemented);
    }
    let name = question.qname.to_string();
    match question.qtype {
        QTYPE::TYPE(TYPE::A) => {
            let ip = address(shared, &name).await?;
            Ok(Some(RData::A(A { address: ip.into() })))
        }
        QTYPE::TYPE(TYPE::AAAA | TYPE::HTTPS | TYPE::SVCB) => Ok(None),
        QTYPE::TYPE(TYPE::PTR) => {
            let name = reverse(&name).and_then(|ip| shared.names.of(ip));
            let name = name.ok_or(RCODE::NameError)?;
            let name = Name::new(&name).map_err(|_| RCODE::ServerFailure)?;
            Ok(Some(RData::PTR(PTR(name.into_owned()))))
        }
        _ => Err(RCODE::NotImplemented),
    }
}

/// The address that stands for a name.
async fn address(shared: &Shared, name: &str) -> Result<Ipv4Addr, RCODE> {
    // What the parser of hosts would read as something else is no name.
    if !name.is_ascii() || name.contains('%') {
        return Err(RCODE::NameError);
    }
    let host = Host::parse(name).map_err(|_| RCODE::NameError)?;
    if host.is_localhost() {
        return Ok(Ipv4Addr::LOCALHOST);
    }
    let Host::Name(name) = &host else { return Err(RCODE::NameError) };
    if let Some(ip) = shared.names.known(name) {
        return Ok(ip);
    }
    let policy = Arc::clone(&shared.policy.borrow());
    // Of the port nothing is known; what is refused is refused when a connection is made.
    let dest = Destination { host: host.clone(), port: 443 };
    if matches!(policy.proxy_for(&dest), Ok(None)) {
        match timeout(LOOKUP, shared.connector.resolver.resolve(name)).await {
            Ok(Ok(ips)) if !ips.is_empty() => {}
            Ok(Err(error)) if passes(&error) => return Err(RCODE::ServerFailure),
            Ok(_) => return Err(RCODE::NameError),
            Err(_) => return Err(RCODE::ServerFailure),
        }
    }
    Ok(shared.names.give(name))
}

/// Whether a lookup failed for now, as when the host's DNS server does not answer (`EAI_AGAIN`). The
/// standard library tells it in words only.
fn passes(error: &std::io::Error) -> bool {
    error.to_string().contains("Temporary failure")
}

/// The address in a name such as `2.0.18.198.in-addr.arpa`.
fn reverse(name: &str) -> Option<Ipv4Addr> {
    let lower = name.to_ascii_lowercase();
    let ip: Ipv4Addr = lower.strip_suffix(".in-addr.arpa")?.parse().ok()?;
    let [a, b, c, d] = ip.octets();
    Some(Ipv4Addr::new(d, c, b, a))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::IpAddr;

    use browserd_protocol::{EgressPolicy, Route};

    use super::*;
    use crate::{BoxFuture, HostDialer, Limits, Resolver};

    /// Knows `*.here`, and whether the others are absent or cannot be asked for now.
    struct Known;

    impl Resolver for Known {
        fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
            Box::pin(async move {
                match name.rsplit('.').next() {
                    Some("here") => Ok(vec![Ipv4Addr::new(10, 0, 0, 1).into()]),
                    Some("later") => Err(io::Error::other(
                        "failed to lookup address information: Temporary failure in name resolution",
                    )),
                    _ => Err(io::Error::other(
                        "failed to lookup address information: Name or service not known",
                    )),
                }
            })
        }
    }

    fn gateway() -> Gateway {
        let policy = EgressPolicy::default();
        Gateway::with_parts(&policy, Arc::new(Known), Arc::new(HostDialer), Limits::default())
            .unwrap()
    }

    /// The code of the answer to a question, and the address in it.
    async fn asked(gateway: &Gateway, name: &str, kind: TYPE) -> (RCODE, Option<Ipv4Addr>) {
        let mut question = Packet::new_query(7);
        let name = Name::new_unchecked(name);
        let class = QCLASS::CLASS(CLASS::IN);
        question.questions.push(Question::new(name, QTYPE::TYPE(kind), class, false));
        let answer = answer(&gateway.shared, &question.build_bytes_vec().unwrap()).await.unwrap();
        let answer = Packet::parse(&answer).unwrap();
        let ip = answer.answers.first().map(|record| match &record.rdata {
            RData::A(ip) => Ipv4Addr::from(ip.address),
            other => panic!("{other:?}"),
        });
        (answer.rcode(), ip)
    }

    #[tokio::test]
    async fn a_name_that_exists_has_an_address_of_ours() {
        let gateway = gateway();
        let first = Some(Ipv4Addr::new(198, 18, 1, 0));
        assert_eq!(asked(&gateway, "a.here", TYPE::A).await, (RCODE::NoError, first));
        assert_eq!(asked(&gateway, "A.Here", TYPE::A).await, (RCODE::NoError, first));
        assert_eq!(asked(&gateway, "a.here", TYPE::AAAA).await, (RCODE::NoError, None));
        assert_eq!(asked(&gateway, "a.here", TYPE::TXT).await, (RCODE::NotImplemented, None));
        let own = (RCODE::NoError, Some(Ipv4Addr::LOCALHOST));
        assert_eq!(asked(&gateway, "x.localhost", TYPE::A).await, own);
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_has_none_and_one_that_cannot_be_asked_for_is_for_later() {
        let gateway = gateway();
        assert_eq!(asked(&gateway, "gone.test", TYPE::A).await, (RCODE::NameError, None));
        assert_eq!(asked(&gateway, "any.later", TYPE::A).await, (RCODE::ServerFailure, None));
        for odd in ["10.0.0.1", "127.1", "a%2ehere", "a b.here"] {
            assert_eq!(asked(&gateway, odd, TYPE::A).await, (RCODE::NameError, None), "{odd}");
        }
    }

    #[tokio::test]
    async fn where_nothing_may_leave_names_are_not_looked_up() {
        let gateway = gateway();
        gateway.set_route(&Route::Closed).unwrap();
        // It is refused when a connection is made.
        assert!(asked(&gateway, "gone.test", TYPE::A).await.1.is_some());
    }
}
