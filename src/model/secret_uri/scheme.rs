//! The names of providers.

use std::str::FromStr;

use super::UriError;

/// What others have and okmsd has not.
const OTHERS: [&str; 4] = ["db+cred", "bootstrap", "file", "azure"];

/// A URI's scheme. All but the last name the one tree that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `openbao+kv2`, by which resources are called.
    OpenBao,
    /// `hashicorp+kv2`.
    HashiCorp,
    /// `vault+kv2`.
    Vault,
    /// `okms+kv2`.
    Okms,
    /// `yaml`: the file for development.
    Yaml,
}

impl Scheme {
    const ALL: [Self; 5] = [Self::OpenBao, Self::HashiCorp, Self::Vault, Self::Okms, Self::Yaml];

    /// Its canonical name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenBao => "openbao+kv2",
            Self::HashiCorp => "hashicorp+kv2",
            Self::Vault => "vault+kv2",
            Self::Okms => "okms+kv2",
            Self::Yaml => "yaml",
        }
    }
}

impl FromStr for Scheme {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if text.is_empty() || !text.bytes().all(in_scheme) {
            return Err(UriError::illegal(
                "what is before :// is no scheme; write the URI as openbao+kv2://mount/path",
            ));
        }
        let is = |name: &str| text.eq_ignore_ascii_case(name);
        let known = Self::ALL.into_iter().find(|scheme| is(scheme.as_str()));
        known.ok_or(if OTHERS.into_iter().any(is) {
            UriError::ProviderNotSupported
        } else {
            UriError::UnsupportedEngine
        })
    }
}
