//! The domain that a certificate claims by its user principal names.
//!
//! Always holds: a certificate claims at most one. A name without the exact prefix claims nothing;
//! one with it must be right.

use super::names::SubjectName;
use crate::model::OkmsId;

/// The domain that a certificate claims. Whether the claim is believed depends on who signed the
/// certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DomainClaim {
    /// `okms.domain:*`: an operator's.
    Any,
    /// `okms.domain:<okmsId>`: one domain's.
    One(OkmsId),
}

/// Why a certificate claims no domain that could be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    /// `okms.domain:` followed by something that is neither `*` nor an okmsId.
    #[error("the certificate's okms.domain is neither \"*\" nor a UUID")]
    Domain,
    /// Two user principal names that claim different domains.
    #[error("the certificate claims two different okms domains")]
    Conflicting,
}

impl DomainClaim {
    /// The claim in these names, if one makes any.
    pub(super) fn among(names: &[SubjectName]) -> Result<Option<Self>, ClaimFault> {
        let mut found = None;
        for name in names {
            let SubjectName::Upn(upn) = name else { continue };
            let Some(claim) = upn.strip_prefix(OKMS_DOMAIN_PREFIX).map(Self::parse).transpose()?
            else {
                continue;
            };
            if found.is_some_and(|earlier| earlier != claim) {
                return Err(ClaimFault::Conflicting);
            }
            found = Some(claim);
        }
        Ok(found)
    }

    fn parse(text: &str) -> Result<Self, ClaimFault> {
        if text == "*" {
            return Ok(Self::Any);
        }
        text.parse().map(Self::One).map_err(|_| ClaimFault::Domain)
    }
}

const OKMS_DOMAIN_PREFIX: &str = "okms.domain:";

#[cfg(test)]
mod tests {
    use super::super::test_tools::DOMAIN;
    use super::*;

    fn among(upns: &[&str]) -> Result<Option<DomainClaim>, ClaimFault> {
        DomainClaim::among(
            &upns.iter().map(|upn| SubjectName::Upn((*upn).to_owned())).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn domain_claims_are_exact() {
        let claim = |text: &str| among(&[text]);
        let one = Some(DomainClaim::One(DOMAIN.parse().unwrap()));
        assert_eq!(claim(&format!("okms.domain:{DOMAIN}")), Ok(one));
        assert_eq!(claim(&format!("okms.domain:{}", DOMAIN.to_uppercase())), Ok(one));
        assert_eq!(claim("okms.domain:*"), Ok(Some(DomainClaim::Any)));
        for other in [
            &format!("OKMS.domain:{DOMAIN}"),
            &format!(" okms.domain:{DOMAIN}"),
            "okms.domain",
            "me@x",
        ] {
            assert_eq!(claim(other), Ok(None), "{other:?}");
        }
        let simple = DOMAIN.replace('-', "");
        let nil = "00000000-0000-0000-0000-000000000000";
        for bad in [
            "",
            "**",
            " *",
            nil,
            &simple,
            &format!("{{{DOMAIN}}}"),
            &format!("urn:uuid:{DOMAIN}"),
            "x",
        ] {
            assert_eq!(claim(&format!("okms.domain:{bad}")), Err(ClaimFault::Domain), "{bad:?}");
        }
        assert_eq!(DomainClaim::among(&[SubjectName::Uri("okms.domain:*".to_owned())]), Ok(None));
    }

    #[test]
    fn two_claims_must_agree() {
        let lower = format!("okms.domain:{DOMAIN}");
        let upper = format!("okms.domain:{}", DOMAIN.to_uppercase());
        let other = "okms.domain:1f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d";
        assert!(among(&[&lower, &upper, "someone@example.com"]).is_ok_and(|claim| claim.is_some()));
        assert_eq!(among(&[&lower, other]), Err(ClaimFault::Conflicting));
        assert_eq!(among(&[&lower, "okms.domain:*"]), Err(ClaimFault::Conflicting));
    }
}
