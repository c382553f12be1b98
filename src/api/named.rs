//! What an address names: told to the audit trail before anybody has judged the request, so that a
//! refusal says of what, too.
//!
//! Always holds: one place says what the patterns of all dialects name. Never does: decide.

use crate::auth::Thing;

/// What the parameter of a pattern names; `None` where it names nothing that somebody has.
pub(super) fn of(pattern: &str) -> Option<Thing> {
    Some(match pattern {
        "/secret/{path}" | "/secret/{path}/version" | "/secret/{path}/version/{version}" => {
            Thing::Secret
        }
        _ if pattern.starts_with("/secrets/") => Thing::Secret,
        "/rotation/policies/{id}/secrets/{path}" => Thing::Secret,
        _ if pattern.starts_with("/rotation/policies/{id}") => Thing::Policy,
        _ if pattern.starts_with("/secret-policies/{id}") => Thing::Policy,
        "/{mount}/config" => Thing::Mount,
        _ if pattern.starts_with("/{mount}/") && pattern.ends_with("/{key}") => Thing::Secret,
        "/credential/{credentialId}" => Thing::Credential,
        "/revocation/{serial}" => Thing::Certificate,
        "/policy/{id}" | "/sys/policies/acl/{key}" | "/sys/policy/{key}" => Thing::Policy,
        "/rule/{name}" | "/auth/cert/certs/{key}" => Thing::Rule,
        "/ca/{name}" | "/ca/{name}/crl" => Thing::Ca,
        "/auth/userpass/users/{key}"
        | "/auth/userpass/users/{key}/password"
        | "/auth/userpass/users/{key}/policies"
        | "/auth/userpass/login/{key}" => Thing::User,
        "/sys/mounts/{key}" | "/sys/mounts/{key}/tune" => Thing::Mount,
        "/sys/auth/{key}" | "/sys/auth/{key}/tune" => Thing::AuthMethod,
        "/sys/quotas/rate-limit/{key}" => Thing::Quota,
        "/sys/audit/{key}" | "/sys/audit-hash/{key}" => Thing::AuditDevice,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{DIALECTS, Handler},
        *,
    };

    /// Those whose parameter is the name of nothing: a number of bytes, an id of a move, a path of
    /// which it is asked what is there, and what is not served.
    const NOTHING: [&str; 5] =
        ["VaultRandom", "VaultRemountStatus", "VaultUiMount", "VaultNotServed", "VaultUnrouted"];

    #[test]
    fn every_name_in_an_address_is_that_of_something() {
        let routes = DIALECTS.iter().flat_map(|dialect| dialect.routes());
        let mut nothing: Vec<_> = routes
            .filter(|route| !matches!(route.operation.handler, Handler::Open(_)))
            .filter(|route| route.pattern.replace("/{mount}", "").contains('{'))
            .filter(|route| of(route.pattern).is_none())
            .map(|route| route.operation.id)
            .collect();
        nothing.sort_unstable();
        nothing.dedup();
        let mut expected = NOTHING;
        expected.sort_unstable();
        assert_eq!(nothing, expected);
    }
}
