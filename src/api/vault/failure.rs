//! Why a request did not end as asked, in this dialect.

use crate::{
    domain::{Invalid, METADATA_ENTRIES_MAX, Refused},
    service::Error,
};

/// Why a request did not end as asked, in this dialect.
#[derive(Debug)]
pub enum Failure {
    /// What a use case says.
    Service(Error),
    /// Bad input, in these words.
    Refused(String),
    /// No route leads where the path points.
    Unrouted,
    /// No mount is above the path.
    NoHandler(String),
    /// The path is under a mount of the server's own, which does not know it.
    UnsupportedPath,
    /// The token is missing, or not good here.
    PermissionDenied,
    /// No mount that the caller may know is above the path.
    Preflight(String),
    /// A token that was asked about is none.
    BadToken,
    /// The namespace that the header names is none of the caller's.
    NoNamespace,
    /// A body of a type that a patch cannot have.
    MediaType(String),
    /// What lists and does nothing else is not asked for a list.
    NoList,
    /// Nothing more is to be said than that.
    Silent,
}

impl Failure {
    /// The failure of what follows a change that is made already.
    pub(super) fn after_the_change(self) -> Self {
        match self {
            Self::Service(error) => Self::Service(Error::OutcomeUnknown(error.into())),
            other => other,
        }
    }

    pub(super) fn refused(text: &str) -> Self {
        Self::Refused(text.to_owned())
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Service(error.into())
    }
}

impl Failure {
    /// The text of a refusal by the rules, in this dialect's words.
    #[must_use]
    pub fn text_of(refused: &Refused) -> String {
        match refused {
            Refused::CasMismatch => "check-and-set parameter did not match the current version".to_owned(),
            Refused::CasRequired => "check-and-set parameter required for this call".to_owned(),
            Refused::TooManyEntries(number) => too_many_entries(*number),
            other => other.to_string(),
        }
    }
}

/// What is wrong with an input, as an error of this dialect.
pub(super) const fn invalid(text: &'static str) -> Failure {
    Failure::Service(Error::Invalid(Invalid(text)))
}

/// The text about so many entries of custom metadata.
pub(super) fn too_many_entries(number: usize) -> String {
    violations(&[format!("payload must contain at most {METADATA_ENTRIES_MAX} keys, provided {number}")])
}

/// Several texts in Vault's layout of errors, each with the prefix that says what they are about.
pub(super) fn violations(texts: &[String]) -> String {
    let items = texts.iter().map(|text| format!("\t* custom_metadata validation failed: {text}\n"));
    let count = if texts.len() == 1 { "1 error".to_owned() } else { format!("{} errors", texts.len()) };
    format!("{count} occurred:\n{}\n", items.collect::<String>())
}
