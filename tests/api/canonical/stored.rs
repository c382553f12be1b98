//! What lies in the store: for cases that take more writes than a test waits for.

use okmsd::{
    crypto::{Binding, DomainKeys, FileRootKey},
    model::{Header, OkmsId, SecretPath},
    store::{
        engine::{Engine, Op},
        kinds::{
            Kind,
            tenant::{self, DomainRecord},
        },
    },
};

use super::Uris;
use crate::harness::TestServer;

/// The keys of the caller's domain, and the header of one of its secrets.
pub async fn beneath(
    server: &TestServer,
    engine: &dyn Engine,
    uris: &Uris,
    path: &str,
) -> (DomainKeys, Header) {
    let id: OkmsId = uris.client.id.parse().unwrap();
    let root = FileRootKey::load(&server.path("root.key")).unwrap();
    let snapshot = engine.snapshot().await.unwrap();
    let record = snapshot.get(tenant::SPACE, &tenant::key(id)).await.unwrap().unwrap();
    let wrapped = DomainRecord::decode(&record.bytes).unwrap().keys;
    let keys = DomainKeys::unwrap(&root, id, wrapped).unwrap();
    let key = Header::key(id, &path.parse::<SecretPath>().unwrap());
    let record = snapshot.get(Header::SPACE, &key).await.unwrap().unwrap();
    let header = Header::decode(&keys.open(&place(&key), &record.bytes).unwrap()).unwrap();
    (keys, header)
}

/// What makes this the header of a secret.
pub fn put(keys: &DomainKeys, path: &str, header: &Header) -> Op {
    let key = Header::key(keys.id(), &path.parse::<SecretPath>().unwrap());
    let sealed = keys.seal(&place(&key), &header.encode().unwrap()).unwrap();
    Op::Put(Header::SPACE, key, sealed)
}

fn place(key: &[u8]) -> Binding {
    Binding::to(Header::SPACE.name(), key)
}
