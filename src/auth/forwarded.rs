//! What a proxy writes of a client's certificate: the forms of RFC 9440 and of Envoy.
//!
//! Always holds: one certificate is told or none; whatever could be read in two ways is refused, so
//! that no part of a certificate that a client has made, and no header that a client has sent, can
//! pass for the proxy's word. A fault has no byte of what was sent. Never does: believe it. It is
//! judged as one that is shown in a handshake is.

use std::{borrow::Cow, collections::HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;

use crate::pki::{
    certificate_sha256,
    pem::{self, PemFault},
};

/// The certificates that a proxy says it was shown, DER: the client's own, and then the others.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(Vec<Vec<u8>>);

impl Shown {
    /// The client's own, and then the others.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown({} certificates)", self.0.len())
    }
}

/// Why what a proxy says cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardFault {
    /// A header that was not taken away from the client's request, or was added twice.
    #[error("a header with a client certificate is there twice; it must be set, not added to")]
    Repeated,
    /// The header of the other form.
    #[error(
        "a header with a client certificate is there that is not read of this proxy; it must be removed from what clients \
         send"
    )]
    OtherHeader,
    /// Others' certificates without the client's own.
    #[error("Client-Cert-Chain is there without Client-Cert")]
    ChainAlone,
    /// Not a byte sequence of RFC 8941.
    #[error("Client-Cert is a certificate in base64 (DER) between two colons, and nothing else")]
    NotBytes,
    /// Not a list of them.
    #[error("Client-Cert-Chain is a list of certificates, each in base64 (DER) between two colons")]
    NotListOfBytes,
    /// Not Envoy's form.
    #[error(
        "X-Forwarded-Client-Cert is names and values, name=value;name=\"value\", each name once"
    )]
    NotPairs,
    /// Words of others before the proxy's.
    #[error(
        "X-Forwarded-Client-Cert has several elements; the proxy must set it, not add to it (Envoy: SANITIZE_SET)"
    )]
    Several,
    /// Nothing of the certificate but what is said of it.
    #[error(
        "X-Forwarded-Client-Cert has neither Cert nor Chain (Envoy: set_current_client_cert_details)"
    )]
    NoCertificate,
    /// Not a certificate in PEM.
    #[error("in X-Forwarded-Client-Cert, escaped as in URLs: {0}")]
    Pem(PemFault),
    /// Two certificates for one.
    #[error("Cert, Chain and Hash of X-Forwarded-Client-Cert are of different certificates")]
    Conflicting,
    /// Not an address.
    #[error("the header with the client's address cannot be read")]
    Address,
}

/// What `Client-Cert` and `Client-Cert-Chain` say (RFC 9440); an empty certificate is none.
///
/// # Errors
/// [`ForwardFault`] says what is not as it must be.
pub fn client_cert(own: &[u8], chain: Option<&[u8]>) -> Result<Option<Shown>, ForwardFault> {
    let own = bytes(own).ok_or(ForwardFault::NotBytes)?;
    let chain = chain.map(|chain| chain.split(|byte| *byte == b',').map(bytes).collect());
    let chain: Option<Option<Vec<_>>> = chain;
    let above = chain.map_or(Some(Vec::new()), |chain| chain);
    let above = above.ok_or(ForwardFault::NotListOfBytes)?;
    if own.is_empty() {
        return Ok(None);
    }
    Ok(Some(Shown(std::iter::once(own).chain(above).collect())))
}

/// What `X-Forwarded-Client-Cert` says: one element, in Envoy's form; an empty certificate is none.
///
/// # Errors
/// [`ForwardFault`] says what is not as it must be.
pub fn x_forwarded_client_cert(value: &[u8]) -> Result<Option<Shown>, ForwardFault> {
    let text = std::str::from_utf8(value).map_err(|_| ForwardFault::NotPairs)?;
    let (mut certificate, mut chain, mut hash) = (None, None, None);
    let mut names = HashSet::new();
    let mut rest = text;
    loop {
        let (name, value, after) = pair(rest).ok_or(ForwardFault::NotPairs)?;
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "cert" => certificate = Some(value),
            "chain" => chain = Some(value),
            "hash" => hash = Some(value),
            _ => {}
        }
        // Of these Envoy tells each that there is under a name of its own.
        let may_repeat = ["by", "dns", "uri"].contains(&name.as_str());
        if !names.insert(name) && !may_repeat {
            return Err(ForwardFault::NotPairs);
        }
        match after.as_bytes().first() {
            None => break,
            Some(b';') => rest = after.get(1..).unwrap_or_default(),
            _ => return Err(ForwardFault::Several),
        }
    }
    if certificate.is_none() && chain.is_none() {
        return Err(ForwardFault::NoCertificate);
    }
    let certificate = certificate.filter(|text| !text.is_empty());
    let chain = chain.filter(|text| !text.is_empty());
    let certificate = certificate.map(|text| certificates(&text)).transpose()?;
    let chain = chain.map(|text| certificates(&text)).transpose()?;
    let shown = match (certificate, chain) {
        (None, None) => return Ok(None),
        (Some(own), None) if own.len() == 1 => own,
        (Some(own), Some(chain)) if own.len() == 1 && own.first() == chain.first() => chain,
        (None, Some(chain)) => chain,
        _ => return Err(ForwardFault::Conflicting),
    };
    let sha256 = shown.first().map(|own| certificate_sha256(own));
    let is_of_it = |hash: Cow<'_, str>| crate::model::text::sha256(&hash) == sha256;
    if hash.is_none_or(is_of_it) { Ok(Some(Shown(shown))) } else { Err(ForwardFault::Conflicting) }
}

/// The first name and value in a text, and what follows them: nothing, or what begins with `;` or
/// `,`.
fn pair(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let (name, rest) = text.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let name = Some(name).filter(|_| is_name)?;
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([';', ',']).unwrap_or(rest.len());
        let (value, after) = rest.split_at_checked(end)?;
        return (!value.contains('"')).then_some((name, value.into(), after));
    };
    let end = closing_quote(quoted)?;
    let (value, after) = (quoted.get(..end)?, quoted.get(end + 1..)?);
    let value = if value.contains('\\') { unescaped(value).into() } else { value.into() };
    let is_end = after.is_empty() || after.starts_with([';', ',']);
    is_end.then_some((name, value, after))
}

/// Where the quoted text ends that begins here.
fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

fn unescaped(text: &str) -> String {
    let mut is_escaped = false;
    text.chars()
        .filter(|c| {
            is_escaped = *c == '\\' && !is_escaped;
            !is_escaped
        })
        .collect()
}

/// The certificates in PEM that is escaped as in URLs.
fn certificates(escaped: &str) -> Result<Vec<Vec<u8>>, ForwardFault> {
    let text = Cow::from(percent_decode_str(escaped));
    let found = pem::every_certificate(&text).map_err(ForwardFault::Pem)?;
    Ok(found.iter().map(|certificate| certificate.to_vec()).collect())
}

/// A byte sequence of RFC 8941, with blanks around it.
fn bytes(item: &[u8]) -> Option<Vec<u8>> {
    let base64 = item.trim_ascii().strip_prefix(b":")?.strip_suffix(b":")?;
    STANDARD.decode(base64).ok()
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::model::text::hex;

    fn der() -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        CertificateParams::default().self_signed(&key).unwrap().der().to_vec()
    }

    fn escaped(all: &[&Vec<u8>]) -> String {
        let pem: String = all.iter().map(|der| pem::of_certificate(der)).collect();
        utf8_percent_encode(&pem, NON_ALPHANUMERIC).to_string()
    }

    fn envoy(value: &str) -> Result<Option<Shown>, ForwardFault> {
        x_forwarded_client_cert(value.as_bytes())
    }

    fn shown(all: &[&Vec<u8>]) -> Shown {
        Shown(all.iter().map(|der| (*der).clone()).collect())
    }

    #[test]
    fn the_form_of_the_rfc() {
        let (own, above, root) = (der(), der(), der());
        let item = |der: &Vec<u8>| format!(":{}:", STANDARD.encode(der));
        let of =
            |own: &str, chain: Option<&str>| client_cert(own.as_bytes(), chain.map(str::as_bytes));
        assert_eq!(of(&item(&own), None), Ok(Some(shown(&[&own]))));
        assert_eq!(of(&format!(" {} ", item(&own)), None), Ok(Some(shown(&[&own]))));
        let chain = format!("{},{}", item(&above), item(&root));
        assert_eq!(of(&item(&own), Some(&chain)), Ok(Some(shown(&[&own, &above, &root]))));
        assert_eq!(
            of(&item(&own), Some(&chain.replace(',', " ,\t"))),
            of(&item(&own), Some(&chain))
        );
        assert_eq!(of("::", None), Ok(None), "no certificate was shown");
        let base64 = STANDARD.encode(&own);
        for wrong in [
            "",
            ":",
            &base64,
            &format!(":{base64}"),
            &format!("{base64}:"),
            &format!("\"{base64}\""),
            &format!(":{base64}:;a=1"),
            &format!(":{base64}:, :{base64}:"),
            &format!(": {base64}:"),
            &format!(":{base64}=:"),
            &escaped(&[&own]),
        ] {
            assert_eq!(of(wrong, None), Err(ForwardFault::NotBytes), "{wrong}");
        }
        for wrong in ["", ",", &format!("{},", item(&above)), &base64] {
            assert_eq!(of(&item(&own), Some(wrong)), Err(ForwardFault::NotListOfBytes), "{wrong}");
        }
    }

    #[test]
    fn the_form_of_envoy() {
        let (own, above) = (der(), der());
        let (one, chain) = (escaped(&[&own]), escaped(&[&own, &above]));
        let hash = hex(&certificate_sha256(&own));
        for right in [
            format!("Cert=\"{one}\""),
            format!("cert={one}"),
            format!("By=spiffe://a/b;Hash={hash};Cert=\"{one}\";Subject=\"\";URI=;DNS=a;DNS=b"),
            format!("Hash={hash};Subject=\"CN=\\\"a,b;Cert=\\\\\\\"\";CERT=\"{one}\""),
        ] {
            assert_eq!(envoy(&right), Ok(Some(shown(&[&own]))), "{right}");
        }
        for right in [format!("Chain=\"{chain}\""), format!("Cert=\"{one}\";Chain=\"{chain}\"")] {
            assert_eq!(envoy(&right), Ok(Some(shown(&[&own, &above]))), "{right}");
        }
        for nothing in ["Cert=\"\"", "Cert=", "Cert=\"\";Chain=\"\""] {
            assert_eq!(envoy(nothing), Ok(None), "{nothing}");
        }
    }

    /// A client that sends the header itself, or has a certificate with odd names, must not be able to
    /// put another certificate in the place of its own. A proxy that adds to what the client sent
    /// (`APPEND_FORWARD`), and names that Envoy writes as they are (`URI`), are what it has to try it
    /// with.
    #[test]
    fn a_client_does_not_write_the_proxys_word() {
        let (own, victim) = (der(), der());
        let hash = hex(&certificate_sha256(&own));
        let (mine, theirs) = (escaped(&[&own]), escaped(&[&victim]));
        let told = format!("Hash={hash};Cert=\"{mine}\"");
        for (sent, fault) in [
            (format!("Cert=\"{theirs}\",{told}"), ForwardFault::Several),
            (format!("Cert=\"{theirs}\";X=\",{told}"), ForwardFault::NotPairs),
            (format!("Cert=\"{theirs}\";X=\"\\,{told}"), ForwardFault::NotPairs),
            (format!("Cert=\"{theirs}\";X=a\",{told}"), ForwardFault::NotPairs),
            (format!("{told};URI=a,Cert=\"{theirs}\""), ForwardFault::Several),
            (format!("{told};URI=a;Cert=\"{theirs}\""), ForwardFault::NotPairs),
            (format!("{told};URI=a;cERT=\"{theirs}\""), ForwardFault::NotPairs),
            (format!("{told};URI=a;Chain=\"{theirs}\""), ForwardFault::Conflicting),
            (format!("Hash={hash};URI=a;Cert=\"{theirs}\""), ForwardFault::Conflicting),
            (format!("Hash={hash};URI=a;Chain=\"{theirs}\""), ForwardFault::Conflicting),
            (format!("{told};Subject=\"\";Cert=\"{theirs}\";\""), ForwardFault::NotPairs),
            (format!("Hash={hash};URI=a"), ForwardFault::NoCertificate),
            (format!("Cert=\"{mine}{theirs}\""), ForwardFault::Conflicting),
            (format!("Cert=\"{mine}\" ,{told}"), ForwardFault::NotPairs),
            (format!("{told};"), ForwardFault::NotPairs),
            (format!(" {told}"), ForwardFault::NotPairs),
            (String::new(), ForwardFault::NotPairs),
            ("Cert".to_owned(), ForwardFault::NotPairs),
            ("Cert=\"a".to_owned(), ForwardFault::NotPairs),
        ] {
            assert_eq!(envoy(&sent), Err(fault), "{sent}");
        }
        // A plus is one, and no blank as in forms.
        assert_eq!(
            envoy(&format!("Cert=\"{}\"", mine.replace("%2B", "+"))),
            Ok(Some(shown(&[&own])))
        );
        for wrong in ["a", "%2D%2D", &mine[..mine.len() - 9], &mine.replace("%0A", "x")] {
            let read = envoy(&format!("Cert=\"{wrong}\""));
            assert!(matches!(read, Err(ForwardFault::Pem(_))), "{wrong}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = envoy(&text);
            let _ = envoy(&format!("Cert=\"{text}"));
            let _ = x_forwarded_client_cert(&bytes);
            let _ = client_cert(&bytes, Some(text.as_bytes()));
        }
    }
}
