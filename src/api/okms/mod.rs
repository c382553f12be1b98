//! The native dialect: `OVHcloud`'s OKMS Secret API.
//!
//! Bodies are camelCase as published; the guide's `snake_case` and its flat body on create are taken too.

mod parse;
pub(super) mod render;
mod secrets;

use super::{Effect, Failed, Handler, Operation, Route, Rows};
use crate::auth::Action::{
    self, ConfigGet, ConfigUpdate, SecretCreate, SecretDelete, SecretGet, SecretUpdateMetadata, VersionActivate,
    VersionCreate, VersionDeactivate, VersionDelete, VersionGetData,
};

/// Secrets, versions and the domain's defaults, under the regional and the central spelling of a domain.
pub(super) static SECRETS: Rows = Rows { bases: &["/api/{okmsId}/v2", "/v2/okms/resource/{okmsId}"], routes: ROUTES };

macro_rules! row {
    ($methods:expr, $pattern:literal, $id:literal, $effect:ident, $actions:expr, $handler:path) => {
        Route { methods: $methods, pattern: $pattern, operation: &row!($id, $effect, $actions, $handler) }
    };
    ($id:literal, $effect:ident, $actions:expr, $handler:path) => {
        Operation {
            id: $id,
            effect: Effect::$effect,
            actions: $actions,
            handler: Handler::Tenant(|context, permit, call| {
                Box::pin(async move { $handler(context, permit, call).await.map_err(Failed::from) })
            }),
        }
    };
}

const STATES: &[Action] = &[VersionActivate, VersionDeactivate, VersionDelete];
const UPDATES: &[Action] = &[VersionCreate, SecretUpdateMetadata];
const READS: &[Action] = &[SecretGet, VersionGetData];

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    row!(&["GET"], "/secretConfig", "GetSecretConfigV2", Read, &[ConfigGet], secrets::get_config),
    row!(&["PUT"], "/secretConfig", "PutSecretConfigV2", Write, &[ConfigUpdate], secrets::put_config),
    row!(&["GET"], "/secret", "ListSecretV2", Read, &[SecretGet], secrets::list),
    row!(&["POST"], "/secret", "PostSecretV2", Write, &[SecretCreate], secrets::create),
    row!(&["GET"], "/secret/{path}/version/{version}", "GetSecretVersionV2", Read, READS, secrets::get_version),
    row!(&["PUT"], "/secret/{path}/version/{version}", "PutSecretVersionV2", Write, STATES, secrets::set_state),
    row!(&["GET"], "/secret/{path}/version", "ListSecretVersionV2", Read, &[SecretGet], secrets::list_versions),
    row!(&["POST", "PUT"], "/secret/{path}/version", "PostSecretVersionV2", Write, &[VersionCreate], secrets::create_version),
    row!(&["GET"], "/secret/{path}", "GetSecretV2", Read, READS, secrets::get),
    row!(&["PUT"], "/secret/{path}", "PutSecretV2", Write, UPDATES, secrets::update),
    row!(&["DELETE"], "/secret/{path}", "DeleteSecretV2", Write, &[SecretDelete], secrets::delete),
];
