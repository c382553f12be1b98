//! Who asks, and what it may do.

use super::{
    super::{Call, Context, Failed, Reply, json::Writer},
    entered::settle,
    render, words,
};
use crate::auth::{
    Action,
    Action::{
        ConfigUpdate, SecretCreate, SecretDelete, SecretGet, SecretList, SecretUpdateMetadata,
        VersionActivate, VersionCreate, VersionDeactivate, VersionGetData,
    },
    Party, Permit, Resource,
    jwt::Scope,
};

/// What somebody is told who asks for a scope, and what that is: all of these, on some secret at least.
const SCOPES: [(Scope, &[Action]); 6] = [
    (Scope::Read, &[VersionGetData]),
    (Scope::List, &[SecretGet, SecretList]),
    (Scope::Write, &[SecretCreate, VersionCreate, SecretUpdateMetadata]),
    (Scope::Delete, &[VersionDeactivate, VersionActivate]),
    (Scope::Rotate, &[VersionCreate]),
    (Scope::Admin, &[SecretDelete, ConfigUpdate]),
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
    let given = SCOPES.iter().filter(|(scope, actions)| permit.gives(*scope) && may(actions));
    let scopes: Vec<_> = given.map(|(scope, _)| words::scope(*scope)).collect();
    let by_token = permit.principal().token().map(|token| !token.is_of_client());
    let is_person = by_token.unwrap_or(permit.user().is_some());
    Ok(Reply::json(Writer::object(|out| {
        render::text(out, "identity_id", permit.names_subject().as_deref());
        let kind = if is_person { "user" } else { "service_account" };
        out.text("identity_type", kind);
        out.text("tenant_id", &domain.label());
        render::text(out, "partner_id", partner.as_deref());
        out.texts("scopes", scopes.iter().map(String::as_str));
        out.texts("roles", roles);
    })))
}
