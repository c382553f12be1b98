//! The API over real TLS: one module a theme, all through one harness.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::pedantic,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    missing_docs,
    reason = "a test fails by panicking, and its helpers are its own"
)]

mod harness;
mod wire;

mod access;
mod advisories;
mod audit;
mod audit_devices;
mod audit_forged;
mod audit_told;
mod audit_truth;
mod ca_lists;
mod callers;
mod canonical;
mod cas;
mod clock;
mod concurrency;
mod conditions;
mod config;
mod control;
mod credentials;
mod customer_cas;
mod customer_lists;
mod dialect;
mod drain;
mod errors;
mod escalation;
mod etags;
mod events;
mod failure;
mod feeds;
mod identities;
mod isolation;
mod jwt;
mod layouts;
mod leaks;
mod lifecycle;
mod limits;
mod lists;
mod model;
mod openapi;
mod paths;
mod pdp;
mod proxies;
mod quotas;
mod reload;
mod relocations;
mod restart;
mod rights;
mod routes;
mod secrets;
mod shares;
mod strangers;
mod trust;
mod turns;
mod vault;
mod versions;
mod waiting;
