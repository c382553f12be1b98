//! What one policy says, for whoever wants to know why.

use std::borrow::Cow;

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word {
    /// Its name.
    pub policy: Cow<'static, str>,
    /// The path of the block that says it, in a policy in Vault's language.
    pub block: Option<String>,
    /// Whether it denies it, which counts, whatever others say.
    pub denies: bool,
}
