//! The dialect of `HashiCorp` Vault and `OpenBao`: KV version 2, and as much of `sys/` and `auth/` as its clients need.
//!
//! Always holds: the certificate alone authenticates; a token that comes along must be good on this very connection;
//! every answer is one that the clients take for Vault's. `docs/COMPATIBILITY.md` says where Vault, `OpenBao` and
//! `OVHcloud` differ, and what is done here.

mod auth;
mod envelope;
mod fields;
mod kv;
mod lists;
mod mounts;
mod outline;
mod sys;
mod tools;
mod words;
mod wrapping;

use hyper::Method;

pub(crate) use self::{sys::is_read, wrapping::is_wrapped};
use super::{Call, Context, Reply};
use crate::{
    auth::{Action, Actions, Permit},
    domain::{Invalid, KvAct, MountError, MountPath, Refused},
    service::{Error, KnownToken},
};

macro_rules! ops {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, [$($action:ident),*];)*) => {
        /// What can be asked in this dialect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum VaultOp {
            $($(#[$doc])* $variant,)*
        }

        impl VaultOp {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The operation's name: the published one, where `OVHcloud` has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The actions that the operation takes; the use cases ask the permit for each. None for what is open to
            /// everybody.
            #[must_use]
            pub const fn action_list(self) -> &'static [Action] {
                match self {
                    $(Self::$variant => &[$(Action::$action),*],)*
                }
            }
        }
    };
}

ops! {
    /// A version's value.
    ReadData = "GetSecretRequest", [VersionGetData, SecretGet];
    /// A new version.
    WriteData = "PostSecretRequest", [SecretCreate, VersionCreate];
    /// A new version that differs from the current one.
    PatchData = "PatchSecretRequest", [VersionCreate];
    /// The current version, deactivated.
    DeleteData = "DeleteSecretRequest", [VersionDeactivate];
    /// The names in a version's value.
    ReadSubkeys = "GetSecretSubkeys", [SubkeysGet, SecretGet];
    /// Versions, deactivated.
    DeleteVersions = "DeleteSecretVersions", [VersionDeactivate];
    /// Versions, activated.
    UndeleteVersions = "PostSecretUndelete", [VersionActivate];
    /// Versions, deleted.
    DestroyVersions = "PutSecretDestroy", [VersionDelete];
    /// A secret's metadata with all versions; or a list.
    ReadMetadata = "GetSecretsMetadata", [SecretGet];
    /// The entries at a mount's root.
    ListRoot = "ListSecretsMetadata", [SecretGet];
    /// A folder's entries with their metadata.
    ListDetailed = "ListDetailedMetadata", [SecretGet];
    /// New metadata.
    WriteMetadata = "PostSecretMetadata", [SecretUpdateMetadata, SecretCreate];
    /// Changed metadata.
    PatchMetadata = "PatchSecretMetadata", [SecretUpdateMetadata];
    /// A secret's end.
    DeleteMetadata = "DeleteSecretMetadata", [SecretDelete];
    /// A mount's defaults.
    ReadConfig = "GetSecretConfig", [ConfigGet];
    /// New defaults.
    WriteConfig = "PostSecretConfig", [ConfigUpdate];
    /// Whatever else is below a mount, or none.
    Unrouted = "VaultUnrouted", [DomainGet];
    /// Whether the server is well, in Vault's codes.
    Health = "VaultHealth", [];
    /// That nothing is sealed.
    SealStatus = "VaultSealStatus", [];
    /// Who leads: there is one server.
    Leader = "VaultLeader", [];
    /// That the server is initialised.
    InitStatus = "VaultInitStatus", [];
    /// The mounts.
    Mounts = "VaultMounts", [ConfigGet];
    /// A mount.
    ReadMount = "VaultReadMount", [ConfigGet];
    /// A new mount.
    Enable = "VaultEnable", [ConfigUpdate];
    /// A mount's end.
    Disable = "VaultDisable", [ConfigUpdate, SecretDelete];
    /// What of a mount can be tuned.
    ReadTune = "VaultReadTune", [ConfigGet];
    /// A mount, tuned.
    Tune = "VaultTune", [ConfigUpdate];
    /// The mounts, for user interfaces.
    UiMounts = "VaultUiMounts", [DomainGet];
    /// The mount above a path: what the CLI asks before each `kv` command.
    UiMount = "VaultUiMount", [DomainGet];
    /// Another name for a mount.
    Remount = "VaultRemount", [ConfigUpdate];
    /// What became of that.
    RemountStatus = "VaultRemountStatus", [ConfigGet];
    /// The ways to log in.
    AuthMethods = "VaultAuthMethods", [DomainGet];
    /// One of them.
    ReadAuthMethod = "VaultReadAuthMethod", [DomainGet];
    /// How long its tokens live.
    ReadAuthTune = "VaultReadAuthTune", [DomainGet];
    /// What the caller may do at some paths.
    Capabilities = "VaultCapabilities", [DomainGet];
    /// What a token may do.
    CapabilitiesOfToken = "VaultCapabilitiesOfToken", [DomainGet];
    /// The same by its accessor.
    CapabilitiesOfAccessor = "VaultCapabilitiesOfAccessor", [DomainGet];
    /// Random bytes.
    Random = "VaultRandom", [DomainGet];
    /// The server's figures: for operators, as they are about all domains.
    Metrics = "VaultMetrics", [MetricsGet];
    /// A body, kept for whoever brings its token.
    Wrap = "VaultWrap", [DomainGet];
    /// What was kept.
    Unwrap = "VaultUnwrap", [DomainGet];
    /// What is known of what is kept.
    LookupWrapped = "VaultLookupWrapped", [DomainGet];
    /// The same, under a new token.
    Rewrap = "VaultRewrap", [DomainGet];
    /// A token for the certificate.
    Login = "VaultLogin", [DomainGet];
    /// A further token for the certificate.
    CreateToken = "VaultCreateToken", [DomainGet];
    /// The token that comes along.
    LookupSelf = "VaultLookupSelf", [DomainGet];
    /// A token in the body.
    LookupToken = "VaultLookupToken", [DomainGet];
    /// The accessors of the domain's tokens.
    ListAccessors = "VaultListAccessors", [DomainGet];
    /// A token by its accessor.
    LookupAccessor = "VaultLookupAccessor", [DomainGet];
    /// The token that comes along, with more time.
    RenewSelf = "VaultRenewSelf", [DomainGet];
    /// A token in the body, with more time.
    RenewToken = "VaultRenewToken", [DomainGet];
    /// A token by its accessor, with more time.
    RenewAccessor = "VaultRenewAccessor", [DomainGet];
    /// The end of the token that comes along.
    RevokeSelf = "VaultRevokeSelf", [DomainGet];
    /// The end of a token in the body.
    RevokeToken = "VaultRevokeToken", [DomainGet];
    /// The end of a token by its accessor.
    RevokeAccessor = "VaultRevokeAccessor", [DomainGet];
    /// What Vault has and this server not yet.
    NotServed = "VaultNotServed", [DomainGet];
}

impl VaultOp {
    /// The actions that a permit is asked for. Everything here takes tokens and finds mounts as well, for which it takes
    /// no more than to be known to the domain.
    #[must_use]
    pub const fn actions(self) -> Actions {
        Actions::of(self.action_list()).or(Actions::of(&[Action::DomainGet]))
    }

    /// Whether Vault's router knows the method at all.
    #[must_use]
    pub fn knows(method: &Method) -> bool {
        matches!(method.as_str(), "GET" | "LIST" | "SCAN" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD")
    }

    /// Whether everybody may ask, certificate or not.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Health | Self::SealStatus | Self::Leader | Self::InitStatus)
    }

    /// Whether a request with this method changes nothing.
    #[must_use]
    pub fn only_tells(self, method: &Method) -> bool {
        is_read(method)
            || matches!(
                self,
                Self::Wrap
                    | Self::Capabilities
                    | Self::CapabilitiesOfToken
                    | Self::CapabilitiesOfAccessor
                    | Self::Random
                    | Self::LookupSelf
                    | Self::LookupToken
                    | Self::LookupAccessor
            )
    }

    /// Whether a token in the header may be one under which something is wrapped.
    const fn takes_wrapping_token(self) -> bool {
        matches!(self, Self::Unwrap | Self::LookupWrapped | Self::Rewrap)
    }

    /// Whether the answer can be wrapped: not those that no envelope is around, nor what comes out of a wrapping.
    const fn is_wrappable(self) -> bool {
        !self.is_open() && !self.takes_wrapping_token() && !matches!(self, Self::UiMount | Self::UiMounts)
    }
}

/// Why a request did not end as asked, in this dialect.
#[derive(Debug)]
pub enum Failure {
    /// What a use case says.
    Service(Error),
    /// Bad input, in these words.
    Refused(String),
    /// No route leads where the path points.
    Unrouted,
    /// No mount is above the path.
    NoHandler(String),
    /// The path is under a mount of the server's own, which does not know it.
    UnsupportedPath,
    /// The token is missing, or not good here.
    PermissionDenied,
    /// No mount that the caller may know is above the path.
    Preflight(String),
    /// A token that was asked about is none.
    BadToken,
    /// The namespace that the header names is none of the caller's.
    NoNamespace,
    /// A body of a type that a patch cannot have.
    MediaType(String),
    /// What lists and does nothing else is not asked for a list.
    NoList,
    /// Nothing more is to be said than that.
    Silent,
}

impl Failure {
    /// The failure of what follows a change that is made already.
    fn after_the_change(self) -> Self {
        match self {
            Self::Service(error) => Self::Service(Error::OutcomeUnknown(error.into())),
            other => other,
        }
    }

    fn refused(text: &str) -> Self {
        Self::Refused(text.to_owned())
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Service(error.into())
    }
}

/// Whether the path, as sent, is one of this dialect's.
#[must_use]
pub(crate) fn is_at(path: &str) -> bool {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    match segments.next() {
        Some("v1") => true,
        Some("api") => segments.nth(1) == Some("v1"),
        _ => false,
    }
}

/// The method that a request means: on a path of this dialect a GET with `?list=true` is LIST, and one with `?scan=true`
/// SCAN. So a route that lists nothing never takes it for a read. What a query does not tell is refused later, once it is
/// known who asks.
#[must_use]
pub(crate) fn method(head: &hyper::http::request::Parts) -> Method {
    told_method(head).unwrap_or_else(|_| head.method.clone())
}

fn told_method(head: &hyper::http::request::Parts) -> Result<Method, Failure> {
    let (method, query) = (&head.method, head.uri.query().unwrap_or_default());
    if *method != Method::GET || query.is_empty() || !is_at(head.uri.path()) {
        return Ok(method.clone());
    }
    let flag = |name| super::query::flag(query, name).map_err(|_| Failure::Silent);
    let name = match (flag("list")?, flag("scan")?) {
        (true, true) => return Err(Failure::refused("list and scan cannot be asked for together")),
        (true, false) => "LIST",
        (false, true) => "SCAN",
        (false, false) => return Ok(Method::GET),
    };
    name.parse().map_err(|_| Failure::Silent)
}

/// The text of a token in the headers.
#[must_use]
pub fn token(headers: &hyper::HeaderMap) -> Option<&str> {
    let token = headers.get("x-vault-token").filter(|token| !token.is_empty());
    let token = token.map(hyper::header::HeaderValue::as_bytes).or_else(|| {
        let bearer = headers.get(hyper::header::AUTHORIZATION)?.as_bytes();
        let (scheme, token) = bearer.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    })?;
    // What is not text is no token of ours, and must not pass for none.
    Some(std::str::from_utf8(token).unwrap_or("?")).filter(|token| !token.is_empty())
}

/// A request of somebody who may act in a domain, and what answers it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    context: &'a Context,
    permit: &'a Permit,
    call: &'a Call,
    /// The token that came along, and is good.
    own: Option<&'a KnownToken>,
}

/// Does `op`, in the permit's domain where it needs one.
///
/// # Errors
/// What stands against it.
pub async fn handle(op: VaultOp, context: &Context, permit: Option<&Permit>, call: &Call) -> Result<Reply, Failure> {
    let Some(permit) = permit else { return sys::open(op, context, call) };
    check_namespace(permit, call)?;
    check_path(call)?;
    told_method(&call.head)?;
    if call.head.method == Method::PATCH {
        kv::check_media_type(call)?;
    }
    let own = check_token(op, context, permit, call).await?;
    let ttl = if op.is_wrappable() { wrapping::ttl(call)? } else { None };
    let asked = &Asked { context, permit, call, own: own.as_ref() };
    let mut reply = match perform(op, asked).await {
        // A mount can go while a write through it is on its way.
        Err(Failure::Unrouted | Failure::Service(Error::Mount(MountError::NotFound))) => unrouted(asked).await?,
        done => done?,
    };
    // As Vault has it, and as some of its clients look at the type before the status.
    reply.content_type = reply.content_type.or(Some("application/json"));
    match ttl {
        Some(ttl) if !reply.body.is_empty() => {
            let wrapped = wrapping::wrap(asked, reply, ttl).await;
            // What was asked for is done, and must not pass for undone.
            wrapped
                .map_err(|failure| if op.only_tells(&call.head.method) { failure } else { failure.after_the_change() })
        }
        _ => Ok(reply),
    }
}

/// Whether the namespace that the client asks for is the one there is: the domain. Any other is refused, as whoever asks
/// for two expects two trees, and would write over the one what is in the other.
fn check_namespace(permit: &Permit, call: &Call) -> Result<(), Failure> {
    let is_own = |name: &str| {
        let name = name.trim().trim_matches('/');
        matches!(name, "" | "root") || name.parse() == Ok(permit.okms_id())
    };
    let mut names = call.head.headers.get_all("x-vault-namespace").iter();
    if names.all(|name| name.to_str().is_ok_and(is_own)) { Ok(()) } else { Err(Failure::NoNamespace) }
}

/// Whether the path is one that Vault would look at.
fn check_path(call: &Call) -> Result<(), Failure> {
    let path = call.head.uri.path();
    if path.contains("/.") || path.contains('%') {
        collapsed(&super::query::decode(path)?)?;
    }
    Ok(())
}

/// The token that comes along, which must be good on this connection.
async fn check_token(
    op: VaultOp,
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Option<KnownToken>, Failure> {
    // Who logs in may well bring the token that is over.
    let Some(text) = token(&call.head.headers).filter(|_| op != VaultOp::Login) else { return Ok(None) };
    let key = call.peer.as_ref().ok_or(Failure::PermissionDenied)?.identity().public_key_sha256();
    match context.service.tokens.check(permit, text, key, call.now).await {
        Ok(known) => Ok(Some(known)),
        Err(Error::TokenInvalid) if op.takes_wrapping_token() => Ok(None),
        Err(Error::TokenInvalid) => Err(Failure::PermissionDenied),
        Err(error) => Err(error.into()),
    }
}

async fn perform(op: VaultOp, asked: &Asked<'_>) -> Result<Reply, Failure> {
    match op {
        VaultOp::ReadData => kv::read(asked).await,
        VaultOp::WriteData => kv::write(asked).await,
        VaultOp::PatchData => kv::patch(asked).await,
        VaultOp::DeleteData => kv::delete(asked).await,
        VaultOp::ReadSubkeys => kv::subkeys(asked).await,
        VaultOp::DeleteVersions => kv::act(asked, KvAct::Delete).await,
        VaultOp::UndeleteVersions => kv::act(asked, KvAct::Undelete).await,
        VaultOp::DestroyVersions => kv::act(asked, KvAct::Destroy).await,
        VaultOp::ReadMetadata | VaultOp::ListRoot => lists::read_or_list(asked).await,
        VaultOp::ListDetailed => lists::detailed(asked).await,
        VaultOp::WriteMetadata => kv::write_metadata(asked, false).await,
        VaultOp::PatchMetadata => kv::write_metadata(asked, true).await,
        VaultOp::DeleteMetadata => kv::delete_metadata(asked).await,
        VaultOp::ReadConfig => kv::read_config(asked).await,
        VaultOp::WriteConfig => kv::write_config(asked).await,
        VaultOp::Unrouted => Err(Failure::Unrouted),
        VaultOp::Health | VaultOp::SealStatus | VaultOp::Leader | VaultOp::InitStatus | VaultOp::Metrics => {
            sys::open(op, asked.context, asked.call)
        }
        VaultOp::Mounts => mounts::list(asked).await,
        VaultOp::ReadMount => mounts::read(asked).await,
        VaultOp::Enable => mounts::enable(asked).await,
        VaultOp::Disable => mounts::disable(asked).await,
        VaultOp::ReadTune => mounts::read_tune(asked).await,
        VaultOp::Tune => mounts::tune(asked).await,
        VaultOp::UiMounts => mounts::for_interfaces(asked).await,
        VaultOp::UiMount => mounts::preflight(asked).await,
        VaultOp::Remount => mounts::rename(asked).await,
        VaultOp::RemountStatus => mounts::renamed(asked).await,
        VaultOp::AuthMethods => Ok(sys::auth_methods(asked.call)),
        VaultOp::ReadAuthMethod => sys::auth_method(asked),
        VaultOp::ReadAuthTune => sys::auth_tune(asked),
        VaultOp::Capabilities => sys::capabilities(asked, auth::Named::Own).await,
        VaultOp::CapabilitiesOfToken => sys::capabilities(asked, auth::Named::Token).await,
        VaultOp::CapabilitiesOfAccessor => sys::capabilities(asked, auth::Named::Accessor).await,
        VaultOp::Random => tools::random(asked),
        VaultOp::Wrap => wrapping::wrap_body(asked.call),
        VaultOp::Unwrap => wrapping::unwrap(asked).await,
        VaultOp::LookupWrapped => wrapping::lookup(asked).await,
        VaultOp::Rewrap => wrapping::rewrap(asked).await,
        VaultOp::Login => auth::login(asked).await,
        VaultOp::CreateToken => auth::create(asked).await,
        VaultOp::ListAccessors => auth::accessors(asked).await,
        VaultOp::LookupSelf => auth::lookup_self(asked),
        VaultOp::LookupToken => auth::lookup(asked, auth::Named::Token).await,
        VaultOp::LookupAccessor => auth::lookup(asked, auth::Named::Accessor).await,
        VaultOp::RenewSelf => auth::renew(asked, auth::Named::Own).await,
        VaultOp::RenewToken => auth::renew(asked, auth::Named::Token).await,
        VaultOp::RenewAccessor => auth::renew(asked, auth::Named::Accessor).await,
        VaultOp::RevokeSelf => auth::revoke(asked, auth::Named::Own).await,
        VaultOp::RevokeToken => auth::revoke(asked, auth::Named::Token).await,
        VaultOp::RevokeAccessor => auth::revoke(asked, auth::Named::Accessor).await,
        VaultOp::NotServed => Err(sys::not_served(asked.call)),
    }
}

/// What is said of a path that no route is for: a hint where a mount is above it, as people forget `data/`.
async fn unrouted(asked: &Asked<'_>) -> Result<Reply, Failure> {
    const HINT: &str = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API \
        endpoints to use. If using the Vault CLI, use 'vault kv <get|put|patch|list|delete>' for this operation.";
    const ROOT: &str = "Non-listing operations on the root of a K/V v2 mount are not supported.";
    let Asked { context, permit, call, .. } = *asked;
    let path = below_base(call)?;
    if path.ends_with('/') && matches!(call.head.method, Method::POST | Method::PUT | Method::PATCH) {
        return Err(Failure::refused("cannot write to a path ending in '/'"));
    }
    let config = context.service.domains.config_for_all(permit).await?;
    let Some(mount) = config.mount_above(&path) else {
        let first = path.split('/').next().unwrap_or_default();
        let is_ours = matches!(first, "sys" | "auth");
        return Err(if is_ours { Failure::UnsupportedPath } else { Failure::NoHandler(path) });
    };
    let rest = path.get(mount.as_str().len()..).unwrap_or_default().trim_start_matches('/');
    let is_root = ["data", "metadata", "delete", "undelete", "destroy"].contains(&rest.trim_end_matches('/'));
    Ok(envelope::hint(call, if is_root && !rest.ends_with('/') { ROOT } else { HINT }))
}

/// The path below the dialect's base, decoded: with the mount, as Vault itself would see it.
fn below_base(call: &Call) -> Result<String, Failure> {
    let path = super::query::decode(call.head.uri.path())?;
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let rest = match segments.as_slice() {
        ["api", _, "v1", rest @ ..] | ["v1", "api", _, rest @ ..] | ["v1", rest @ ..] => rest,
        all => all,
    };
    let slash = if path.ends_with('/') && !rest.is_empty() { "/" } else { "" };
    Ok(format!("{}{slash}", rest.join("/")))
}

/// `text` without empty segments at its ends or within: `//` is `/`, as most clients have it already.
///
/// # Errors
/// What Vault says to a segment that is `.` or `..`, or that cannot be printed.
fn collapsed(text: &str) -> Result<String, Failure> {
    let segments: Vec<_> = text.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(Failure::refused("relative paths not supported"));
    }
    if !crate::domain::text::is_printable(text) {
        return Err(Failure::refused("the path has a character that cannot be printed"));
    }
    Ok(segments.join("/"))
}

/// The mount that the path names.
fn mount_path(call: &Call) -> Result<MountPath, Failure> {
    Ok(collapsed(call.params.mount.as_deref().unwrap_or_default())?.parse()?)
}

impl Failure {
    /// The text of a refusal by the rules, in this dialect's words.
    #[must_use]
    pub fn text_of(refused: &Refused) -> String {
        match refused {
            Refused::CasMismatch => "check-and-set parameter did not match the current version".to_owned(),
            Refused::CasRequired => "check-and-set parameter required for this call".to_owned(),
            Refused::TooManyEntries(number) => fields::too_many_entries(*number),
            other => other.to_string(),
        }
    }
}

/// What is wrong with an input, as an error of this dialect.
const fn invalid(text: &'static str) -> Failure {
    Failure::Service(Error::Invalid(Invalid(text)))
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn tokens_in_headers() {
        let of = |name: &'static str, value: &'static [u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_bytes(value).unwrap());
            token(&headers).map(str::to_owned)
        };
        assert_eq!(of("x-vault-token", b"abc").as_deref(), Some("abc"));
        assert_eq!(of(AUTHORIZATION.as_str(), b"Bearer abc").as_deref(), Some("abc"));
        assert_eq!(of(AUTHORIZATION.as_str(), b"bearer abc").as_deref(), Some("abc"));
        assert_eq!(of(AUTHORIZATION.as_str(), b"Basic abcdef"), None);
        assert_eq!(of("x-vault-token", b""), None);
        assert_eq!(of("x-vault-token", b"\xff").as_deref(), Some("?"));
    }

    #[test]
    fn a_list_is_asked_for_by_method_or_query() {
        let of = |method: &str, url: &str| {
            let head = hyper::Request::builder().method(method).uri(url).body(()).unwrap().into_parts().0;
            told_method(&head).map(|method| method.to_string()).ok()
        };
        for (method, url, expected) in [
            ("GET", "/v1/secret/data/a?list=true", Some("LIST")),
            ("GET", "/api/x/v1/secret/data/a?scan=T", Some("SCAN")),
            ("GET", "/v1/secret/data/a?l%69st=1", Some("LIST")),
            ("GET", "/v1/secret/data/a?list=false&scan=", Some("GET")),
            ("GET", "/v1/secret/data/a?list", Some("GET")),
            ("GET", "/v1/secret/data/a?list=yes", None),
            ("GET", "/v1/secret/data/a?list=1&scan=1", None),
            ("LIST", "/v1/secret/data/a?list=yes", Some("LIST")),
            ("POST", "/v1/secret/data/a?list=true", Some("POST")),
            ("GET", "/api/x/v2/secret?list=true", Some("GET")),
            ("GET", "/v2/okms/resource?list=yes", Some("GET")),
        ] {
            assert_eq!(of(method, url).as_deref(), expected, "{method} {url}");
        }
    }

    #[test]
    fn only_what_is_open_takes_no_action() {
        for op in VaultOp::ALL {
            assert_eq!(op.is_open(), op.action_list().is_empty(), "{op:?}");
        }
    }

    #[test]
    fn paths_are_collapsed() {
        assert_eq!(collapsed("/a//b/").unwrap(), "a/b");
        assert!(collapsed("a/../b").is_err() && collapsed("a\u{200b}").is_err() && collapsed(".").is_err());
    }
}
