//! Sockets: accept, TLS, the connection's deadlines, drain, and the admin listener.
//!
//! Owns every socket. Always holds: the accept loops do nothing but accept; no peer can hold
//! anything longer than a configured time; what is running when the server stops may finish within
//! a deadline. Never does: routing, reading a body, deciding who may do what.

mod activity;
mod admin;
mod connection;
mod decisions;
mod descriptors;
mod error;
mod fetch;
mod fitness;
mod forwarded;
mod frames;
mod handshake;
mod knocks;
mod linger;
mod listener;
mod lobby;
mod refused;
mod tls;
mod trust;
mod watched;

pub use self::{
    admin::{Admin, Probed},
    connection::{ConnectionLimits, Shared, Terms},
    decisions::{Credentials, DecisionServer, UselessBearer, bearer},
    descriptors::fit_connections,
    error::TlsError,
    fetch::{Authorities, FetchBounds, FetchError, UselessAuthority, fetch, fetch_securely},
    fitness::{Dated, Doubt, Role},
    forwarded::ForwardedCertificates,
    handshake::Handshakes,
    listener::{Listener, Stopper},
    tls::{ServerTls, TlsState},
    trust::{ClientTrust, Trusted},
};
