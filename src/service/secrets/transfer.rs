//! A value that goes from one secret to another.
//!
//! Always holds: both secrets change in one commit, on condition that both are as they were read: nobody sees a move
//! half done, and what somebody else writes meanwhile is moved, or stays. Never does: take metadata along.

use super::{
    Secrets, Written,
    upsert::{Destination, Without, leave},
    write::{Entered, More, SecretBasis, SecretFacts, Through},
};
use crate::{
    auth::{Action, Detail, Permit, Resource, pdp::Purpose},
    crypto::SecretValue,
    model::{Cas, Fragment, Timestamp, VersionNumber, VersionState},
    service::{
        ChangeName, Error,
        unit::{Basis, Change, UnitReader},
    },
};

/// What makes the destination's next value of what is at the source, and of what can be read at the destination; or
/// says why that cannot be. The source is told by the state of its version, where that cannot be read.
pub(super) type Take<'a, E> = &'a (
        dyn Fn(Result<&SecretValue, VersionState>, Option<&SecretValue>) -> Result<SecretValue, E>
            + Send
            + Sync
    );

/// What becomes of the source.
pub enum Leave<'a, E> {
    /// It stays as it is.
    Stay,
    /// Its current version is deactivated.
    End,
    /// It gets another version, without what has gone.
    Without(Without<'a, E>),
}

// A derived one would want errors that can be copied.
impl<E> Clone for Leave<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Leave<'_, E> {}

/// A value on its way.
pub struct Transfer<'a, E> {
    /// Where it comes from.
    pub from: Through<'a>,
    /// Which part of the value there.
    pub from_part: Option<&'a Fragment>,
    /// Which version; the current one where that is not said.
    pub version: Option<VersionNumber>,
    /// Where it goes.
    pub to: Through<'a>,
    /// As which part of the value there.
    pub to_part: Option<&'a Fragment>,
    /// The version that is expected to be current there.
    pub cas: Option<Cas>,
    /// What the destination gets.
    pub take: Take<'a, E>,
    /// What becomes of the source.
    pub leave: Leave<'a, E>,
}

/// A value that has arrived.
#[derive(Debug)]
pub struct Transferred {
    /// The version that it was.
    pub from_version: VersionNumber,
    /// The destination.
    pub written: Written,
}

impl Secrets {
    /// Transfers a value. The record is about its destination, and tells of the source beside it.
    ///
    /// # Errors
    /// What the transfer's own rules say; `Error::SecretNotFound` where there is no source,
    /// `Error::VersionNotFound` where it has no such version; `Error::Conflict` where another version was
    /// expected at the destination; `Error::Refused` where one had to be, or numbers stand against it.
    pub async fn transfer<E: From<Error>>(
        &self,
        permit: &Permit,
        transfer: &Transfer<'_, E>,
        now: Timestamp,
    ) -> Result<Transferred, E> {
        let Transfer { from, from_part, version, to, to_part, cas, take, leave: left } = *transfer;
        // Both are judged at once.
        let seen = permit.item(from.path.as_str());
        let here = permit.of_part(from_part);
        let here = here.seen_as(&seen);
        let leaves = here.meant_for(Purpose::Delete);
        let permit = permit.of_part(to_part);
        let may_there =
            |action| permit.check_beside(action, Resource::Secret(to.path)).map_err(Error::from);
        let may_here =
            |action| here.check_beside(action, Resource::Secret(from.path)).map_err(Error::from);
        let may_leave =
            |action| leaves.check_beside(action, Resource::Secret(from.path)).map_err(Error::from);
        // As of any write.
        may_there(Action::VersionCreate).or_else(|_| may_there(Action::SecretCreate))?;
        may_here(Action::VersionGetData)?;
        match left {
            Leave::Stay => {}
            Leave::End => may_leave(Action::VersionDeactivateCurrent)?,
            Leave::Without(_) => may_leave(Action::VersionCreate)?,
        }
        let keys = self.scope.keys(&permit).await?;
        let change = Change {
            name: match left {
                Leave::Stay => ChangeName::CopySecret,
                Leave::End | Leave::Without(_) => ChangeName::MoveSecret,
            },
            turns: &[from.path.as_str(), to.path.as_str()],
            by: Some(&permit),
        };
        let more = match version {
            Some(number) => More::Pinned(number),
            None => More::Current { with_value: true },
        };
        let basis = Both {
            from: SecretBasis::through(from, now).with(more),
            to: SecretBasis::through(to, now).with(More::Current { with_value: true }),
        };
        self.scope
            .unit_or(change, &keys, basis, |BothFacts { from: facts, to: facts_there }, draft| {
                let Entered { found, was: was_there, defaults } =
                    facts_there.enter(to.path, now, draft)?;
                may_there(match found {
                    Some(_) => Action::VersionCreate,
                    None => Action::SecretCreate,
                })?;
                let (there, destination) = Destination::of(&permit, found, now);
                let Entered { found, was: was_here, defaults: defaults_here } =
                    facts.enter(from.path, now, draft)?;
                let source = found.ok_or(Error::SecretNotFound)?;
                let (from_version, state) = match source.versions.last() {
                    Some((number, version)) => {
                        (*number, source.header.seen(&version.record).state(now))
                    }
                    None if version.is_some() => return Err(Error::VersionNotFound.into()),
                    None => return Err(Error::SecretNotFound.into()),
                };
                let next = take(source.value.as_ref().ok_or(state), there.as_ref())?;
                destination.expects(cas, &defaults)?;
                let written = destination.write(to, &next, &defaults, draft, now)?;
                let mut growth = draft.settle(was_there.as_ref());
                if !matches!(left, Leave::Stay) {
                    let rest = match (left, &source.value) {
                        (Leave::Without(without), Some(value)) => without(value)?,
                        _ => None,
                    };
                    if rest.is_none() {
                        may_leave(Action::VersionDeactivateCurrent)?;
                    }
                    leave(from, source, rest.as_ref(), &defaults_here, draft, now)?;
                    growth = growth.and(draft.settle(was_here.as_ref()));
                }
                self.usages.admit(keys.id(), growth)?;
                draft.tell(Some(growth));
                here.learns(Detail::Version(from_version.get()));
                // Of the versions that were written, the one that it is about.
                permit.learns(Detail::Version(written.number.get()));
                Ok(Transferred { from_version, written })
            })
            .await
    }
}

/// What a transfer stands on: both of its ends.
struct Both<'a> {
    from: SecretBasis<'a>,
    to: SecretBasis<'a>,
}

struct BothFacts {
    from: SecretFacts,
    to: SecretFacts,
}

impl Basis for Both<'_> {
    type Facts = BothFacts;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<BothFacts, Error> {
        Ok(BothFacts { from: self.from.read(reader).await?, to: self.to.read(reader).await? })
    }
}
