//! The dialects: parse, call a use case, render.
//!
//! Owns the route table, one folder a dialect, and the forms that they share. Always holds: what a
//! handler gets is authorized already, and its input is parsed into types before a use case sees
//! it. Never does: sockets, storage, asking for a permit.

mod address;
pub(crate) mod bearer;
mod call;
mod canonical;
mod control;
mod dialects;
pub mod docs;
mod etag;
mod feed;
mod issuer;
pub(crate) mod json;
mod named;
mod okms;
mod operation;
pub(crate) mod outline;
pub(crate) mod page;
mod paths;
mod problems;
pub(crate) mod query;
mod reply;
mod seats;
pub(crate) mod value;
mod vault;

use self::address::below;
pub(crate) use self::paths::value_rules;
pub use self::{
    address::{Address, Captures, Params, TenantName, thing},
    call::{
        AuditDeviceView, AuditDevices, Bearers, Call, Context, Doing, Hashing, NewAuditDevice,
        PathTerms, UriHelpers, UriTerms,
    },
    canonical::{
        file::{ChangingFile, FileChange, ReadingFile, SecretFile},
        recent::Recent,
        tree::Node,
    },
    dialects::DIALECTS,
    issuer::{Issuer, Unheard},
    operation::{
        Answer, Dialect, Effect, Handler, Jwts, ListedRoute, Operation, Route, Rows, route_list,
    },
    problems::{Failed, Problem, Standing},
    reply::{Broken, Reply, Stream},
    seats::Feeds,
};
