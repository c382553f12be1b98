//! What use cases ask of a permit, and what becomes of a unit that is overtaken.

mod bounds;
mod current;
mod events;
mod lines;
mod lists;
mod lives;
mod policies;
mod relocations;
mod rights;
mod rotations;
mod trails;
mod usages;

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use uuid::Uuid;

use super::{
    Browse, ChangeName, CredentialRequest, Ended, Ending, Error, Judge, KeySource, LoginSource,
    MetadataWrite, Renewal, Service, Through, Update, UserPatch, records, region,
    settings::ConfigBasis,
    unit::{Basis, Change, OneRecord, UnitReader},
};
use crate::{
    auth::{
        Action, Denied, Issuer, Permit, Principal, RegionPermit, Resource, Unauthenticated,
        VerifiedPeer, Voucher, directory,
        identity::CertIdentity,
        pdp::{Answering, Asked, DecisionPoint, Docket, NobodyAnswers, Request},
    },
    crypto::{FileRootKey, Password, Sealed, SecretValue},
    model::{
        BuiltIn, CertRule, Credential, DomainConfig, Header, IamPolicy, MetadataPatch, MountPath,
        OkmsId, Quota, ResourcePattern, RevocationReason, SecretPath, SettingsPatch, Timestamp,
        VaultPolicy, When,
    },
    pki::{self, CertificateAuthority, KeyKind, Validity},
    store::{
        engine::{Batch, Engine, Observer, Op, Space},
        engines::redb::{RedbEngine, RedbOptions},
        kinds::{self, Kind, Malformed, header},
    },
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

struct Silent;

impl Observer for Silent {
    fn committed(&self, _: usize, _: usize, _: std::time::Duration) {}
    fn commit_failed(&self, _: usize) {}
}

type Ends = Arc<Mutex<Vec<(ChangeName, Ended)>>>;

/// A service over a store of its own, a tenant, and what its units have ended with.
async fn service() -> (tempfile::TempDir, Service, OkmsId, Ends) {
    service_with(None).await
}

async fn service_with(
    authority: Option<CertificateAuthority>,
) -> (tempfile::TempDir, Service, OkmsId, Ends) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = RedbOptions::new(folder.path().join("store"));
    drop(RedbEngine::open(&options, Arc::new(Silent)).unwrap());
    // A store gets the spaces that it lacks when it is opened.
    options.spaces.push(Toy::SPACE);
    let engine = Arc::new(RedbEngine::open(&options, Arc::new(Silent)).unwrap());
    let (service, id, ends) = service_over(engine, folder.path(), authority).await;
    (folder, service, id, ends)
}

/// A service over an engine, and its root key in a folder.
async fn service_over(
    engine: Arc<dyn Engine>,
    folder: &Path,
    authority: Option<CertificateAuthority>,
) -> (Service, OkmsId, Ends) {
    let key = folder.join("root.key");
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key).unwrap();
    file.write_all(FileRootKey::generate().unwrap().as_bytes()).unwrap();
    let ends = Ends::default();
    let told = Arc::clone(&ends);
    let on_commit = Box::new(move |name, ended| told.lock().unwrap().push((name, ended)));
    let root = Arc::new(FileRootKey::load(&key).unwrap());
    let default = (BuiltIn::Admin, Quota::default(), Arc::default());
    let service =
        Service::open(engine, root, authority, default, Arc::default(), on_commit).await.unwrap();
    let region = Principal::of_process().authorize_region(&[Action::DomainCreate], None).unwrap();
    let tenant = service.tenants.create(&region, "tenant", NOW).await.unwrap();
    assert_eq!(
        std::mem::take(&mut *ends.lock().unwrap()),
        [(ChangeName::CreateTenant, Ended::Committed)]
    );
    (service, tenant.id, ends)
}

fn all(id: OkmsId) -> Permit {
    Permit::of_test(id, |_, _| true)
}

/// An operator who revokes, and makes domains.
fn operator() -> RegionPermit {
    let actions = [Action::CredentialDelete, Action::DomainCreate];
    Principal::of_process().authorize_region(&actions, None).unwrap()
}

fn path(text: &str) -> SecretPath {
    text.parse().unwrap()
}

async fn create(service: &Service, permit: &Permit, at: &str) -> Result<(), Error> {
    let value = SecretValue::new(b"{}".to_vec());
    service
        .secrets
        .create(permit, &path(at), &MetadataPatch::default(), &value, NOW)
        .await
        .map(drop)
}

/// A permit for looking at domains makes none, whoever has it; nor does one for making them show
/// any.
#[tokio::test(flavor = "multi_thread")]
async fn a_permit_for_the_region_does_what_it_was_asked_for() {
    let (_folder, service, ..) = service().await;
    let operator = Principal::of_process();
    let looking = operator.authorize_region(&[Action::DomainGet], None).unwrap();
    let made = service.tenants.create(&looking, "another", NOW).await;
    assert!(matches!(made, Err(Error::Denied(Denied::OperatorsOnly))), "{made:?}");
    let (domains, _) = service.tenants.list(&looking, None, 9).await.unwrap();
    assert_eq!(domains.iter().map(|domain| &*domain.name).collect::<Vec<_>>(), ["tenant"]);
    let making = operator.authorize_region(&[Action::DomainCreate], None).unwrap();
    let listed = service.tenants.list(&making, None, 9).await;
    assert!(matches!(listed, Err(Error::Denied(Denied::OperatorsOnly))), "{listed:?}");
    let found = service.tenants.by_name(&making, "tenant").await;
    assert!(matches!(found, Err(Error::Denied(Denied::OperatorsOnly))), "{found:?}");
}

/// Whoever tries to log in learns nothing of who is a user: of a name that is none as much is made of the
/// password as of one that is, and it is told the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_costs_the_same_for_whoever_there_is_not() {
    let (_folder, service, id, _) = service().await;
    let permit = all(id);
    let password = |text: &str| Password::new(text.to_owned()).unwrap();
    let patch = UserPatch { password: Some(password("right")), ..UserPatch::default() };
    service.users.put(&permit, "ann", patch, NOW).await.unwrap();
    let log_in = async |name: &str, text: &str, key: u8| {
        let before = service.users.hashed();
        let ended = service
            .users
            .log_in(&permit, &LoginSource::Key([key; 32]), name, password(text), NOW)
            .await;
        (ended.map(drop).map_err(|error| format!("{error:?}")), service.users.hashed() - before)
    };
    let names = ["ann", "bob", "a/b", ""];
    for _ in 0..5 {
        for name in names {
            assert_eq!(
                log_in(name, "wrong", 1).await,
                (Err("LoginFailed".to_owned()), 1),
                "{name}"
            );
        }
    }
    for name in names {
        for text in ["wrong", "right"] {
            let ended = log_in(name, text, 1).await;
            assert_eq!(ended, (Err("LockedOut(30)".to_owned()), 0), "{name}");
        }
    }
    assert_eq!(log_in("ann", "right", 2).await, (Ok(()), 1), "nobody shuts her out");
}

/// Lists tell what may be seen alone, and a folder where something in it may; each secret is asked
/// for by its own path.
#[tokio::test(flavor = "multi_thread")]
async fn lists_leave_out_what_may_not_be_seen() {
    let (_folder, service, id, _) = service().await;
    for at in ["a", "b/x", "b/y", "c/x", "d"] {
        create(&service, &all(id), at).await.unwrap();
    }
    let some = Permit::of_test(id, |_, resource| match resource {
        Resource::Secret(path) => ["a", "b/y"].contains(&path.as_str()),
        Resource::Below(prefix) => ["", "b/"].contains(&prefix),
        Resource::AllBelow(_) => false,
        Resource::Tenant => true,
    });
    // Who may delete some of what a mount holds may not remove all of it.
    let mount: MountPath = "b".parse().unwrap();
    service.mounts.enable(&all(id), &mount, "", &SettingsPatch::default()).await.unwrap();
    let forced = service.mounts.disable(&some, &mount, true, (60, NOW)).await;
    assert!(matches!(forced, Err(Error::Denied(Denied::Forbidden))), "{forced:?}");
    let names = async |browse: Browse| {
        let listed = service.secrets.browse(&some, &browse, NOW).await.unwrap();
        listed.entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(Browse::default()).await, ["a", "b/"]);
    assert_eq!(names(Browse { is_recursive: true, ..Browse::default() }).await, ["a", "b/y"]);
    assert_eq!(names(Browse { prefix: "b/".to_owned(), ..Browse::default() }).await, ["y"]);
    let hidden = service
        .secrets
        .browse(&some, &Browse { prefix: "c/".to_owned(), ..Browse::default() }, NOW)
        .await;
    assert!(matches!(hidden, Err(Error::Denied(Denied::Forbidden))));
    // By pages, which are full.
    let (secrets, next) = service.secrets.list(&some, None, 2, NOW).await.unwrap();
    let seen: Vec<_> = secrets.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!((seen.as_slice(), next), (["a", "b/y"].as_slice(), None));
    let update = Update {
        patch: MetadataPatch::default(),
        value: Some(SecretValue::new(b"{}".to_vec())),
        cas: None,
    };
    service.secrets.update(&some, &path("a"), &update, NOW).await.unwrap();
    for at in ["b/x", "d"] {
        let refused = service.secrets.update(&some, &path(at), &update, NOW).await;
        assert!(matches!(refused, Err(Error::Denied(Denied::Forbidden))), "{at}");
        assert!(service.secrets.history(&some, &path(at), NOW).await.is_err(), "{at}");
        assert!(service.secrets.delete(&some, &path(at), NOW).await.is_err(), "{at}");
    }
}

/// A page whose secrets may mostly not be seen was short by as many, which told their number. It is
/// filled with what may be seen behind them, as far as that does not cost too much: then it is
/// short, and the list goes on. Folders in which there is nothing to see cost one step.
#[tokio::test(flavor = "multi_thread")]
async fn pages_do_not_count_what_may_not_be_seen() {
    const HIDDEN: usize = 11_000;
    let (_folder, service, id, _) = service().await;
    let keys = service.scope.keys(&all(id)).await.unwrap();
    let change = Change { name: ChangeName::Test, turns: &[], by: None };
    let (header, at) = (Header::new(NOW), |folder, n| path(&format!("{folder}{n:05}")));
    let paths: Vec<_> = (0..HIDDEN)
        .flat_map(|n| [at("folder/", n), at("hidden-", n)])
        .chain((0..20).flat_map(|n| [at("a", n), at("b", n), at("seen-", n)]))
        .collect();
    let fill = service.scope.unit(change, &keys, ConfigBasis, |_, draft| {
        paths.iter().try_for_each(|path| draft.put(path, &header))
    });
    fill.await.unwrap();
    let some = Permit::of_test(id, |_, resource| match resource {
        Resource::Secret(path) => ["a", "seen-"].iter().any(|seen| path.as_str().starts_with(seen)),
        Resource::Below(prefix) => prefix != "folder/",
        Resource::Tenant | Resource::AllBelow(_) => false,
    });
    let (mut sizes, mut lengths, mut cursor) = (Vec::new(), Vec::new(), None);
    let mut seen = Vec::new();
    loop {
        let (secrets, next) = service.secrets.list(&some, cursor, 15, NOW).await.unwrap();
        sizes.push(secrets.len());
        seen.extend(secrets.into_iter().map(|(path, header)| (path, header.is_some())));
        let Some(next) = next else { break };
        lengths.push(next.len());
        cursor = Some(next);
    }
    let expected: Vec<_> = ["a", "seen-"]
        .iter()
        .flat_map(|folder| (0..20).map(move |n| (path(&format!("{folder}{n:05}")), true)))
        .collect();
    assert_eq!(seen, expected);
    // The second one ends among those that are hidden.
    assert_eq!(sizes, [15, 5, 15, 5]);
    // A cursor behind them does not tell how long their names are.
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
}

/// An update of nothing was asked for nothing, and told a secret's metadata to whoever may do
/// anything else in the domain.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_nothing_needs_a_permit_too() {
    let (_folder, service, id, _) = service().await;
    create(&service, &all(id), "a").await.unwrap();
    let adds = Permit::of_test(id, |action, _| action == Action::VersionCreate);
    let nothing = Update { patch: MetadataPatch::default(), value: None, cas: None };
    let refused = service.secrets.update(&adds, &path("a"), &nothing, NOW).await;
    assert!(matches!(refused, Err(Error::Denied(Denied::Forbidden))), "{refused:?}");
    assert!(service.secrets.update(&all(id), &path("a"), &nothing, NOW).await.is_ok());
    let value = Some(SecretValue::new(b"{}".to_vec()));
    let adding = Update { value, ..nothing };
    assert!(service.secrets.update(&adds, &path("a"), &adding, NOW).await.is_ok());
}

/// Reads the config, and lets another process change it the first time: one that takes no turns
/// here.
struct Overtaken(AtomicUsize);

impl Basis for Overtaken {
    type Facts = usize;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<usize, Error> {
        ConfigBasis.read(reader).await?;
        let before = self.0.fetch_add(1, SeqCst);
        if before == 0 {
            let (scope, keys) = (reader.scope, reader.records.keys);
            let config = records::put(keys, (), &DomainConfig::default())?;
            let batch = Batch::of(vec![config]);
            scope.engine().commit(batch).await?;
        }
        Ok(before)
    }
}

/// What a unit has read is held: where it is something else at the commit, the unit begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_is_overtaken_begins_anew() {
    let (_folder, service, id, ends) = service().await;
    let keys = service.scope.keys(&all(id)).await.unwrap();
    let reads = Overtaken(AtomicUsize::new(0));
    let change = Change { name: ChangeName::Test, turns: &["b", "a", "b"], by: None };
    let outcome = service.scope.unit(change, &keys, reads, |round, draft| {
        draft.remove(&path("a"), NOW);
        draft.remove(&path("b"), NOW);
        Ok(round)
    });
    assert_eq!(outcome.await.unwrap(), 1);
    let ends = std::mem::take(&mut *ends.lock().unwrap());
    assert_eq!(ends, [(ChangeName::Test, Ended::Overtaken), (ChangeName::Test, Ended::Committed)]);
}

/// What deciding asks for, and nobody has judged, keeps a unit from its commit: whoever forgets to have it judged
/// does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_judged_is_not_committed() {
    let (_folder, service, id, ends) = service().await;
    let keys = service.scope.keys(&all(id)).await.unwrap();
    let request =
        Request { id: "r".into(), client: None, dialect: "d", now: NOW, machine_now: NOW };
    let permit = all(id).judged_by(Some(Docket::new(request, None)));
    let change = Change { name: ChangeName::Test, turns: &["a"], by: Some(&permit) };
    let outcome = service.scope.unit(change, &keys, ConfigBasis, |_, draft| {
        permit.check(Action::SecretCreate, Resource::Secret(&path("a")))?;
        draft.put(&path("a"), &Header::new(NOW))
    });
    assert!(matches!(outcome.await, Err(Error::Unjudged)));
    assert_eq!(*ends.lock().unwrap(), []);
    // A domain's own permit without anything that could be judged gets no keys where somebody judges.
    let nobody: Arc<dyn DecisionPoint> = Arc::new(Nobody);
    service.is_judged_by(Judge::new(nobody, Duration::from_secs(1), Box::new(|_, _| {})));
    assert!(service.scope.keys(&all(id)).await.is_ok(), "the server itself");
    assert!(
        matches!(service.scope.keys(&permit).await, Err(Error::Unjudged)),
        "it is nobody to ask about"
    );
}

/// A policy decision point that is not there.
struct Nobody;

impl DecisionPoint for Nobody {
    fn evaluate(&self, _: Asked) -> Answering<'_> {
        Box::pin(async { Err(NobodyAnswers("nobody".to_owned())) })
    }
}

/// Whoever could write nothing was told that a record is damaged, as it was read first.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_asks_before_it_reads() {
    let (_folder, service, id, _) = service().await;
    let (at, whole) = (path("a"), "secret".parse::<MountPath>().unwrap());
    let view = service.mounts.view(&all(id), &whole).await.unwrap().unwrap();
    damage(&service, header::SPACE, header::key(id, &at)).await;
    let through = Through { path: &at, view: &view };
    let write = async |permit: &Permit| {
        let value = SecretValue::new(b"{}".to_vec());
        service.secrets.write(permit, through, &value, None, NOW).await.map(drop)
    };
    let write_metadata = async |permit: &Permit| {
        let (patch, creates) = (MetadataPatch::default(), true);
        let write = MetadataWrite { patch, cas: None, creates };
        service.secrets.write_metadata(permit, through, &write, NOW).await.map(drop)
    };
    let none = Permit::of_test(id, |action, _| action == Action::SecretDelete);
    for told in [write(&none).await, write_metadata(&none).await] {
        assert!(matches!(told, Err(Error::Denied(Denied::Forbidden))), "{told:?}");
    }
    let creates = Permit::of_test(id, |action, _| {
        matches!(action, Action::SecretCreate | Action::SecretCreateEmpty)
    });
    for told in [write(&creates).await, write_metadata(&creates).await] {
        assert!(matches!(told, Err(Error::Corrupt(_))), "{told:?}");
    }
}

/// A secret that is written through a mount holds the mount: it cannot slip into one that is just
/// removed.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_slips_into_a_mount_that_is_gone() {
    let (_folder, service, id, _) = service().await;
    let (permit, mount): (_, MountPath) = (all(id), "team".parse().unwrap());
    service.mounts.enable(&permit, &mount, "", &SettingsPatch::default()).await.unwrap();
    let view = service.mounts.view(&permit, &mount).await.unwrap().unwrap();
    service.mounts.disable(&permit, &mount, false, (60, NOW)).await.unwrap();
    let at = path("team/a");
    let through = Through { path: &at, view: &view };
    let late =
        service.secrets.write(&permit, through, &SecretValue::new(b"{}".to_vec()), None, NOW).await;
    assert!(matches!(late, Err(Error::Mount(_))), "{late:?}");
    assert!(service.secrets.history(&permit, &at, NOW).await.is_err());
}

/// A noun that nobody has asked for yet. This, and its space in the list, is all that another kind
/// of record takes.
#[derive(Debug, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
struct Toy {
    #[n(0)]
    colour: u32,
}

impl Kind for Toy {
    const SPACE: Space = Space::new("toy");
    type Name<'a> = &'a str;

    fn key(id: OkmsId, name: &str) -> Vec<u8> {
        [id.as_bytes().as_slice(), name.as_bytes()].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        kinds::encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        kinds::decode(bytes)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_kind_of_record_in_a_few_lines() {
    let (_folder, service, id, ends) = service().await;
    let keys = service.scope.keys(&all(id)).await.unwrap();
    let paint = |name: &'static str, by: u32| {
        let change = Change { name: ChangeName::Test, turns: &[], by: None };
        service.scope.unit(change, &keys, OneRecord::of::<Toy>(&keys, name), move |found, draft| {
            let key = Toy::key(draft.keys.id(), name);
            let before = found
                .map(|record| records::open::<Toy>(draft.keys, &key, &record.bytes))
                .transpose()?;
            let colour = before.map_or(0, |toy| toy.colour) + by;
            draft.put(name, &Toy { colour })?;
            Ok(colour)
        })
    };
    assert_eq!((paint("ball", 5).await.unwrap(), paint("ball", 2).await.unwrap()), (5, 7));
    assert_eq!(paint("kite", 1).await.unwrap(), 1);
    assert_eq!(
        ends.lock().unwrap().iter().filter(|(name, _)| *name == ChangeName::Test).count(),
        3
    );
    let snapshot = service.scope.engine().snapshot().await.unwrap();
    let sealed = snapshot.get(Toy::SPACE, &Toy::key(id, "ball")).await.unwrap().unwrap();
    let moved = records::open::<Toy>(&keys, &Toy::key(id, "kite"), &sealed.bytes);
    assert!(matches!(moved, Err(Error::Corrupt(_))), "it opens in its place alone: {moved:?}");
    // The form's number, and a map of numbered fields, to which a later program may add.
    assert_eq!(Toy { colour: 7 }.encode().unwrap(), [1, 0xa1, 0, 7]);
    assert_eq!(Toy::decode(&[1, 0xa2, 0, 7, 1, 8]), Ok(Toy { colour: 7 }));
}

/// What is not remembered can be neither listed nor revoked.
#[tokio::test(flavor = "multi_thread")]
async fn issued_certificates_are_remembered() {
    let (authority, _) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
    let (_folder, service, id, ends) = service_with(Some(authority)).await;
    let keys = service.scope.keys(&all(id)).await.unwrap();
    let issue = |name: &str, key, days| {
        let request = CredentialRequest {
            name: name.to_owned(),
            description: String::new(),
            identities: Vec::new(),
            key,
            days,
        };
        let (service, permit) = (&service, all(id));
        async move { service.credentials.issue(&permit, request, NOW).await }
    };
    let key = pki::generate_key(KeyKind::P256).unwrap();
    let request = pki::signing_request(&key, "own").unwrap();
    let first = issue("first", KeySource::Fresh(KeyKind::P256), 10).await.unwrap();
    let second = issue("second", KeySource::Request(request), 20).await.unwrap();
    assert!(first.key.is_some() && second.key.is_none());
    for (name, days) in [("", 10), ("third", 0)] {
        assert!(issue(name, KeySource::Fresh(KeyKind::P256), days).await.is_err());
    }
    assert_eq!(
        ends.lock()
            .unwrap()
            .iter()
            .filter(|(name, _)| *name == ChangeName::IssueCredential)
            .count(),
        2
    );
    let snapshot = service.scope.engine().snapshot().await.unwrap();
    let (from, to) = (id.as_bytes(), [id.as_bytes().as_slice(), &[0xff; 16]].concat());
    let found = snapshot.scan(Credential::SPACE, from, &to, 9).await.unwrap();
    let mut found: Vec<_> = found
        .iter()
        .map(|(key, record)| records::open::<Credential>(&keys, key, &record.bytes).unwrap())
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    for (credential, issued) in found.iter().zip([&first, &second]) {
        let der = pem_body(&issued.certificate_pem);
        let shown = CertIdentity::from_der(&der).unwrap();
        assert_eq!(credential.serial, shown.serial().significant());
        assert_eq!(&credential.key_sha256, shown.public_key_sha256());
        assert_eq!(credential.begins_at.unix_seconds(), shown.validity().not_before);
        assert_eq!(
            (credential.ends_at, credential.issued_at),
            (issued.known.credential.ends_at, NOW)
        );
        assert_eq!(credential.is_from_request, issued.key.is_none());
    }
    assert_eq!(found.iter().map(|found| &*found.name).collect::<Vec<_>>(), ["first", "second"]);
}

/// A certificate of the domain's, and the peer that it is.
async fn holder(service: &Service, id: OkmsId, authority: Validity) -> (Uuid, Arc<VerifiedPeer>) {
    let request = CredentialRequest {
        name: "first".to_owned(),
        description: String::new(),
        identities: Vec::new(),
        key: KeySource::Fresh(KeyKind::P256),
        days: 10,
    };
    let issued = service.credentials.issue(&all(id), request, NOW).await.unwrap();
    let identity = CertIdentity::from_der(&pem_body(&issued.certificate_pem)).unwrap();
    let voucher = Voucher {
        issuer: Issuer::Region,
        authority_key: [0; 32],
        is_direct: true,
        validity: authority,
    };
    (issued.known.id, Arc::new(VerifiedPeer::after_handshake(identity, voucher)))
}

/// Damages a record.
async fn damage(service: &Service, space: Space, key: Vec<u8>) {
    let bytes = Sealed::public(b"damaged".to_vec());
    let ops = vec![Op::Put(space, key, bytes)];
    service.scope.engine().commit(Batch::of(ops)).await.unwrap();
}

/// While a rule of the domain cannot be read, what it says of a renewal is not known: one came out of
/// its rule meanwhile, as all of no rules is true.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_renewed_while_a_rule_is_damaged() {
    let (authority, _) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
    let validity = authority.validity();
    let (_folder, service, id, _) = service_with(Some(authority)).await;
    let (_, peer) = holder(&service, id, validity).await;
    let access = service.access.directory();
    let principal = directory::principal(&peer, service.revocations.revoked(), NOW).unwrap();
    let permit = principal.authorize(id, &[Action::CredentialRenew], access).unwrap();
    let renewal =
        || Renewal { key: KeySource::Fresh(KeyKind::P256), days: None, revokes_old: false };
    service.credentials.renew(&permit, renewal(), NOW).await.unwrap();
    damage(&service, CertRule::SPACE, CertRule::key(id, "r")).await;
    // Whatever brings the directory up to date.
    let rule = CertRule::default();
    service.access.put_rule(&all(id), "other", &rule).await.unwrap();
    let renewed = service.credentials.renew(&permit, renewal(), NOW).await;
    assert!(matches!(renewed, Err(Error::Closed)), "{renewed:?}");
    service.access.delete_rule(&all(id), "r").await.unwrap();
    service.credentials.renew(&permit, renewal(), NOW).await.unwrap();
}

/// Where a rule pins a key, or a policy is about whom certificates were issued for, nobody is judged whose
/// certificate's line is not known, and nobody is where it cannot be: a damaged record let out whoever it
/// is about.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_whose_line_is_damaged_is_not_judged() {
    for is_pinned in [true, false] {
        is_not_judged_by_a_damaged_line(is_pinned).await;
    }
}

async fn is_not_judged_by_a_damaged_line(is_pinned: bool) {
    let (authority, _) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
    let validity = authority.validity();
    let (_folder, service, id, _) = service_with(Some(authority)).await;
    let (credential, peer) = holder(&service, id, validity).await;
    let access = service.access.directory();
    let principal = directory::principal(&peer, service.revocations.revoked(), NOW).unwrap();
    let ask = || principal.authorize(id, &[Action::SecretList], access);
    ask().unwrap();
    if is_pinned {
        let rule = CertRule { keys: vec![[7; 32]], ..CertRule::default() };
        service.access.put_rule(&all(id), "r", &rule).await.unwrap();
    } else {
        let policy = IamPolicy {
            name: "p".to_owned(),
            description: String::new(),
            identities: vec!["urn:v1:eu:identity:account:a".to_owned()],
            resources: vec![ResourcePattern::Domain],
            allow: Vec::new(),
            except: Vec::new(),
            deny: vec!["*".to_owned()],
            when: When::default(),
            created_at: NOW,
            updated_at: NOW,
        };
        service.access.create_policy(&all(id), policy, NOW).await.unwrap();
    }
    assert_eq!(ask().unwrap_err(), Denied::Untraced);
    let key = Credential::key(id, credential.as_bytes());
    damage(&service, Credential::SPACE, key.clone()).await;
    assert!(matches!(service.credentials.trace(&principal).await, Err(Error::Corrupt(_))));
    assert_eq!(ask().unwrap_err(), Denied::Untraced);
    let gone = vec![Op::Delete(Credential::SPACE, key)];
    service.scope.engine().commit(Batch::of(gone)).await.unwrap();
    service.credentials.trace(&principal).await.unwrap();
    ask().unwrap();
}

/// What was called so when blanks at the edges of names were taken can be seen and removed, and not be
/// written again.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_blanks_at_its_edges_is_not_given_again() {
    let (_folder, service, id, _) = service().await;
    let (permit, text) = (all(id), r#"path "secret/*" { capabilities = ["read"] }"#);
    let keys = service.scope.keys(&permit).await.unwrap();
    let old = VaultPolicy { text: text.to_owned(), created_at: NOW, updated_at: NOW };
    let rule = CertRule { common_names: vec!["x".to_owned()], ..CertRule::default() };
    let ops = vec![
        records::put(&keys, " old", &old).unwrap(),
        records::put(&keys, "old ", &rule).unwrap(),
    ];
    service.scope.engine().commit(Batch::of(ops)).await.unwrap();
    let access = &service.access;
    assert_eq!(access.vault_policy(&permit, " old").await.unwrap(), old);
    assert_eq!(access.rule(&permit, "old ").await.unwrap(), rule);
    let again = access.put_vault_policy(&permit, " old", text, NOW).await;
    assert!(matches!(again, Err(Error::Invalid(_))), "{again:?}");
    let again = access.put_rule(&permit, "old ", &rule).await;
    assert!(matches!(again, Err(Error::Invalid(_))), "{again:?}");
    access.delete_vault_policy(&permit, " old").await.unwrap();
    access.delete_rule(&permit, "old ").await.unwrap();
}

/// Who logs in is known by the first key of the line; by the own one where its record is damaged, as that
/// shuts out nobody, and is not renewed.
#[tokio::test(flavor = "multi_thread")]
async fn whose_record_is_damaged_is_known_by_its_own_key() {
    let (authority, _) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
    let validity = authority.validity();
    let (_folder, service, id, _) = service_with(Some(authority)).await;
    let (credential, peer) = holder(&service, id, validity).await;
    let principal = directory::principal(&peer, service.revocations.revoked(), NOW).unwrap();
    let access = service.access.directory();
    let permit = principal.authorize(id, &[Action::DomainGet], access).unwrap();
    let key = Credential::key(id, credential.as_bytes());
    damage(&service, Credential::SPACE, key).await;
    let own = *peer.identity().public_key_sha256();
    assert_eq!(service.credentials.first_key(&permit).await.unwrap(), Some(own));
    assert_eq!(service.credentials.first_key(&all(id)).await.unwrap(), None);
}

/// Whoever renews one certificate from the other without end would have each connection read all of
/// them: there is an end, also to records that lead round.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_renewals_has_an_end() {
    let (authority, _) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
    let validity = authority.validity();
    let (_folder, service, id, _) = service_with(Some(authority)).await;
    let (own, peer) = holder(&service, id, validity).await;
    let access = service.access.directory();
    let principal = directory::principal(&peer, service.revocations.revoked(), NOW).unwrap();
    let permit = principal.authorize(id, &[Action::CredentialRenew], access).unwrap();
    let credential = service.credentials.get(&all(id), own).await.unwrap().credential;
    let keys = service.scope.keys(&all(id)).await.unwrap();
    // The own one, and so many before it.
    let name = |number: usize| match number {
        0 => own.into_bytes(),
        _ => u128::try_from(number).unwrap().to_be_bytes(),
    };
    let line = async |links: usize, is_round: bool| {
        let op = |number: usize| {
            let before = (number < links).then(|| name(number + 1));
            let renews = before.or_else(|| is_round.then(|| name(0)));
            let link = Credential { renews, ..credential.clone() };
            records::put(&keys, &name(number), &link).unwrap()
        };
        let ops = (0..=links).map(op).collect();
        service.scope.engine().commit(Batch::of(ops)).await.unwrap();
        let renewal =
            Renewal { key: KeySource::Fresh(KeyKind::P256), days: None, revokes_old: false };
        service.credentials.renew(&permit, renewal, NOW).await
    };
    line(999, false).await.unwrap();
    assert!(matches!(line(1000, false).await, Err(Error::Invalid(_))));
    for links in [0, 5] {
        assert!(matches!(line(links, true).await, Err(Error::Corrupt(_))), "{links}");
        assert!(matches!(service.credentials.trace(&principal).await, Err(Error::Corrupt(_))));
    }
    line(1000, false).await.unwrap_err();
    service.credentials.trace(&principal).await.unwrap();
}

/// A request that was let in just before its certificate was revoked could store a renewal after it,
/// which nobody revoked. A revocation counts once it is acknowledged, whoever follows the feed: here
/// nobody does.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_was_let_in_before_is_not_stored_after() {
    let (authority, _) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
    let validity = authority.validity();
    let (_folder, service, id, ends) = service_with(Some(authority)).await;
    let (first, peer) = holder(&service, id, validity).await;
    let serial = peer.identity().serial();
    let ask = || directory::principal(&peer, service.revocations.revoked(), NOW);
    let access = service.access.directory();
    let let_in = ask().unwrap().authorize(id, &[Action::CredentialRenew], access).unwrap();
    let renewal =
        || Renewal { key: KeySource::Fresh(KeyKind::P256), days: None, revokes_old: false };
    service.credentials.renew(&let_in, renewal(), NOW).await.unwrap();
    let reason = RevocationReason::KeyCompromise;
    service.credentials.revoke(&all(id), first, reason, NOW).await.unwrap();
    assert!(service.revocations.revoked().contains(serial));
    assert_eq!(ask().unwrap_err(), Unauthenticated::Revoked);
    let renewed = service.credentials.renew(&let_in, renewal(), NOW).await;
    assert!(matches!(renewed, Err(Error::NotSelfRenewing)), "{renewed:?}");
    let (found, _) = service.credentials.list(&all(id), None, 9).await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|known| known.revocation.is_some()));
    let revoked = (ChangeName::RevokeCredential, Ended::Committed);
    assert_eq!(ends.lock().unwrap().iter().filter(|end| **end == revoked).count(), 2);
}

/// What ends next is told of those that somebody has to see to: not of one that was revoked, by
/// whatever it was named, nor of one that has renewed itself. A store of a time when nobody kept that
/// order gets the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_next_is_what_nobody_has_seen_to() {
    const DAY: i64 = 86_400;
    let (authority, _) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
    let validity = authority.validity();
    let (_folder, service, id, _) = service_with(Some(authority)).await;
    let within = |days| service.endings.within(NOW, days * DAY.unsigned_abs());
    assert_eq!(within(14).await.unwrap(), Ending::default());
    let request = |days| CredentialRequest {
        name: format!("{days} days"),
        description: String::new(),
        identities: Vec::new(),
        key: KeySource::Fresh(KeyKind::P256),
        days,
    };
    let mut issued = Vec::new();
    for days in [3, 5, 7, 14, 15] {
        let one = service.credentials.issue(&all(id), request(days), NOW).await.unwrap();
        issued.push(one.known);
    }
    let (of_ten, peer) = holder(&service, id, validity).await;
    let days = |days: i64| Some(Timestamp::from_unix_seconds(NOW.unix_seconds() + days * DAY));
    assert_eq!(within(14).await.unwrap(), Ending { earliest: days(3), soon: 5 });
    assert_eq!(within(1).await.unwrap(), Ending { earliest: days(3), soon: 0 });
    // What has ended is nobody's business any more.
    let later = Timestamp::from_unix_seconds(NOW.unix_seconds() + 3 * DAY + 1);
    assert_eq!(
        service.endings.within(later, 0).await.unwrap(),
        Ending { earliest: days(5), soon: 0 }
    );
    // Of a page of ten there is no next one; of one there is.
    let names = async |cursor, limit| {
        let span = (NOW, 14 * DAY.unsigned_abs());
        let (found, next) =
            service.credentials.list_ending(&all(id), span, cursor, limit).await.unwrap();
        let names: Vec<_> = found.into_iter().map(|known| known.credential.name).collect();
        (names, next)
    };
    let told = ["3 days", "5 days", "7 days", "first", "14 days"];
    assert_eq!(names(None, 5).await, (told.map(str::to_owned).to_vec(), None));
    let (first, next) = names(None, 3).await;
    assert_eq!((first.as_slice(), next.is_some()), (&told.map(str::to_owned)[..3], true));
    assert_eq!(names(next, 3).await, (told.map(str::to_owned)[3..].to_vec(), None));

    let reason = RevocationReason::Unspecified;
    service.credentials.revoke(&all(id), issued[0].id, reason, NOW).await.unwrap();
    assert_eq!(within(14).await.unwrap(), Ending { earliest: days(5), soon: 4 });
    let serial = pki::Serial::from_be_bytes(&issued[1].credential.serial).unwrap();
    let operator = operator();
    service.revocations.revoke(&operator, serial, reason, NOW).await.unwrap();
    assert_eq!(within(14).await.unwrap(), Ending { earliest: days(7), soon: 3 });
    let access = service.access.directory();
    let principal = directory::principal(&peer, service.revocations.revoked(), NOW).unwrap();
    let permit = principal.authorize(id, &[Action::CredentialRenew], access).unwrap();
    let renewal =
        Renewal { key: KeySource::Fresh(KeyKind::P256), days: Some(2), revokes_old: false };
    let renewed = service.credentials.renew(&permit, renewal, NOW).await.unwrap();
    assert_eq!(within(14).await.unwrap(), Ending { earliest: days(2), soon: 3 });
    service.credentials.revoke(&all(id), renewed.known.id, reason, NOW).await.unwrap();
    assert_eq!(within(14).await.unwrap(), Ending { earliest: days(7), soon: 2 });
    assert_eq!(names(None, 9).await.0, ["7 days", "14 days"]);
    assert!(service.credentials.get(&all(id), of_ten).await.unwrap().revocation.is_none());

    let engine = service.scope.engine();
    let places = async || {
        let snapshot = engine.snapshot().await.unwrap();
        let found = snapshot.scan(kinds::ending::SPACE, &[], &[0xff; 17], 99).await.unwrap();
        found.into_iter().map(|(key, record)| (key, record.bytes)).collect::<Vec<_>>()
    };
    // But for that which was revoked by its serial number, before anybody looked.
    let by_serial = |key: &[u8]| kinds::ending::credential(key) == Some(issued[1].id.into_bytes());
    let mut before = places().await;
    before.retain(|(key, _)| !by_serial(key));
    let past = vec![
        Op::DeleteRange(kinds::ending::SPACE, Vec::new(), vec![0xff; 17]),
        Op::Delete(kinds::region::SPACE, kinds::region::endings_are_complete()),
    ];
    engine.commit(Batch::of(past)).await.unwrap();
    assert_eq!(within(14).await.unwrap(), Ending::default());
    for _ in 0..2 {
        region::open(engine, service.scope.root()).await.unwrap();
        assert_eq!(places().await, before);
    }
    assert_eq!(before.len(), 2 * 3);
    assert_eq!(within(14).await.unwrap(), Ending { earliest: days(7), soon: 2 });
}

fn pem_body(pem: &str) -> Vec<u8> {
    use base64::Engine as _;
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
