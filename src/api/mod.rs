//! The dialects: parse, call a use case, render.
//!
//! Owns the route table, one folder a dialect, and the forms that they share. Always holds: what a handler gets is
//! authorized already, and its input is parsed into types before a use case sees it. Never does: sockets, storage,
//! asking for a permit.

mod address;
mod call;
mod control;
pub mod docs;
pub(crate) mod json;
mod okms;
mod operation;
pub(crate) mod page;
mod problems;
pub(crate) mod query;
mod reply;
pub(crate) mod value;
mod vault;

use self::address::below;
pub use self::{
    address::{Address, Captures, Params},
    call::{Call, Context},
    operation::{Answer, Dialect, Effect, Handler, Listed, Operation, Route, Rows, listed},
    problems::{Failed, Problem},
    reply::{Broken, Reply, Stream},
};

/// The dialects, of which the first whose address a request has answers it.
pub static DIALECTS: &[&dyn Dialect] =
    &[&okms::SECRETS, &control::DOMAIN, &control::REGION, &vault::Vault, &docs::PAGES];
