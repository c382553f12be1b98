//! The native dialect: `OVHcloud`'s OKMS Secret API.
//!
//! Bodies are camelCase as published; the guide's `snake_case` and its flat body on create are
//! taken too.

mod events;
mod parse;
mod relocate;
pub(super) mod render;
mod secrets;

use super::{Route, Rows, operation::row};
use crate::auth::Action::{
    self, ConfigGet, ConfigUpdate, SecretCreate, SecretDelete, SecretGet, SecretList,
    SecretUpdateMetadata, VersionActivate, VersionCreate, VersionDeactivate, VersionDelete,
    VersionGetData,
};

/// Secrets, versions and the domain's defaults, under the regional and the central spelling of a
/// domain.
pub(super) static SECRETS: Rows = Rows {
    name: "okms",
    bases: &["/api/{okmsId}/v2", "/v2/okms/resource/{okmsId}"],
    routes: ROUTES,
};

const STATES: &[Action] = &[VersionActivate, VersionDeactivate, VersionDelete];
const UPDATES: &[Action] = &[VersionCreate, SecretUpdateMetadata];
const MOVES: &[Action] =
    &[SecretCreate, VersionCreate, SecretUpdateMetadata, SecretGet, VersionGetData, SecretDelete];
const READS: &[Action] = &[SecretGet, VersionGetData];

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    row!(&["GET"], "/secretConfig", "GetSecretConfigV2", Read, &[ConfigGet], Tenant(secrets::get_config)),
    row!(&["PUT"], "/secretConfig", "PutSecretConfigV2", Write, &[ConfigUpdate], Tenant(secrets::put_config)),
    row!(&["GET"], "/events", "ListEventsV2", Read, &[SecretGet, SecretList], Tenant(events::list)),
    row!(&["POST"], "/move", "MoveSecretsV2", Write, MOVES, Tenant(relocate::relocate)),
    row!(&["POST"], "/copy", "CopySecretsV2", Write, MOVES, Tenant(relocate::copy)),
    row!(&["GET"], "/secret", "ListSecretV2", Read, &[SecretGet, SecretList], Tenant(secrets::list)),
    row!(&["POST"], "/secret", "PostSecretV2", Write, &[SecretCreate], Tenant(secrets::create)),
    row!(&["GET"], "/secret/{path}/version/{version}", "GetSecretVersionV2", Read, READS, Tenant(secrets::get_version)),
    row!(&["PUT"], "/secret/{path}/version/{version}", "PutSecretVersionV2", Write, STATES, Tenant(secrets::set_state)),
    row!(&["GET"], "/secret/{path}/version", "ListSecretVersionV2", Read, &[SecretGet], Tenant(secrets::list_versions)),
    row!(&["POST", "PUT"], "/secret/{path}/version", "PostSecretVersionV2", Write, &[VersionCreate], Tenant(secrets::create_version)),
    row!(&["GET"], "/secret/{path}", "GetSecretV2", Read, READS, Tenant(secrets::get)),
    row!(&["PUT"], "/secret/{path}", "PutSecretV2", Write, UPDATES, Tenant(secrets::update)),
    row!(&["DELETE"], "/secret/{path}", "DeleteSecretV2", Write, &[SecretDelete], Tenant(secrets::delete)),
];
