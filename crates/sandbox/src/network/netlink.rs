//! Messages to the kernel's network configuration (netlink(7)): as little of it as a session's network
//! takes.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto,
    socket_with,
};

// linux/netlink.h
const ACK: u16 = 0x4;
const REQUEST: u16 = 0x1;
const ERROR: u16 = 0x2;
const NESTED: u16 = 1 << 15;
/// Length, kind, flags, number, sender.
const HEADER: usize = 16;

/// The kernel answers while it is asked; this only keeps a broken one from holding us.
const PATIENCE: Duration = Duration::from_secs(5);

/// An attribute: its kind and its value.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An attribute made of others.
pub(super) fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NESTED, &attributes.concat())
}

/// An attribute that is a text.
pub(super) fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

/// What is asked of the kernel.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: u16,
    /// Beyond those every request has.
    pub(super) flags: u16,
    /// What the family puts before its attributes.
    pub(super) header: Vec<u8>,
    pub(super) attributes: Vec<Vec<u8>>,
}

impl Message {
    fn bytes(&self, number: u32, flags: u16) -> Vec<u8> {
        let body = [self.header.as_slice(), &self.attributes.concat()].concat();
        let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
        let flags = self.flags | flags | REQUEST;
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(number.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(body);
        bytes
    }
}

/// A way to one part of the kernel's network configuration.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    /// With no protocol named it is the one of routes, interfaces and addresses (`NETLINK_ROUTE`, 0).
    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// Asks for one thing.
    pub(super) fn ask(&self, message: &Message) -> io::Result<()> {
        self.ask_all(&[], std::slice::from_ref(message), &[])
    }

    /// Asks for several things at once, of which `before` and `after` only mark where they begin and end.
    /// The answer is that to the last one, or the first that failed.
    pub(super) fn ask_all(
        &self,
        before: &[Message],
        messages: &[Message],
        after: &[Message],
    ) -> io::Result<()> {
        let last = before.len() + messages.len() - 1;
        let mut bytes = Vec::new();
        for (number, message) in before.iter().chain(messages).chain(after).enumerate() {
            let flags = if number == last { ACK } else { 0 };
            bytes.extend(message.bytes(u32::try_from(number).unwrap_or(u32::MAX), flags));
        }
        sendto(&self.0, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = vec![0u8; 16 * 1024];
        loop {
            let (length, _) = recv(&self.0, &mut answer, RecvFlags::empty())?;
            if let Some(outcome) = outcome(answer.get(..length).unwrap_or_default()) {
                return outcome;
            }
        }
    }
}

/// What an answer says of what was asked, the first failure of several; none: it says nothing.
fn outcome(mut answer: &[u8]) -> Option<io::Result<()>> {
    let mut good = None;
    while let Some(header) = answer.get(..HEADER) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let code = answer.get(HEADER..HEADER + 4).and_then(|code| code.try_into().ok());
        if kind == ERROR
            && let Some(code) = code
        {
            match i32::from_ne_bytes(code) {
                0 => good = Some(Ok(())),
                code => return Some(Err(io::Error::from_raw_os_error(code.saturating_neg()))),
            }
        }
        let next = length.max(HEADER).saturating_add(3) & !3;
        answer = answer.get(next..).unwrap_or_default();
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_their_length_is_not() {
        let length = |bytes: &[u8]| u16::from_ne_bytes([bytes[0], bytes[1]]);
        let one = text(3, "eth0");
        assert_eq!((one.len(), length(&one)), (12, 9));
        assert_eq!(&one[4..], b"eth0\0\0\0\0");
        let around = nested(18, &[one.clone(), attribute(1, &[])]);
        assert_eq!((around.len(), length(&around)), (20, 20));
        assert_eq!(&around[4..16], one);
    }

    #[test]
    fn the_first_failure_is_told_and_else_that_it_went_well() {
        let answer = |code: i32| {
            let message = Message {
                kind: ERROR,
                flags: 0,
                header: code.to_ne_bytes().to_vec(),
                attributes: Vec::new(),
            };
            message.bytes(0, 0)
        };
        assert!(outcome(&[]).is_none());
        assert!(outcome(&[1; 7]).is_none());
        assert!(outcome(&answer(0)).unwrap().is_ok());
        let failed = outcome(&[answer(0), answer(-libc::EEXIST), answer(-libc::EPERM)].concat());
        assert_eq!(failed.unwrap().unwrap_err().raw_os_error(), Some(libc::EEXIST));
        // A length that is a lie leads nowhere.
        for length in [0u32, 3, u32::MAX] {
            let mut lie = answer(0);
            lie[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(outcome(&lie).unwrap().is_ok());
        }
    }
}
