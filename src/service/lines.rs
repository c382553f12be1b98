//! Lines of access certificates: all that were renewed, one from the other, from one that an operator
//! has issued.
//!
//! Always holds: a certificate that is renewed enters its line in the commit that issues it, and leaves
//! it in the one that removes its record; a line has no more of them than its bounds, but for some that
//! other processes let in at the same moment. Never does: revoke.

use std::collections::{HashMap, HashSet};

use super::{Error, issued::Issued};
use crate::{
    crypto::Sealed,
    model::{Invalid, OkmsId, Timestamp},
    store::{
        engine::{Op, Snapshot},
        kinds::{
            Malformed,
            line::{self, Member},
        },
    },
};

/// So many of a line can be there that have not ended: a renewal each day of what lives for a year.
pub(super) const LIVING_MAX: usize = 512;
/// So many of a line are remembered, those included that have ended not long ago or that others were
/// renewed from.
pub(super) const MEMBERS_MAX: usize = 2_048;
/// How many records are read at once.
const AT_ONCE: usize = 1_024;

/// Enters a certificate that was renewed.
pub(super) fn enter(domain: OkmsId, first: &[u8; 16], member: &Member) -> Op {
    Op::Put(line::SPACE, member.key(domain, first), Sealed::public(member.bytes()))
}

/// Takes one out.
pub(super) fn leave(domain: OkmsId, first: &[u8; 16], member: &Member) -> Op {
    Op::Delete(line::SPACE, member.key(domain, first))
}

/// Goes on where the line that begins with `first` has room for another certificate.
///
/// # Errors
/// `Error::Invalid` where it has none.
pub(super) async fn has_room(
    snapshot: &dyn Snapshot,
    domain: OkmsId,
    first: &[u8; 16],
    now: Timestamp,
) -> Result<(), Error> {
    let (from, to) = line::of(domain, first);
    let all = snapshot.keys(line::SPACE, &from, &to, None, MEMBERS_MAX).await?;
    let now = now.unix_seconds();
    let lives = |key: &&Vec<u8>| line::end(key).is_some_and(|end| end.unix_seconds() >= now);
    if all.iter().filter(lives).count() >= LIVING_MAX {
        return Err(Invalid(
            "512 certificates that were renewed from the same one have not ended; renew less often or for fewer days, or \
             ask an operator for a new one",
        )
        .into());
    }
    if all.len() >= MEMBERS_MAX {
        return Err(Invalid(
            "2048 certificates were renewed from the same one of late; renew less often, or ask an operator for a new one",
        )
        .into());
    }
    Ok(())
}

/// All of the line that begins with `first`.
pub(super) async fn members(
    snapshot: &dyn Snapshot,
    domain: OkmsId,
    first: &[u8; 16],
) -> Result<Vec<Member>, Error> {
    let (mut from, to) = line::of(domain, first);
    let mut found = Vec::new();
    loop {
        let page = snapshot.scan(line::SPACE, &from, &to, AT_ONCE).await?;
        for (key, record) in &page {
            found.push(Member::parse(key, &record.bytes).ok_or(Malformed)?);
        }
        match page.last() {
            Some((key, _)) if page.len() == AT_ONCE => from = [key, [0].as_slice()].concat(),
            _ => return Ok(found),
        }
    }
}

/// The first of the line that a certificate is in, whatever has become of those between.
pub(super) async fn first_of(
    snapshot: &dyn Snapshot,
    domain: OkmsId,
    id: &[u8; 16],
) -> Result<Option<[u8; 16]>, Error> {
    let (mut from, to) = line::of_domain(domain);
    loop {
        let page = snapshot.keys(line::SPACE, &from, &to, None, AT_ONCE).await?;
        if let Some(key) = page.iter().find(|key| key.ends_with(id)) {
            return Ok(line::first(key));
        }
        match page.last() {
            Some(key) if page.len() == AT_ONCE => from = [key.as_slice(), &[0]].concat(),
            _ => return Ok(None),
        }
        tokio::task::yield_now().await;
    }
}

/// Those that were renewed from this one, and from these, and so on.
pub(super) fn below(members: Vec<Member>, id: [u8; 16]) -> Vec<Member> {
    let mut by_renewed = HashMap::<_, Vec<_>>::new();
    for member in members {
        by_renewed.entry(member.renews).or_default().push(member);
    }
    let mut found = by_renewed.remove(&id).unwrap_or_default();
    let mut at = 0;
    while let Some(Member { id, .. }) = found.get(at) {
        found.extend(by_renewed.remove(id).unwrap_or_default());
        at += 1;
    }
    found
}

/// Splits a line whose first one ends at `end`: what has ended before `cutoff`, and that none was renewed
/// from which has not; and whether the first one is such, too.
pub(super) fn over(
    members: Vec<Member>,
    (first, end): ([u8; 16], Timestamp),
    cutoff: Timestamp,
) -> (Vec<Member>, bool) {
    let renewed: HashMap<_, _> = members.iter().map(|member| (member.id, member.renews)).collect();
    let mut kept = HashSet::new();
    for member in members.iter().filter(|member| member.end >= cutoff) {
        let mut next = Some(member.id);
        while let Some(id) = next.filter(|id| kept.insert(*id)) {
            next = renewed.get(&id).copied();
        }
    }
    let is_over = end < cutoff && !kept.contains(&first);
    (members.into_iter().filter(|member| !kept.contains(&member.id)).collect(), is_over)
}

/// The places of a domain's certificates in their lines.
pub(super) fn places(domain: OkmsId, issued: &[Issued]) -> Vec<Op> {
    let renewed: HashMap<_, _> =
        issued.iter().filter_map(|one| Some((one.id, one.credential.renews?))).collect();
    let mut firsts = HashMap::<[u8; 16], [u8; 16]>::new();
    let mut ops = Vec::with_capacity(renewed.len());
    for Issued { id, credential, .. } in issued {
        let Some(renews) = credential.renews else { continue };
        // Up to one that is known or has no record of one before it; back, all of them know it.
        let (mut way, mut next) = (HashSet::new(), renews);
        while !firsts.contains_key(&next) && way.insert(next) {
            let Some(before) = renewed.get(&next) else { break };
            next = *before;
        }
        let first = firsts.get(&next).copied().unwrap_or(next);
        firsts.extend(way.into_iter().map(|id| (id, first)));
        let (serial, end) = (credential.serial.clone(), credential.ends_at);
        ops.push(enter(domain, &first, &Member { id: *id, end, renews, serial }));
    }
    ops
}
