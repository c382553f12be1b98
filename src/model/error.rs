//! What is wrong with an input, in words for the person who sent it.

/// An input that breaks a rule. The text says what to do, and never repeats the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);
