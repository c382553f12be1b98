//! What a policy decision point (PDP) is asked of a request, and what it says: the Authorization API 1.0
//! of `OpenID`'s `AuthZEN`.
//!
//! Owns purposes ([`Purpose`]), what there is to be judged of a request ([`Docket`]), how that is asked
//! ([`ask`]), how the answer is read ([`Answer`]), and how long it counts ([`Kept`]). Always holds: only what
//! the permit allows is asked, so that a decision narrows and never widens; what nobody has permitted in so many
//! words is not permitted. Never does: I/O; the service asks, over a [`DecisionPoint`] that the server has.

mod answer;
mod ask;
mod docket;
mod kept;
mod purpose;

use std::{fmt, future::Future, pin::Pin};

pub(super) use self::docket::aimed;
pub use self::{
    answer::{Answer, NoAnswer, Reuse},
    ask::{Asked, Asker, Provenance, ask},
    docket::{Docket, Question, Request, Rest, Verdict},
    kept::Kept,
    purpose::Purpose,
};

/// Why nobody has answered: a sentence for the operator, without a byte of what came.
pub struct NobodyAnswers(pub String);

impl fmt::Display for NobodyAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The body of an answer on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, NobodyAnswers>> + Send + 'a>>;

/// Whoever decides. It answers, or says why not, in a time of its own.
pub trait DecisionPoint: Send + Sync {
    /// Asks it.
    fn evaluate(&self, asked: Asked) -> Answering<'_>;
}
