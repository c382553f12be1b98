//! Where records live.
//!
//! Owns the engine contract, the engines, the kinds of records with their keys and byte forms, and the form of a whole
//! store in a stream.
//! Always holds: every key begins with its tenant's 16 bytes; what an engine stores is sealed
//! already ([`crate::crypto::Sealed`]). Never does: sealing, opening, deciding.

pub mod engine;
pub mod engines;
pub mod export;
pub mod feed;
pub mod kinds;
pub mod past;
