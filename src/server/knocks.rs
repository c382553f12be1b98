//! How often addresses may ask for a handshake, each and all together.
//!
//! Owns what is left of their rates. Always holds: it takes as much memory however many addresses
//! come; who was refused is charged nothing; one that asks as fast as it may leaves a quarter of
//! what all may have to those that come seldom. As only who was let in is charged, and all of them
//! are bounded, so many addresses as could fill every place of another one cannot be. Never does:
//! remember an address.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::model::Rate;

/// An address has a place in each row, and no two are likely to share more than one.
const ROWS: usize = 4;
/// Places in a row.
const PLACES: usize = 1 << 12;

/// How many handshakes there may be; as many as there are where that is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) of_address: Option<Rate>,
    pub(super) of_all: Option<Rate>,
}

/// Why there is no handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMany {
    #[error("the address asks for too many handshakes")]
    OfAddress,
    #[error("all addresses together ask for too many handshakes")]
    OfAll,
}

/// What is left of everybody's rates.
pub(super) struct Knocks {
    began: Instant,
    hasher: RandomState,
    state: Mutex<State>,
}

/// Until when what was asked for fills the time, in nanoseconds.
struct State {
    rows: [Box<[u64]>; ROWS],
    all: u64,
}

impl Knocks {
    pub(super) fn new() -> Self {
        let rows = std::array::from_fn(|_| vec![0; PLACES].into());
        let state = Mutex::new(State { rows, all: 0 });
        Self { began: Instant::now(), hasher: RandomState::new(), state }
    }

    /// Charges a handshake.
    ///
    /// # Errors
    /// Which rate is used up.
    pub(super) fn admit(&self, rates: Rates, address: IpAddr) -> Result<(), TooMany> {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.admit_at(rates, address, now)
    }

    fn admit_at(&self, rates: Rates, address: IpAddr, now: u64) -> Result<(), TooMany> {
        let mut hash = self.hasher.hash_one(network(address));
        // Every change is one number, so a poisoned lock loses nothing.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { rows, all } = &mut *state;
        // There is a place for every hash.
        let mine = rows.each_mut().map(|row| {
            let place = usize::try_from(hash % PLACES as u64).unwrap_or_default();
            hash /= PLACES as u64;
            row.get_mut(place)
        });
        // What others have charged to one place, they have hardly to all of them.
        let until = mine.iter().flatten().map(|until| **until).min().unwrap_or_default();
        let mine_then = match rates.of_address {
            Some(rate) => Some(charged(until, rate, rate.depth(), now).ok_or(TooMany::OfAddress)?),
            None => None,
        };
        if let Some(rate) = rates.of_all {
            let comes_seldom = until <= now;
            let depth = if comes_seldom { rate.depth() } else { rate.depth() / 4 * 3 };
            *all = charged(*all, rate, depth, now).ok_or(TooMany::OfAll)?;
        }
        if let Some(then) = mine_then {
            mine.into_iter().flatten().for_each(|until| *until = then.max(*until));
        }
        Ok(())
    }
}

/// Until when the time is filled with one more, if it fits within so much time.
fn charged(until: u64, rate: Rate, depth: u64, now: u64) -> Option<u64> {
    let then = until.max(now).saturating_add(rate.step());
    (then <= now.saturating_add(depth)).then_some(then)
}

/// What counts as one address: of IPv6 all that one subscriber may choose from.
fn network(address: IpAddr) -> (bool, u64) {
    match address.to_canonical() {
        IpAddr::V4(address) => (false, address.to_bits().into()),
        IpAddr::V6(address) => {
            let [first, second, third, fourth, ..] = address.segments().map(u64::from);
            (true, first << 48 | second << 32 | third << 16 | fourth)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rates(of_address: u32, of_all: u32) -> Rates {
        Rates { of_address: Rate::per_second(of_address), of_all: Rate::per_second(of_all) }
    }

    fn let_in(knocks: &Knocks, rates: Rates, address: &str, now: u64) -> usize {
        let address = address.parse().unwrap();
        (0..10_000).take_while(|_| knocks.admit_at(rates, address, now).is_ok()).count()
    }

    /// Ten seconds' worth at once, then the rate; others are not charged, and what counts as one
    /// address cannot be multiplied.
    #[test]
    fn an_address_has_a_rate() {
        let (knocks, five) = (Knocks::new(), rates(5, 0));
        assert_eq!(let_in(&knocks, five, "192.0.2.1", SECOND), 50);
        assert_eq!(let_in(&knocks, five, "::ffff:192.0.2.1", SECOND), 0);
        assert_eq!(let_in(&knocks, five, "192.0.2.2", SECOND), 50);
        assert_eq!(let_in(&knocks, five, "192.0.2.1", 3 * SECOND), 10);
        assert_eq!(let_in(&knocks, five, "192.0.2.1", 3600 * SECOND), 50);
        assert_eq!(let_in(&knocks, five, "2001:db8:0:1::1", SECOND), 50);
        assert_eq!(let_in(&knocks, five, "2001:db8:0:1:ffff::2", SECOND), 0);
        assert_eq!(let_in(&knocks, five, "2001:db8:0:2::1", SECOND), 50);
        assert_eq!(let_in(&knocks, rates(0, 0), "192.0.2.1", SECOND), 10_000);
    }

    /// Four addresses that ask as fast as they may would have kept everybody else out.
    #[test]
    fn the_sum_has_a_rate_and_leaves_room_for_who_comes_seldom() {
        let (knocks, rates) = (Knocks::new(), rates(10, 40));
        let now = SECOND;
        let greedy: usize =
            (1..=9).map(|last| let_in(&knocks, rates, &format!("192.0.2.{last}"), now)).sum();
        // Each of them is one that comes seldom, once.
        assert_eq!(greedy, 300 + 6, "three quarters of the sum");
        let others: Vec<IpAddr> =
            (0..200).map(|number| Ipv4Addr::from_bits(number << 8).into()).collect();
        let let_in = |address: &&IpAddr| knocks.admit_at(rates, **address, now).is_ok();
        assert_eq!(others.iter().filter(let_in).count(), 94, "and the rest");
        assert_eq!(knocks.admit_at(rates, others[199], now), Err(TooMany::OfAll));
    }

    /// Places are shared, and whoever fills fifty of each row keeps nobody else out by that.
    #[test]
    fn many_addresses_do_not_fill_the_places_of_another() {
        let (knocks, rates) = (Knocks::new(), rates(5, 0));
        let from = |bits: u32| IpAddr::from(Ipv4Addr::from_bits(bits));
        for bits in 0..50 {
            while knocks.admit_at(rates, from(bits), SECOND).is_ok() {}
        }
        let mut innocent = 1000..2000_u32;
        assert!(innocent.all(|bits| knocks.admit_at(rates, from(bits), SECOND).is_ok()));
    }
}
