//! Lists by folders, as KV2 has them.
//!
//! Always holds: a list costs what it shows, not what lies below its folders: each sub-folder is
//! passed over in one step; where names alone are told, no header is read.

use super::{History, Secrets, read::history};
use crate::{
    auth::{Action, Extent, Permit, Resource},
    model::{Header, Invalid, SecretPath, Timestamp},
    service::{
        Error,
        records::{Reader, open, or_damaged},
        turns::SharedTurn,
    },
    store::{
        engine::{Read, Snapshot},
        kinds::{Malformed, header},
    },
};

/// How many names are read at once.
const BATCH: usize = 1024;
/// The most memory of one list, in bytes, roughly.
const LIST_BYTES_MAX: usize = 16 << 20;
const TOO_LARGE: Invalid = Invalid(
    "the list is larger than this server tells at once; read it in parts with after and limit",
);

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Browse {
    /// What the paths of all that is listed begin with: "" or a folder with a slash at its end.
    pub prefix: String,
    /// Whether everything below is listed, or the folder's own entries alone.
    pub is_recursive: bool,
    /// The name after which the list begins.
    pub after: Option<String>,
    /// The most entries.
    pub limit: Option<usize>,
    /// Whether secrets whose current version has an end are left out.
    pub excludes_deleted: bool,
    /// Whether each secret's history is told.
    pub is_detailed: bool,
}

/// An entry of a list.
#[derive(Debug)]
pub struct ListEntry {
    /// Its name below the prefix; a folder's ends in a slash.
    pub name: String,
    /// What is told of a secret, where that was asked for.
    pub history: Option<Box<History>>,
}

/// A list, or a part of one.
#[derive(Debug)]
pub struct Listed {
    /// The entries, in the order of their names.
    pub entries: Vec<ListEntry>,
    /// Whether there are more after them.
    pub has_more: bool,
    /// Held while the list is in memory.
    _turn: SharedTurn,
}

impl Secrets {
    /// The entries of a folder, or all that is below it.
    ///
    /// # Errors
    /// `Error::Invalid` where the list is too large for one answer.
    pub async fn browse(
        &self,
        permit: &Permit,
        browse: &Browse,
        now: Timestamp,
    ) -> Result<Listed, Error> {
        permit.check(Action::SecretList, Resource::Below(&browse.prefix))?;
        let (id, keys) = (permit.okms_id(), self.scope.keys(permit).await?);
        let turn = self.scope.long_reads().turn(id).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let reader = Reader { snapshot: &*snapshot, keys: &keys };
        let (mut from, to) = header::below(id, &browse.prefix);
        if let Some(after) = &browse.after {
            from = start(&from, after, browse.is_recursive);
        }
        let limit = browse.limit.unwrap_or(usize::MAX);
        let mut listed = Listed { entries: Vec::new(), has_more: false, _turn: turn };
        let cut = (!browse.is_recursive).then(|| header::folders(id, &browse.prefix));
        let mut bytes = 0;
        loop {
            let size = limit.saturating_add(1).min(BATCH);
            let keys = snapshot.keys(header::SPACE, &from, &to, cut, size).await?;
            let is_last = keys.len() < size;
            let mut ended = if browse.excludes_deleted {
                ended(&reader, &keys).await?.into_iter()
            } else {
                Vec::new().into_iter()
            };
            for key in &keys {
                let has_ended = ended.next().unwrap_or_default();
                let text = header::text(id, key).ok_or(Malformed)?;
                let path = if text.ends_with('/') {
                    None
                } else {
                    Some(text.parse::<SecretPath>().map_err(|_| Malformed)?)
                };
                let is_shown = match &path {
                    None => shows_below(permit, &*snapshot, text).await?,
                    Some(path) => permit.allows(Action::SecretList, Resource::Secret(path)),
                };
                if !is_shown || has_ended {
                    continue;
                }
                let name = text.get(browse.prefix.len()..).unwrap_or_default();
                if listed.entries.len() == limit {
                    listed.has_more = true;
                    return Ok(listed);
                }
                let history = match &path {
                    Some(path)
                        if browse.is_detailed
                            && permit.allows(Action::SecretGet, Resource::Secret(path)) =>
                    {
                        match history_or_damaged(&reader, path, now).await {
                            Err(Error::SecretNotFound) => continue,
                            history => history?,
                        }
                    }
                    _ => None,
                };
                bytes +=
                    size_of::<ListEntry>() + 32 + name.len() + history.as_deref().map_or(0, weight);
                if bytes > LIST_BYTES_MAX {
                    return Err(TOO_LARGE.into());
                }
                listed.entries.push(ListEntry { name: name.to_owned(), history });
            }
            if is_last {
                return Ok(listed);
            }
            if let Some(last) = keys.last() {
                from = header::behind(last);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Whether something below a folder may be seen. Where the policies alone do not tell, what is there
/// is looked through until something is.
async fn shows_below(
    permit: &Permit,
    snapshot: &dyn Snapshot,
    folder: &str,
) -> Result<bool, Error> {
    match permit.extent(Action::SecretList, folder) {
        Extent::Nothing => return Ok(false),
        Extent::Everything => return Ok(true),
        Extent::Some => {}
    }
    let id = permit.okms_id();
    let (mut from, to) = header::below(id, folder);
    loop {
        let keys = snapshot.keys(header::SPACE, &from, &to, None, BATCH).await?;
        for key in &keys {
            let path = header::parse(id, key).ok_or(Malformed)?;
            if permit.allows(Action::SecretList, Resource::Secret(&path)) {
                return Ok(true);
            }
        }
        let Some(last) = keys.last().filter(|_| keys.len() == BATCH) else { return Ok(false) };
        from = header::behind(last);
        tokio::task::yield_now().await;
    }
}

/// The least key of an entry whose name comes after `after`. A folder's entry comes with the first
/// of its keys, and is over with the last.
fn start(prefix: &[u8], after: &str, is_recursive: bool) -> Vec<u8> {
    match after.split_once('/') {
        Some((folder, _)) if !is_recursive => [prefix, folder.as_bytes(), b"/\xff"].concat(),
        _ => [prefix, after.as_bytes(), &[0]].concat(),
    }
}

/// For each key whether the current version of the secret there has an end, past or to come. One
/// that is damaged is not hidden by that, and a folder has none.
async fn ended(reader: &Reader<'_>, keys: &[Vec<u8>]) -> Result<Vec<bool>, Error> {
    let parts: Vec<_> = keys.iter().map(|key| Read::Key(header::SPACE, key)).collect();
    let headers = reader.snapshot.read(&parts).await?;
    let mut ended = Vec::with_capacity(keys.len());
    for (key, found) in keys.iter().zip(headers) {
        let read = async {
            let Some(found) = found? else { return Ok(false) };
            let header: Header = open(reader.keys, key, &found.record.bytes)?;
            let path = header::parse(reader.keys.id(), key).ok_or(Malformed)?;
            let Some(current) = header.current else { return Ok(false) };
            let version = reader.version(&path, current).await?;
            Ok(header.seen(&version.record).deactivate_at.is_some())
        };
        ended.push(or_damaged(reader.keys, read.await)?.unwrap_or_default());
    }
    Ok(ended)
}

async fn history_or_damaged(
    reader: &Reader<'_>,
    path: &SecretPath,
    now: Timestamp,
) -> Result<Option<Box<History>>, Error> {
    or_damaged(reader.keys, history(reader, path, now).await.map(Box::new))
}

/// About how many bytes an answer takes for this.
fn weight(history: &History) -> usize {
    let custom =
        history.header.custom.iter().map(|(key, text)| key.len() + text.len() + 8).sum::<usize>();
    512 + custom + 128 * history.versions.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_name() {
        let is_after =
            |name: &str, after: &str| name.as_bytes().to_vec() >= start(b"", after, false);
        assert!(!is_after("a", "a") && is_after("a-b", "a") && is_after("a/x", "a"));
        assert!(!is_after("a/x", "a/") && !is_after("a/x", "a/b") && is_after("a0", "a/"));
        assert_eq!(start(b"p/", "a/b", true), b"p/a/b\0");
    }
}
