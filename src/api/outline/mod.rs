//! The outline of a JSON object: the names in it and how they are nested, with every leaf left as
//! the text that it is.
//!
//! Always holds: each is one pass over text that is well formed and bounded
//! ([`super::value::check_shape`]), so that what is made of a value keeps the spelling of all that
//! was not touched. Of text that is not well formed something is made; it never panics.

pub(crate) mod member;
mod merge;
#[cfg(any(test, feature = "fuzzing"))]
mod naive;
mod scanner;

pub(crate) use self::merge::{merge, subkeys};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::naive::check_member;
