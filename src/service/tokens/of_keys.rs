//! Tokens of keys whose certificates were revoked: nobody can bring them any more, and they would count among
//! those of their domain until they end.
//!
//! Always holds: what is ended is bound to one of the keys, as its own record says. Never does: end users' that
//! are bound to none, or what is wrapped: that was given to somebody.

use std::collections::HashSet;

use super::{CLEARED, Tokens, clear_away, share_of};
use crate::{
    crypto::DomainKeys,
    model::{Timestamp, Token},
    service::{
        Error,
        changes::ChangeName,
        records,
        unit::{Basis, Change, UnitReader},
    },
    store::{
        engine::{Expect, Read},
        kinds::{token, wrapped::Load},
    },
};

/// How many ends are read at once.
const PAGE: usize = 4_096;

impl Tokens {
    /// The ends of what is not over, and may be of one of these keys.
    pub(in crate::service) async fn ends_of(
        &self,
        keys: &DomainKeys,
        of: &HashSet<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let shares: HashSet<_> = of.iter().map(|key| share_of(Some(key))).collect();
        let snapshot = self.scope.engine().snapshot().await?;
        let (mut from, to) = token::ends_after(keys.id(), now, None);
        let mut found = Vec::new();
        loop {
            let page = snapshot.scan(token::SPACE, &from, &to, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            from = [last.as_slice(), &[0]].concat();
            let is_last = page.len() < PAGE;
            let is_wanted = |bytes: &[u8]| shares.contains(&Load::from_bytes(bytes).share);
            found.extend(
                page.into_iter().filter(|(_, end)| is_wanted(&end.bytes)).map(|(key, _)| key),
            );
            if is_last {
                return Ok(found);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends those of the tokens with these ends that are of one of these keys: some with each commit.
    pub(in crate::service) async fn end_those_of(
        &self,
        keys: &DomainKeys,
        (of, ends): (&HashSet<[u8; 32]>, &[Vec<u8>]),
    ) -> Result<(), Error> {
        for ends in ends.chunks(CLEARED) {
            let change = Change { name: ChangeName::RevokeToken, turns: &[], by: None };
            let basis = OfKeys { of, ends };
            let ended = self.scope.unit(change, keys, basis, |found, draft| {
                for (end, id, _) in &found {
                    clear_away(draft, id, end.clone());
                }
                Ok(found)
            });
            for (_, _, share) in ended.await? {
                self.counted.ended(keys.id(), share);
            }
        }
        Ok(())
    }
}

/// Tokens of some keys, held: their ends, their ids and their shares.
struct OfKeys<'a> {
    of: &'a HashSet<[u8; 32]>,
    ends: &'a [Vec<u8>],
}

impl Basis for OfKeys<'_> {
    type Facts = Vec<(Vec<u8>, String, u64)>;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        let (snapshot, keys) = (reader.records.snapshot, reader.records.keys);
        let ids: Vec<_> = self
            .ends
            .iter()
            .filter_map(|end| Some((end, token::parse_end(end)?)))
            .map(|(end, id)| (end, id, token::key(keys.id(), id)))
            .collect();
        let parts: Vec<_> = ids
            .iter()
            .flat_map(|(end, _, key)| [Read::Key(token::SPACE, end), Read::Key(token::SPACE, key)])
            .collect();
        let mut found = snapshot.read(&parts).await?.into_iter();
        let mut ended = Vec::new();
        for (end, id, key) in &ids {
            let (Some(Ok(Some(own_end))), Some(Ok(Some(record)))) = (found.next(), found.next())
            else {
                // It is over, or wrapped, or damaged, which is as good as over.
                continue;
            };
            let token = records::open::<Token>(keys, key, &record.record.bytes);
            let Ok(Some(bound)) = token.map(|token| token.key_sha256) else { continue };
            if self.of.contains(&bound) {
                // One that is renewed meanwhile has another end.
                reader.holds(token::SPACE, (*end).clone(), Expect::At(own_end.record.revision));
                ended.push(((*end).clone(), (*id).to_owned(), share_of(Some(&bound))));
            }
        }
        Ok(ended)
    }
}
