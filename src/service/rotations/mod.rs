//! Rotation: a secret gets a new value, and the one before can still be read for a while.
//!
//! Always holds: the new version, the end of the one before, the anchor that the next rotation counts from and the
//! policy's history are one commit; a value that is made is made of the version that it takes the place of, or not
//! stored; of several processes one rotates what is due, once, however long nobody was there to do it. Never does:
//! tell a value.

mod due;
mod events;
mod history;
mod renewal;
mod rotate;
mod rounds;

pub use self::{
    due::{DueRotation, ROUND as ROTATIONS_OF_A_ROUND},
    history::RotationHistory,
    rotate::{Rotate, Rotated, Rotations, ValueRules},
};
