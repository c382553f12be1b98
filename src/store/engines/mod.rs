//! The engines: each offers the contract of [`crate::store::engine`] over one kind of store.
//!
//! Owns the choice of foreign storage crates: nothing outside this folder names one. Never does:
//! encryption, key layout, retries.

mod groups;
mod lanes;
pub mod memory;
pub mod postgres;
pub mod redb;
mod tls;
mod waiting;
