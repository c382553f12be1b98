//! What a certificate says that decides whether it is fit for its place: as an authority, a link, a
//! client, a server.
//!
//! Always holds: [`Facts`] came from one whole certificate of X.509 version 3. What RFC 5280
//! restricts only where the extension is present is restricted only then; the one exception is a
//! client's purpose, see [`Facts::is_client`]. Never does: check a signature, read a clock.

use aws_lc_rs::digest;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{
        OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_KEY_USAGE,
        OID_X509_EXT_NAME_CONSTRAINTS,
    },
    prelude::FromDer,
    x509::X509Version,
};

use super::{error::CertificateFault, public_key::accept, validity::Validity};

/// What one certificate says.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whose it is, DER.
    pub subject: Vec<u8>,
    /// Who signed it, DER.
    pub issuer: Vec<u8>,
    /// When it is valid.
    pub validity: Validity,
    /// How many further authorities may stand below it, where it says.
    pub path_len: Option<u32>,
    /// The identifier of its key.
    pub key_id: Option<Vec<u8>>,
    /// The identifier of the key that signed it.
    pub issuer_key_id: Option<Vec<u8>>,
    /// How many DNS names and IP addresses it has.
    pub server_names: usize,
    public_key: Vec<u8>,
    is_authority: bool,
    key_usage: Option<KeyUsage>,
    purposes: Option<Purposes>,
}

#[derive(Clone, Copy, Debug)]
struct KeyUsage {
    signs_certificates: bool,
    signs_messages: bool,
    signs_lists: bool,
}

#[derive(Clone, Copy, Debug)]
struct Purposes {
    client: bool,
    server: bool,
}

impl Facts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`CertificateFault`] where it is none, or says something twice.
    pub fn read(der: &[u8]) -> Result<Self, CertificateFault> {
        let certificate = read(der)?;
        if certificate.version() != X509Version::V3 {
            return Err(CertificateFault::Version);
        }
        let constraints =
            certificate.basic_constraints().map_err(|_| CertificateFault::Der)?.map(|e| e.value);
        let key_usage =
            certificate.key_usage().map_err(|_| CertificateFault::Der)?.map(|usage| KeyUsage {
                signs_certificates: usage.value.key_cert_sign(),
                signs_messages: usage.value.digital_signature(),
                signs_lists: usage.value.crl_sign(),
            });
        let purposes = certificate.extended_key_usage().map_err(|_| CertificateFault::Der)?;
        let purposes = purposes.map(|usage| Purposes {
            client: usage.value.client_auth,
            server: usage.value.server_auth,
        });
        let names = certificate.subject_alternative_name().map_err(|_| CertificateFault::Der)?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let is_server_name = |name: &&GeneralName<'_>| {
            matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_))
        };
        let (mut key_id, mut issuer_key_id) = (None, None);
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => key_id = Some(id.0.to_vec()),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    issuer_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                _ => {}
            }
        }
        Ok(Self {
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            validity: Validity::from(certificate.validity()),
            path_len: constraints.and_then(|constraints| constraints.path_len_constraint),
            key_id,
            issuer_key_id,
            server_names: names.filter(is_server_name).count(),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
            is_authority: constraints.is_some_and(|constraints| constraints.ca),
            key_usage,
            purposes,
        })
    }

    /// Reads the certificate of an authority whose word is taken: it must be fit to sign, of a kind
    /// of key that signatures can be checked with, and have a name.
    ///
    /// # Errors
    /// [`CertificateFault`] says what it lacks, and what to do.
    pub fn of_authority(der: &[u8]) -> Result<Self, CertificateFault> {
        let facts = Self::read(der)?;
        facts.may_sign()?;
        let certificate = read(der)?;
        accept(certificate.public_key()).map_err(CertificateFault::PublicKey)?;
        // Without a name of its own, a CA cannot be told from any other by the leaves that name it.
        if certificate.subject().iter().next().is_none() {
            return Err(CertificateFault::Name);
        }
        if facts.purposes.is_some_and(|purposes| !purposes.client) {
            return Err(CertificateFault::Purpose);
        }
        Ok(facts)
    }

    /// Whether it may sign certificates.
    ///
    /// # Errors
    /// [`CertificateFault`] says what it lacks.
    pub fn may_sign(&self) -> Result<(), CertificateFault> {
        if !self.is_authority {
            return Err(CertificateFault::NotCa);
        }
        if self.key_usage.is_some_and(|usage| !usage.signs_certificates) {
            return Err(CertificateFault::KeyUsage);
        }
        Ok(())
    }

    /// Whether it may sign revocation lists.
    ///
    /// # Errors
    /// [`CertificateFault`] says what it lacks.
    pub fn may_sign_lists(&self) -> Result<(), CertificateFault> {
        if self.key_usage.is_some_and(|usage| !usage.signs_lists) {
            return Err(CertificateFault::ListUsage);
        }
        Ok(())
    }

    /// Whether it says that it is a client's. A certificate without extendedKeyUsage is for
    /// anything by RFC 5280: also for what its owner never meant to open secrets with. So it must
    /// say clientAuth, and anyExtendedKeyUsage is not enough.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.purposes.is_some_and(|purposes| purposes.client)
    }

    /// Whether it can be a server's.
    #[must_use]
    pub fn can_be_server(&self) -> bool {
        self.purposes.is_none_or(|purposes| purposes.server)
    }

    /// Whether its key may sign messages, as TLS needs of a leaf.
    #[must_use]
    pub fn signs_messages(&self) -> bool {
        self.key_usage.is_none_or(|usage| usage.signs_messages)
    }

    /// Whether it is an authority's.
    #[must_use]
    pub const fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// The bits of its public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }
}

/// SHA-256 of the `SubjectPublicKeyInfo` of a certificate.
///
/// # Errors
/// [`CertificateFault`] where it is none.
pub fn key_sha256(der: &[u8]) -> Result<[u8; 32], CertificateFault> {
    let mut hash = [0; 32];
    let key = read(der)?;
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.public_key().raw).as_ref());
    Ok(hash)
}

/// The kind of names that an authority's certificate has name constraints on, where it has such as are not
/// judged: those on DNS names and IP addresses are. What is constrained and not judged is refused in TLS,
/// whatever the constraint says.
///
/// # Errors
/// [`CertificateFault`] where it is no certificate.
pub fn unjudged_constraints(der: &[u8]) -> Result<Option<&'static str>, CertificateFault> {
    let certificate = read(der)?;
    let constraints =
        certificate.extensions().iter().filter(|one| one.oid == OID_X509_EXT_NAME_CONSTRAINTS);
    let mut kinds = Vec::new();
    for extension in constraints {
        let ParsedExtension::NameConstraints(constraints) = extension.parsed_extension() else {
            return Ok(Some("names that cannot be read"));
        };
        let subtrees =
            [&constraints.permitted_subtrees, &constraints.excluded_subtrees].into_iter().flatten();
        kinds.extend(subtrees.flatten().filter_map(|subtree| match subtree.base {
            GeneralName::DNSName(_) | GeneralName::IPAddress(_) => None,
            GeneralName::DirectoryName(_) => Some("directory names, as every subject is one"),
            GeneralName::URI(_) => Some("URIs"),
            GeneralName::RFC822Name(_) => Some("e-mail addresses"),
            GeneralName::OtherName(..) => Some("other names (such as the userPrincipalName)"),
            _ => Some("names of an unusual kind"),
        }));
    }
    // What keeps out everybody is told first.
    kinds.sort_by_key(|kind| !kind.starts_with("directory"));
    Ok(kinds.first().copied())
}

/// What an authority's certificate says of those that it may sign for, whatever its dates: two
/// certificates of one authority that say the same vouch for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds(Vec<(Vec<u8>, Vec<u8>)>);

impl Bounds {
    /// Those of a certificate (DER).
    ///
    /// # Errors
    /// [`CertificateFault`] where it is none.
    pub fn read(der: &[u8]) -> Result<Self, CertificateFault> {
        let certificate = read(der)?;
        let bounding = [
            OID_X509_EXT_BASIC_CONSTRAINTS,
            OID_X509_EXT_KEY_USAGE,
            OID_X509_EXT_EXTENDED_KEY_USAGE,
            OID_X509_EXT_NAME_CONSTRAINTS,
        ];
        let bounds = certificate.extensions().iter().filter(|one| bounding.contains(&one.oid));
        let mut bounds: Vec<_> =
            bounds.map(|one| (one.oid.as_bytes().to_vec(), one.value.to_vec())).collect();
        bounds.sort();
        Ok(Self(bounds))
    }
}

/// The identifier that a certificate gives its key, if it is a hash of that: nobody can give it to
/// another key. Authorities make it in one of these ways (RFC 5280 4.2.1.2, RFC 7093).
///
/// # Errors
/// [`CertificateFault`] where it is none.
pub fn hashed_key_id(der: &[u8]) -> Result<Option<Vec<u8>>, CertificateFault> {
    let Some(key_id) = Facts::read(der)?.key_id else { return Ok(None) };
    let certificate = read(der)?;
    let key = certificate.public_key();
    let of = |algorithm, bytes: &[u8]| digest::digest(algorithm, bytes);
    let is_hash = [key.subject_public_key.data.as_ref(), key.raw].iter().any(|bytes| {
        let sha256 = of(&digest::SHA256, bytes);
        let begins = key_id.len() >= 20 && sha256.as_ref().starts_with(&key_id);
        begins || of(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref() == key_id
    });
    Ok(is_hash.then_some(key_id))
}

/// SHA-256 of a certificate, or of what is said to be one.
#[must_use]
pub fn certificate_sha256(der: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
    hash
}

/// Reads a whole certificate, nothing more and nothing less.
pub(super) fn read(der: &[u8]) -> Result<X509Certificate<'_>, CertificateFault> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateFault::Der)?;
    if rest.is_empty() { Ok(certificate) } else { Err(CertificateFault::TrailingBytes) }
}
