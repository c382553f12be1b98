//! Which certificates of the region's authority were revoked.
//!
//! Always holds: what was added stays, as a revocation is final; whoever asks sees everything that
//! was added before, without waiting for anybody. Never does: I/O; `service` fills it.

use arc_swap::ArcSwap;
use rpds::HashTrieMapSync;

use crate::{model::Revocation, pki::Serial};

/// The revoked ones, by their serial numbers.
#[derive(Default)]
pub struct Revoked(ArcSwap<HashTrieMapSync<Serial, Revocation>>);

impl Revoked {
    /// Whether the certificate with this serial number was revoked: one lookup, and none while
    /// nothing was.
    #[must_use]
    pub fn contains(&self, serial: Serial) -> bool {
        let all = self.0.load();
        !all.is_empty() && all.contains_key(&serial)
    }

    /// When and why it was.
    #[must_use]
    pub fn get(&self, serial: Serial) -> Option<Revocation> {
        self.0.load().get(&serial).copied()
    }

    /// Adds revocations. What is known of one already stays.
    pub fn add(&self, revocations: &[(Serial, Revocation)]) {
        self.0.rcu(|all| {
            let mut all = HashTrieMapSync::clone(all);
            for (serial, revocation) in revocations {
                if !all.contains_key(serial) {
                    all.insert_mut(*serial, *revocation);
                }
            }
            all
        });
    }

    /// How many there are. They only ever grow, so that the same number is the same set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.load().size()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// All of them, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(Serial, Revocation)> {
        self.0.load().iter().map(|(serial, revocation)| (*serial, *revocation)).collect()
    }
}
