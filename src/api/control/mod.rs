//! The control plane: domains, access certificates, customers' authorities, policies and rules, in the shapes of `OVHcloud`'s central API
//! where it has them.

mod access;
mod audit;
mod ca;
mod ca_list;
mod credential;
mod quota;
mod resource;
mod usage;

use std::future::ready;

use super::{Answer, Call, Context, Effect, Handler, Operation, Route, Rows, operation::row};
use crate::auth::Action::{
    AuditGet, CaEdit, CaGet, CredentialCreate, CredentialDelete, CredentialGet, CredentialRenew,
    DomainCreate, DomainEdit, DomainGet, PolicyEdit, PolicyGet, QuotaEdit, UsageGet, UserGet,
};

/// What is asked of one domain.
#[rustfmt::skip]
pub(super) static DOMAIN: Rows = Rows {
    name: "control",
    bases: &["/v2/okms/resource/{okmsId}"],
    routes: &[
        row!(&["GET"], "/credential", "ListCredentials", Read, &[CredentialGet], Tenant(credential::list)),
        row!(&["POST"], "/credential", "PostCredential", Write, &[CredentialCreate], Tenant(credential::create)),
        // Before `/credential/{credentialId}`: it is no id.
        row!(&["POST"], "/credential/renew", "RenewCredential", Write, &[CredentialRenew], Tenant(credential::renew)),
        row!(&["GET"], "/credential/{credentialId}", "GetCredential", Read, &[CredentialGet], Tenant(credential::get)),
        row!(&["DELETE"], "/credential/{credentialId}", "DeleteCredential", Write, &[CredentialDelete], Tenant(credential::delete)),
        row!(&["GET"], "/policy", "ListPolicies", Read, &[PolicyGet], Tenant(access::list_policies)),
        row!(&["POST"], "/policy", "PostPolicy", Write, &[PolicyEdit], Tenant(access::create_policy)),
        // Before `/policy/{id}`: it is no id.
        row!(&["POST"], "/policy/test", "PostPolicyTest", Read, &[DomainGet, PolicyGet, UserGet], Tenant(access::test_policy)),
        row!(&["GET"], "/policy/{id}", "GetPolicy", Read, &[PolicyGet], Tenant(access::get_policy)),
        row!(&["PUT"], "/policy/{id}", "PutPolicy", Write, &[PolicyEdit], Tenant(access::put_policy)),
        row!(&["DELETE"], "/policy/{id}", "DeletePolicy", Write, &[PolicyEdit], Tenant(access::delete_policy)),
        row!(&["GET"], "/rule", "ListRules", Read, &[PolicyGet], Tenant(access::list_rules)),
        row!(&["GET"], "/rule/{name}", "GetRule", Read, &[PolicyGet], Tenant(access::get_rule)),
        row!(&["PUT"], "/rule/{name}", "PutRule", Write, &[PolicyEdit], Tenant(access::put_rule)),
        row!(&["DELETE"], "/rule/{name}", "DeleteRule", Write, &[PolicyEdit], Tenant(access::delete_rule)),
        row!(&["GET"], "/ca", "ListCustomerCas", Read, &[CaGet], Tenant(ca::list)),
        row!(&["GET"], "/ca/{name}", "GetCustomerCa", Read, &[CaGet], Tenant(ca::get)),
        row!(&["PUT"], "/ca/{name}", "PutCustomerCa", Write, &[CaEdit], Tenant(ca::put)),
        row!(&["DELETE"], "/ca/{name}", "DeleteCustomerCa", Write, &[CaEdit], Tenant(ca::delete)),
        row!(&["GET"], "/ca/{name}/crl", "GetCustomerCaList", Read, &[CaGet], Tenant(ca_list::get)),
        row!(&["PUT"], "/ca/{name}/crl", "PutCustomerCaList", Write, &[CaEdit], Tenant(ca_list::put)),
        row!(&["DELETE"], "/ca/{name}/crl", "DeleteCustomerCaList", Write, &[CaEdit], Tenant(ca_list::delete)),
        Route { methods: &["GET"], pattern: "/audit", operation: &LIST_AUDIT },
        row!(&["GET"], "/usage", "GetUsage", Read, &[UsageGet], Tenant(usage::get)),
        row!(&["GET"], "/quota", "GetQuota", Read, &[DomainGet], Tenant(quota::get)),
        row!(&["PUT"], "/quota", "PutQuota", Write, &[QuotaEdit], Tenant(quota::put)),
        row!(&["DELETE"], "/quota", "DeleteQuota", Write, &[QuotaEdit], Tenant(quota::delete)),
        row!(&["GET"], "", "GetResource", Read, &[DomainGet], Tenant(resource::get_domain)),
        row!(&["PUT"], "", "PutResource", Write, &[DomainEdit], Tenant(resource::put_domain)),
    ],
};

/// A page, or a feed, of which there may be too many.
static LIST_AUDIT: Operation = Operation {
    id: "ListAudit",
    effect: Effect::Read,
    actions: &[AuditGet],
    handler: Handler::Tenant(|context, permit, call| Box::pin(audit::list(context, permit, call))),
};

/// What is asked of the region.
pub(super) static REGION: Rows = Rows {
    name: "control",
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

/// What is known of certificates that were revoked, and who may add to it.
pub(super) static REVOCATIONS: Rows = Rows {
    name: "control",
    bases: &["/v2/okms"],
    routes: &[
        open(
            "/crl",
            &operation("GetRevocationList", |context, call| {
                Box::pin(credential::revocation_list(context, call))
            }),
        ),
        open(
            "/revocation/{serial}",
            &operation("GetRevocation", |context, call| {
                Box::pin(ready(credential::serial_status(context, call)))
            }),
        ),
        row!(
            &["POST"],
            "/revocation",
            "PostRevocation",
            Write,
            &[CredentialDelete],
            Region(credential::revoke_serial)
        ),
    ],
};

const fn open(pattern: &'static str, operation: &'static Operation) -> Route {
    Route { methods: &["GET"], pattern, operation }
}

const fn operation(
    id: &'static str,
    handler: for<'a> fn(&'a Context, &'a Call) -> Answer<'a>,
) -> Operation {
    Operation { id, effect: Effect::Read, actions: &[], handler: Handler::Open(handler) }
}
