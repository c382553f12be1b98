//! What is spoken.

use super::{Dialect, control, docs, okms, paths, vault};

/// The dialects, of which the first whose address a request has answers it.
pub static DIALECTS: &[&dyn Dialect] = &[
    &okms::SECRETS,
    &control::DOMAIN,
    &control::REGION,
    &control::REVOCATIONS,
    &paths::OWN,
    &paths::PARTNERS,
    &vault::Vault,
    &docs::PAGES,
];
