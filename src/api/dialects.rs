//! What is spoken.

use super::{Dialect, canonical, control, docs, okms, paths, vault};

/// The dialects, of which the first whose address a request has answers it. What is nobody's address is told in the
/// words of the first one.
pub static DIALECTS: &[&dyn Dialect] = &[
    &control::REVOCATIONS,
    // Its stem is no UUID, so that it is tried before those that have one there.
    &canonical::Canonical,
    &okms::SECRETS,
    &control::DOMAIN,
    &control::REGION,
    &paths::OWN,
    &paths::PARTNERS,
    &vault::Vault,
    &docs::PAGES,
];
