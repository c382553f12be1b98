//! The API over real TLS: one module a theme, all through one harness.

mod harness;
mod wire;

mod concurrency;
mod drain;
mod failure;
mod limits;
mod model;
mod secrets;
