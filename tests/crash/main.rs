//! Durability: what the engine promises when storage fails, power goes, and many write at once.

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

mod alike;
mod aside;
mod between;
mod cache;
mod chance;
mod clear;
#[path = "../support/cluster.rs"]
mod cluster;
mod common;
mod contract;
mod damage;
mod faults;
mod kill;
mod linear;
mod lives;
mod log;
mod many;
mod moved;
mod moves;
#[path = "../support/mtls.rs"]
mod mtls;
mod packing;
mod passed_over;
mod postgres;
mod power;
mod processes;
mod ranges;
mod storage;
mod together;
mod upgrade;
mod versions;
