//! Durability: what the engine promises when storage fails, power goes, and many write at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(missing_docs, unreachable_pub, reason = "nobody imports a test")]

mod cache;
mod common;
mod contract;
mod faults;
mod kill;
mod many;
mod power;
mod storage;
