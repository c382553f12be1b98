//! Why a handshake has failed, in words for the operator: the peer gets TLS's alert, and often shows
//! less.
//!
//! Always holds: one line says what is wrong, and what to do; of what the peer has sent there is
//! nothing in it. Never does: decide whom to refuse.

use std::io;

use rustls::{
    AlertDescription, CertificateError, Error, OtherError, PeerIncompatible, pki_types::UnixTime,
};

use super::knocks::TooMany;
use crate::{auth::chain::ChainFault, metrics::HandshakeError, model::Timestamp};

/// The first byte of every TLS handshake.
const HANDSHAKE_RECORD: u8 = 22;
/// How a connection through a proxy begins that tells the client's address this way, in both forms.
const PROXY_PROTOCOL: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];
/// How requests begin.
const METHODS: [&[u8]; 10] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"PATCH ",
    b"DELETE ",
    b"OPTIONS ",
    b"LIST ",
    b"CONNECT ",
    b"PRI * ",
];

/// A peer that left without a word, as those do who only look whether the port is open.
#[derive(Debug, thiserror::Error)]
#[error("the peer left without a word")]
pub(super) struct Silent;

/// What came is no TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTls {
    #[error("the peer speaks plain HTTP; use https://")]
    Http,
    #[error(
        "the connection begins with a PROXY header, which is not read here; switch it off at the load balancer"
    )]
    Proxy,
    #[error("the peer speaks no TLS")]
    Other,
}

impl NotTls {
    /// How many bytes of a beginning tell all of it.
    pub(super) const BYTES: usize = 12;

    /// What it is that begins so, if it is no TLS.
    pub(super) fn of(beginning: &[u8]) -> Option<Self> {
        let begins = |with: &&[u8]| beginning.starts_with(with);
        match beginning.first() {
            Some(&HANDSHAKE_RECORD) => None,
            _ if METHODS.iter().any(begins) => Some(Self::Http),
            _ if PROXY_PROTOCOL.iter().any(begins) => Some(Self::Proxy),
            _ => Some(Self::Other),
        }
    }
}

/// The reason, for counting it.
pub(super) fn reason(error: &io::Error) -> HandshakeError {
    let Some(inner) = error.get_ref() else { return HandshakeError::Gone };
    if inner.is::<NotTls>() {
        return HandshakeError::NotTls;
    }
    if inner.is::<Silent>() {
        return HandshakeError::Silent;
    }
    match inner.downcast_ref::<TooMany>() {
        Some(TooMany::OfAddress) => return HandshakeError::AddressRate,
        Some(TooMany::OfAll) => return HandshakeError::Rate,
        None => {}
    }
    match inner.downcast_ref::<Error>() {
        None => HandshakeError::Gone,
        Some(Error::NoCertificatesPresented) => HandshakeError::NoCertificate,
        Some(Error::InvalidCertificate(error)) => of_certificate(error),
        // The peer does not like ours.
        Some(Error::AlertReceived(_)) => HandshakeError::ByPeer,
        Some(Error::PeerIncompatible(error)) => of_offer(error),
        Some(_) => HandshakeError::Protocol,
    }
}

fn of_certificate(error: &CertificateError) -> HandshakeError {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            HandshakeError::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            HandshakeError::NotYetValid
        }
        CertificateError::UnknownIssuer => HandshakeError::UnknownIssuer,
        CertificateError::BadSignature => HandshakeError::BadSignature,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            HandshakeError::WrongUsage
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<ChainFault>() {
            Some(ChainFault::NotForClients | ChainFault::NoSignature) => HandshakeError::WrongUsage,
            Some(ChainFault::Authority) => HandshakeError::IsAuthority,
            None if is_beyond_constraints(other) => HandshakeError::NameConstraints,
            _ => HandshakeError::BadCertificate,
        },
        _ => HandshakeError::BadCertificate,
    }
}

fn is_beyond_constraints(other: &OtherError) -> bool {
    matches!(other.0.downcast_ref(), Some(webpki::Error::NameConstraintViolation))
}

/// What is wrong, in our words where there are any: the library shows an error of ours as it is
/// written in the source.
pub(super) fn words(error: &io::Error) -> String {
    let date = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_unix_seconds(seconds).to_rfc3339_seconds().to_string()
    };
    let certificate = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(certificate)) => certificate,
        Some(Error::NoCertificatesPresented) => {
            return "the client shows no certificate".to_owned();
        }
        _ => return error.to_string(),
    };
    match certificate {
        CertificateError::Expired => "an authority that is trusted here has expired".to_owned(),
        CertificateError::NotValidYet => {
            "an authority that is trusted here is not valid yet".to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("a certificate of the client has expired ({})", date(not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("a certificate of the client is not valid before {}", date(not_before))
        }
        CertificateError::UnknownIssuer => ChainFault::UnknownIssuer.to_string(),
        CertificateError::BadSignature => {
            "a certificate of the client is not signed by the authority that it names".to_owned()
        }
        CertificateError::Other(other) if is_beyond_constraints(other) => {
            "an authority's name constraints forbid a name in the certificate".to_owned()
        }
        CertificateError::Other(other) => other.to_string(),
        _ => error.to_string(),
    }
}

fn of_offer(error: &PeerIncompatible) -> HandshakeError {
    use PeerIncompatible as Peer;
    match error {
        Peer::SupportedVersionsExtensionRequired
        | Peer::Tls12NotOffered
        | Peer::Tls12NotOfferedOrEnabled
        | Peer::ServerDoesNotSupportTls12Or13
        | Peer::ServerTlsVersionIsDisabledByOurConfig => HandshakeError::Version,
        Peer::NoCipherSuitesInCommon
        | Peer::NoKxGroupsInCommon
        | Peer::NoSignatureSchemesInCommon
        | Peer::NoCertificateRequestSignatureSchemesInCommon
        | Peer::NoEcPointFormatsInCommon => HandshakeError::NothingInCommon,
        _ => HandshakeError::Protocol,
    }
}

/// What to do about it.
pub(super) fn advice(why: HandshakeError, error: &io::Error) -> &'static str {
    match why {
        HandshakeError::Expired => {
            "get the client a new certificate, or put the authority's new one in place; see when they end, and both clocks"
        }
        HandshakeError::NotYetValid => {
            "wait, or look at the clocks here and where the certificate was made"
        }
        HandshakeError::UnknownIssuer => {
            "let the client show the certificates between its own and the authority, or name the authority in [trust]"
        }
        HandshakeError::BadSignature => {
            "another authority of the same name has signed the certificate: name the one that has in [trust]"
        }
        HandshakeError::WrongUsage => {
            "get a certificate with extendedKeyUsage clientAuth and, if it has a keyUsage, digitalSignature"
        }
        HandshakeError::IsAuthority => {
            "an authority's certificate is no client's: have it sign one with CA:FALSE"
        }
        HandshakeError::NameConstraints => {
            "the authority may not sign for these names: get a certificate with others, or from another authority"
        }
        HandshakeError::BadCertificate => "docs/CERTIFICATES.md says what a certificate must be",
        HandshakeError::NoCertificate => {
            "give the client a certificate and its key; server.client_auth is \"required\""
        }
        HandshakeError::ByPeer if is_distrust(error) => {
            "the client does not take the server's certificate: let it trust the authority above that, and use a name that is in it"
        }
        HandshakeError::ByPeer => "the client's own log says why",
        HandshakeError::NotTls => "nothing is served here but TLS",
        HandshakeError::Version => "the client must speak TLS 1.2 or 1.3",
        HandshakeError::NothingInCommon => {
            "the client must offer a cipher suite, a key exchange and a signature that are not out of date"
        }
        HandshakeError::Protocol => "the client, or somebody on the way, breaks TLS",
        HandshakeError::Gone => {
            "the client gave up, perhaps as it does not take the server's certificate; its own log says why"
        }
        HandshakeError::Silent => "nothing, if it is a probe",
        HandshakeError::AddressRate => {
            "let the client keep its connections open; where many clients share the address, raise limits.address_handshakes_per_second"
        }
        HandshakeError::Rate => {
            "see who connects so often; where all of them may, raise limits.handshakes_per_second"
        }
        HandshakeError::TooSlow => {
            "the network or the client is slow, or limits.handshake_time short"
        }
    }
}

fn is_distrust(error: &io::Error) -> bool {
    use AlertDescription as Alert;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(
        inner,
        Some(Error::AlertReceived(
            Alert::UnknownCA
                | Alert::BadCertificate
                | Alert::CertificateUnknown
                | Alert::CertificateExpired
                | Alert::CertificateRevoked
                | Alert::UnsupportedCertificate
                // It knows another authority of the same name.
                | Alert::DecryptError
        ))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_tells_what_it_is() {
        for (beginning, what) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], None),
            (b"\x16", None),
            (b"GET / HTTP/1", Some(NotTls::Http)),
            (b"PRI * HTTP/2", Some(NotTls::Http)),
            (b"PROXY TCP4 1", Some(NotTls::Proxy)),
            (b"\r\n\r\n\0\r\nQUIT\n", Some(NotTls::Proxy)),
            (b"SSH-2.0-x\r\n", Some(NotTls::Other)),
            (b"G", Some(NotTls::Other)),
        ] {
            assert_eq!(NotTls::of(beginning), what, "{beginning:?}");
        }
    }
}
