//! How policies of rotation and of generated values are called: a name for people, and an id made of
//! it once, for addresses.

use std::{fmt, str::FromStr};

use super::{Faults, Invalid, text};

/// The longest name, in characters.
const NAME_MAX: usize = 64;
/// The longest description, in bytes.
const DESCRIPTION_MAX: usize = 1024;

macro_rules! ids {
    ($($(#[$doc:meta])* $id:ident = $prefix:literal,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $id(Box<str>);

        impl $id {
            /// The id of a policy of this name: in lower case, with `_` for all but letters and digits.
            #[must_use]
            pub fn of_name(name: &str) -> Self {
                let plain = name.chars().flat_map(char::to_lowercase).take(NAME_MAX);
                let plain = plain.map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
                Self($prefix.chars().chain(plain).collect())
            }

            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $id {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                let rest = text.strip_prefix($prefix).unwrap_or_default();
                if rest.is_empty() || rest.len() > NAME_MAX || Self::of_name(rest).as_str() != text {
                    return Err(Invalid(concat!(
                        "the id of such a policy is ", $prefix, " and small letters, digits and _"
                    )));
                }
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// The id of a rotation policy: `rot_quarterly`.
    RotationPolicyId = "rot_",
    /// The id of a secret policy: `sp_db_passwords`.
    SecretPolicyId = "sp_",
}

/// Judges the name and the description of a policy.
pub(super) fn check(name: &str, description: &str, faults: &mut Faults) {
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX || !text::is_printable(name) {
        faults.add("name", "a text of 1 to 64 printable characters");
    }
    if description.len() > DESCRIPTION_MAX || description.chars().any(char::is_control) {
        faults.add("description", "a text of at most 1024 bytes without control characters");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_of_names() {
        for (name, id) in [
            ("quarterly", "rot_quarterly"),
            ("Every 90 Days", "rot_every_90_days"),
            ("a-b.c/é", "rot_a_b_c__"),
            // One letter that is several in lower case.
            (&"İ".repeat(64), &format!("rot_{}", "i_".repeat(32))),
        ] {
            let made = RotationPolicyId::of_name(name);
            assert_eq!(made.as_str(), id);
            assert_eq!(id.parse(), Ok(made));
        }
        assert_eq!(SecretPolicyId::of_name("DB passwords").as_str(), "sp_db_passwords");
        for wrong in ["", "rot_", "quarterly", "rot_A", "rot_a-b", "sp_a", "rot_é"] {
            assert!(wrong.parse::<RotationPolicyId>().is_err(), "{wrong}");
        }
        assert!(format!("rot_{}", "a".repeat(65)).parse::<RotationPolicyId>().is_err());
    }
}
