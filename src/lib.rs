//! okmsd
pub mod api;
pub mod auth;
pub mod clock;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod metrics;
pub mod pki;
pub mod service;
pub mod store;
