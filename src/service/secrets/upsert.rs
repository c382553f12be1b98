//! Writes of a part of a value: what is there already is read, changed and written as the next version, in one
//! commit.
//!
//! Always holds: two writers of different parts lose neither, as each decides on what the other has left.

use super::{
    Secrets, Written,
    write::{Existing, More, SecretBasis, Through, add_version, made},
};
use crate::{
    auth::{Action, Permit, Resource, pdp::Purpose},
    crypto::SecretValue,
    model::{Cas, Header, Refused, Settings, Timestamp, VersionAct, VersionNumber},
    service::{ChangeName, Error, records::Draft},
};

/// What makes the next value of the one that can be read, or of none; or says why that cannot be.
pub(super) type Make<'a, E> =
    &'a (dyn Fn(Option<&SecretValue>) -> Result<SecretValue, E> + Send + Sync);

/// What is left of a value without a part of it: nothing where that was all of it.
pub(super) type Without<'a, E> =
    &'a (dyn Fn(&SecretValue) -> Result<Option<SecretValue>, E> + Send + Sync);

/// Where the next value comes from.
pub enum Making<'a, E> {
    /// This is it.
    Whole(&'a SecretValue),
    /// It is made of the current one.
    Of(Make<'a, E>),
}

/// What is left of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The version that is current by now.
    pub number: VersionNumber,
    /// Whether anything was otherwise before.
    pub is_changed: bool,
}

/// What a version is added for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adding {
    /// To be written.
    Write,
    /// To be in the place of the one before.
    Rotation,
}

impl Secrets {
    /// Adds a version; the secret is made where there is none.
    ///
    /// # Errors
    /// What `making` says; `Error::Conflict` where another version was expected; `Error::Refused` where one had to be, or numbers stand
    /// against it.
    pub async fn upsert<E: From<Error>>(
        &self,
        permit: &Permit,
        at: Through<'_>,
        (making, adding): (Making<'_, E>, Adding),
        cas: Option<Cas>,
        now: Timestamp,
    ) -> Result<Written, E> {
        let (name, purpose) = match adding {
            Adding::Write => (ChangeName::WriteSecret, Purpose::Write),
            Adding::Rotation => (ChangeName::RotateSecret, Purpose::Rotate),
        };
        let permit = permit.meant_for(purpose);
        let may = |action| permit.check(action, Resource::Secret(at.path)).map_err(Error::from);
        // Which of the two it takes is known later; who has neither is not told by the store.
        may(Action::VersionCreate).or_else(|_| may(Action::SecretCreate))?;
        let more = match making {
            Making::Whole(_) => More::Added(None),
            Making::Of(_) => More::Current { with_value: true },
        };
        let basis = SecretBasis::through(at, now).with(more);
        self.change_or(name, &permit, basis, |found, defaults, draft| {
            may(if found.is_some() { Action::VersionCreate } else { Action::SecretCreate })?;
            let (value, to) = Destination::of(&permit, found, now);
            to.expects(cas, &defaults)?;
            let written = match making {
                Making::Whole(value) => to.write(at, value, &defaults, draft, now),
                Making::Of(make) => to.write(at, &make(value.as_ref())?, &defaults, draft, now),
            };
            Ok(written?)
        })
        .await
    }

    /// Writes the next version without a part of the current one; where nothing is left of that, it is deactivated.
    ///
    /// # Errors
    /// What `without` says; `Error::SecretNotFound` where nothing can be read; `Error::Refused` where numbers stand against it.
    pub async fn remove_member<E: From<Error>>(
        &self,
        permit: &Permit,
        at: Through<'_>,
        without: Without<'_, E>,
        now: Timestamp,
    ) -> Result<Remaining, E> {
        let permit = permit.meant_for(Purpose::Delete);
        let may = |action| permit.check(action, Resource::Secret(at.path)).map_err(Error::from);
        may(Action::VersionCreate)?;
        let basis = SecretBasis::through(at, now).with(More::Current { with_value: true });
        self.change_or(ChangeName::RemoveMember, &permit, basis, |found, defaults, draft| {
            let found = found.ok_or(Error::SecretNotFound)?;
            let left = without(found.value.as_ref().ok_or(Error::SecretNotFound)?)?;
            if left.is_none() {
                may(Action::VersionDeactivateCurrent)?;
            }
            Ok(leave(at, found, left.as_ref(), &defaults, draft, now)?)
        })
        .await
    }
}

/// What becomes of a secret that is to have `left` from now on, or nothing. It takes no CAS, as no deletion does: all that
/// stays is what was there at the moment.
pub(super) fn leave(
    at: Through<'_>,
    found: Existing,
    left: Option<&SecretValue>,
    defaults: &Settings,
    draft: &mut Draft<'_>,
    now: Timestamp,
) -> Result<Remaining, Error> {
    let Existing { mut header, mut versions, falling, .. } = found;
    let (number, version) = versions.pop().ok_or(Error::SecretNotFound)?;
    if let Some(left) = left {
        let to = (&mut header, falling);
        let (number, _) = add_version(at.path, to, left, defaults, draft, now)?;
        draft.put_secret(at.path, &header)?;
        return Ok(Remaining { number, is_changed: true });
    }
    let transition = header.act((number, &version.record), VersionAct::Delete, defaults, now);
    let led = draft.lead((at.path, &mut header), (number, version), transition)?;
    if led.is_some() {
        draft.put_secret(at.path, &header)?;
    }
    Ok(Remaining { number, is_changed: led.is_some() })
}

/// A secret that gets another version.
pub(super) struct Destination {
    header: Header,
    /// What was current before; nothing where the secret is made.
    previous: Option<u32>,
    falling: u64,
}

impl Destination {
    /// It, and what can be read of it.
    pub(super) fn of(
        permit: &Permit,
        found: Option<Existing>,
        now: Timestamp,
    ) -> (Option<SecretValue>, Self) {
        match found {
            Some(Existing { header, value, falling, .. }) => {
                let previous = Some(header.current_number());
                (value, Self { header, previous, falling })
            }
            None => (None, Self { header: made(permit, now), previous: None, falling: 0 }),
        }
    }

    /// Goes on if this is what the writer expects.
    pub(super) fn expects(&self, cas: Option<Cas>, defaults: &Settings) -> Result<(), Error> {
        match self.header.check_cas(cas, defaults, true) {
            Err(Refused::CasMismatch) => Err(Error::Conflict(self.header.current_number())),
            checked => Ok(checked?),
        }
    }

    pub(super) fn write(
        self,
        at: Through<'_>,
        value: &SecretValue,
        defaults: &Settings,
        draft: &mut Draft<'_>,
        now: Timestamp,
    ) -> Result<Written, Error> {
        let Self { mut header, previous, falling } = self;
        let (number, _) =
            add_version(at.path, (&mut header, falling), value, defaults, draft, now)?;
        draft.put_secret(at.path, &header)?;
        Ok(Written { header, number, previous })
    }
}
