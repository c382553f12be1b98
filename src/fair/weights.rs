//! What a turn of each tenant is worth.
//!
//! Always holds: one of whom nothing was said goes once where others do. Never does: say who it is, or keep what
//! it reads in the middle of a change.

use std::{collections::HashMap, fmt};

use arc_swap::ArcSwap;

/// A tenant's 16 bytes.
pub type Tenant = [u8; 16];

/// How often each tenant goes where another one goes once.
#[derive(Default)]
pub struct Weights(ArcSwap<HashMap<Tenant, u32>>);

impl Weights {
    /// Replaces what was said of all.
    pub fn replace(&self, all: HashMap<Tenant, u32>) {
        self.0.store(all.into());
    }

    /// What was said of one; 1 where nothing was.
    #[must_use]
    pub fn of(&self, tenant: &Tenant) -> u32 {
        let all = self.0.load();
        // Nearly nobody says anything: then nothing is hashed.
        if all.is_empty() { 1 } else { all.get(tenant).copied().unwrap_or(1) }
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights").finish_non_exhaustive()
    }
}
