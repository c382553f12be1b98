//! Lines of access certificates: their bounds, how one is revoked, and how it is forgotten.

use std::time::Duration;

use super::*;
use crate::{
    model::{Bearer, Invalid, Revocation},
    service::{
        TokenRequest,
        lines::{self, LIVING_MAX, MEMBERS_MAX},
    },
    store::kinds::{credential, ending, line, line::Member, region, revocation, token},
};

const DAY: i64 = 86_400;

fn in_days(days: i64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW.unix_seconds() + days * DAY)
}

/// A service that issues certificates, one of them, and whoever has it.
struct Holder {
    _folder: tempfile::TempDir,
    service: Service,
    domain: OkmsId,
    first: Uuid,
    permit: Permit,
    ends: Ends,
}

impl Holder {
    async fn new() -> Self {
        let (authority, _) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
        let validity = authority.validity();
        let (folder, service, domain, ends) = service_with(Some(authority)).await;
        let (first, peer) = holder(&service, domain, validity).await;
        let permit = permit(&service, domain, &peer);
        Self { _folder: folder, service, domain, first, permit, ends }
    }

    async fn renew(&self, now: Timestamp) -> Result<crate::service::IssuedCredential, Error> {
        let renewal =
            Renewal { key: KeySource::Fresh(KeyKind::P256), days: None, revokes_old: false };
        self.service.credentials.renew(&self.permit, renewal, now).await
    }

    /// So many others that were renewed from it, each from the one before or from the first, and end then.
    async fn enter(&self, from: usize, many: usize, end: Timestamp) {
        let ops = (from..from + many).map(|number| {
            let renews = if number % 3 == 0 { self.first.into_bytes() } else { id(number - 1) };
            let serial = (1 << 20 | number).to_be_bytes();
            let serial = pki::Serial::from_be_bytes(&serial).unwrap().significant().to_vec();
            let member = Member { id: id(number), end, renews, serial };
            lines::enter(self.domain, self.first.as_bytes(), &member)
        });
        self.commit(ops.collect()).await;
    }

    async fn commit(&self, ops: Vec<Op>) {
        let batch = Batch::of(ops);
        self.service.scope.engine().commit(batch).await.unwrap();
    }

    async fn records(&self, space: Space) -> Vec<(Vec<u8>, Vec<u8>)> {
        let snapshot = self.service.scope.engine().snapshot().await.unwrap();
        let found = snapshot.scan(space, &[], &[0xff; 17], 5_000).await.unwrap();
        found.into_iter().map(|(key, record)| (key, record.bytes.to_vec())).collect()
    }

    fn commits_of(&self, name: ChangeName) -> usize {
        let ends = std::mem::take(&mut *self.ends.lock().unwrap());
        ends.iter().filter(|end| **end == (name, Ended::Committed)).count()
    }

    async fn ids(&self) -> Vec<Uuid> {
        let listed = self.service.credentials.list(&all(self.domain), None, 99).await.unwrap();
        sorted(listed.0.into_iter().map(|known| known.id).collect())
    }
}

fn sorted(mut ids: Vec<Uuid>) -> Vec<Uuid> {
    ids.sort_unstable();
    ids
}

fn id(number: usize) -> [u8; 16] {
    u128::try_from(number + 1).unwrap().to_be_bytes()
}

fn permit(service: &Service, domain: OkmsId, peer: &Arc<VerifiedPeer>) -> Permit {
    let principal = directory::principal(peer, service.revocations.revoked(), NOW).unwrap();
    let access = service.access.directory();
    principal.authorize(domain, &[Action::CredentialRenew], access).unwrap()
}

/// Whoever had any certificate filled the store by renewing it again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_bounds() {
    let holder = Holder::new().await;
    holder.enter(0, LIVING_MAX - 5, in_days(1)).await;
    // However many ask at once.
    let asked = futures_of(9, || holder.renew(NOW)).await;
    let renewed = asked.iter().filter(|one| one.is_ok()).count();
    assert_eq!(renewed, 5);
    for refused in asked.into_iter().filter_map(Result::err) {
        let Error::Invalid(Invalid(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains("512") && said.contains("operator"), "{said}");
    }
    // What has ended leaves room.
    holder.renew(in_days(1)).await.unwrap_err();
    let next = Timestamp::from_unix_seconds(in_days(1).unix_seconds() + 1);
    holder.renew(next).await.unwrap();
    // There is an end to that, too; another one's line is not concerned.
    holder.enter(LIVING_MAX, MEMBERS_MAX - LIVING_MAX - 2, in_days(-1)).await;
    holder.renew(next).await.unwrap();
    let Error::Invalid(Invalid(said)) = holder.renew(next).await.unwrap_err() else { panic!() };
    assert!(said.contains("2048"), "{said}");
}

async fn futures_of<T>(many: usize, ask: impl AsyncFn() -> T) -> Vec<T> {
    let mut asked: Vec<_> = (0..many).map(|_| (Box::pin(ask()), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in asked.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(answer) = future.as_mut().poll(context) {
                *done = Some(answer);
            }
        }
        if asked.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    asked.into_iter().filter_map(|(_, done)| done).collect()
}

/// Each generation was looked for among all certificates of the domain, and each certificate was a commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_revoked_in_few_commits() {
    let holder = Holder::new().await;
    let middle = holder.renew(NOW).await.unwrap().known.id;
    holder.enter(0, 600, in_days(5)).await;
    holder.commits_of(ChangeName::RevokeCredential);
    let credentials = &holder.service.credentials;
    let reason = RevocationReason::KeyCompromise;
    // One in the middle takes along what came of it.
    credentials.revoke(&all(holder.domain), middle, reason, NOW).await.unwrap();
    assert_eq!(holder.commits_of(ChangeName::RevokeCredential), 1);
    credentials.revoke(&all(holder.domain), holder.first, reason, NOW).await.unwrap();
    assert_eq!(holder.commits_of(ChangeName::RevokeCredential), 1 + 3);
    assert_eq!(holder.records(revocation::SPACE).await.len(), 602);
    assert_eq!(holder.service.revocations.revoked().all().0.len(), 602);
    // Twice is once, and stores nothing.
    credentials.revoke(&all(holder.domain), holder.first, reason, NOW).await.unwrap();
    assert_eq!(holder.commits_of(ChangeName::RevokeCredential), 0);
}

/// A damaged record between hides nobody from the revocation.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_keeps_nobodys_certificate() {
    let holder = Holder::new().await;
    let second = holder.renew(NOW).await.unwrap().known;
    let renews = Some(second.id.into_bytes());
    let third = Credential { renews, serial: vec![7, 7], ..second.credential.clone() };
    let keys = holder.service.scope.keys(&all(holder.domain)).await.unwrap();
    holder.commit(vec![records::put(&keys, &id(3), &third).unwrap()]).await;
    let member = |number: usize, renews| Member {
        id: id(number),
        end: third.ends_at,
        renews,
        serial: vec![7, 7 + u8::try_from(number).unwrap()],
    };
    let first = holder.first.as_bytes();
    holder
        .commit(vec![
            lines::enter(holder.domain, first, &member(3, second.id.into_bytes())),
            lines::enter(holder.domain, first, &member(4, id(3))),
        ])
        .await;
    damage(
        &holder.service,
        Credential::SPACE,
        Credential::key(holder.domain, second.id.as_bytes()),
    )
    .await;
    let revoke = async |id| {
        let reason = RevocationReason::Unspecified;
        holder.service.credentials.revoke(&all(holder.domain), id, reason, NOW).await
    };
    revoke(Uuid::from_bytes(id(3))).await.unwrap();
    assert_eq!(holder.service.revocations.revoked().all().0.len(), 2);
    revoke(holder.first).await.unwrap();
    // The third one has a serial number of its own in its record.
    assert_eq!(holder.service.revocations.revoked().all().0.len(), 5);
}

/// What was revoked by its serial number kept its place among what ends next for good, and enough of that
/// hid all others.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_leaves_the_order_of_ends() {
    let holder = Holder::new().await;
    let renewed = holder.renew(NOW).await.unwrap().known;
    let serial = pki::Serial::from_be_bytes(&renewed.credential.serial).unwrap();
    let operator = operator();
    let reason = RevocationReason::Unspecified;
    let service = &holder.service;
    for by_id in [true, false] {
        if !by_id {
            holder.commit(endings_of(&holder, &renewed).into()).await;
        }
        service.revocations.revoke(&operator, serial, reason, NOW).await.unwrap();
        assert_eq!(holder.records(ending::SPACE).await.len(), 2, "by its serial number");
        if by_id {
            let permit = all(holder.domain);
            service.credentials.revoke(&permit, renewed.id, reason, NOW).await.unwrap();
        } else {
            service.credentials.sweep(NOW, Duration::ZERO).await.unwrap();
        }
        assert!(holder.records(ending::SPACE).await.is_empty(), "{by_id}");
    }
    let known = service.credentials.get(&all(holder.domain), renewed.id).await.unwrap();
    let ends_at = None;
    assert_eq!(known.revocation, Some(Revocation { at: NOW, reason, ends_at }), "as it was");
}

fn endings_of(holder: &Holder, known: &crate::service::KnownCredential) -> [Op; 2] {
    crate::service::endings::enter(holder.domain, known.id.as_bytes(), &known.credential)
}

/// What is over is forgotten after a month, but for what something was renewed from that is not; so is its
/// revocation, in memory as well.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_long_ago_is_forgotten() {
    let holder = Holder::new().await;
    let service = &holder.service;
    let sweep = async |now| service.credentials.sweep(now, Duration::ZERO).await.unwrap();
    let issue = async |days| {
        let request = CredentialRequest {
            name: "other".to_owned(),
            description: String::new(),
            identities: Vec::new(),
            key: KeySource::Fresh(KeyKind::P256),
            days,
        };
        service.credentials.issue(&all(holder.domain), request, NOW).await.unwrap().known
    };
    // The first one ends on the tenth day, and the one that was renewed from it on the nineteenth.
    let renewed = holder.renew(in_days(9)).await.unwrap().known;
    let (short, long) = (issue(2).await, issue(90).await);
    let reason = RevocationReason::Unspecified;
    for id in [short.id, long.id] {
        service.credentials.revoke(&all(holder.domain), id, reason, NOW).await.unwrap();
    }
    let operator = operator();
    let unknown = pki::Serial::from_be_bytes(&[9]).unwrap();
    service.revocations.revoke(&operator, unknown, reason, NOW).await.unwrap();
    assert_eq!(sweep(in_days(2 + 30)).await, 0);
    assert_eq!(holder.records(revocation::SPACE).await.len(), 3);
    let list = service.revocations.list(in_days(2 + 30)).await.unwrap();
    let generation = service.revocations.revoked().generation();
    let day = |days| Timestamp::from_unix_seconds(in_days(days).unix_seconds() + 1);
    assert_eq!(sweep(day(2 + 30)).await, 1);
    assert_eq!(holder.records(revocation::SPACE).await.len(), 2);
    let serial = |known: &crate::service::KnownCredential| {
        pki::Serial::from_be_bytes(&known.credential.serial).unwrap()
    };
    let revoked = service.revocations.revoked();
    assert!(!revoked.contains(serial(&short)));
    assert!(revoked.contains(serial(&long)) && revoked.contains(unknown));
    assert_ne!(revoked.generation(), generation);
    assert_ne!(service.revocations.list(day(2 + 30)).await.unwrap(), list);
    // It has ended long ago, and the one after it has not.
    assert_eq!(sweep(day(10 + 30)).await, 0);
    assert_eq!(holder.ids().await, sorted(vec![holder.first, long.id, renewed.id]));
    assert_eq!(sweep(day(19 + 30)).await, 2);
    assert_eq!(holder.ids().await, [long.id]);
    assert!(holder.records(line::SPACE).await.is_empty());
    assert!(holder.records(ending::SPACE).await.is_empty(), "one was revoked");
    assert_eq!(holder.records(Credential::SPACE).await.len(), 1);
    assert!(holder.commits_of(ChangeName::SweepCredentials) > 0);
}

#[test]
fn a_line_is_kept_up_to_the_first() {
    let at = |days| in_days(days);
    let member = |number, renews, days| Member {
        id: id(number),
        end: at(days),
        renews: id(renews),
        serial: vec![1],
    };
    // 0 is the first; 1 and 2 come of it; 3 of 1, and 4 of 2; 5 is of nobody who is known.
    let line = |third| {
        vec![
            member(1, 0, 1),
            member(2, 0, 1),
            member(3, 1, third),
            member(4, 2, 1),
            member(5, 9, 1),
        ]
    };
    let ids = |members: &[Member]| members.iter().map(|one| one.id).collect::<Vec<_>>();
    let (gone, is_first) = lines::over(line(2), (id(0), at(1)), at(2));
    assert_eq!((ids(&gone), is_first), (vec![id(2), id(4), id(5)], false));
    let (gone, is_first) = lines::over(line(1), (id(0), at(1)), at(2));
    assert_eq!((gone.len(), is_first), (5, true));
    let (gone, is_first) = lines::over(line(1), (id(0), at(2)), at(2));
    assert_eq!((gone.len(), is_first), (5, false));
    let mut below = ids(&lines::below(line(1), id(1)));
    assert_eq!(below, [id(3)]);
    below = ids(&lines::below(line(1), id(0)));
    below.sort_unstable();
    assert_eq!(below, [id(1), id(2), id(3), id(4)]);
    // Round.
    let round = vec![member(1, 2, 1), member(2, 1, 9)];
    assert_eq!(lines::below(round.clone(), id(1)).len(), 2);
    assert!(lines::over(round, (id(0), at(1)), at(2)).0.is_empty());
}

/// A store of a time when nobody kept lines gets the same.
#[tokio::test(flavor = "multi_thread")]
async fn lines_are_made_for_an_older_store() {
    let holder = Holder::new().await;
    for _ in 0..3 {
        holder.renew(NOW).await.unwrap();
    }
    let keys = holder.service.scope.keys(&all(holder.domain)).await.unwrap();
    let one = holder.renew(NOW).await.unwrap().known;
    // Further ones, the last of them under ids that come first.
    for number in [8, 7, 6] {
        let renews = if number == 8 { one.id.into_bytes() } else { id(number + 1) };
        let link = Credential { renews: Some(renews), ..one.credential.clone() };
        let (end, serial) = (link.ends_at, link.serial.clone());
        let member = Member { id: id(number), end, renews, serial };
        let op = lines::enter(holder.domain, holder.first.as_bytes(), &member);
        holder.commit(vec![op, records::put(&keys, &id(number), &link).unwrap()]).await;
    }
    let before = holder.records(line::SPACE).await;
    assert_eq!(before.len(), 7);
    holder
        .commit(vec![
            Op::DeleteRange(line::SPACE, Vec::new(), vec![0xff; 17]),
            Op::Delete(region::SPACE, region::lines_are_complete()),
        ])
        .await;
    let engine = holder.service.scope.engine();
    for _ in 0..2 {
        super::region::open(engine, holder.service.scope.root()).await.unwrap();
        assert_eq!(holder.records(line::SPACE).await, before);
    }
    let first = credential::parse(&before[0].0[..32]).unwrap();
    assert_eq!(first, holder.first.into_bytes());
}

/// Tokens that nobody could bring any more counted among those of the domain until they ended.
#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_a_key_end_with_its_last_certificate() {
    let holder = Holder::new().await;
    let (service, permit) = (&holder.service, all(holder.domain));
    let of = async |key: [u8; 32]| {
        let request = TokenRequest {
            key_sha256: Some(key),
            life_seconds: 600,
            most_seconds: 600,
            is_renewable: false,
            path: "auth/token/create".to_owned(),
            display_name: "token".to_owned(),
            meta: Vec::new(),
            bearer: Bearer::default(),
        };
        service.tokens.create(&permit, request, NOW).await.unwrap();
    };
    let credential = service.credentials.get(&permit, holder.first).await.unwrap().credential;
    let key = credential.key_sha256;
    // The same share, and another key.
    let mut akin = key;
    akin[31] ^= 1;
    for _ in 0..300 {
        of(key).await;
    }
    for other in [akin, [7; 32]] {
        of(other).await;
    }
    let keys = service.scope.keys(&permit).await.unwrap();
    let same_key = Credential { serial: vec![7, 7], ..credential };
    holder.commit(vec![records::put(&keys, &id(3), &same_key).unwrap()]).await;
    let left = async || holder.records(token::SPACE).await.len() / 2;
    let reason = RevocationReason::Unspecified;
    service.credentials.revoke(&permit, holder.first, reason, NOW).await.unwrap();
    assert_eq!(left().await, 302, "another one has the key");
    let revoke = async || {
        service.credentials.revoke(&permit, Uuid::from_bytes(id(3)), reason, NOW).await.unwrap();
    };
    revoke().await;
    assert_eq!(left().await, 2);
    assert_eq!(service.tokens.number(&permit, NOW).await.unwrap(), 2);
    // What is made by a request that was let in before is ended where that is said again.
    of(key).await;
    revoke().await;
    assert_eq!(left().await, 2);
}

/// While the list is made, whoever asks gets the one before, as long as that counts.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_next_list() {
    let holder = Holder::new().await;
    let revocations = &holder.service.revocations;
    let first = revocations.list(NOW).await.unwrap();
    assert_eq!(revocations.list(NOW.plus_seconds(60)).await.unwrap(), first);
    // Who came before it was made, and waited for it.
    let early = Timestamp::from_unix_seconds(NOW.unix_seconds() - 5);
    assert_eq!(revocations.list(early).await.unwrap(), first);
    let reason = RevocationReason::Unspecified;
    let permit = all(holder.domain);
    holder.service.credentials.revoke(&permit, holder.first, reason, NOW).await.unwrap();
    let making = Arc::clone(&revocations.making).lock_owned().await;
    let soon = NOW.plus_seconds(5);
    for _ in 0..3 {
        assert_eq!(revocations.list(soon).await.unwrap(), first);
    }
    // One that does not count any more is no list.
    let late = tokio::time::timeout(Duration::from_millis(50), revocations.list(in_days(1)));
    assert!(late.await.is_err());
    drop(making);
    let next = revocations.list(soon).await.unwrap();
    assert_ne!(next, first);
    assert_eq!(revocations.list(soon).await.unwrap(), next);
}
