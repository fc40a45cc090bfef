//! Addresses that stand for names, so that a connection to one is judged by its name and goes where that
//! leads when it is made.
//!
//! They are handed out one after another from a network that nobody else has, the oldest forgotten first:
//! a program that keeps an address for too long is refused rather than led astray, since an address is used
//! again only much later than it is forgotten.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use browserd_protocol::inside;
use parking_lot::Mutex;

/// Names remembered; with the longest name about 8 MiB.
const REMEMBERED: usize = 16 * 1024;

/// The session itself and its router have addresses before the first that is handed out.
const FIRST: u32 = 256;

/// Addresses that are handed out: all of the network but those before the first.
const ADDRESSES: u32 = (1 << (32 - inside::NETWORK.1)) - FIRST;

/// The names of one session.
#[derive(Debug, Default)]
pub(crate) struct Names {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// How many names were forgotten; with a name's place in `names` its number.
    forgotten: u64,
    /// Oldest first.
    names: VecDeque<Arc<str>>,
    numbers: HashMap<Arc<str>, u64>,
}

impl Names {
    /// The address of a name, if it has one.
    pub(crate) fn known(&self, name: &str) -> Option<Ipv4Addr> {
        self.table.lock().numbers.get(name).copied().map(address)
    }

    /// The address of a name, which gets one if it has none.
    pub(crate) fn give(&self, name: &str) -> Ipv4Addr {
        let mut table = self.table.lock();
        if let Some(number) = table.numbers.get(name) {
            return address(*number);
        }
        if table.names.len() == REMEMBERED
            && let Some(oldest) = table.names.pop_front()
        {
            table.numbers.remove(&oldest);
            table.forgotten += 1;
        }
        let number = table.forgotten + table.names.len() as u64;
        let name: Arc<str> = name.into();
        table.names.push_back(Arc::clone(&name));
        table.numbers.insert(name, number);
        address(number)
    }

    /// The name an address stands for.
    pub(crate) fn of(&self, ip: Ipv4Addr) -> Option<Arc<str>> {
        let base = u32::from(inside::NETWORK.0);
        let place = u32::from(ip).checked_sub(base + FIRST).filter(|place| *place < ADDRESSES)?;
        let table = self.table.lock();
        // Fewer names are remembered than there are addresses, so at most one has this address.
        let first = table.forgotten % u64::from(ADDRESSES);
        let ahead = (u64::from(place) + u64::from(ADDRESSES) - first) % u64::from(ADDRESSES);
        table.names.get(usize::try_from(ahead).ok()?).cloned()
    }
}

fn address(number: u64) -> Ipv4Addr {
    let place = u32::try_from(number % u64::from(ADDRESSES)).unwrap_or_default();
    Ipv4Addr::from(u32::from(inside::NETWORK.0) + FIRST + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_the_name_it_was_given_to() {
        let names = Names::default();
        assert_eq!(names.of(Ipv4Addr::new(198, 18, 1, 0)), None);
        assert_eq!(names.known("a.example"), None);
        let (a, b) = (names.give("a.example"), names.give("b.example"));
        assert_eq!((a, b), (Ipv4Addr::new(198, 18, 1, 0), Ipv4Addr::new(198, 18, 1, 1)));
        assert_eq!((names.give("a.example"), names.known("b.example")), (a, Some(b)));
        assert_eq!(names.of(b).as_deref(), Some("b.example"));
        for other in ["0.0.0.0", "198.18.0.2", "198.18.1.2", "198.20.0.0", "255.255.255.255"] {
            assert_eq!(names.of(other.parse().unwrap()), None, "{other}");
        }
    }

    #[test]
    fn the_oldest_is_forgotten_and_its_address_rests() {
        let names = Names::default();
        let name = |number: u32| format!("{number}.example");
        let first = names.give(&name(0));
        let mut given = Vec::new();
        // Around the whole network and on.
        for number in 1..ADDRESSES + 10 {
            given.push(names.give(&name(number)));
            if number == u32::try_from(REMEMBERED).unwrap() {
                assert_eq!((names.known(&name(0)), names.of(first)), (None, None));
                assert_eq!(names.of(given[0]).as_deref(), Some("1.example"));
            }
        }
        assert_eq!(given[ADDRESSES as usize - 1], first, "used again in its turn");
        assert_eq!(names.of(first).as_deref(), Some(&*name(ADDRESSES)));
        let last = Ipv4Addr::new(198, 19, 255, 255);
        assert!(given.contains(&last) && given.iter().all(|ip| *ip <= last));
        assert_eq!(names.table.lock().numbers.len(), REMEMBERED);
        assert_eq!(names.give(&name(0)), names.known(&name(0)).unwrap());
    }
}
