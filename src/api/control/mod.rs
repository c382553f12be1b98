//! The control plane: domains, access certificates, policies and rules, in the shapes of `OVHcloud`'s central API
//! where it has them.

mod access;
mod resource;

use super::{Rows, operation::row};
use crate::auth::Action::{CredentialCreate, DomainCreate, DomainGet, PolicyEdit, PolicyGet};

/// What is asked of one domain.
#[rustfmt::skip]
pub(super) static DOMAIN: Rows = Rows {
    bases: &["/v2/okms/resource/{okmsId}"],
    routes: &[
        row!(&["POST"], "/credential", "PostCredential", Write, &[CredentialCreate], Tenant(resource::create_credential)),
        row!(&["GET"], "/policy", "ListPolicies", Read, &[PolicyGet], Tenant(access::list_policies)),
        row!(&["POST"], "/policy", "PostPolicy", Write, &[PolicyEdit], Tenant(access::create_policy)),
        row!(&["GET"], "/policy/{id}", "GetPolicy", Read, &[PolicyGet], Tenant(access::get_policy)),
        row!(&["PUT"], "/policy/{id}", "PutPolicy", Write, &[PolicyEdit], Tenant(access::put_policy)),
        row!(&["DELETE"], "/policy/{id}", "DeletePolicy", Write, &[PolicyEdit], Tenant(access::delete_policy)),
        row!(&["GET"], "/rule", "ListRules", Read, &[PolicyGet], Tenant(access::list_rules)),
        row!(&["GET"], "/rule/{name}", "GetRule", Read, &[PolicyGet], Tenant(access::get_rule)),
        row!(&["PUT"], "/rule/{name}", "PutRule", Write, &[PolicyEdit], Tenant(access::put_rule)),
        row!(&["DELETE"], "/rule/{name}", "DeleteRule", Write, &[PolicyEdit], Tenant(access::delete_rule)),
        row!(&["GET"], "", "GetResource", Read, &[DomainGet], Tenant(resource::get_domain)),
    ],
};

/// What is asked of the region.
pub(super) static REGION: Rows = Rows {
    bases: &["/v2/okms/resource"],
    routes: &[
        row!(&["GET"], "", "ListResources", Read, &[DomainGet], Region(resource::list_domains)),
        row!(
            &["POST"],
            "",
            "PostResource",
            Write,
            &[DomainCreate],
            Region(resource::create_domain)
        ),
    ],
};
