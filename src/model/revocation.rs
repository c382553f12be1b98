//! Revocations of certificates: final, and for a reason that everybody may know.

use std::{fmt, str::FromStr};

use super::{Invalid, Timestamp};

/// Why a certificate was revoked, as RFC 5280 has it (5.3.1). What could be taken back, and what is
/// about authorities, is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationReason {
    /// Nobody said.
    #[default]
    Unspecified,
    /// Somebody else may have its key.
    KeyCompromise,
    /// Its holder belongs elsewhere now.
    AffiliationChanged,
    /// Another certificate is in its place.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// Its holder may do no more what it could.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// Its published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }

    /// Its published number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// The reason with this number; nobody's, where there is none.
    #[must_use]
    pub fn of_code(code: u8) -> Self {
        Self::ALL.into_iter().find(|reason| reason.code() == code).unwrap_or_default()
    }
}

impl FromStr for RevocationReason {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|reason| reason.name() == text).ok_or(Invalid(
            "the reason must be unspecified, keyCompromise, affiliationChanged, superseded, \
             cessationOfOperation or privilegeWithdrawn",
        ))
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// That a certificate of the region's authority is not good any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// When it would have ended, where that is known: nobody needs to be told longer.
    pub ends_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_one_name_and_one_number() {
        for reason in RevocationReason::ALL {
            assert_eq!(reason.name().parse(), Ok(reason));
            assert_eq!(RevocationReason::of_code(reason.code()), reason);
        }
        // On hold can be taken back, and 7 is none.
        for code in [2, 6, 7, 8, 10, 255] {
            assert_eq!(RevocationReason::of_code(code), RevocationReason::Unspecified);
        }
        for wrong in ["", "KeyCompromise", "key_compromise", "certificateHold", "1"] {
            assert!(wrong.parse::<RevocationReason>().is_err(), "{wrong}");
        }
    }
}
