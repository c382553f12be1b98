//! Lists by folders, as KV2 has them.
//!
//! Always holds: a list costs what it shows, not what lies below its folders: each sub-folder is
//! passed over in one step.

use super::{History, Secrets, read::history};
use crate::{
    auth::{Action, Permit, Resource},
    model::{Header, Invalid, SecretPath},
    service::{
        Error,
        records::{Reader, open},
        turns::LongRead,
    },
    store::{
        engine::Entry,
        kinds::{Malformed, header},
    },
};

/// How many headers are read at once: few at first, and after a folder, as what comes next may be a
/// folder again.
const BATCH: std::ops::RangeInclusive<usize> = 16..=256;
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
    _turn: LongRead,
}

impl Secrets {
    /// The entries of a folder, or all that is below it.
    ///
    /// # Errors
    /// `Error::Invalid` where the list is too large for one answer.
    pub async fn browse(&self, permit: &Permit, browse: &Browse) -> Result<Listed, Error> {
        permit.check(Action::SecretGet, Resource::Below(&browse.prefix))?;
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
        let (mut bytes, mut size) = (0, *BATCH.start());
        loop {
            let batch = snapshot.scan(header::SPACE, &from, &to, size).await?;
            let is_last = batch.len() < size;
            let mut skip_to: Option<Vec<u8>> = None;
            for entry in batch {
                if skip_to.as_ref().is_some_and(|skip| entry.0 < *skip) {
                    continue;
                }
                from = [&*entry.0, &[0]].concat();
                let path = header::parse(id, &entry.0).ok_or(Malformed)?;
                let name = path.as_str().get(browse.prefix.len()..).unwrap_or_default();
                let name = if browse.is_recursive { name } else { own_entry(name) };
                let is_folder = name.ends_with('/');
                let is_allowed = if is_folder {
                    let folder = format!("{}{name}", browse.prefix);
                    skip_to = Some(header::below(id, &folder).1);
                    permit.allows(Action::SecretGet, Resource::Below(&folder))
                } else {
                    permit.allows(Action::SecretGet, Resource::Secret(&path))
                };
                if !is_allowed {
                    continue;
                }
                if !is_folder && browse.excludes_deleted && ends(&reader, &path, entry).await? {
                    continue;
                }
                if listed.entries.len() == limit {
                    listed.has_more = true;
                    return Ok(listed);
                }
                let history = if browse.is_detailed && !is_folder {
                    history_or_damaged(&reader, &path).await?
                } else {
                    None
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
            size = if skip_to.is_some() { *BATCH.start() } else { (size * 2).min(*BATCH.end()) };
            from = skip_to.map_or(from.clone(), |skip| skip.max(from));
            tokio::task::yield_now().await;
        }
    }
}

/// The entry of a folder in which `name` is: itself, or the sub-folder above it.
fn own_entry(name: &str) -> &str {
    name.find('/').map_or(name, |end| name.split_at(end + 1).0)
}

/// The least key of an entry whose name comes after `after`. A folder's entry comes with the first
/// of its keys, and is over with the last.
fn start(prefix: &[u8], after: &str, is_recursive: bool) -> Vec<u8> {
    match after.split_once('/') {
        Some((folder, _)) if !is_recursive => [prefix, folder.as_bytes(), b"/\xff"].concat(),
        _ => [prefix, after.as_bytes(), &[0]].concat(),
    }
}

/// Whether the current version of a secret has an end, past or to come. One that is damaged is not
/// hidden by that.
async fn ends(reader: &Reader<'_>, path: &SecretPath, (key, header): Entry) -> Result<bool, Error> {
    let read = async {
        let header: Header = open(reader.keys, &key, &header.bytes)?;
        let Some(current) = header.current else { return Ok(false) };
        Ok(reader.version(path, current).await?.record.deactivate_at.is_some())
    };
    or_damaged(read.await).map(Option::unwrap_or_default)
}

async fn history_or_damaged(
    reader: &Reader<'_>,
    path: &SecretPath,
) -> Result<Option<Box<History>>, Error> {
    or_damaged(history(reader, path).await.map(Box::new))
}

/// Nothing for a damaged record, so that one does not hide all others.
fn or_damaged<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error @ Error::Corrupt(_)) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a secret in a list is damaged"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
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
