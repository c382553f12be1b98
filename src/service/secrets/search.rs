//! Finding secrets by what is said of them, and by when they end.
//!
//! Always holds: what is not the caller's to see is neither told nor counted; a page looks at a bounded
//! number of secrets, so that it may be short and yet not the last; the header counts, not what an
//! index says of it.

use super::{Secrets, index::Trait, read::may_see};
use crate::{
    auth::{Action, Permit, Resource},
    crypto::DomainKeys,
    model::{Header, Invalid, SecretPath, SecretType, Tags, Timestamp, VersionState},
    service::{
        Error,
        cursor::{self, Listing},
        records::{open, or_damaged},
    },
    store::{
        engine::{Read, Snapshot, Space},
        kinds::{
            Malformed, header, region,
            secret_index::{self, Part},
            version::{self, Version},
        },
    },
};

/// How many secrets are looked at before others get a turn.
const AT_ONCE: usize = 256;
/// So many secrets are looked at for a page, and for counting.
pub(in crate::service) const LOOKED_AT: usize = if cfg!(test) { 600 } else { 10_000 };

/// What is looked for. Nothing is asked for where nothing is set.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// What the path begins with.
    pub prefix: String,
    /// All of these tags.
    pub tags: Tags,
    /// The type.
    pub secret_type: Option<SecretType>,
    /// The owner.
    pub owner: Option<String>,
    /// Text that is in the path, in the description, in a tag or in an entry of custom metadata, in
    /// small letters: capitals make no difference.
    pub text: Option<String>,
    /// Where that text is looked for.
    pub within: Within,
    /// It ends before that.
    pub expires_before: Option<Timestamp>,
    /// Its newest version is younger.
    pub updated_after: Option<Timestamp>,
    /// Those that have ended are wanted, too.
    pub with_expired: bool,
    /// Those that were removed and can be restored are wanted, too.
    pub with_removed: bool,
}

/// Where a text is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Within {
    /// In a secret's path.
    Path,
    /// In its description, its owner, its tags and its custom metadata.
    Metadata,
    /// In both.
    #[default]
    Both,
}

/// A page of what was found.
#[derive(Debug)]
pub struct SearchPage {
    /// The secrets, in the order of their paths.
    pub found: Vec<(SecretPath, Header)>,
    /// Where it goes on, if it does.
    pub next: Option<Vec<u8>>,
    /// How many there were when the first page was made.
    pub total: u32,
    /// Whether all were counted, or those alone that were looked at.
    pub is_exact: bool,
    /// Damaged headers that were left out.
    pub damaged: usize,
}

/// A page of secrets that end, with the moments at which they do.
#[derive(Debug)]
pub struct EndingPage {
    /// The secrets, those that end soonest first.
    pub found: Vec<(SecretPath, Timestamp)>,
    /// Where it goes on, if it does.
    pub next: Option<Vec<u8>>,
}

/// What travels from page to page.
struct Progress {
    after: SecretPath,
    total: u32,
    is_exact: bool,
}

impl Search {
    /// Whether a secret is what is looked for, at `now`.
    fn takes(&self, path: &SecretPath, header: &Header, now: Timestamp) -> bool {
        let life = &header.life;
        let ends = header.expires_at();
        !life.is_over(now)
            && (self.with_removed || life.removed.is_none())
            && (self.with_expired || ends.is_none_or(|at| at > now))
            && path.as_str().starts_with(&self.prefix)
            && self.tags.iter().all(|tag| header.about.tags.has(tag))
            && self.secret_type.is_none_or(|wanted| header.about.secret_type == wanted)
            && self.owner.as_ref().is_none_or(|owner| header.about.owner.as_deref() == Some(owner))
            && self.text.as_ref().is_none_or(|text| self.within.has(text, path, header))
            && self.expires_before.is_none_or(|limit| ends.is_some_and(|at| at < limit))
            && self.updated_after.is_none_or(|limit| header.changed_at() > limit)
    }

    /// What those have in common that it takes, if there is something by which they are found: what fewest are
    /// likely to have.
    fn shared(&self) -> Option<Trait<'_>> {
        let tag = self.tags.iter().next().map(Trait::Tag);
        let owner = || self.owner.as_deref().map(Trait::Owner);
        let of_type = || self.secret_type.map(Trait::Type).filter(Trait::tells_some);
        tag.or_else(owner).or_else(of_type)
    }

    /// What stands for all of it in a cursor.
    fn mark(&self, keys: &DomainKeys) -> Result<[u8; 16], Error> {
        // The names of fields are part of the text, so that no two searches have one.
        Ok(keys.mark(&format!("search {self:?}"))?)
    }
}

impl Secrets {
    /// A page of the secrets that are looked for and may be seen.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this search.
    pub async fn search(
        &self,
        permit: &Permit,
        search: &Search,
        cursor: Option<Vec<u8>>,
        limit: usize,
        now: Timestamp,
    ) -> Result<SearchPage, Error> {
        let permit = &permit.looking_below(&search.prefix);
        permit.check(Action::SecretGet, Resource::Below(""))?;
        permit.check_beside(Action::SecretList, Resource::Below(""))?;
        let (id, keys) = (permit.okms_id(), self.scope.keys(permit).await?);
        let mark = search.mark(&keys)?;
        let before = cursor.map(|cursor| parse(&keys, &mark, &cursor)).transpose()?;
        let _turn = self.scope.long_reads().turn(id).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let shared = match search.shared() {
            Some(shared) if is_indexed(&*snapshot, shared).await? => Some(shared.mark(&keys)?),
            _ => None,
        };
        let mut walk = Walk::new(&*snapshot, &keys, search, shared, before.as_ref());
        let mut page = SearchPage {
            found: Vec::new(),
            next: None,
            total: before.as_ref().map_or(0, |before| before.total),
            is_exact: before.as_ref().is_none_or(|before| before.is_exact),
            damaged: 0,
        };
        let is_first = before.is_none();
        let (mut last, mut is_full) = (None, false);
        'walk: while let Some(batch) = walk.next().await? {
            for (path, record) in batch {
                let record = record.filter(|_| may_see(permit, Resource::Secret(&path)));
                let opened = record.map(|record| open(&keys, &header::key(id, &path), &record));
                let header = match opened.map(|opened| or_damaged(&keys, opened)).transpose()? {
                    Some(None) => {
                        page.damaged += 1;
                        None
                    }
                    header => header.flatten(),
                };
                if let Some(header) = header.filter(|header| search.takes(&path, header, now)) {
                    if page.found.len() < limit {
                        page.found.push((path.clone(), header));
                    } else {
                        is_full = true;
                    }
                    page.total += u32::from(is_first);
                }
                if is_full && !is_first {
                    break 'walk;
                }
                if !is_full {
                    last = Some(path);
                }
            }
            tokio::task::yield_now().await;
        }
        let is_over = walk.is_over().await?;
        if is_first && !is_over {
            page.is_exact = false;
        }
        if (is_full || !is_over)
            && let Some(after) = last
        {
            let progress = Progress { after, total: page.total, is_exact: page.is_exact };
            page.next = Some(render(&keys, &mark, &progress)?);
        }
        Ok(page)
    }

    /// The states of the current versions of secrets that were found; none where there is no version.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn states(
        &self,
        permit: &Permit,
        found: &[(SecretPath, Header)],
        now: Timestamp,
    ) -> Result<Vec<Option<VersionState>>, Error> {
        let current = |(path, header): &'_ (SecretPath, Header)| {
            let is_seen = permit.allows(Action::SecretGet, Resource::Secret(path));
            let number = header.current.filter(|_| is_seen)?;
            Some(version::key(permit.okms_id(), path, number.get()))
        };
        let names: Vec<_> = found.iter().map(current).collect();
        let parts = names.iter().flatten().map(|key| Read::Key(version::SPACE, key));
        let parts: Vec<_> = parts.collect();
        let keys = self.scope.keys(permit).await?;
        let mut records = self.scope.engine().read(&parts).await?.into_iter();
        let state = |(name, (_, header)): (&Option<Vec<u8>>, &(SecretPath, Header))| {
            let key = name.as_ref()?;
            // Another version may have taken its place meanwhile, or it is damaged.
            let record = records.next()?.ok()??.record;
            let version: Version = open(&keys, key, &record.bytes).ok()?;
            Some(header.seen(&version.record).state(now))
        };
        Ok(names.iter().zip(found).map(state).collect())
    }

    /// A page of the secrets that end between two moments, those that end soonest first.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn ending(
        &self,
        permit: &Permit,
        (from, to): (Option<Timestamp>, Timestamp),
        prefix: &str,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<EndingPage, Error> {
        let permit = &permit.looking_below(prefix);
        permit.check(Action::SecretGet, Resource::Below(""))?;
        permit.check_beside(Action::SecretList, Resource::Below(""))?;
        let (id, keys) = (permit.okms_id(), self.scope.keys(permit).await?);
        let part = Part::Ends;
        let (first, end) = part.up_to(id, to);
        let mut at = match (cursor, from) {
            (Some(cursor), _) => {
                [id.as_bytes(), &*cursor::open(&keys, Listing::Ends, &cursor)?].concat()
            }
            (None, Some(from)) => part.from(id, from),
            (None, None) => first,
        };
        let _turn = self.scope.long_reads().turn(id).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let (mut found, mut looked_at) = (Vec::new(), 0);
        // Where it goes on, unless that is the end.
        let next = 'pages: loop {
            let left = AT_ONCE.min(LOOKED_AT - looked_at);
            let entries = snapshot.keys(secret_index::SPACE, &at, &end, None, left.max(1)).await?;
            if left == 0 {
                break (!entries.is_empty()).then_some(at);
            }
            let is_last = entries.len() < left;
            let mut wanted = Vec::new();
            for key in entries {
                looked_at += 1;
                let entry = part.parse(id, &key).ok_or(Malformed)?;
                let is_wanted = entry.path.as_str().starts_with(prefix)
                    && may_see(permit, Resource::Secret(&entry.path));
                at = [key.as_slice(), &[0]].concat();
                if is_wanted {
                    wanted.push((entry.path, key));
                }
            }
            let headers = headers(&*snapshot, &keys, wanted.iter().map(|(path, _)| path)).await?;
            for ((path, key), header) in wanted.into_iter().zip(headers) {
                let Some(header) = header else { continue };
                let Some(ends) = header.expires_at().filter(|_| header.life.removed.is_none())
                else {
                    continue;
                };
                // The entry is of a minute, and of a header that may be another by now.
                let is_within = from.is_none_or(|from| ends > from) && ends <= to;
                if !is_within || part.key(id, ends, &path) != key {
                    continue;
                }
                if found.len() == limit {
                    break 'pages Some(key);
                }
                found.push((path, ends));
            }
            if is_last {
                break None;
            }
            tokio::task::yield_now().await;
        };
        // The index has them by minutes.
        found.sort_by_key(|(_, at): &(SecretPath, Timestamp)| *at);
        let seal =
            |key: Vec<u8>| cursor::seal(&keys, Listing::Ends, key.get(16..).unwrap_or_default());
        Ok(EndingPage { found, next: next.map(seal).transpose()? })
    }
}

impl Within {
    /// Whether a text, in small letters, is in what is said of a secret, capitals or not.
    fn has(self, text: &str, path: &SecretPath, header: &Header) -> bool {
        let is_in = |said: &str| said.to_lowercase().contains(text);
        let about = &header.about;
        let in_path = || is_in(path.as_str());
        let in_metadata = || {
            let custom = header.custom.iter().flat_map(|(name, value)| [name, value]);
            let said = [&about.description, &about.owner].into_iter().flatten().map(|it| &**it);
            said.chain(about.tags.iter()).chain(custom).any(is_in)
        };
        match self {
            Self::Path => in_path(),
            Self::Metadata => in_metadata(),
            Self::Both => in_path() || in_metadata(),
        }
    }
}

/// Whether all that have a trait are in the index. Tags were from the first.
async fn is_indexed(snapshot: &dyn Snapshot, shared: Trait<'_>) -> Result<bool, Error> {
    let note = region::index_is_complete();
    Ok(matches!(shared, Trait::Tag(_)) || snapshot.get(region::SPACE, &note).await?.is_some())
}

/// Candidates with their sealed headers, in the order of their paths.
struct Walk<'a> {
    snapshot: &'a dyn Snapshot,
    keys: &'a DomainKeys,
    /// Where candidates come from: the index of what they share, or all headers.
    space: Space,
    from: Vec<u8>,
    to: Vec<u8>,
    shared: Option<[u8; 16]>,
    /// How many may still be looked at.
    left: usize,
    is_over: bool,
}

/// Secrets with their sealed headers; none where what an index says of one is not so any more.
type Candidates = Vec<(SecretPath, Option<bytes::Bytes>)>;

impl<'a> Walk<'a> {
    fn new(
        snapshot: &'a dyn Snapshot,
        keys: &'a DomainKeys,
        search: &Search,
        shared: Option<[u8; 16]>,
        before: Option<&Progress>,
    ) -> Self {
        let id = keys.id();
        let (space, (mut from, to)) = if let Some(mark) = &shared {
            (secret_index::SPACE, Part::Trait(mark).below(id, &search.prefix))
        } else {
            (header::SPACE, header::below(id, &search.prefix))
        };
        if let Some(Progress { after, .. }) = before {
            let next = match &shared {
                Some(mark) => Part::Trait(mark).after(id, Timestamp::from_unix_seconds(0), after).0,
                None => header::after(id, after),
            };
            from = from.max(next);
        }
        Self { snapshot, keys, space, from, to, shared, left: LOOKED_AT, is_over: false }
    }

    /// The next ones; `None` where there are no more, or no more may be looked at.
    async fn next(&mut self) -> Result<Option<Candidates>, Error> {
        let wanted = AT_ONCE.min(self.left);
        if self.is_over || wanted == 0 {
            return Ok(None);
        }
        let id = self.keys.id();
        let mut found = Vec::with_capacity(wanted);
        let looked_at = match &self.shared {
            None => {
                let page = self.snapshot.scan(self.space, &self.from, &self.to, wanted).await?;
                for (key, record) in &page {
                    let path = header::parse(id, key).ok_or(Malformed)?;
                    found.push((path, Some(record.bytes.clone())));
                }
                self.go_on(page.last().map(|(key, _)| key.as_slice()));
                page.len()
            }
            Some(mark) => {
                let page =
                    self.snapshot.keys(self.space, &self.from, &self.to, None, wanted).await?;
                let entries =
                    page.iter().map(|key| Part::Trait(mark).parse(id, key).ok_or(Malformed));
                let paths: Vec<_> =
                    entries.map(|entry| Ok(entry?.path)).collect::<Result<_, Malformed>>()?;
                let names: Vec<_> = paths.iter().map(|path| header::key(id, path)).collect();
                let parts: Vec<_> = names.iter().map(|key| Read::Key(header::SPACE, key)).collect();
                for (path, record) in paths.into_iter().zip(self.snapshot.read(&parts).await?) {
                    // An entry may have outlived its secret.
                    found.push((path, record?.map(|record| record.record.bytes)));
                }
                self.go_on(page.last().map(Vec::as_slice));
                page.len()
            }
        };
        self.is_over = looked_at < wanted;
        self.left -= looked_at;
        Ok(Some(found))
    }

    /// Whether there are no more: where nobody has looked further yet, this does.
    async fn is_over(&self) -> Result<bool, Error> {
        let more = async || self.snapshot.keys(self.space, &self.from, &self.to, None, 1).await;
        Ok(self.is_over || more().await?.is_empty())
    }

    fn go_on(&mut self, last: Option<&[u8]>) {
        if let Some(last) = last {
            self.from = [last, &[0]].concat();
        }
    }
}

/// The headers of secrets; none where there is none, or it is damaged.
async fn headers<'p>(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    paths: impl Iterator<Item = &'p SecretPath>,
) -> Result<Vec<Option<Header>>, Error> {
    let names: Vec<_> = paths.map(|path| header::key(keys.id(), path)).collect();
    let parts: Vec<_> = names.iter().map(|key| Read::Key(header::SPACE, key)).collect();
    let mut headers = Vec::with_capacity(names.len());
    for (key, found) in names.iter().zip(snapshot.read(&parts).await?) {
        let header = found?.map(|found| open::<Header>(keys, key, &found.record.bytes));
        headers.push(or_damaged(keys, header.transpose())?.flatten());
    }
    Ok(headers)
}

/// Cursors are as long as a multiple of this, so that they do not tell how long a path is.
const PADDED_TO: usize = 256;

fn render(keys: &DomainKeys, mark: &[u8; 16], progress: &Progress) -> Result<Vec<u8>, Error> {
    let Progress { after, total, is_exact } = progress;
    let head = [mark.as_slice(), &total.to_be_bytes(), &[u8::from(*is_exact)]].concat();
    let mut plain = [&*head, after.as_str().as_bytes()].concat();
    // No path has a NUL.
    plain.resize(plain.len().next_multiple_of(PADDED_TO), 0);
    cursor::seal(keys, Listing::Search, &plain)
}

fn parse(keys: &DomainKeys, mark: &[u8; 16], cursor: &[u8]) -> Result<Progress, Error> {
    const OTHER: Invalid =
        Invalid("the cursor is not one of this list; repeat without it, or with the same filters");
    let plain = cursor::open(keys, Listing::Search, cursor).map_err(|_| OTHER)?;
    let parts = || {
        let (own, rest) = plain.split_first_chunk::<16>()?;
        let (total, rest) = rest.split_first_chunk()?;
        let (is_exact, path) = rest.split_first()?;
        let path = std::str::from_utf8(path).ok()?.trim_end_matches('\0').parse().ok()?;
        let (total, is_exact) = (u32::from_be_bytes(*total), *is_exact == 1);
        (own == mark).then_some(Progress { after: path, total, is_exact })
    };
    Ok(parts().ok_or(OTHER)?)
}
