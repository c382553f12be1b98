//! The rows of the Vault dialect.

use super::{
    super::{Effect, Failed, Handler, Operation, Route},
    around::{
        Manner::{self, Bare, Login, Usual, Wrapping},
        enter, leave, no_route, with_namespace,
    },
    audit_devices,
    auth::{self, Named},
    auth_methods, capabilities, certs, kv, lists, mounts,
    policies::{
        self,
        Spelling::{New, Old},
    },
    quotas, status, tools, userpass, wrapping,
};
use crate::{auth::Action, model::VersionAct};

const READS: &[&str] = &["GET", "LIST", "SCAN"];
const WRITES: &[&str] = &["POST", "PUT"];
/// The id of the one operation that takes a password.
pub(super) const USER_LOGIN: &str = "VaultUserLogin";
/// Vault answers LIST and SCAN of these with 405.
const NO_LISTS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];
const NO_WRITES: &[&str] = &["GET", "LIST", "SCAN", "PATCH", "DELETE"];
const ALL: &[&str] = &["GET", "LIST", "SCAN", "POST", "PUT", "PATCH", "DELETE"];

/// Something in a tenant, with the dialect's manners around it.
macro_rules! tenant {
    ($effect:ident, $id:literal, [$($action:ident),*], $($handler:ident)::+ ($($argument:expr),*)) => {
        tenant!($effect, $id, [$($action),*], $($handler)::+ ($($argument),*), Usual)
    };
    ($effect:ident, $id:expr, [$($action:ident),*], $($handler:ident)::+ ($($argument:expr),*), $manner:ident) => {
        Operation {
            id: $id,
            effect: Effect::$effect,
            actions: &[$(Action::$action),*],
            handler: Handler::Tenant(|context, permit, call| {
                Box::pin(async move {
                    const MANNER: Manner = $manner;
                    let entered = enter(context, permit, call, MANNER).await?;
                    let outcome = $($handler)::+(&entered.request() $(, $argument)*).await;
                    leave(&entered, outcome, Effect::$effect).await.map_err(Failed::from)
                })
            }),
        }
    };
}

/// Something about no tenant, for operators.
macro_rules! region {
    ($id:literal, [$($action:ident),*], $($handler:ident)::+) => {
        Operation {
            id: $id,
            effect: Effect::Read,
            actions: &[$(Action::$action),*],
            handler: Handler::Region(|context, permit, call| {
                Box::pin(async move { with_namespace(call, $($handler)::+(context, permit, call)) })
            }),
        }
    };
}

/// The same, of what takes its time.
macro_rules! region_async {
    ($effect:ident, $id:literal, [$($action:ident),*], $($handler:ident)::+) => {
        Operation {
            id: $id,
            effect: Effect::$effect,
            actions: &[$(Action::$action),*],
            handler: Handler::Region(|context, permit, call| {
                Box::pin(async move {
                    with_namespace(call, $($handler)::+(context, permit, call).await)
                })
            }),
        }
    };
}

/// Something about no tenant, for everybody.
macro_rules! open {
    ($id:literal, $($handler:ident)::+) => {
        Operation {
            id: $id,
            effect: Effect::Read,
            actions: &[],
            handler: Handler::Open(|context, call| {
                Box::pin(async move { with_namespace(call, $($handler)::+(context, call)) })
            }),
        }
    };
}

const fn route(
    methods: &'static [&'static str],
    pattern: &'static str,
    operation: &'static Operation,
) -> Route {
    Route { methods, pattern, operation }
}

/// Whatever else is below a mount, or none.
static UNROUTED: Operation = tenant!(Read, "VaultUnrouted", [DomainGet], no_route());
/// A secret's metadata with all versions; or a list.
static READ_METADATA: Operation =
    tenant!(Read, "GetSecretsMetadata", [SecretGet, SecretList], lists::read_or_list());
/// A folder's entries with their metadata.
static LIST_DETAILED: Operation =
    tenant!(Read, "ListDetailedMetadata", [SecretList, SecretGet], lists::list_metadata());
/// What Vault has and this server not yet.
static NOT_SERVED: Operation = tenant!(Read, "VaultNotServed", [DomainGet], status::not_served());
/// Random bytes.
static RANDOM: Operation = tenant!(Read, "VaultRandom", [DomainGet], tools::random());
/// A further token for the certificate.
static CREATE_TOKEN: Operation = tenant!(Write, "VaultCreateToken", [DomainGet], auth::create());
/// The end of a token in the body.
static REVOKE_TOKEN: Operation =
    tenant!(Write, "VaultRevokeToken", [DomainGet, TokenEdit], auth::revoke(Named::Token));

/// The end of a policy in Vault's language.
static DELETE_POLICY: Operation =
    tenant!(Write, "VaultDeletePolicy", [PolicyEdit], policies::delete());

/// The routes at which something is done.
fn served() -> impl Iterator<Item = &'static Route> + Clone + Send {
    let is_served = |route: &&Route| {
        ![&NOT_SERVED, &UNROUTED].iter().any(|other| std::ptr::eq(route.operation, *other))
    };
    ROUTES.iter().filter(is_served)
}

pub(super) static ROUTES: &[Route] = &[
    route(
        &["GET"],
        "/{mount}/data/{key}",
        &tenant!(Read, "GetSecretRequest", [VersionGetData], kv::read()),
    ),
    route(
        WRITES,
        "/{mount}/data/{key}",
        &tenant!(Write, "PostSecretRequest", [SecretCreate, VersionCreate], kv::write()),
    ),
    route(
        &["PATCH"],
        "/{mount}/data/{key}",
        &tenant!(Write, "PatchSecretRequest", [VersionPatch], kv::patch()),
    ),
    route(
        &["DELETE"],
        "/{mount}/data/{key}",
        &tenant!(Write, "DeleteSecretRequest", [VersionDeactivateCurrent], kv::delete()),
    ),
    route(NO_LISTS, "/{mount}/data", &UNROUTED),
    route(&["GET"], "/{mount}/metadata/{key}", &READ_METADATA),
    route(&["LIST", "SCAN"], "/{mount}/metadata/{key}", &READ_METADATA),
    route(
        WRITES,
        "/{mount}/metadata/{key}",
        &tenant!(
            Write,
            "PostSecretMetadata",
            [SecretUpdateMetadata, SecretCreateEmpty],
            kv::write_metadata(false)
        ),
    ),
    route(
        &["PATCH"],
        "/{mount}/metadata/{key}",
        &tenant!(Write, "PatchSecretMetadata", [SecretPatchMetadata], kv::write_metadata(true)),
    ),
    route(
        &["DELETE"],
        "/{mount}/metadata/{key}",
        &tenant!(Write, "DeleteSecretMetadata", [SecretDelete], kv::delete_metadata()),
    ),
    route(
        READS,
        "/{mount}/metadata",
        &tenant!(Read, "ListSecretsMetadata", [SecretGet, SecretList], lists::read_or_list()),
    ),
    route(&["POST", "PUT", "PATCH", "DELETE"], "/{mount}/metadata", &UNROUTED),
    route(READS, "/{mount}/detailed-metadata/{key}", &LIST_DETAILED),
    route(READS, "/{mount}/detailed-metadata", &LIST_DETAILED),
    route(
        &["GET"],
        "/{mount}/subkeys/{key}",
        &tenant!(Read, "GetSecretSubkeys", [SubkeysGet], kv::subkeys()),
    ),
    route(NO_LISTS, "/{mount}/subkeys", &UNROUTED),
    route(
        WRITES,
        "/{mount}/delete/{key}",
        &tenant!(Write, "DeleteSecretVersions", [VersionDeactivate], kv::act(VersionAct::Delete)),
    ),
    route(
        WRITES,
        "/{mount}/undelete/{key}",
        &tenant!(Write, "PostSecretUndelete", [VersionActivate], kv::act(VersionAct::Undelete)),
    ),
    route(
        WRITES,
        "/{mount}/destroy/{key}",
        &tenant!(Write, "PutSecretDestroy", [VersionDelete], kv::act(VersionAct::Destroy)),
    ),
    route(NO_LISTS, "/{mount}/delete", &UNROUTED),
    route(NO_LISTS, "/{mount}/undelete", &UNROUTED),
    route(NO_LISTS, "/{mount}/destroy", &UNROUTED),
    route(
        WRITES,
        "/{mount}/copy",
        &tenant!(
            Write,
            "VaultCopySecrets",
            [
                SecretCreate,
                VersionCreate,
                SecretUpdateMetadata,
                SecretGet,
                VersionGetData,
                SecretDelete
            ],
            kv::relocate(false)
        ),
    ),
    route(
        WRITES,
        "/{mount}/move",
        &tenant!(
            Write,
            "VaultMoveSecrets",
            [
                SecretCreate,
                VersionCreate,
                SecretUpdateMetadata,
                SecretGet,
                VersionGetData,
                SecretDelete
            ],
            kv::relocate(true)
        ),
    ),
    route(NO_WRITES, "/{mount}/copy", &UNROUTED),
    route(NO_WRITES, "/{mount}/move", &UNROUTED),
    route(
        &["GET"],
        "/{mount}/config",
        &tenant!(Read, "GetSecretConfig", [ConfigGet], kv::read_config()),
    ),
    route(
        WRITES,
        "/{mount}/config",
        &tenant!(Write, "PostSecretConfig", [ConfigUpdate], kv::write_config()),
    ),
    route(&["GET", "HEAD"], "/sys/health", &open!("VaultHealth", status::health)),
    route(&["GET"], "/sys/seal-status", &open!("VaultSealStatus", status::seal_status)),
    route(&["GET"], "/sys/leader", &open!("VaultLeader", status::leader)),
    route(&["GET"], "/sys/init", &open!("VaultInitStatus", status::init_status)),
    route(WRITES, "/sys/init", &NOT_SERVED),
    route(&["GET"], "/sys/mounts", &tenant!(Read, "VaultMounts", [ConfigGet], mounts::list())),
    route(
        &["GET"],
        "/sys/mounts/{key}/tune",
        &tenant!(Read, "VaultReadTune", [ConfigGet], mounts::read_tune()),
    ),
    route(
        WRITES,
        "/sys/mounts/{key}/tune",
        &tenant!(Write, "VaultTune", [ConfigUpdate], mounts::tune()),
    ),
    route(
        &["GET"],
        "/sys/mounts/{key}",
        &tenant!(Read, "VaultReadMount", [ConfigGet], mounts::read()),
    ),
    route(
        WRITES,
        "/sys/mounts/{key}",
        &tenant!(Write, "VaultEnable", [ConfigUpdate, PolicyEdit], mounts::enable()),
    ),
    route(
        &["DELETE"],
        "/sys/mounts/{key}",
        &tenant!(
            Write,
            "VaultDisable",
            [ConfigUpdate, PolicyEdit, SecretDelete, VersionDeactivate],
            mounts::disable()
        ),
    ),
    route(
        &["GET"],
        "/sys/internal/ui/mounts",
        &tenant!(Read, "VaultUiMounts", [DomainGet], mounts::for_interfaces(), Bare),
    ),
    route(
        &["GET"],
        "/sys/internal/ui/mounts/{key}",
        &tenant!(Read, "VaultUiMount", [DomainGet], mounts::preflight(), Bare),
    ),
    route(
        WRITES,
        "/sys/remount",
        &tenant!(Write, "VaultRemount", [ConfigUpdate, PolicyEdit], mounts::rename()),
    ),
    route(
        &["GET"],
        "/sys/remount/status/{key}",
        &tenant!(Read, "VaultRemountStatus", [ConfigGet], mounts::remount_status()),
    ),
    route(
        &["GET"],
        "/sys/auth",
        &tenant!(Read, "VaultAuthMethods", [DomainGet], auth_methods::list()),
    ),
    route(
        &["GET"],
        "/sys/auth/{key}/tune",
        &tenant!(Read, "VaultReadAuthTune", [DomainGet], auth_methods::read_tune()),
    ),
    route(WRITES, "/sys/auth/{key}/tune", &NOT_SERVED),
    route(
        &["GET"],
        "/sys/auth/{key}",
        &tenant!(Read, "VaultReadAuthMethod", [DomainGet], auth_methods::read()),
    ),
    route(
        WRITES,
        "/sys/auth/{key}",
        &tenant!(Read, "VaultEnableAuth", [DomainGet], auth_methods::enable()),
    ),
    route(&["LIST", "SCAN", "PATCH", "DELETE"], "/sys/auth/{key}", &NOT_SERVED),
    route(
        WRITES,
        "/sys/capabilities-self",
        &tenant!(Read, "VaultCapabilities", [DomainGet], capabilities::of(Named::Own, served())),
    ),
    route(
        WRITES,
        "/sys/capabilities",
        &tenant!(
            Read,
            "VaultCapabilitiesOfToken",
            [DomainGet],
            capabilities::of(Named::Token, served())
        ),
    ),
    route(
        WRITES,
        "/sys/capabilities-accessor",
        &tenant!(
            Read,
            "VaultCapabilitiesOfAccessor",
            [DomainGet, TokenGet],
            capabilities::of(Named::Accessor, served())
        ),
    ),
    route(WRITES, "/sys/tools/random", &RANDOM),
    route(WRITES, "/sys/tools/random/{key}", &RANDOM),
    route(&["GET"], "/sys/metrics", &region!("VaultMetrics", [MetricsGet], status::metrics)),
    route(
        WRITES,
        "/sys/wrapping/wrap",
        &tenant!(Read, "VaultWrap", [DomainGet], wrapping::wrap_body()),
    ),
    route(
        WRITES,
        "/sys/wrapping/unwrap",
        &tenant!(Take, "VaultUnwrap", [DomainGet], wrapping::unwrap(), Wrapping),
    ),
    route(
        &["GET", "POST", "PUT"],
        "/sys/wrapping/lookup",
        &tenant!(Read, "VaultLookupWrapped", [DomainGet], wrapping::lookup(), Wrapping),
    ),
    route(
        WRITES,
        "/sys/wrapping/rewrap",
        &tenant!(Write, "VaultRewrap", [DomainGet], wrapping::rewrap(), Wrapping),
    ),
    route(
        WRITES,
        "/auth/cert/login",
        &tenant!(Write, "VaultLogin", [DomainGet], auth::login(), Login),
    ),
    route(WRITES, "/auth/token/create", &CREATE_TOKEN),
    route(WRITES, "/auth/token/create-orphan", &CREATE_TOKEN),
    route(
        &["GET", "POST", "PUT"],
        "/auth/token/lookup-self",
        &tenant!(Read, "VaultLookupSelf", [DomainGet], auth::lookup_self()),
    ),
    route(
        &["GET", "POST", "PUT"],
        "/auth/token/lookup",
        &tenant!(Read, "VaultLookupToken", [DomainGet], auth::lookup(Named::Token)),
    ),
    route(
        &["GET", "LIST"],
        "/auth/token/accessors",
        &tenant!(Read, "VaultListAccessors", [TokenGet], auth::accessors()),
    ),
    route(
        WRITES,
        "/auth/token/lookup-accessor",
        &tenant!(Read, "VaultLookupAccessor", [DomainGet, TokenGet], auth::lookup(Named::Accessor)),
    ),
    route(
        WRITES,
        "/auth/token/renew-self",
        &tenant!(Write, "VaultRenewSelf", [DomainGet], auth::renew(Named::Own)),
    ),
    route(
        WRITES,
        "/auth/token/renew",
        &tenant!(Write, "VaultRenewToken", [DomainGet], auth::renew(Named::Token)),
    ),
    route(
        WRITES,
        "/auth/token/renew-accessor",
        &tenant!(
            Write,
            "VaultRenewAccessor",
            [DomainGet, TokenGet, TokenEdit],
            auth::renew(Named::Accessor)
        ),
    ),
    route(
        WRITES,
        "/auth/token/revoke-self",
        &tenant!(Write, "VaultRevokeSelf", [DomainGet], auth::revoke(Named::Own)),
    ),
    route(WRITES, "/auth/token/revoke", &REVOKE_TOKEN),
    route(WRITES, "/auth/token/revoke-orphan", &REVOKE_TOKEN),
    route(
        WRITES,
        "/auth/token/revoke-accessor",
        &tenant!(
            Write,
            "VaultRevokeAccessor",
            [DomainGet, TokenEdit],
            auth::revoke(Named::Accessor)
        ),
    ),
    route(
        &["GET", "LIST"],
        "/auth/userpass/users",
        &tenant!(Read, "VaultUsers", [UserGet], userpass::list()),
    ),
    route(
        WRITES,
        "/auth/userpass/users/{key}/password",
        &tenant!(Write, "VaultSetPassword", [UserEdit], userpass::set_password()),
    ),
    route(
        WRITES,
        "/auth/userpass/users/{key}/policies",
        &tenant!(Write, "VaultSetUserPolicies", [UserEdit], userpass::set_policies()),
    ),
    route(
        &["GET"],
        "/auth/userpass/users/{key}",
        &tenant!(Read, "VaultReadUser", [UserGet], userpass::read()),
    ),
    route(
        WRITES,
        "/auth/userpass/users/{key}",
        &tenant!(Write, "VaultWriteUser", [UserEdit], userpass::write()),
    ),
    route(
        &["DELETE"],
        "/auth/userpass/users/{key}",
        &tenant!(Write, "VaultDeleteUser", [UserEdit], userpass::delete()),
    ),
    route(
        WRITES,
        "/auth/userpass/login/{key}",
        &tenant!(Write, USER_LOGIN, [DomainGet], userpass::login(), Login),
    ),
    route(
        &["GET", "LIST"],
        "/auth/cert/certs",
        &tenant!(Read, "VaultCertRoles", [PolicyGet], certs::list()),
    ),
    route(
        &["GET"],
        "/auth/cert/certs/{key}",
        &tenant!(Read, "VaultReadCertRole", [PolicyGet], certs::read()),
    ),
    route(
        WRITES,
        "/auth/cert/certs/{key}",
        &tenant!(Write, "VaultWriteCertRole", [PolicyEdit], certs::write()),
    ),
    route(
        &["DELETE"],
        "/auth/cert/certs/{key}",
        &tenant!(Write, "VaultDeleteCertRole", [PolicyEdit], certs::delete()),
    ),
    route(ALL, "/auth/cert/{key}", &NOT_SERVED),
    route(ALL, "/auth/{key}", &NOT_SERVED),
    route(
        &["GET", "LIST"],
        "/sys/policies/acl",
        &tenant!(Read, "VaultPolicies", [PolicyGet], policies::list(New)),
    ),
    route(
        &["GET"],
        "/sys/policies/acl/{key}",
        &tenant!(Read, "VaultReadPolicy", [PolicyGet], policies::read(New)),
    ),
    route(
        WRITES,
        "/sys/policies/acl/{key}",
        &tenant!(Write, "VaultWritePolicy", [PolicyEdit], policies::write(New)),
    ),
    route(&["DELETE"], "/sys/policies/acl/{key}", &DELETE_POLICY),
    route(
        &["GET", "LIST"],
        "/sys/policy",
        &tenant!(Read, "VaultPoliciesOld", [PolicyGet], policies::list(Old)),
    ),
    route(
        &["GET"],
        "/sys/policy/{key}",
        &tenant!(Read, "VaultReadPolicyOld", [PolicyGet], policies::read(Old)),
    ),
    route(
        WRITES,
        "/sys/policy/{key}",
        &tenant!(Write, "VaultWritePolicyOld", [PolicyEdit], policies::write(Old)),
    ),
    route(&["DELETE"], "/sys/policy/{key}", &DELETE_POLICY),
    route(ALL, "/sys/policies/{key}", &NOT_SERVED),
    route(
        &["GET", "LIST"],
        "/sys/quotas/rate-limit",
        &tenant!(Read, "VaultRateQuotas", [DomainGet], quotas::list()),
    ),
    route(
        &["GET"],
        "/sys/quotas/rate-limit/{key}",
        &tenant!(Read, "VaultReadRateQuota", [DomainGet], quotas::read()),
    ),
    route(
        WRITES,
        "/sys/quotas/rate-limit/{key}",
        &tenant!(Write, "VaultWriteRateQuota", [QuotaEdit], quotas::write()),
    ),
    route(
        &["DELETE"],
        "/sys/quotas/rate-limit/{key}",
        &tenant!(Write, "VaultDeleteRateQuota", [QuotaEdit], quotas::delete()),
    ),
    route(ALL, "/sys/quotas/{key}", &NOT_SERVED),
    route(
        &["GET"],
        "/sys/audit",
        &region!("VaultAuditDevices", [AuditDeviceGet], audit_devices::list),
    ),
    route(
        WRITES,
        "/sys/audit/{key}",
        &region_async!(Write, "VaultEnableAuditDevice", [AuditDeviceEdit], audit_devices::enable),
    ),
    route(
        &["DELETE"],
        "/sys/audit/{key}",
        &region_async!(Write, "VaultDisableAuditDevice", [AuditDeviceEdit], audit_devices::disable),
    ),
    route(
        WRITES,
        "/sys/audit-hash/{key}",
        &region_async!(Read, "VaultAuditHash", [AuditHash], audit_devices::hash),
    ),
    route(ALL, "/sys/leases/{key}", &NOT_SERVED),
    route(WRITES, "/sys/seal", &NOT_SERVED),
    route(WRITES, "/sys/unseal", &NOT_SERVED),
    route(ALL, "/database/{key}", &NOT_SERVED),
    route(ALL, "/{key}", &UNROUTED),
];
