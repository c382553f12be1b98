//! A region's folder: what it holds, and how its files are made.
//!
//! Always holds: one process at a time makes files in a folder, others wait; a file is there whole
//! or not at all; what is there is never replaced by something new of its kind, keys above all.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::{
    clock::{Clock, SystemClock},
    crypto::{self, FileRootKey},
    durable,
    material::{self, MaterialError},
    model::Timestamp,
    pki::{self, CertificateAuthority, KeyKind, KeySource, PrivateKeyPem, ServerName, Subject},
};

const CA_DAYS: u32 = 3650;
/// What browsers accept at most.
const SERVER_DAYS: u32 = 397;
const OPERATOR_DAYS: u32 = 397;

/// Something in the folder that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    /// A file or the folder itself.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// A file with a certificate or key.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A certificate or key.
    #[error("{0}: {1}")]
    Pki(PathBuf, #[source] pki::Error),
    /// The root key, or a random name.
    #[error("{0}: {1}")]
    RootKey(PathBuf, #[source] crypto::Error),
}

/// A region's folder.
pub(super) struct Folder(PathBuf);

/// What a new region is like.
pub(super) struct Region<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it will listen.
    pub listen: SocketAddr,
    /// Where its admin listener will be.
    pub admin_listen: SocketAddr,
    /// The names in its server certificate.
    pub server_names: &'a [ServerName],
    /// The address that clients use, where it does not follow from `listen`.
    pub endpoint: Option<String>,
}

impl Folder {
    /// The folder at `path`, which need not exist.
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The config file.
    pub(super) fn config(&self) -> PathBuf {
        self.file("okmsd.toml")
    }

    /// The right to make files in the folder, which this makes too where it is absent. Waits while
    /// another process has it; ends with what is given back.
    pub(super) fn lock(&self) -> Result<File, FolderError> {
        let failed = |error| FolderError::Io(self.0.clone(), error);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.0).map_err(failed)?;
        let folder = File::open(&self.0).map_err(failed)?;
        // Some file systems lock no folders; there one may not start twice at once.
        let _where_it_can_be_had = folder.lock();
        Ok(folder)
    }

    /// Makes what is absent. What is there stays as it is.
    pub(super) fn complete(&self, region: &Region<'_>) -> Result<(), FolderError> {
        let turn = self.lock()?;
        let now = SystemClock.now();
        let authority = self.authority(region, now)?;
        if !self.file("server_certificate.pem").exists() {
            let issued = authority.issue_server(
                region.server_names,
                KeySource::Fresh(KeyKind::P256),
                now,
                SERVER_DAYS,
            );
            self.keep("server", issued)?;
        }
        if !self.file("operator_certificate.pem").exists() {
            let key = KeySource::Fresh(KeyKind::P256);
            self.keep(
                "operator",
                authority.issue_access(&Subject::Operator, "operator", key, now, OPERATOR_DAYS),
            )?;
        }
        let root = self.file("root.key");
        if !root.exists() {
            let key = FileRootKey::generate()
                .map_err(|error| FolderError::RootKey(root.clone(), error))?;
            write_private(&root, key.as_bytes())?;
        }
        if !self.config().exists() {
            write(&self.config(), config_text(region).as_bytes())?;
        }
        // A power cut must not take the root key of a store away that was filled since.
        turn.sync_all().map_err(|error| FolderError::Io(self.0.clone(), error))
    }

    /// Writes a certificate and its key under `<stem>_certificate.pem` and `<stem>_privatekey.pem`.
    pub(super) fn write_pair(
        &self,
        stem: &str,
        certificate: &str,
        key: &PrivateKeyPem,
    ) -> Result<(), FolderError> {
        write_private(&self.file(&format!("{stem}_privatekey.pem")), key.expose().as_bytes())?;
        write(&self.file(&format!("{stem}_certificate.pem")), certificate.as_bytes())
    }

    fn authority(
        &self,
        region: &Region<'_>,
        now: Timestamp,
    ) -> Result<CertificateAuthority, FolderError> {
        let (certificate_path, key_path) =
            (self.file("region_ca.pem"), self.file("region_ca_privatekey.pem"));
        let pki = |error| FolderError::Pki(certificate_path.clone(), error);
        if certificate_path.exists() {
            let certificate = material::text(&certificate_path)?;
            let key = material::signing_key(&key_path)?;
            return CertificateAuthority::load(&certificate, &key).map_err(pki);
        }
        let name = authority_name(region.name)
            .map_err(|error| FolderError::RootKey(certificate_path.clone(), error))?;
        let (authority, key) = CertificateAuthority::create(&name, now, CA_DAYS).map_err(pki)?;
        write_private(&key_path, key.expose().as_bytes())?;
        write(&certificate_path, authority.certificate_pem().as_bytes())?;
        Ok(authority)
    }

    fn keep(&self, stem: &str, issued: Result<pki::Issued, pki::Error>) -> Result<(), FolderError> {
        let fault = |error| FolderError::Pki(self.file(&format!("{stem}_certificate.pem")), error);
        let issued = issued.map_err(fault)?;
        match &issued.key {
            Some(key) => self.write_pair(stem, &issued.certificate_pem, key),
            None => Err(fault(pki::Error::Random)),
        }
    }
}

/// A name that no other authority has: browsers and verifiers tell authorities apart by nothing
/// else, and every folder on a machine may have a region of the same name.
fn authority_name(region: &str) -> Result<String, crypto::Error> {
    /// What a common name may hold beside these words.
    const REGION_MAX: usize = 64 - "okmsd  region CA 01234567".len();
    let region: String = region.chars().take(REGION_MAX).collect();
    let suffix = u32::from_be_bytes(crypto::random()?);
    Ok(format!("okmsd {region} region CA {suffix:08x}"))
}

/// Writes a file that everybody may read.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    replace(path, bytes, 0o644).map_err(|error| FolderError::Io(path.to_owned(), error))
}

/// Writes a file that is its owner's alone.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    replace(path, bytes, 0o600).map_err(|error| FolderError::Io(path.to_owned(), error))
}

/// Writes a certificate and its key in the place of others. Both are there in whole, with `.new` at
/// the end of their names, before the first takes its place: whoever is cut off between the two
/// finds the second.
pub(super) fn replace_pair(
    (certificate_path, certificate): (&Path, &[u8]),
    (key_path, key): (&Path, &PrivateKeyPem),
) -> Result<(), FolderError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| FolderError::Io(path, error)
    };
    let new_key =
        durable::draft(key_path, key.expose().as_bytes(), 0o600).map_err(failed(key_path))?;
    let new_certificate =
        durable::draft(certificate_path, certificate, 0o644).map_err(failed(certificate_path))?;
    fs::rename(new_key, key_path).map_err(failed(key_path))?;
    fs::rename(new_certificate, certificate_path).map_err(failed(certificate_path))
}

/// Writes a file whole or not at all, whenever the process ends.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    fs::rename(durable::draft(path, bytes, mode)?, path)
}

fn config_text(region: &Region<'_>) -> String {
    format!(
        "# okmsd: the region's configuration. Paths are relative to this file's folder. Every key has a default;\n\
         # the README lists them all. OKMSD_SERVER__LISTEN in the environment overrides listen in [server], and so on.\n\
         region = \"{}\"\n\
         \n\
         [server]\n\
         listen = \"{}\"\n\
         admin_listen = \"{}\"\n\
         {}certificate = \"server_certificate.pem\"\n\
         private_key = \"server_privatekey.pem\"\n\
         client_auth = \"optional\"\n\
         \n\
         [trust]\n\
         region_ca = \"region_ca.pem\"\n\
         region_ca_key = \"region_ca_privatekey.pem\"\n\
         \n\
         [keys]\n\
         root_key = \"root.key\"\n\
         \n\
         [store]\n\
         path = \"okmsd.redb\"\n\
         \n\
         # Who did what; nothing is changed that is not in it. In the folder are the files that operators\n\
         # enable over the API (vault audit enable); without it they enable none.\n\
         [audit]\n\
         folder = \"audit\"\n\
         \n\
         [[audit.device]]\n\
         kind = \"file\"\n\
         path = \"audit.log\"\n\
         \n\
         [log]\n\
         format = \"text\"\n",
        region.name,
        region.listen,
        region.admin_listen,
        region
            .endpoint
            .as_ref()
            .map(|endpoint| format!("endpoint = \"{endpoint}\"\n"))
            .unwrap_or_default()
    )
}
