//! Whether the certificates that a server lives by are fit for it, and for how long.
//!
//! What can never be right about whom to trust keeps the server from starting. What is told here
//! does not: a certificate that is over, or that clients will refuse. Such a server starts, says so
//! loudly, and serves whom it can, so that one date that was missed does not keep a restart from
//! happening. `serve --check` refuses it all.

use std::fmt;

use crate::{
    files::FileName,
    model::{OkmsId, Timestamp},
    pki::{CertificateFault, Facts, Validity},
};

/// What a certificate is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The server's own.
    Server,
    /// The region's authority.
    RegionCa,
    /// An authority whose certificates reach this domain.
    CustomerCa(OkmsId),
}

/// A certificate, and when it is valid.
#[derive(Clone, Debug)]
pub struct Dated {
    /// What it is to the server.
    pub role: Role,
    /// Its file.
    pub path: FileName,
    /// When it is valid.
    pub validity: Validity,
    /// The kind of names on which it has name constraints that are not judged.
    pub unjudged: Option<&'static str>,
}

/// Why something will not work, in words that say what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt(String);

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Dated {
    /// Whether it is an authority that constrains names of a kind that is not judged.
    #[must_use]
    pub fn doubt_of_constraints(&self) -> Option<Doubt> {
        let fault = CertificateFault::Constraints(self.unjudged?);
        Some(Doubt(format!("{}: the certificate of the authority: {fault}", self.path)))
    }

    /// Whether the certificate's time is over at `now`, or has not come.
    #[must_use]
    pub fn doubt(&self, now: Timestamp) -> Option<Doubt> {
        let date = |seconds| Timestamp::from_unix_seconds(seconds).to_rfc3339_seconds();
        let what = match self.role {
            Role::Server => "the server's certificate, or one in its chain,",
            Role::RegionCa => "the region's authority",
            Role::CustomerCa(_) => "the customer's authority",
        };
        let path = &self.path;
        if self.validity.has_expired(now) {
            let ended = date(self.validity.not_after);
            let remedy = match self.role {
                Role::Server => "no client will connect; put a new certificate there",
                Role::RegionCa => {
                    "none of its certificates is let in; make a new authority and certificates of it"
                }
                Role::CustomerCa(_) => {
                    "none of its certificates is let in; put the new authority's certificate there, or remove the entry"
                }
            };
            return Some(Doubt(format!("{path}: {what} has expired ({ended}); {remedy}")));
        }
        if !self.validity.has_begun(now) {
            let begins = date(self.validity.not_before);
            return Some(Doubt(format!(
                "{path}: {what} is not valid before {begins}; check the clock, or wait"
            )));
        }
        None
    }
}

/// What will keep clients from accepting the server's certificate, beside its dates.
#[must_use]
pub(super) fn of_server(
    path: &FileName,
    certificate: &Result<Facts, CertificateFault>,
) -> Vec<Doubt> {
    let facts = match certificate {
        Ok(facts) => facts,
        Err(fault) => {
            return vec![Doubt(format!(
                "{path}: clients will refuse the server's certificate: {fault}"
            ))];
        }
    };
    let doubts = [
        (
            facts.server_names == 0,
            "has no DNS name and no IP address in its subject alternative names, and clients do not look elsewhere; \
             get one with the server's names",
        ),
        (
            !facts.can_be_server(),
            "is not for servers: its extended key usage lacks serverAuth; get one that has it",
        ),
        (
            !facts.signs_messages(),
            "has a key usage without digitalSignature, which TLS needs; get one that has it",
        ),
    ];
    let doubts = doubts.into_iter().filter(|(holds, _)| *holds);
    doubts.map(|(_, text)| Doubt(format!("{path}: the server's certificate {text}"))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn dates_are_judged_to_the_second() {
        let ending = |role| Dated {
            role,
            path: Path::new("/x/ca.pem").into(),
            validity: Validity { not_before: 100, not_after: 200 },
            unjudged: None,
        };
        let domain = OkmsId::from_bytes([1; 16]).unwrap();
        for role in [Role::Server, Role::RegionCa, Role::CustomerCa(domain)] {
            let at = |seconds| {
                ending(role)
                    .doubt(Timestamp::from_unix_seconds(seconds))
                    .map(|doubt| doubt.to_string())
            };
            assert_eq!((at(100), at(200)), (None, None));
            let (early, late) = (at(99).unwrap(), at(201).unwrap());
            assert!(
                early.contains("/x/ca.pem") && early.contains("1970-01-01T00:01:40Z"),
                "{early}"
            );
            assert!(late.contains("has expired (1970-01-01T00:03:20Z)"), "{late}");
        }
    }
}
