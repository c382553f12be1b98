//! Which certificates of the region's authority were revoked.
//!
//! Always holds: what was added stays until its certificate has ended long ago, as a revocation is final;
//! whoever asks sees everything that was added before, without waiting for anybody. Never does: I/O;
//! `service` fills it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rpds::HashTrieMapSync;

use crate::{model::Revocation, pki::Serial};

/// The revoked ones, by their serial numbers.
#[derive(Default)]
pub struct Revoked(ArcSwap<Known>);

#[derive(Clone, Default)]
struct Known {
    all: HashTrieMapSync<Serial, Revocation>,
    /// How often that has changed.
    generation: u64,
}

impl Revoked {
    /// Whether the certificate with this serial number was revoked: one lookup, and none while
    /// nothing was.
    #[must_use]
    pub fn contains(&self, serial: Serial) -> bool {
        let known = self.0.load();
        !known.all.is_empty() && known.all.contains_key(&serial)
    }

    /// When and why it was.
    #[must_use]
    pub fn get(&self, serial: Serial) -> Option<Revocation> {
        self.0.load().all.get(&serial).copied()
    }

    /// Adds revocations. What is known of one already stays.
    pub fn add(&self, revocations: &[(Serial, Revocation)]) {
        self.change(|all| {
            for (serial, revocation) in revocations {
                if !all.contains_key(serial) {
                    all.insert_mut(*serial, *revocation);
                }
            }
        });
    }

    /// Forgets those of certificates that have ended long ago.
    pub fn forget(&self, serials: &[Serial]) {
        self.change(|all| {
            for serial in serials {
                all.remove_mut(serial);
            }
        });
    }

    /// Another number is told where there are others: the same number is the same set.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.load().generation
    }

    /// All of them, in no order, and their generation.
    #[must_use]
    pub fn all(&self) -> (Vec<(Serial, Revocation)>, u64) {
        let known = self.0.load();
        let all = known.all.iter().map(|(serial, revocation)| (*serial, *revocation)).collect();
        (all, known.generation)
    }

    fn change(&self, how: impl Fn(&mut HashTrieMapSync<Serial, Revocation>)) {
        self.0.rcu(|known| {
            let mut next = Known::clone(known);
            how(&mut next.all);
            // Either only adds, or only removes.
            if next.all.size() == known.all.size() {
                return Arc::clone(known);
            }
            next.generation += 1;
            Arc::new(next)
        });
    }
}
