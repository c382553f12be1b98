//! Why a server cannot start, or cannot go by the files that there are.

use std::{io, net::SocketAddr, path::PathBuf};

use super::audit_error::AuditError;
use crate::{
    auth::jwt::KeySetFault,
    config::ConfigError,
    crypto::RootKeyError,
    files::FileName,
    material::MaterialError,
    pki,
    server::{TlsError, UselessAuthority, UselessBearer},
    service,
    store::engines::postgres::Fault,
    store::engines::redb::OpenError,
    store::export::ExportError,
    telemetry,
};

/// A server that cannot start, or cannot go by new files. Each names the file, key or address at
/// fault.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The audit trail.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The log.
    #[error(transparent)]
    Log(#[from] telemetry::StartError),
    /// The root key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// Certificates and keys for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file of the certificate authority.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The certificate authority.
    #[error("{0}: {1}")]
    Authority(FileName, #[source] pki::Error),
    /// The keys of the issuer of JWTs.
    #[error("{0}: {1}")]
    KeySet(FileName, #[source] KeySetFault),
    /// The authorities of the address where these are.
    #[error("{0}: is no authority of an address: {1}")]
    KeyServerCa(FileName, #[source] UselessAuthority),
    /// The bearer token by which this server is known to the policy decision point.
    #[error("{0}: {1}")]
    PdpBearer(FileName, #[source] UselessBearer),
    /// What it is known by there else.
    #[error("{0}: cannot be used to ask the policy decision point: {1}")]
    PdpMaterial(FileName, #[source] UselessAuthority),
    /// What a server would start with, and should not.
    #[error("{0}")]
    Doubtful(String),
    /// The files were written while they were read.
    #[error("the files are being written just now")]
    Restless,
    /// A file is the beginning of what it was.
    #[error(
        "{0}: has lost its end, as if it were half written; write the rest, or take it as it is by SIGHUP"
    )]
    Cut(FileName),
    /// The store.
    #[error("store {0}: {1}")]
    Store(PathBuf, #[source] OpenError),
    /// The store, in a database.
    #[error("store {0}: {1}")]
    Database(PathBuf, #[source] Fault),
    /// The root key, of another store.
    #[error(
        "root key {0}: is not the one that the store {1} was made with; give the store its own key"
    )]
    WrongRootKey(FileName, FileName),
    /// There is none.
    #[error("store {0}: there is none")]
    NoStore(PathBuf),
    /// The store is not exported.
    #[error("store {0}: {1}")]
    Export(PathBuf, #[source] ExportError),
    /// The store is not filled.
    #[error("store {0}: {1}")]
    NotFilled(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is in the store.
    #[error("store {0}: {1}")]
    Service(PathBuf, #[source] service::Error),
    /// An address.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, #[source] io::Error),
    /// A part that cannot fail, did.
    #[error("the server cannot start: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}
