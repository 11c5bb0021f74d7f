//! Gives each container its address on the bridge, and none to a second one while the first is held.
//!
//! Docker would give the address of a container that died to the next one at once. Whoever still held the
//! dead one could then send one user's activation into another user's container; and the host's last
//! packets to the dead one leave an unanswered address query that delays the next one by a second. So
//! addresses are handed out in turn, and come back when the container is destroyed, not when it dies.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::firewall::Network;

/// The addresses of one bridge.
#[derive(Debug, Clone)]
pub struct Addresses(Arc<Mutex<Turn>>);

#[derive(Debug)]
struct Turn {
    first: u32,
    last: u32,
    next: u32,
    taken: BTreeSet<u32>,
}

/// An address, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    address: Ipv4Addr,
    of: Addresses,
}

impl Addresses {
    /// All of a network but its first and last, and the gateway.
    pub fn new(network: Network, gateway: Ipv4Addr) -> Self {
        let (first, last) = network.range();
        let (first, last) = (first.saturating_add(1), last.saturating_sub(1));
        let taken = BTreeSet::from([gateway.to_bits()]);
        Self(Arc::new(Mutex::new(Turn { first, last, next: first, taken })))
    }

    /// The next free one; `None` when all are taken.
    pub fn lease(&self) -> Option<Lease> {
        let mut turn = self.turn();
        let Turn { first, last, next, .. } = *turn;
        let address = (next..=last).chain(first..next).find(|address| !turn.taken.contains(address))?;
        turn.taken.insert(address);
        turn.next = if address >= last { first } else { address + 1 };
        Some(Lease { address: Ipv4Addr::from_bits(address), of: self.clone() })
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.of.turn().taken.remove(&self.address.to_bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_and_are_never_given_twice() {
        let gateway = Ipv4Addr::new(10, 0, 0, 1);
        let addresses = Addresses::new("10.0.0.0/29".parse().unwrap(), gateway);
        let last_byte = |lease: &Lease| lease.address().octets()[3];
        let mut leases: Vec<_> = (0..5).map(|_| addresses.lease().unwrap()).collect();
        assert_eq!(leases.iter().map(last_byte).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
        assert!(addresses.lease().is_none());
        drop(leases.remove(3));
        drop(leases.remove(0));
        // Not the one that came back last, but the next in turn.
        let again = addresses.lease().unwrap();
        assert_eq!(last_byte(&again), 2);
        drop(again);
        assert_eq!(last_byte(&addresses.lease().unwrap()), 5);
    }
}
