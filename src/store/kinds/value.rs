//! Values of versions: ciphertexts, each sealed under a key of its own, which its version's record
//! has. The key is the version's.

use crate::store::engine::Space;

/// Where they are.
pub const SPACE: Space = Space::new("value");
