//! The API over real TLS: one module a theme, all through one harness.

mod harness;
mod wire;

mod drain;
mod failure;
mod limits;
mod secrets;
