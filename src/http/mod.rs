//! The edge: from a request's head to a response's last byte.
//!
//! Owns the pipeline, the router and the responses. Always holds: every answer of this layer
//! carries the request's id and is counted once; every error has the published body. Never does:
//! sockets and TLS (that is `server`), rules about secrets.

mod arriving;
mod edge;
mod forwarded;
mod pace;
mod processors;
mod progress;
mod refusal;
mod response;
mod router;
mod seat;
mod shares;

pub(crate) use self::edge::names_one_host;
pub use self::{
    edge::{Clocks, Connection, Edge, EdgeLimits, RequestLimits},
    forwarded::{Forwarding, Judge, Judgement, Refused},
    progress::InProgress,
    refusal::Refusal,
    response::Body,
    router::{Match, Router, Routes},
};
