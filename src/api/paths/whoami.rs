//! Who asks, and what it may do.

use super::{
    super::{Call, Context, Failed, Reply, json::Writer},
    entered::settle,
    render,
};
use crate::auth::{
    Action,
    Action::{
        ConfigUpdate, SecretCreate, SecretDelete, SecretGet, SecretList, SecretUpdateMetadata,
        VersionActivate, VersionCreate, VersionDeactivate, VersionGetData,
    },
    Party, Permit, Resource,
};

/// What somebody is told who asks for a scope, and what that is: all of these, on some secret at least.
const SCOPES: [(&str, &[Action]); 6] = [
    ("secrets:read", &[VersionGetData]),
    ("secrets:list", &[SecretGet, SecretList]),
    ("secrets:write", &[SecretCreate, VersionCreate, SecretUpdateMetadata]),
    ("secrets:delete", &[VersionDeactivate, VersionActivate]),
    ("secrets:rotate", &[VersionCreate]),
    ("admin", &[SecretDelete, ConfigUpdate]),
];

pub(super) async fn get(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    let permit = settle(context, permit, call).await?;
    let tenants = &context.service.tenants;
    let domain = tenants.get(&permit).await?;
    let partner = match domain.partner {
        Some(partner) => Some(tenants.label(partner).await?),
        None => None,
    };
    let mut roles = Vec::new();
    if permit.principal().party() == Party::Operator {
        roles.push("operator");
    }
    if permit.is_abroad() || tenants.is_partner(domain.id).await? {
        roles.push("partner_admin");
    }
    let may = |actions: &[Action]| {
        actions.iter().all(|action| {
            let resource =
                if *action == ConfigUpdate { Resource::Tenant } else { Resource::Below("") };
            permit.tells(*action, resource)
        })
    };
    let scopes = SCOPES.iter().filter(|(_, actions)| may(actions)).map(|(scope, _)| *scope);
    Ok(Reply::json(Writer::object(|out| {
        render::text(out, "identity_id", permit.names_subject().as_deref());
        let kind = if permit.user().is_some() { "user" } else { "service_account" };
        out.text("identity_type", kind);
        out.text("tenant_id", &domain.label());
        render::text(out, "partner_id", partner.as_deref());
        out.texts("scopes", scopes);
        out.texts("roles", roles);
    })))
}
