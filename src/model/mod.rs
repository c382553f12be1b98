//! The rules of versioned secrets, and nothing else.
//!
//! Owns the nouns (ids, paths, versions, settings, headers) and every decision about them: which
//! state a version is in, whether a write's CAS holds, what is pruned, what a transition does.
//! Always holds: an id, a path, a number, a span or metadata is well formed, because parsing is the
//! only way to make one; what has several parts is checked where it is read back; the same inputs
//! give the same answer. Never does: I/O, reading a clock, randomness,
//! JSON, HTTP.

mod about;
mod access_count;
mod audit;
pub mod condition;
mod config;
mod credential;
mod customer_ca;
mod duration;
mod error;
mod event;
mod facet;
mod faults;
mod ids;
mod life;
mod metadata;
mod mount;
mod network;
mod path;
pub mod policy;
mod policy_id;
mod proxy;
mod quota;
pub mod recipe;
mod refused;
mod revocation;
mod rotation;
mod rotation_event;
mod schedule;
mod secret;
mod secret_uri;
mod settings;
mod span;
pub mod tally;
pub mod text;
mod time;
mod token;
mod usage;
mod user;
mod vault_policy;
mod version;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::secret_uri::check_uri;
pub use self::{
    about::{
        About, AboutPatch, SecretType, Tags, description as secret_description,
        owner as secret_owner,
    },
    access_count::AccessCount,
    audit::{AuditMark, DeviceName, EnabledDevice, TrailFileName},
    condition::{Circumstances, Condition, When},
    config::DomainConfig,
    credential::{
        CREDENTIAL_DESCRIPTION_MAX, CREDENTIAL_IDENTITIES_MAX, CREDENTIAL_IDENTITY_MAX, Credential,
        ENDS_SOON_SECONDS, check_remarks,
    },
    customer_ca::{
        AddedBy, CUSTOMER_CA_BYTES_MAX, CUSTOMER_CA_LIST_BYTES_MAX, CUSTOMER_CAS_MAX, CustomerCa,
        CustomerCaList, CustomerCas,
    },
    duration::DeactivateAfter,
    error::Invalid,
    event::{Happening, SecretEvent},
    facet::{Facet, FacetPlace},
    faults::Faults,
    ids::{OkmsId, TenantAlias},
    life::{EndPatch, Life, LifePatch, Removal, Rotation},
    metadata::{
        CustomMetadata, CustomPatch, METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX,
        check_entry as check_custom_entry,
    },
    mount::{Mount, MountError, MountPath, Moved, View, description as mount_description},
    network::Network,
    path::{PATH_MAX, PUBLISHED_PATH_MAX, SecretPath},
    policy::{BuiltIn, CertRole, CertRule, IamPolicy, ResourcePattern, RuleIssuer},
    policy_id::{RotationPolicyId, SecretPolicyId},
    proxy::{AddressHeader, CertificateHeader, Proxy},
    quota::{Excess, Quota, Rate},
    recipe::{PolicyType, Recipe, SecretPolicy, SecretPolicyFields, SecretPolicyPatch},
    refused::Refused,
    revocation::{Revocation, RevocationReason},
    rotation::{POLICIES_MAX, RotationFields, RotationPatch, RotationPolicy, default_grace},
    rotation_event::{ROTATION_EVENTS_MAX, RotationEvent, RotationOutcome, rotation_reason},
    schedule::{RotationStatus, Schedule},
    secret::{Added, Header, MetadataPatch, SeenVersion},
    secret_uri::{
        Fragment, Scheme, SecretUri, SecretUriPrefix, UriError, resource as secret_resource,
        resource_below as secret_prefix_resource,
    },
    settings::{DEFAULT_MAX_VERSIONS, MaxVersions, Settings, SettingsPatch},
    span::{Span, Spans},
    tally::Tally,
    time::Timestamp,
    token::{Bearer, Token, TokenLife, WRAPPING_LIFE_SECONDS, Wrapped},
    usage::{Growth, Usage},
    user::{PasswordHash, User, user_name},
    vault_policy::VaultPolicy,
    version::{
        Cas, Transition, VERSION_MAX, VersionAct, VersionNumber, VersionRecord, VersionState,
    },
};
