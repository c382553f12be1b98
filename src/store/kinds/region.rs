//! What belongs to the region as a whole. None of it is a secret, and none is sealed.
//!
//! | key | record |
//! | --- | --- |
//! | zeros, `root-key` | the public name of the root key |
//! | zeros, `domain-names` | the note that every tenant's name has its record |
//! | zeros, `endings` | the note that every access certificate has its place in the order of their ends |
//! | zeros, `lines` | the note that every access certificate that was renewed is in its line |
//! | zeros, `secret-index` | the note that every secret that ends is in the index of those |
//! | zeros, `domain-name`, 0, tag of the name | the tenant of that name |
//! | zeros, `customer-ca`, 0, tag of name and key | the tenant for which that authority stands |
//! | zeros, `domain-alias`, 0, tag of the alias | the tenant that is called so |
//! | zeros, `domain-partner`, 0, okmsId | the partner of that tenant |
//! | zeros, `domain-tenants`, 0, okmsId | the note that this one is a partner, written anew with each of its tenants |
//! | zeros, `domain-tenants`, 0, okmsId, okmsId | the note that the second is a tenant of the first |

use crate::{model::OkmsId, store::engine::Space};

/// Where these records are.
pub const SPACE: Space = Space::new("region");

/// A record of the region; the nil id is no tenant's.
#[must_use]
pub fn key(name: &str) -> Vec<u8> {
    [&[0; 16], name.as_bytes()].concat()
}

/// Where the public name of the root key is kept.
#[must_use]
pub fn root_key() -> Vec<u8> {
    key("root-key")
}

/// Where it is noted that every name has its record.
#[must_use]
pub fn names_are_complete() -> Vec<u8> {
    key("domain-names")
}

/// Where it is noted that every access certificate has its place among those that end.
#[must_use]
pub fn endings_are_complete() -> Vec<u8> {
    key("endings")
}

/// Where it is noted that every access certificate that was renewed is in its line.
#[must_use]
pub fn lines_are_complete() -> Vec<u8> {
    key("lines")
}

/// Where it is noted that every secret is in the index, by all that it is found by. Another name each time that
/// this becomes more.
#[must_use]
pub fn index_is_complete() -> Vec<u8> {
    key("secret-index-2")
}

/// Which tenant bears a name; `tag` stands for the name, which is nobody's business.
#[must_use]
pub fn name(tag: &[u8; 16]) -> Vec<u8> {
    [&*key("domain-name"), &[0], tag].concat()
}

/// For which tenant an authority of a customer stands; `tag` stands for its name and key.
#[must_use]
pub fn customer_ca(tag: &[u8; 16]) -> Vec<u8> {
    [&*key("customer-ca"), &[0], tag].concat()
}

/// Which tenant has an alias; `tag` stands for that, which is nobody's business.
#[must_use]
pub fn alias(tag: &[u8; 16]) -> Vec<u8> {
    [&*key("domain-alias"), &[0], tag].concat()
}

/// Which partner a tenant has.
#[must_use]
pub fn partner(id: OkmsId) -> Vec<u8> {
    [&*key("domain-partner"), &[0], id.as_bytes()].concat()
}

/// That a tenant is a partner of others.
#[must_use]
pub fn tenants(partner: OkmsId) -> Vec<u8> {
    [&*key("domain-tenants"), &[0], partner.as_bytes()].concat()
}

/// That a tenant has that partner.
#[must_use]
pub fn tenant_of(partner: OkmsId, id: OkmsId) -> Vec<u8> {
    [&*tenants(partner), id.as_bytes()].concat()
}
