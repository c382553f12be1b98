//! okmsd
pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod http;
pub mod metrics;
pub mod pki;
pub mod server;
pub mod service;
pub mod store;
pub mod telemetry;
