//! Secrets that go from one place to another with their whole history: what `history` asks of copies and moves, beyond
//! what this dialect has elsewhere.

use super::{
    super::{Context, Failed, Problem, Reply, json::Writer},
    fields,
    named::Whole,
    words,
};
use crate::{
    auth::{Permit, jwt::Scope},
    model::{Cas, Invalid, Timestamp},
    service::{Error, Relocation, Way},
};

/// A copy or a move with the history that was asked for.
pub(super) struct Asked {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) moves: bool,
    pub(super) overwrites: bool,
    pub(super) cas: Option<Cas>,
}

impl Asked {
    pub(super) async fn perform(
        self,
        context: &Context,
        permit: &Permit,
        now: Timestamp,
    ) -> Result<Reply, Failed> {
        const NO_CAS: &str = "no member beside history, with which all that is there gives way, or nothing does: say overwrite";
        let Self { from, to, moves, overwrites, cas } = self;
        if cas.is_some() {
            return Err(fields::wrong("cas", NO_CAS));
        }
        // All versions of what moves, and of what gives way, are gone from where they were.
        if moves || overwrites {
            permit.check_scope(Scope::Destroy)?;
        }
        let from = Whole::of(context, permit, &from).await?;
        let to = Whole::of(context, permit, &to).await?;
        if from.name == to.name {
            return Err(Problem::SameResource.into());
        }
        let way = Way::between(&from.name, &to.name);
        let way = way.map_err(|Invalid(rule)| fields::wrong("toUri", rule))?;
        let through = [from.view, to.view];
        let how = Relocation { moves, overwrites, through: &through };
        let gone = context.service.secrets.relocate(permit, &way, how, now).await;
        let gone = gone.map_err(|error| match error {
            Error::SecretExists => words::exists(),
            error => words::of(error),
        })?;
        Ok(Reply::json(Writer::object(|out| {
            out.text("fromUri", &from.text);
            out.text("toUri", &to.text);
            out.number("secrets", gone.secrets);
            out.number("versions", gone.versions);
            if moves {
                out.boolean("source_deleted", true);
            }
        })))
    }
}
