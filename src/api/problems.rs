//! THE table of errors: whatever is answered to a request that did not end as asked is a row here,
//! with its status, its published code and its text.
//!
//! Always holds: code, document and tests read these rows. What is `{}` in a text is known only
//! when it happens; a row that is nothing else repeats the sentence of the rule that was broken.
//! What a dialect says otherwise is another row, named in the dialect's column. Never does: a text
//! that repeats a value.
//!
//! A code is `major << 24 | minor << 16 | category << 12 | number`.

use std::{borrow::Cow, sync::Arc};

use hyper::{
    StatusCode,
    header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Deserialize;

use super::{
    Reply, Unheard,
    json::{ObjectWriter, Writer},
};
use crate::{
    auth::{
        Denied, Detail, Permit, Unauthenticated,
        forwarded::ForwardFault,
        jwt::{Refused as JwtRefused, Scope},
    },
    model::{Excess, Faults, Invalid, MountError, Refused},
    service::Error,
};

const ARGUMENT: u32 = 50_405_377;
const AUTHENTICATION: u32 = 50_475_011;
const AUTHORIZATION: u32 = 16_924_673;
const UNKNOWN_DOMAIN: u32 = 16_994_305;
const UNKNOWN_SECRET: u32 = 17_125_377;
const UNKNOWN_CREDENTIAL: u32 = 17_059_841;
const UNKNOWN_ROUTE: u32 = 50_417_665;
const CONFLICT: u32 = 50_438_145;
const BUSY: u32 = 50_434_049;
const UNAVAILABLE: u32 = 50_425_858;
const INTERNAL: u32 = 50_401_281;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A row of the table.
struct Row {
    id: &'static str,
    status: StatusCode,
    code: u32,
    text: &'static str,
    /// In how many seconds the request may be repeated, where that is of use.
    retry_after: Option<&'static str>,
    /// What the Vault dialect says in its place.
    vault: Option<Problem>,
    /// The code that the dialect of path secrets has for it, where it is not the status' own.
    word: Option<&'static str>,
    /// The code that the dialect of canonical URIs has for it, where it is not the status' own.
    canonical: Option<&'static str>,
}

macro_rules! problems {
    ($($id:ident: $status:ident, $code:ident, $text:expr $(, again $seconds:literal)? $(, vault $vault:ident)? $(, word $word:literal)? $(, canonical $canonical:literal)?;)*) => {
        /// Why a request did not end as asked, as it is told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        #[expect(missing_docs, reason = "each is said by its text")]
        pub enum Problem {
            $($id,)*
        }

        impl Problem {
            /// All rows.
            pub const ALL: &[Self] = &[$(Self::$id,)*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$id => {
                        let (again, vault): (&[_], &[_]) = (&[$($seconds)?], &[$(Self::$vault)?]);
                        let (word, canonical): (&[_], &[_]) = (&[$($word)?], &[$($canonical)?]);
                        Row {
                            id: stringify!($id),
                            status: StatusCode::$status,
                            code: $code,
                            text: $text,
                            retry_after: again.first().copied(),
                            vault: vault.first().copied(),
                            word: word.first().copied(),
                            canonical: canonical.first().copied(),
                        }
                    })*
                }
            }
        }
    };
}

problems! {
    // Bad input, and rules that say no.
    BadInput: BAD_REQUEST, ARGUMENT, "{}";
    BadPath: BAD_REQUEST, ARGUMENT, "a path is 1 to 1024 bytes in segments with a slash between, none of them empty, . or \
        ..; a new one has at most 255 bytes, in ten segments of letters, digits, - _ and .", word "invalid_path";
    BadSecretType: BAD_REQUEST, ARGUMENT, "secret_type is kv, json, certificate, ssh_key or api_key",
        word "invalid_secret_type";
    BadDuration: BAD_REQUEST, ARGUMENT, "a duration is text such as 90d, 48h or 30m, of whole seconds and not negative",
        word "invalid_duration";
    BadListCursor: BAD_REQUEST, ARGUMENT, "the cursor is not one of this list; repeat without it, or with the filters that it \
        was made with", word "invalid_cursor";
    AnswerTooLarge: BAD_REQUEST, ARGUMENT, "the values are larger than this server tells at once; read fewer of them";
    BadHost: BAD_REQUEST, ARGUMENT, "the request must name one host, in one Host header";
    Misforwarded: BAD_REQUEST, ARGUMENT, "the proxy does not say in the way that was agreed who its client is: {}";
    BrokenBody: BAD_REQUEST, ARGUMENT, "the body ended before it was complete";
    Unreadable: BAD_REQUEST, ARGUMENT, "the request is no HTTP that can be read; check the request line and the headers, \
        and escape odd characters";
    NoTls: BAD_REQUEST, ARGUMENT, "this port speaks HTTPS only; use https:// in the address";
    NoDomain: BAD_REQUEST, ARGUMENT, "an operator's certificate names no domain: use /api/OKMS_ID/v1, as in \
        VAULT_ADDR=https://HOST/api/OKMS_ID";
    NoAuthority: BAD_REQUEST, ARGUMENT, "this server issues no certificates; set trust.region_ca_key in its config, or \
        ask another server";
    NotSelfRenewing: BAD_REQUEST, ARGUMENT, "only an access certificate of the domain that was issued here renews itself; \
        connect with the one to renew, or ask an operator for a new one";
    CasMismatch: BAD_REQUEST, ARGUMENT, "cas does not match the secret's current version; read the secret again and repeat \
        with that version", vault KvCasMismatch;
    CasRequired: BAD_REQUEST, ARGUMENT, "cas is required for this secret; repeat with the current version as cas in the \
        query", vault KvCasRequired;
    MetadataCasMismatch: BAD_REQUEST, ARGUMENT, "metadata check-and-set parameter does not match the current version";
    MetadataCasRequired: BAD_REQUEST, ARGUMENT, "metadata check-and-set parameter required for this call";
    MetadataCasOnCreate: BAD_REQUEST, ARGUMENT, "metadata_cas must be 0 when creating new metadata";
    NumbersUsedUp: BAD_REQUEST, ARGUMENT, "the secret has reached version 24000, the last one; create a new secret",
        canonical "VERSIONS_USED_UP";
    // Not 429, nor 507: clients repeat those by themselves, for ever. Not 403: some log in again then.
    TooManySecrets: BAD_REQUEST, ARGUMENT, "the domain has as many secrets as it may; delete some that are not needed, or ask \
        an operator of the region for a larger quota", canonical "QUOTA_EXCEEDED";
    TooMuchStored: BAD_REQUEST, ARGUMENT, "the values of the domain's secrets take as much as they may; destroy versions or \
        delete secrets that are not needed, keep fewer versions of each, or ask an operator of the region for a larger quota",
        canonical "QUOTA_EXCEEDED";
    TooManyEntries: BAD_REQUEST, ARGUMENT, "customMetadata can hold at most 64 entries, and would have {}; remove some first";
    KvCasMismatch: BAD_REQUEST, ARGUMENT, "check-and-set parameter did not match the current version";
    KvCasRequired: BAD_REQUEST, ARGUMENT, "check-and-set parameter required for this call";
    KvBadBody: BAD_REQUEST, ARGUMENT, "failed to decode JSON input: {}";
    WrongField: BAD_REQUEST, ARGUMENT, "Field validation failed: error converting input for field \"{}\": {}";
    NoData: BAD_REQUEST, ARGUMENT, "no data provided";
    NoVersions: BAD_REQUEST, ARGUMENT, "No version number provided";
    NoVersionsToDestroy: BAD_REQUEST, ARGUMENT, "no version number provided";
    BadPolicy: BAD_REQUEST, ARGUMENT, "failed to parse policy: {}";
    NoPaths: BAD_REQUEST, ARGUMENT, "paths is required: the paths to ask about, at most 1000";
    MountInUse: BAD_REQUEST, ARGUMENT, "path is already in use at {}/";
    MountForGood: BAD_REQUEST, ARGUMENT, "{}/ shows the whole domain and is there for good";
    MountShown: BAD_REQUEST, ARGUMENT, "the secrets below {}/ are in the mount {}/, which was moved; choose another path, \
        or move that mount back";
    MountUnknown: BAD_REQUEST, ARGUMENT, "there is no such mount; list them with sys/mounts";
    NoMount: BAD_REQUEST, ARGUMENT, "No secret engine mount at {}/";
    NoMountToMove: BAD_REQUEST, ARGUMENT, "no matching mount at \"{}/\"";
    NothingToTune: BAD_REQUEST, ARGUMENT, "cannot fetch sysview for path \"{}/\"";
    NotKv2: BAD_REQUEST, ARGUMENT, "{}only secrets engines of type kv-v2 are served here; enable one with `-path=NAME kv-v2`";
    NoAuthMethod: BAD_REQUEST, ARGUMENT, "No auth engine at {}/";
    NoToken: BAD_REQUEST, ARGUMENT, "missing token: name the token in the field token";
    InvalidToken: BAD_REQUEST, ARGUMENT, "1 error occurred:\n\t* invalid token\n\n";
    BadAccessor: BAD_REQUEST, ARGUMENT, "invalid accessor";
    HolderUnknown: BAD_REQUEST, ARGUMENT, "what the holder of this token may do is said by the holder's certificate, which is \
        not known here; ask with that one, at sys/capabilities-self";
    NoPassword: BAD_REQUEST, ARGUMENT, "missing password";
    NoUser: BAD_REQUEST, ARGUMENT, "username does not exist";
    LoginFailed: BAD_REQUEST, ARGUMENT, "invalid username or password";
    LoginElsewhere: BAD_REQUEST, ARGUMENT, "cert, token and userpass are always on, under these names; no other way to log in is \
        served";
    NotRenewable: BAD_REQUEST, ARGUMENT, "lease is not renewable";
    NothingWrapped: BAD_REQUEST, ARGUMENT, "wrapping token is not valid or does not exist";
    NoWrapTtl: BAD_REQUEST, ARGUMENT, "endpoint requires response wrapping";
    BadWrapTtl: BAD_REQUEST, ARGUMENT, "error parsing X-Vault-Wrap-TTL header: expected a duration such as 300 or 5m, \
        not negative";
    TooFewBytes: BAD_REQUEST, ARGUMENT, "'bytes' cannot be less than 1";
    TooManyBytes: BAD_REQUEST, ARGUMENT, "'bytes' cannot be more than 131072";
    BadFormat: BAD_REQUEST, ARGUMENT, "unsupported encoding format; must be \"hex\" or \"base64\"";
    OnlyPrometheus: BAD_REQUEST, ARGUMENT, "the figures are told in Prometheus' form alone: ask for them with \
        ?format=prometheus";

    // Secrets by canonical URI.
    IllegalSegment: BAD_REQUEST, ARGUMENT, "{}", canonical "ILLEGAL_SEGMENT";
    InvalidWildcard: BAD_REQUEST, ARGUMENT, "{}", canonical "INVALID_WILDCARD";
    UnsupportedEngine: BAD_REQUEST, ARGUMENT, "{}", canonical "UNSUPPORTED_ENGINE";
    MountMismatch: BAD_REQUEST, ARGUMENT, "the URI begins with no mount of this domain that may be named here; list them with \
        sys/mounts", canonical "TENANT_MOUNT_MISMATCH";
    AmbiguousQuery: BAD_REQUEST, ARGUMENT, "{}", canonical "AMBIGUOUS_QUERY";
    DoubleMountSource: BAD_REQUEST, ARGUMENT, "{}", canonical "DOUBLE_MOUNT_SOURCE";
    UnknownField: BAD_REQUEST, ARGUMENT, "{}", canonical "UNKNOWN_FIELD";
    MissingField: BAD_REQUEST, ARGUMENT, "{} is missing, or empty", canonical "MISSING_FIELD";
    InvalidField: BAD_REQUEST, ARGUMENT, "{} must be: {}", canonical "INVALID_FIELD";
    InvalidJson: BAD_REQUEST, ARGUMENT, "{}", canonical "INVALID_JSON";
    InvalidVersion: BAD_REQUEST, ARGUMENT, "{}", canonical "INVALID_VERSION";
    ValueNotObject: BAD_REQUEST, ARGUMENT, "the value of a whole secret is a JSON object; name a member of it after # for \
        anything else", canonical "VALUE_NOT_OBJECT";
    VersionsRequired: BAD_REQUEST, ARGUMENT, "versions is missing, or empty: the numbers of the versions that are meant",
        canonical "VERSIONS_REQUIRED";
    FragmentInvalid: BAD_REQUEST, ARGUMENT, "{}", canonical "FRAGMENT_INVALID";
    FragmentNotAllowed: BAD_REQUEST, ARGUMENT, "{}", canonical "FRAGMENT_NOT_ALLOWED";
    VersionPinNotAllowed: BAD_REQUEST, ARGUMENT, "{}", canonical "VERSION_PIN_NOT_ALLOWED";
    SameResource: BAD_REQUEST, ARGUMENT, "fromUri and toUri are the same; name two", canonical "SAME_RESOURCE";
    TenantRequired: BAD_REQUEST, ARGUMENT, "an operator's certificate names no tenant: name it in the header X-Tenant-ID",
        canonical "TENANT_REQUIRED";
    TenantDenied: FORBIDDEN, AUTHORIZATION, "your certificate is for no such tenant; check X-Tenant-ID",
        canonical "TENANT_ACCESS_DENIED";
    FragmentNotFound: NOT_FOUND, UNKNOWN_SECRET, "the value has no such member; GET /api/secrets/keys lists its names",
        canonical "FRAGMENT_NOT_FOUND";
    VersionEnded: CONFLICT, CONFLICT, "the version is deactivated; undelete it to read it", canonical "VERSION_DELETED";
    VersionDestroyed: CONFLICT, CONFLICT, "the version is destroyed, which is final", canonical "VERSION_DESTROYED";
    CasConflict: CONFLICT, CONFLICT, "another version is current; read the secret again, and repeat with its version as cas",
        canonical "VERSION_CONFLICT";
    CasDemanded: CONFLICT, CONFLICT, "a write has to name the current version here; repeat with it as cas",
        canonical "CAS_REQUIRED";
    DestinationExists: CONFLICT, CONFLICT, "{}", canonical "DESTINATION_EXISTS";
    ValueTooLarge: PAYLOAD_TOO_LARGE, ARGUMENT, "{}", canonical "PAYLOAD_TOO_LARGE";
    NotExecuted: FAILED_DEPENDENCY, ARGUMENT, "an operation before this one has failed, so that this one was not tried",
        canonical "NOT_EXECUTED";
    ProviderNotSupported: NOT_IMPLEMENTED, ARGUMENT, "{}", canonical "PROVIDER_NOT_SUPPORTED";
    OperationNotSupported: NOT_IMPLEMENTED, ARGUMENT, "{}", canonical "OPERATION_NOT_SUPPORTED";

    // Who may not.
    Unauthenticated: UNAUTHORIZED, AUTHENTICATION, "{}";
    TokenInvalid: UNAUTHORIZED, AUTHENTICATION, "the token in Authorization is none of this domain, is over, or belongs to \
        another key; log in again", word "token_invalid", canonical "TOKEN_INVALID";
    JwtInvalid: UNAUTHORIZED, AUTHENTICATION, "the bearer token is refused: {}", word "token_invalid",
        canonical "TOKEN_INVALID";
    JwtExpired: UNAUTHORIZED, AUTHENTICATION, "the bearer token has expired; get a new one", word "token_expired",
        canonical "TOKEN_EXPIRED";
    ScopeRequired: FORBIDDEN, AUTHORIZATION, "the bearer token does not give the scope {}; get one that does",
        word "insufficient_scope", canonical "SCOPE_REQUIRED";
    Forbidden: FORBIDDEN, AUTHORIZATION, "{}";
    PdpDenied: FORBIDDEN, AUTHORIZATION, "the policy decision point does not permit this; ask whoever keeps its policies, and \
        name the decision {}";
    DevOnly: FORBIDDEN, AUTHORIZATION, "a file of secrets is written where the server is for developing or for tests alone; set environment \
        to dev or test", canonical "DEV_ONLY";
    ForeignOrigin: FORBIDDEN, AUTHORIZATION, "a page of another origin may not change anything here",
        word "foreign_origin", canonical "FOREIGN_ORIGIN";
    Preflight: FORBIDDEN, AUTHORIZATION, "preflight capability check returned 403, please ensure client's policies grant \
        access to path \"{}/\"";
    PermissionDenied: FORBIDDEN, AUTHENTICATION, "permission denied";
    BadToken: FORBIDDEN, AUTHENTICATION, "bad token";

    // What is not there. Vault's clients take 404 for a secret that is not, and some delete their
    // copies then; of a secret that is not there Vault says nothing.
    DomainNotFound: NOT_FOUND, UNKNOWN_DOMAIN, "there is no such domain for your certificate; check the okmsId",
        vault KvDomainNotFound;
    KvDomainNotFound: FORBIDDEN, UNKNOWN_DOMAIN, Self::DomainNotFound.row().text;
    TenantNotFound: NOT_FOUND, UNKNOWN_DOMAIN, Self::DomainNotFound.row().text, word "tenant_not_found";
    CredentialNotFound: NOT_FOUND, UNKNOWN_CREDENTIAL, "there is no such access certificate in the domain; list them, and check \
        the id";
    NoRevocationList: NOT_FOUND, UNKNOWN_ROUTE, "the region's authority may not sign revocation lists (cRLSign); ask for a \
        certificate's status by its serial number";
    SecretNotFound: NOT_FOUND, UNKNOWN_SECRET, "there is no such secret; check its path, or create it", vault KvNotFound, word "secret_not_found",
        canonical "SECRET_NOT_FOUND";
    VersionNotFound: NOT_FOUND, UNKNOWN_SECRET, "the secret has no such version, or it was pruned; list its versions",
        vault KvNotFound, word "version_not_found", canonical "VERSION_NOT_FOUND";
    SecretRemoved: NOT_FOUND, UNKNOWN_SECRET, "the secret was removed; restore it, or wait until its time is over",
        word "secret_not_found";
    PolicyNotFound: NOT_FOUND, UNKNOWN_ROUTE, "there is no such policy; list the domain's policies",
        vault KvNotFound;
    RotationPolicyNotFound: NOT_FOUND, UNKNOWN_ROUTE, "there is no such rotation policy; list the domain's rotation policies",
        word "rotation_policy_not_found";
    SecretPolicyNotFound: NOT_FOUND, UNKNOWN_ROUTE, "there is no such secret policy; list the domain's secret policies",
        word "secret_policy_not_found";
    UserNotFound: NOT_FOUND, UNKNOWN_ROUTE, "there is no such user; list the domain's users", vault KvNotFound;
    CaNotFound: NOT_FOUND, UNKNOWN_ROUTE, "there is no such authority in the domain; list them";
    CaListNotFound: NOT_FOUND, UNKNOWN_ROUTE, "the authority was given no revocation list, so that its certificates are held \
        against none; give it one";
    RuleNotFound: NOT_FOUND, UNKNOWN_ROUTE, "there is no such rule; list the domain's rules",
        vault KvNotFound;
    KvNotFound: NOT_FOUND, UNKNOWN_SECRET, "";
    NoNamespace: NOT_FOUND, UNKNOWN_ROUTE, "namespace not found";
    NoRoute: NOT_FOUND, UNKNOWN_ROUTE, "there is nothing at this address; /openapi.json lists what is";
    NoHandler: NOT_FOUND, UNKNOWN_ROUTE, "no handler for route \"{}\". route entry not found.";
    UnsupportedPath: NOT_FOUND, UNKNOWN_ROUTE, "1 error occurred:\n\t* unsupported path\n\n";

    // What cannot be done like this, or not now.
    UnknownMethod: METHOD_NOT_ALLOWED, ARGUMENT, "this address does not know the method; the Allow header lists those \
        that it does", vault NoList;
    NoList: METHOD_NOT_ALLOWED, ARGUMENT, "1 error occurred:\n\t* unsupported operation\n\n";
    KvUnknownMethod: METHOD_NOT_ALLOWED, ARGUMENT, "";
    BodyTooSlow: REQUEST_TIMEOUT, ARGUMENT, "the body took too long to arrive; send it faster";
    EventsGone: GONE, UNKNOWN_ROUTE, "events after this one are not kept any more; list the secrets again, and go on from now";
    SecretExpired: GONE, UNKNOWN_SECRET, "the secret has ended; write a new version, or give it a later end",
        word "secret_expired";
    RemovedExists: CONFLICT, CONFLICT, "a secret was removed at this path and can be restored until recoverable_until; \
        restore it, or delete it permanently first", word "secret_exists";
    OtherVersion: CONFLICT, CONFLICT, "another version is current, or the write has to name it; read the secret again, and \
        repeat with If-Match";
    KeptChanging: CONFLICT, CONFLICT, "others changed the secret at the same time, again and again; read it, and repeat";
    Unprocessable: UNPROCESSABLE_ENTITY, ARGUMENT, "some fields cannot be used: {}";
    PolicyExists: CONFLICT, CONFLICT, "a policy whose name makes the same id exists; change that, or choose another name",
        word "policy_exists";
    PolicyInUse: CONFLICT, CONFLICT, "a rotation policy names this secret policy; let it name another, or delete this with \
        force=true", word "policy_in_use";
    SecretExists: CONFLICT, CONFLICT, "a secret exists at this path; update it, or choose another path";
    AliasTaken: CONFLICT, CONFLICT, "another domain has this tenant name; choose another one";
    DomainExists: CONFLICT, CONFLICT, "a domain of this name exists; choose another name, or list the domains";
    VersionDeleted: CONFLICT, CONFLICT, "the version is deleted, which is final; create a new version";
    BodyTooLarge: PAYLOAD_TOO_LARGE, ARGUMENT, "the body is larger than this server takes", vault KvBodyTooLarge;
    KvBodyTooLarge: PAYLOAD_TOO_LARGE, ARGUMENT, "http: request body too large";
    MediaType: UNSUPPORTED_MEDIA_TYPE, ARGUMENT, "PATCH requires Content-Type of application/merge-patch+json, provided {}";
    TooManyRequests: TOO_MANY_REQUESTS, BUSY, "too many requests are in progress; repeat after the time in Retry-After",
        again "1";
    BeyondRate: TOO_MANY_REQUESTS, BUSY, "the rate of {} is used up; ask more slowly, repeat after the time in Retry-After, or \
        ask an operator of the region for a larger quota", again "1";
    TooManyFeeds: TOO_MANY_REQUESTS, BUSY, "as many feeds are open as may be, of your domain or of all; close some, or repeat \
        after the time in Retry-After", again "5";
    TooManyTokens: TOO_MANY_REQUESTS, BUSY, "the domain has as many tokens as it may, or your key as many as it leaves others \
        room for; revoke some that are not needed, give them shorter lives, or ask an operator of the region for a larger quota", again "60";
    TooManyConnections: TOO_MANY_REQUESTS, BUSY, "your domain has its share of this server's connections; close some, and \
        repeat after the time in Retry-After", again "1";
    LockedOut: TOO_MANY_REQUESTS, BUSY, "too many of your logins have failed; repeat after the time in \
        Retry-After", again "30";
    HeadTooLarge: REQUEST_HEADER_FIELDS_TOO_LARGE, ARGUMENT, "the URL and the headers are larger than this server takes; \
        send fewer headers";
    Internal: INTERNAL_SERVER_ERROR, INTERNAL, "internal error; tell the operator of the region the request_id";
    TooManyWrites: SERVICE_UNAVAILABLE, UNAVAILABLE, "too many writes wait; nothing was changed, repeat after the time in \
        Retry-After", again "1";
    FileUnavailable: SERVICE_UNAVAILABLE, UNAVAILABLE, "the file of secrets cannot be read or written, or is no plain YAML; the server's log \
        says what is wrong with it, and where", again "5";
    Unavailable: SERVICE_UNAVAILABLE, UNAVAILABLE, "the store is not available; nothing was changed, repeat later",
        again "5";
    Unrecorded: SERVICE_UNAVAILABLE, UNAVAILABLE, "the audit trail cannot be written, and nothing is done that is not in it; \
        nothing was changed or told, repeat later", again "5";
    ChangeUnrecorded: SERVICE_UNAVAILABLE, UNAVAILABLE, "the audit trail could not be written to its end; the change may have \
        happened or not, read before you repeat it", again "5";
    OutcomeUnknown: SERVICE_UNAVAILABLE, UNAVAILABLE, "the store failed while it wrote; the change may have happened or \
        not, read before you repeat it", again "5";
    PdpUnavailable: SERVICE_UNAVAILABLE, UNAVAILABLE, "the policy decision point does not answer, and nothing is done that it \
        has not permitted; nothing was changed or told, repeat later", again "5", canonical "PDP_UNAVAILABLE";
    NoIssuerKeys: SERVICE_UNAVAILABLE, UNAVAILABLE, "the keys of the issuer of bearer tokens could not be had for a day, or \
        not yet, so that no token of it counts; repeat later, or ask without it", again "5";
    DomainClosed: SERVICE_UNAVAILABLE, UNAVAILABLE, "a policy or rule of the domain is damaged, so that nobody knows what \
        it denies; ask an operator to remove it, or to put another in its place", again "5";
}

impl Problem {
    /// Its name in the document.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.row().id
    }

    /// Its status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().status
    }

    /// The code that the dialect of path secrets has for it, where it is not the status' own.
    #[must_use]
    pub const fn word(self) -> Option<&'static str> {
        self.row().word
    }

    /// The code that the dialect of canonical URIs has for it, where it is not the status' own.
    #[must_use]
    pub const fn canonical(self) -> Option<&'static str> {
        self.row().canonical
    }

    /// Its published code.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.row().code
    }

    /// It, with `parts` in the places that its text leaves open.
    #[must_use]
    pub fn with(self, parts: &[&str]) -> Failed {
        let mut pieces = self.row().text.split("{}");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (part, piece) in parts.iter().zip(pieces) {
            text.extend([part, piece]);
        }
        Failed { text: text.into(), ..self.into() }
    }
}

/// How one stands with a rate, as headers tell it (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is bounded: a word.
    pub name: &'static str,
    /// So many in a window.
    pub quota: u32,
    /// The window's length.
    pub window_seconds: u64,
    /// So many of them are left.
    pub left: u32,
    /// In so many seconds there is more: one, where nothing is left, else all.
    pub wait_seconds: u64,
}

impl Standing {
    /// The headers that tell these.
    #[must_use]
    pub fn headers(all: &[Self]) -> [(HeaderName, HeaderValue); 2] {
        let list = |item: fn(&Self) -> String| {
            let items: Vec<_> = all.iter().map(item).collect();
            HeaderValue::try_from(items.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
        };
        let left = |Self { name, left, wait_seconds, .. }: &Self| {
            format!("\"{name}\";r={left};t={wait_seconds}")
        };
        let policy = |Self { name, quota, window_seconds, .. }: &Self| {
            format!("\"{name}\";q={quota};w={window_seconds}")
        };
        [(RATE_LIMIT, list(left)), (RATE_LIMIT_POLICY, list(policy))]
    }
}

impl From<Standing> for Failed {
    fn from(beyond: Standing) -> Self {
        Self {
            retry_after: Some(beyond.wait_seconds),
            beyond: Some(Box::new(beyond)),
            ..Problem::BeyondRate.with(&[beyond.name])
        }
    }
}

/// A request that did not end as asked: what the caller is told, and why, where that is more than
/// the caller's mistake.
#[derive(Clone, Debug)]
pub struct Failed {
    /// What is told.
    pub problem: Problem,
    /// In these words.
    pub text: Cow<'static, str>,
    /// The methods that would do.
    allow: Option<String>,
    /// In how many seconds the request may be repeated, where the row does not know.
    retry_after: Option<u64>,
    /// The rate that is used up, where one is.
    beyond: Option<Box<Standing>>,
    /// What else is told of it, by name, where the dialect tells more than words.
    pub(super) details: Vec<(&'static str, Told)>,
    /// What a use case said, as the operator may have to know.
    pub cause: Option<Arc<Error>>,
}

/// Something that is told of a problem.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Text(String),
    Number(u32),
    Fields(Faults),
}

impl Told {
    /// Writes `details`, where there are any.
    pub(super) fn write(details: &[(&'static str, Self)], out: &mut ObjectWriter<'_>) {
        if details.is_empty() {
            return;
        }
        out.object("details", |out| {
            for (name, told) in details {
                match told {
                    Self::Text(text) => out.text(name, text),
                    Self::Number(number) => out.number(name, *number),
                    Self::Fields(faults) => out.object(name, |out| {
                        for (field, rule) in faults.iter() {
                            out.text(field, rule);
                        }
                    }),
                }
            }
        });
    }
}

impl Failed {
    pub(crate) fn unknown_method(methods: &[&str]) -> Self {
        Self { allow: Some(methods.join(", ")), ..Problem::UnknownMethod.into() }
    }

    /// Tells the record of one of many things that it has failed like this.
    pub(super) fn tell(&self, item: &Permit) {
        let told = (self.problem.status().as_u16(), self.problem.id());
        item.learns(Detail::Failed(Some(told)));
    }

    /// Whether it is our fault, and to be looked at.
    pub(crate) fn is_ours(&self) -> bool {
        let status = self.problem.status();
        status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
    }

    /// This failure, with more that is told of it.
    pub(super) fn with_details(self, details: Vec<(&'static str, Told)>) -> Self {
        Self { details, ..self }
    }

    /// This failure, as another problem in its own words.
    pub(super) fn told_as(self, problem: Problem) -> Self {
        Self { problem, ..self }
    }

    /// This failure, with the code and text of another problem.
    pub(super) fn in_words_of(self, problem: Problem) -> Self {
        Self { problem, text: problem.row().text.into(), ..self }
    }

    /// This failure, with scopes spelled as `secrets:read`.
    pub(super) fn in_colons(self) -> Self {
        let colons = |text: &str| text.replace("secrets.", "secrets:");
        let details = self.details.into_iter().map(|(name, told)| match told {
            Told::Text(text) => (name, Told::Text(colons(&text))),
            told => (name, told),
        });
        Self { text: colons(&self.text).into(), details: details.collect(), ..self }
    }

    /// What the Vault dialect says where the native one says this.
    pub(super) fn in_vault(self) -> Self {
        match self.problem.row().vault {
            Some(problem) => self.in_words_of(problem),
            None => self,
        }
    }

    /// The answer.
    #[must_use]
    pub fn into_reply(self, request_id: &str) -> Reply {
        let Row { status, code, retry_after, .. } = self.problem.row();
        let retry_after = match self.retry_after {
            Some(seconds) => Some(HeaderValue::from(seconds)),
            None => retry_after.map(HeaderValue::from_static),
        };
        let body = Writer::object(|out| {
            out.number("error_code", code);
            out.text("error_id", request_id);
            // Vault's word for what is not there is none.
            out.texts("errors", Some(&*self.text).filter(|text| !text.is_empty()));
            out.text("request_id", request_id);
        });
        let problem = (self.problem.id(), self.problem.code());
        let mut reply = Reply { status, problem: Some(problem), ..Reply::json(body) };
        if let Some(challenge) = challenge(self.problem) {
            reply.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
        }
        reply.headers.extend(retry_after.map(|seconds| (RETRY_AFTER, seconds)));
        reply.headers.extend(self.beyond.into_iter().flat_map(|rate| Standing::headers(&[*rate])));
        let allow = self.allow.and_then(|methods| HeaderValue::try_from(methods).ok());
        reply.headers.extend(allow.map(|methods| (ALLOW, methods)));
        reply
    }
}

/// What is told of a bearer that came along and is none (RFC 6750, 3).
const fn challenge(problem: Problem) -> Option<&'static str> {
    match problem {
        Problem::TokenInvalid | Problem::JwtInvalid | Problem::JwtExpired => {
            Some("Bearer error=\"invalid_token\"")
        }
        _ => None,
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        let text = problem.row().text.into();
        Self {
            problem,
            text,
            allow: None,
            retry_after: None,
            beyond: None,
            details: Vec::new(),
            cause: None,
        }
    }
}

impl From<Invalid> for Failed {
    fn from(Invalid(text): Invalid) -> Self {
        Self { text: text.into(), ..Problem::BadInput.into() }
    }
}

impl From<Faults> for Failed {
    fn from(faults: Faults) -> Self {
        let told = Problem::Unprocessable.with(&[&faults.to_string()]);
        Self { details: vec![("fields", Told::Fields(faults))], ..told }
    }
}

impl From<Unauthenticated> for Failed {
    fn from(error: Unauthenticated) -> Self {
        Problem::Unauthenticated.with(&[&error.to_string()])
    }
}

impl From<Unheard> for Failed {
    fn from(unheard: Unheard) -> Self {
        match unheard {
            Unheard::Refused(refused) => refused.into(),
            Unheard::NoKeys => Problem::NoIssuerKeys.into(),
        }
    }
}

impl From<JwtRefused> for Failed {
    fn from(refused: JwtRefused) -> Self {
        match refused {
            JwtRefused::Expired => Problem::JwtExpired.into(),
            refused => Problem::JwtInvalid.with(&[&refused.to_string()]),
        }
    }
}

impl From<Scope> for Failed {
    fn from(scope: Scope) -> Self {
        let told = vec![("scope", Told::Text(scope.name().to_owned()))];
        Problem::ScopeRequired.with(&[scope.name()]).with_details(told)
    }
}

impl From<ForwardFault> for Failed {
    fn from(fault: ForwardFault) -> Self {
        Problem::Misforwarded.with(&[&fault.to_string()])
    }
}

impl From<Denied> for Failed {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::UnknownDomain => Problem::DomainNotFound.into(),
            Denied::OutOfScope(scope) => scope.into(),
            Denied::Forbidden | Denied::OperatorsOnly | Denied::Untraced => {
                Problem::Forbidden.with(&[&denied.to_string()])
            }
        }
    }
}

impl From<MountError> for Failed {
    fn from(error: MountError) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let told = said_of(&error);
        Self { cause: Some(Arc::new(error)), ..told }
    }
}

/// What is told of what a use case says.
fn said_of(error: &Error) -> Failed {
    match error {
        Error::Denied(denied) => (*denied).into(),
        Error::PdpDenied { purpose, id } => {
            let details = [("purpose", purpose.name()), ("decision_id", id)];
            let details = details.map(|(name, text)| (name, Told::Text(text.to_owned())));
            Problem::PdpDenied.with(&[id]).with_details(details.into())
        }
        Error::PdpUnavailable(_) => Problem::PdpUnavailable.into(),
        Error::DomainNotFound => Problem::DomainNotFound.into(),
        Error::SecretNotFound => Problem::SecretNotFound.into(),
        Error::VersionNotFound => Problem::VersionNotFound.into(),
        Error::SecretRemoved(_) => Problem::SecretRemoved.into(),
        Error::SecretExpired(_) => Problem::SecretExpired.into(),
        Error::EventsGone => Problem::EventsGone.into(),
        Error::Conflict(_) => Problem::OtherVersion.into(),
        Error::PathRefused => Problem::BadPath.into(),
        Error::PolicyNotFound => Problem::PolicyNotFound.into(),
        Error::RuleNotFound => Problem::RuleNotFound.into(),
        Error::RotationPolicyNotFound => Problem::RotationPolicyNotFound.into(),
        Error::SecretPolicyNotFound => Problem::SecretPolicyNotFound.into(),
        Error::PolicyExists => Problem::PolicyExists.into(),
        Error::PolicyInUse => Problem::PolicyInUse.into(),
        Error::Fields(faults) => faults.clone().into(),
        Error::CaNotFound => Problem::CaNotFound.into(),
        Error::CaListNotFound => Problem::CaListNotFound.into(),
        Error::UserNotFound => Problem::UserNotFound.into(),
        Error::NoPassword => Problem::NoPassword.into(),
        Error::LoginFailed => Problem::LoginFailed.into(),
        Error::LockedOut(seconds) => {
            Failed { retry_after: Some(*seconds), ..Problem::LockedOut.into() }
        }
        Error::SecretExists => Problem::SecretExists.into(),
        Error::DomainExists => Problem::DomainExists.into(),
        Error::AliasTaken => Problem::AliasTaken.into(),
        Error::VersionDeleted => Problem::VersionDeleted.into(),
        Error::Invalid(invalid) => (*invalid).into(),
        Error::Policy(fault) => Problem::BadPolicy.with(&[&fault.to_string()]),
        Error::Refused(refused) => match refused {
            Refused::CasMismatch => Problem::CasMismatch.into(),
            Refused::CasRequired => Problem::CasRequired.into(),
            Refused::MetadataCasMismatch => Problem::MetadataCasMismatch.into(),
            Refused::MetadataCasRequired => Problem::MetadataCasRequired.into(),
            Refused::MetadataCasOnCreate => Problem::MetadataCasOnCreate.into(),
            Refused::NumbersUsedUp => Problem::NumbersUsedUp.into(),
            Refused::TooManyEntries(number) => Problem::TooManyEntries.with(&[&number.to_string()]),
            Refused::Invalid(invalid) => (*invalid).into(),
        },
        Error::ListRefused(_) => Problem::BadInput.with(&[&error.to_string()]),
        Error::CertificateRefused(refused) => Problem::BadInput.with(&[&refused.to_string()]),
        Error::Mount(mount) => match mount {
            MountError::InUse(path) => Problem::MountInUse.with(&[path.as_str()]),
            MountError::BuiltIn(path) => Problem::MountForGood.with(&[path.as_str()]),
            MountError::Shown(below, by) => {
                Problem::MountShown.with(&[below.as_str(), by.as_str()])
            }
            MountError::NotFound => Problem::MountUnknown.into(),
        },
        Error::TooManyTokens => Problem::TooManyTokens.into(),
        Error::Excess(Excess::Secrets) => Problem::TooManySecrets.into(),
        Error::Excess(Excess::Bytes) => Problem::TooMuchStored.into(),
        Error::TokenInvalid => Problem::PermissionDenied.into(),
        Error::NotRenewable => Problem::NotRenewable.into(),
        Error::NothingWrapped => Problem::NothingWrapped.into(),
        Error::NoAuthority => Problem::NoAuthority.into(),
        Error::NoList => Problem::NoRevocationList.into(),
        Error::CredentialNotFound => Problem::CredentialNotFound.into(),
        Error::NotSelfRenewing => Problem::NotSelfRenewing.into(),
        Error::Closed => Problem::DomainClosed.into(),
        Error::Contended | Error::Overloaded => Problem::TooManyWrites.into(),
        Error::Busy => Problem::TooManyRequests.into(),
        Error::Unavailable(_) => Problem::Unavailable.into(),
        Error::Unwitnessed(_) => Problem::Unrecorded.into(),
        Error::OutcomeUnknown(_) => Problem::OutcomeUnknown.into(),
        Error::Corrupt(_)
        | Error::Cipher(_)
        | Error::WrongRootKey
        | Error::Authority(_)
        | Error::Unjudged => Problem::Internal.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_problem_is_told_in_its_words() {
        assert_eq!(
            Problem::WrongField.with(&["a", "expected b"]).text,
            "Field validation failed: error converting \
            input for field \"a\": expected b"
        );
        assert_eq!(Problem::MountInUse.with(&["{}"]).text, "path is already in use at {}/");
        let failed = Failed::from(Error::SecretNotFound).in_vault();
        assert_eq!((failed.problem, &*failed.text), (Problem::KvNotFound, ""));
        assert!(matches!(failed.cause.as_deref(), Some(Error::SecretNotFound)));
    }

    /// What a client repeats by itself says when, and nothing else does; what Vault says in a row's
    /// place is whole.
    #[test]
    fn rows_are_sound() {
        let ids: BTreeSet<_> = Problem::ALL.iter().map(|problem| problem.id()).collect();
        assert_eq!(ids.len(), Problem::ALL.len());
        for problem in Problem::ALL {
            let Row { id, status, retry_after, vault, .. } = problem.row();
            assert_eq!(retry_after.is_some(), matches!(status.as_u16(), 429 | 503), "{id}");
            assert!(
                vault.is_none_or(
                    |other| other.row().vault.is_none() && !other.row().text.contains("{}")
                ),
                "{id}"
            );
        }
    }
}
