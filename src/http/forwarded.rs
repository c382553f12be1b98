//! What the headers of a proxy's request say of its client.
//!
//! Always holds: they are read of a proxy that is listed, and of nobody else; of such a proxy one
//! header alone says whose certificate it was shown, and one from where. Never does: believe them;
//! certificates are judged by a [`Judge`].

use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

use crate::{
    auth::{
        Recognized, Unauthenticated, VerifiedPeer,
        forwarded::{self, ForwardFault, Shown},
    },
    model::{AddressHeader, CertificateHeader, Proxy},
};

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Judges the certificates that proxies forward as the handshake judges those that peers show.
pub trait Judge: Send + Sync {
    /// The peer that has shown these.
    fn judge<'a>(&'a self, shown: &'a Shown) -> Judgement<'a>;
}

/// A judgement on its way.
pub type Judgement<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<VerifiedPeer>, Refused>> + Send + 'a>>;

/// Why certificates count for nobody, and whose they are all the same, where an authority that is
/// known has signed them.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What their holder is told.
    pub why: Unauthenticated,
    /// What the audit trail is told.
    pub whose: Option<Arc<Recognized>>,
}

impl From<Unauthenticated> for Refused {
    fn from(why: Unauthenticated) -> Self {
        Self { why, whose: None }
    }
}

/// A peer that is a proxy, and who judges what it forwards.
#[derive(Clone)]
pub struct Forwarding {
    /// What is taken of it.
    pub proxy: Arc<Proxy>,
    /// Who judges.
    pub judge: Arc<dyn Judge>,
}

/// The certificates that the proxy was shown, if it was.
///
/// # Errors
/// [`ForwardFault`] where that cannot be told.
pub(super) fn certificates(
    headers: &HeaderMap,
    proxy: &Proxy,
) -> Result<Option<Shown>, ForwardFault> {
    let own = only(headers, &CLIENT_CERT)?;
    let chain = only(headers, &CLIENT_CERT_CHAIN)?;
    let envoys = only(headers, &X_FORWARDED_CLIENT_CERT)?;
    match proxy.certificates {
        CertificateHeader::ClientCert => match (own, chain, envoys) {
            (_, _, Some(_)) => Err(ForwardFault::OtherHeader),
            (None, Some(_), None) => Err(ForwardFault::ChainAlone),
            (None, None, None) => Ok(None),
            (Some(own), chain, None) => forwarded::client_cert(own, chain),
        },
        CertificateHeader::XForwardedClientCert => match (own, chain, envoys) {
            (None, None, None) => Ok(None),
            (None, None, Some(envoys)) => forwarded::x_forwarded_client_cert(envoys),
            _ => Err(ForwardFault::OtherHeader),
        },
    }
}

/// The value of a header that may be there once. One that is empty is not there: that is how some
/// proxies say that there is nothing to say.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, ForwardFault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(ForwardFault::Repeated),
        (value, None) => Ok(value.map(HeaderValue::as_bytes).filter(|value| !value.is_empty())),
    }
}

/// Where the proxy's client is, as far as the proxy says so. What stands before its own word is
/// others', and is not looked at.
///
/// # Errors
/// [`ForwardFault`] where that cannot be read.
pub(super) fn address(headers: &HeaderMap, proxy: &Proxy) -> Result<Option<IpAddr>, ForwardFault> {
    let Some(header) = proxy.addresses else { return Ok(None) };
    let name = match header {
        AddressHeader::XForwardedFor => X_FORWARDED_FOR,
        AddressHeader::Forwarded => FORWARDED,
    };
    // Some add to the header, others add another one behind it.
    let Some(value) = headers.get_all(name).iter().next_back() else { return Ok(None) };
    let value = value.to_str().map_err(|_| ForwardFault::Address)?;
    let node = match header {
        AddressHeader::XForwardedFor => value.rsplit(',').next().map(str::trim),
        AddressHeader::Forwarded => last_for(value)?,
    };
    match node {
        None | Some("") => Ok(None),
        // RFC 7239, 6: it does not know, or does not say.
        Some(node) if node.eq_ignore_ascii_case("unknown") || node.starts_with('_') => Ok(None),
        Some(node) => of_node(node).map(Some).ok_or(ForwardFault::Address),
    }
}

/// An address, with or without a port.
fn of_node(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    let address: Option<IpAddr> = bare.parse().ok();
    let address = address.or_else(|| node.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address| address.to_canonical())
}

/// What the last element of `Forwarded` says of `for`.
fn last_for(mut rest: &str) -> Result<Option<&str>, ForwardFault> {
    let mut found = None;
    loop {
        let (name, value, after) = parameter(rest).ok_or(ForwardFault::Address)?;
        if name.eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return Err(ForwardFault::Address);
        }
        match after.as_bytes().first() {
            None => return Ok(found),
            Some(b',') => found = None,
            Some(_) => {}
        }
        rest = after.get(1..).unwrap_or_default();
    }
}

/// The first name and value of a text, and what follows: nothing, or what begins with `;` or `,`.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim_start();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || !name.bytes().all(is_name) {
        return None;
    }
    let (value, after) = match value.strip_prefix('"') {
        // What has to be escaped is in no address.
        Some(quoted) => quoted.split_once('"').filter(|(value, _)| !value.contains('\\'))?,
        None => value.split_at_checked(value.find([';', ',']).unwrap_or(value.len()))?,
    };
    let after = after.trim_start();
    (after.is_empty() || after.starts_with([';', ','])).then_some((name, value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(certificates: CertificateHeader, addresses: Option<AddressHeader>) -> Proxy {
        Proxy { key_sha256: [1; 32], certificates, addresses, domain: None }
    }

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    /// One header, once: whatever else is there, somebody else has put there.
    #[test]
    fn one_header_is_read_and_the_other_must_not_be_there() {
        use CertificateHeader::{ClientCert, XForwardedClientCert};
        let (rfc, chain) = (("client-cert", ":AA==:"), ("client-cert-chain", ":AA==:"));
        let envoy = ("x-forwarded-client-cert", "Cert=");
        let read = |header, all: &[_]| {
            certificates(&headers(all), &proxy(header, None)).map(|shown| shown.is_some())
        };
        for (header, all, expected) in [
            (ClientCert, &[][..], Ok(false)),
            (ClientCert, &[rfc], Ok(true)),
            (ClientCert, &[chain, rfc], Ok(true)),
            (ClientCert, &[("client-cert", "")], Ok(false)),
            (ClientCert, &[rfc, rfc], Err(ForwardFault::Repeated)),
            (ClientCert, &[("client-cert", ""), rfc], Err(ForwardFault::Repeated)),
            (ClientCert, &[rfc, chain, chain], Err(ForwardFault::Repeated)),
            (ClientCert, &[chain], Err(ForwardFault::ChainAlone)),
            (ClientCert, &[envoy], Err(ForwardFault::OtherHeader)),
            (ClientCert, &[rfc, envoy], Err(ForwardFault::OtherHeader)),
            (XForwardedClientCert, &[], Ok(false)),
            (XForwardedClientCert, &[envoy], Ok(false)),
            (XForwardedClientCert, &[envoy, envoy], Err(ForwardFault::Repeated)),
            (XForwardedClientCert, &[rfc], Err(ForwardFault::OtherHeader)),
            (XForwardedClientCert, &[chain], Err(ForwardFault::OtherHeader)),
            (XForwardedClientCert, &[rfc, envoy], Err(ForwardFault::OtherHeader)),
        ] {
            assert_eq!(read(header, all), expected, "{header:?} {all:?}");
        }
    }

    /// What a client says of itself comes first, and counts for nothing.
    #[test]
    fn the_last_hop_says_where_the_client_is() {
        let last = |header, all: &[_]| {
            let proxy = proxy(CertificateHeader::ClientCert, header);
            address(&headers(all), &proxy).map(|address| address.map(|ip| ip.to_string()))
        };
        let is = |address: &str| Ok(Some(address.to_owned()));
        let x = |value| ("x-forwarded-for", value);
        let for_ = Some(AddressHeader::XForwardedFor);
        assert_eq!(last(None, &[x("10.0.0.1")]), Ok(None), "it is not read");
        for (all, expected) in [
            (&[][..], Ok(None)),
            (&[x("192.0.2.1")], is("192.0.2.1")),
            (&[x("10.0.0.1, 192.0.2.1")], is("192.0.2.1")),
            (&[x("10.0.0.1"), x("192.0.2.1")], is("192.0.2.1")),
            (&[x("\"a, 2001:db8::1")], is("2001:db8::1")),
            (&[x("192.0.2.1:4711")], is("192.0.2.1")),
            (&[x("[2001:db8::1]:4711")], is("2001:db8::1")),
            (&[x("::ffff:192.0.2.1")], is("192.0.2.1")),
            (&[x("10.0.0.1, unknown")], Ok(None)),
            (&[("forwarded", "for=10.0.0.1")], Ok(None)),
            (&[x("10.0.0.1, x")], Err(ForwardFault::Address)),
            (&[x("192.0.2.1 10.0.0.1")], Err(ForwardFault::Address)),
            (&[x("192.0.2.256")], Err(ForwardFault::Address)),
        ] {
            assert_eq!(last(for_, all), expected, "{all:?}");
        }
        for (value, expected) in [
            ("for=192.0.2.1", is("192.0.2.1")),
            ("For=\"[2001:db8::1]:4711\";proto=https", is("2001:db8::1")),
            ("for=10.0.0.1, for=192.0.2.1;by=\"[::1]\"", is("192.0.2.1")),
            ("for=10.0.0.1;host=\"a,b\",by=_x;for=192.0.2.1", is("192.0.2.1")),
            ("for=10.0.0.1, by=a", Ok(None)),
            ("for=_hidden", Ok(None)),
            ("for=10.0.0.1;x=\", for=192.0.2.1", Err(ForwardFault::Address)),
            ("for=\"10.0.0.1, for=\"192.0.2.1\"", Err(ForwardFault::Address)),
            ("for=10.0.0.1;for=192.0.2.1", Err(ForwardFault::Address)),
            ("192.0.2.1", Err(ForwardFault::Address)),
            ("for=192.0.2.1,", Err(ForwardFault::Address)),
        ] {
            let value = HeaderValue::from_static(value);
            let headers = [(FORWARDED, value)].into_iter().collect();
            let proxy = proxy(CertificateHeader::ClientCert, Some(AddressHeader::Forwarded));
            let found = address(&headers, &proxy).map(|found| found.map(|ip| ip.to_string()));
            assert_eq!(found, expected, "{headers:?}");
        }
    }
}
