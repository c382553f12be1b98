//! The API over real TLS: one module a theme, all through one harness.

mod cas;
mod config;
mod control;
mod errors;
mod harness;
mod isolation;
mod leaks;
mod lists;
mod paths;
mod restart;
mod secrets;
mod versions;
