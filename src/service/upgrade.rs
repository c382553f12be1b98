//! Bringing a store of an earlier layout up to today's, once, before anything is served from it.
//!
//! Always holds: all of it is one commit of the engine's, so that a store is of one layout or of
//! the other; what does not open stays as it is, so that damage stays where it was and hides
//! nothing else. Never does: read what a secret says; a value is opened and sealed again, under a
//! new key of its own.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Error,
    records::{bind, put},
};
use crate::{
    crypto::{Binding, DomainKeys, RootKey, WrappedDataKey},
    model::{DomainConfig, Header, OkmsId, SecretPath, Token, VersionRecord, Wrapped},
    store::{
        engine::{Op, Source, Space},
        kinds::{
            Malformed, config, header, region,
            tenant::{self, DomainInfo, DomainRecord},
            token, value,
            version::{self, Version},
            wrapped::{self, WrappedResponse},
        },
        past::{self, FormerPlace, Past, Store, Write},
    },
};

/// How often the log says how far it is.
const REPORT: Duration = Duration::from_secs(10);

/// The holder of the root key, who can bring a store up.
pub struct Upgrade(Arc<dyn RootKey>);

impl Upgrade {
    /// With the root key of the store's tenants.
    #[must_use]
    pub fn new(root: Arc<dyn RootKey>) -> Self {
        Self(root)
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}

impl past::Upgrade for Upgrade {
    fn upgrade(&self, former: &dyn Store, write: &mut Write<'_>) -> Result<(), Source> {
        if former.get(region::SPACE, &region::root_key())?.is_some_and(|name| *name != self.0.id())
        {
            return Err(Error::WrongRootKey.into());
        }
        tracing::info!(
            "the store is of an earlier layout, and is brought up; its file may double until that is done"
        );
        let mut walk = Walk {
            former,
            root: &*self.0,
            write,
            tenant: None,
            records: 0,
            opened: 0,
            reported: Instant::now(),
        };
        walk.space(tenant::SPACE, tenants)?;
        if walk.records > 0 && walk.opened == 0 {
            // Nothing would be readable, whatever the store says of its root key.
            return Err(Error::WrongRootKey.into());
        }
        walk.space(config::SPACE, configs)?;
        walk.space(header::SPACE, headers)?;
        walk.space(version::SPACE, versions)?;
        walk.space(token::SPACE, tokens)?;
        tracing::info!(
            records = walk.records,
            "the store is brought up; earlier versions of okmsd do not open it"
        );
        Ok(())
    }
}

struct Walk<'a> {
    former: &'a dyn Store,
    root: &'a dyn RootKey,
    write: &'a mut Write<'a>,
    /// The tenant whose records come at present, and its keys if they open.
    tenant: Option<(OkmsId, Option<Arc<DomainKeys>>)>,
    records: u64,
    /// How many of them opened.
    opened: u64,
    reported: Instant,
}

/// What to write in the place of a record.
type How = fn(&Entry<'_>) -> Result<Vec<Op>, Error>;

/// A record of an earlier layout: whose it is, its key, what follows the tenant's id there, and its
/// bytes.
struct Entry<'a> {
    former: &'a dyn Store,
    keys: &'a DomainKeys,
    key: &'a [u8],
    name: &'a [u8],
    bytes: &'a [u8],
}

impl Walk<'_> {
    /// Brings up each record of a space.
    fn space(&mut self, space: Space, how: How) -> Result<(), Source> {
        self.former.each(space, &mut |key, bytes| {
            match self.record(key, bytes, how) {
                Ok(ops) => {
                    self.opened += 1;
                    ops.into_iter().try_for_each(&mut *self.write)?;
                }
                Err(error @ Error::Corrupt(_)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        space = space.name(),
                        error,
                        "a record is damaged, and stays as it is"
                    );
                }
                Err(error) => return Err(error.into()),
            }
            self.records += 1;
            if self.reported.elapsed() >= REPORT {
                self.reported = Instant::now();
                tracing::info!(records = self.records, "the store is being brought up");
            }
            Ok(())
        })
    }

    fn record(&mut self, key: &[u8], bytes: &[u8], how: How) -> Result<Vec<Op>, Error> {
        let (id, name) = key.split_first_chunk::<16>().ok_or(Malformed)?;
        let keys = self.keys(OkmsId::from_bytes(*id).map_err(|_| Malformed)?)?.ok_or(Malformed)?;
        how(&Entry { former: self.former, keys: &keys, key, name, bytes })
    }

    /// The tenant's keys; none where they do not open.
    fn keys(&mut self, id: OkmsId) -> Result<Option<Arc<DomainKeys>>, Error> {
        if self.tenant.as_ref().is_none_or(|(other, _)| *other != id) {
            let record = self.former.get(tenant::SPACE, &tenant::key(id))?;
            let opened = record.map(|bytes| -> Result<_, Error> {
                let record = DomainRecord::decode_past(&bytes)?;
                Ok(Arc::new(DomainKeys::unwrap(self.root, id, record.keys)?))
            });
            self.tenant = match opened.transpose() {
                Ok(keys) => Some((id, keys)),
                Err(Error::Corrupt(_)) => Some((id, None)),
                Err(error) => return Err(error),
            };
        }
        Ok(self.tenant.as_ref().and_then(|(_, keys)| keys.clone()))
    }
}

fn tenants(entry: &Entry<'_>) -> Result<Vec<Op>, Error> {
    let DomainRecord { keys, info } = DomainRecord::decode_past(entry.bytes)?;
    let info = match open::<DomainInfo>(entry.keys, FormerPlace::Domain, info.as_ref()) {
        Ok(info) => entry.keys.seal(&bind(tenant::SPACE, entry.key), &info.encode()?)?,
        Err(Error::Corrupt(error)) => {
            // The keys are sound, and with them all that the tenant has.
            tracing::error!(domain = %entry.keys.id(), error, "a domain's name is damaged");
            info
        }
        Err(error) => return Err(error),
    };
    let record = DomainRecord { keys, info };
    Ok(vec![Op::Put(tenant::SPACE, entry.key.to_vec(), record.encode()?)])
}

fn configs(entry: &Entry<'_>) -> Result<Vec<Op>, Error> {
    let config: DomainConfig = open(entry.keys, FormerPlace::Config, entry.bytes)?;
    Ok(vec![put(entry.keys, (), &config)?])
}

fn headers(entry: &Entry<'_>) -> Result<Vec<Op>, Error> {
    let name = text(entry.name)?;
    let header: Header = open(entry.keys, FormerPlace::Header(name), entry.bytes)?;
    Ok(vec![put(entry.keys, &path(name)?, &header)?])
}

/// A version, with its value.
fn versions(entry: &Entry<'_>) -> Result<Vec<Op>, Error> {
    let (name, _) = entry.name.split_last_chunk::<5>().ok_or(Malformed)?;
    let (name, number) = (text(name)?, version::number(entry.key).ok_or(Malformed)?);
    let record: VersionRecord = open(entry.keys, FormerPlace::Version(name, number), entry.bytes)?;
    let (mut ops, mut data_key) = (Vec::new(), None);
    if let Some(sealed) = entry.former.get(value::SPACE, entry.key)? {
        match reseal(entry.keys, FormerPlace::Value(name, number), value::SPACE, entry.key, &sealed)
        {
            Ok((wrapped, put)) => {
                data_key = Some(wrapped);
                ops.push(put);
            }
            // The version can still be told of, and says that its value is damaged.
            Err(error @ Error::Corrupt(_)) => {
                tracing::error!(domain = %entry.keys.id(), error = &error as &dyn std::error::Error, "a value is damaged");
            }
            Err(error) => return Err(error),
        }
    }
    ops.push(put(entry.keys, (&path(name)?, number), &Version { record, data_key, bytes: 0 })?);
    Ok(ops)
}

/// A token; or what is told of a wrapped response, which lay where tokens lie, with the answer's
/// body.
fn tokens(entry: &Entry<'_>) -> Result<Vec<Op>, Error> {
    // The ends of both are as they were. A body comes with what is told of it.
    let Some((0, id)) = entry.name.split_first() else { return Ok(Vec::new()) };
    let (keys, id) = (entry.keys, text(id)?);
    match open::<Token>(keys, FormerPlace::Token(id), entry.bytes) {
        Ok(token) => return Ok(vec![put(keys, id, &token)?]),
        // It may be what is told of a wrapped response.
        Err(Error::Corrupt(_)) => {}
        Err(error) => return Err(error),
    }
    let wrapped: Wrapped = open(keys, FormerPlace::WrapInfo(id), entry.bytes)?;
    let key = wrapped::body(keys.id(), id);
    let body = entry.former.get(token::SPACE, &key)?.ok_or(Malformed)?;
    let (data_key, body) = reseal(keys, FormerPlace::Wrapped(id), token::SPACE, &key, &body)?;
    let told = put(keys, id, &WrappedResponse { wrapped, data_key })?;
    Ok(vec![Op::Delete(token::SPACE, entry.key.to_vec()), told, body])
}

fn text(name: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(name).map_err(|_| Malformed)
}

fn path(name: &str) -> Result<SecretPath, Malformed> {
    name.parse().map_err(|_| Malformed)
}

fn open<T: Past>(keys: &DomainKeys, place: FormerPlace<'_>, sealed: &[u8]) -> Result<T, Error> {
    Ok(T::decode_past(&keys.open(&Binding::past(place.bytes(keys.id())), sealed)?)?)
}

/// A value with its key before it, sealed anew for its place, under another key, which comes apart.
fn reseal(
    keys: &DomainKeys,
    place: FormerPlace<'_>,
    space: Space,
    key: &[u8],
    sealed: &[u8],
) -> Result<(WrappedDataKey, Op), Error> {
    let (data_key, body) = sealed.split_first_chunk().ok_or(Malformed)?;
    let (from, data_key) =
        (Binding::past(place.bytes(keys.id())), WrappedDataKey::from_bytes(*data_key));
    let (data_key, sealed) =
        keys.seal_value(&bind(space, key), &keys.open_value(&from, &data_key, body)?)?;
    Ok((data_key, Op::Put(space, key.to_vec(), sealed)))
}
