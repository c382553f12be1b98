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

mod cas;
mod config;
mod control;
mod errors;
mod harness;
mod isolation;
mod leaks;
mod lists;
mod openapi;
mod paths;
mod restart;
mod secrets;
mod versions;
