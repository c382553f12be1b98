//! Where records live.
//!
//! Owns the engine contract, the engines, the keys and the byte form of records. Always holds: every key begins
//! with its domain's 16 bytes; what an engine stores is sealed already. Never does: sealing, opening, deciding.

pub mod codec;
pub mod engine;
pub mod engines;
pub mod keys;
