//! What becomes of a read and a write as the store and a secret grow; lists are measured on the same
//! stores, in [`super::lists`].

use std::{path::Path, sync::Arc, time::Duration};

use okmsd::{
    auth::{Action, Permit, Principal},
    clock::{Clock, SystemClock},
    crypto::{FileRootKey, SecretValue},
    model::{MaxVersions, MetadataPatch, SecretPath, SettingsPatch},
    service::{Service, Update},
    store::{
        engine::Observer,
        engines::redb::{RedbEngine, RedbOptions},
    },
};
use tokio::task::JoinSet;

use super::{
    Effort, Outcome,
    client::{self, Dialect, micros, timed},
    lists, note,
    server::{Region, Server},
    table::{Budget, Rounds, Row, median},
};

/// How many secrets the small store holds.
pub(super) const FEW: usize = 2_000;
/// In how many folders the secrets lie.
pub(super) const FOLDERS: usize = 2_000;
/// How many versions the deep secret has.
const DEEP: u32 = 20_000;
const DEEP_SECRET: &str = "bench/deep";
/// How many writes fill a store at once.
pub(super) const FILLERS: usize = 400;
/// How many requests of each kind a turn has.
const READS: usize = 3_000;
const WRITES: usize = 100;

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let (small, large) = (Region::create()?, Region::create()?);
    for (region, secrets, versions) in [(&small, FEW, DEEP), (&large, effort.secrets, 0)] {
        // Makes the files, with the domain.
        drop(Server::okmsd(region, &[]).await?);
        fill(region, secrets, versions).await?;
    }
    let few = Server::okmsd(&small, &[]).await?;
    let many = Server::okmsd(&large, &[]).await?;
    let mut rows = reads((&small, &few), (&large, &many), effort).await?;
    rows.extend(lists::measure((&small, &few), (&large, &many), effort).await?);
    rows.push(writes(&small, &few, effort).await?);
    Ok(rows)
}

fn path(number: usize) -> String {
    format!("folder-{:04}/{number:07}", number % FOLDERS)
}

/// Fills the region's store through the use cases, without a server.
async fn fill(region: &Region, secrets: usize, versions: u32) -> Outcome<()> {
    note(format_args!("filling a store with {secrets} secrets"));
    let service = Arc::new(open(region).await?);
    let actions = &[Action::SecretCreate, Action::VersionCreate];
    let rights = service.access.directory();
    let permit =
        Arc::new(Principal::of_process().authorize(region.id()?.parse()?, actions, rights)?);
    let mut fillers = JoinSet::new();
    for first in 0..FILLERS.min(secrets) {
        let (service, permit) = (Arc::clone(&service), Arc::clone(&permit));
        fillers.spawn(async move {
            for number in (first..secrets).step_by(FILLERS) {
                create(&service, &permit, &path(number).parse()?, &MetadataPatch::default())
                    .await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(filled) = fillers.join_next().await {
        filled??;
    }
    for number in 0..lists::NAMES {
        create(&service, &permit, &lists::path(number).parse()?, &MetadataPatch::default()).await?;
    }
    if versions > 0 {
        note(format_args!("adding {versions} versions to a secret"));
        let settings = SettingsPatch {
            max_versions: Some(MaxVersions::new(24_000)?),
            ..SettingsPatch::default()
        };
        let patch = MetadataPatch { settings, ..MetadataPatch::default() };
        let deep = DEEP_SECRET.parse()?;
        create(&service, &permit, &deep, &patch).await?;
        for _ in 1..versions {
            let update =
                Update { patch: MetadataPatch::default(), value: Some(value()), cas: None };
            service.secrets.update(&permit, &deep, &update, SystemClock.now()).await?;
        }
    }
    tokio::task::spawn_blocking(move || drop(service)).await?;
    Ok(())
}

pub(super) async fn create(
    service: &Service,
    permit: &Permit,
    path: &SecretPath,
    metadata: &MetadataPatch,
) -> Outcome<()> {
    service.secrets.create(permit, path, metadata, &value(), SystemClock.now()).await?;
    Ok(())
}

pub(super) fn value() -> SecretValue {
    SecretValue::new(client::value(1024).into_bytes())
}

pub(super) async fn open(region: &Region) -> Outcome<Service> {
    let options =
        RedbOptions { group_batches: FILLERS, ..RedbOptions::new(region.path("okmsd.redb")) };
    let engine =
        tokio::task::spawn_blocking(move || RedbEngine::open(&options, Arc::new(Unobserved)))
            .await??;
    let root = FileRootKey::load(Path::new(&region.path("root.key")))?;
    Ok(Service::open(
        Arc::new(engine),
        Arc::new(root),
        None,
        (okmsd::model::BuiltIn::Admin, okmsd::model::Quota::default(), Arc::default()),
        std::sync::Arc::default(),
        Box::new(|_, _| {}),
    )
    .await?)
}

pub(super) struct Unobserved;

impl Observer for Unobserved {
    fn committed(&self, _: usize, _: usize, _: Duration) {}
    fn commit_failed(&self, _: usize) {}
}

/// Reads of secrets picked evenly at random, one after the other, from both stores by turns.
async fn reads(
    few: (&Region, &Server),
    many: (&Region, &Server),
    effort: Effort,
) -> Outcome<Vec<Row>> {
    let (few_id, many_id) = (few.0.id()?, many.0.id()?);
    let (mut few, mut many) =
        (few.0.client(few.1)?.connect().await?, many.0.client(many.1)?.connect().await?);
    let mut pick = Pick(0x2545_f491_4f6c_dd1d);
    let (mut any, mut hot) = (Rounds::default(), Rounds::default());
    for round in 0..=effort.rounds {
        note(format_args!("reads from both stores, turn {round}"));
        let (mut of_few, mut of_many, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..READS {
            of_few.push(micros(
                timed(few.get(&Dialect::Native.secret_url(&few_id, &path(pick.below(FEW)))))
                    .await?,
            ));
            let url = Dialect::Native.secret_url(&many_id, &path(pick.below(effort.secrets)));
            of_many.push(micros(timed(many.get(&url)).await?));
            again.push(micros(timed(many.get(&url)).await?));
        }
        // The first turn warms up.
        if round > 0 {
            let of_few = median(of_few);
            any.push(median(of_many), of_few);
            hot.push(median(again), of_few);
        }
    }
    let what = |which: &str| {
        format!("p50 of a read of {which} of {} secrets, beside {FEW}", effort.secrets)
    };
    Ok(vec![
        any.row(what("any"), " us", Budget::AtMost(1.3)),
        hot.row(what("one just read"), " us", Budget::None),
    ])
}

/// Writes that make version 20,001 and on, and version 2, by turns.
async fn writes(region: &Region, server: &Server, effort: Effort) -> Outcome<Row> {
    let (id, body) = (region.id()?, Dialect::Native.update(&client::value(1024)));
    let mut connection = region.client(server)?.connect().await?;
    let mut rounds = Rounds::default();
    for round in 0..effort.rounds {
        note(format_args!("writes to a deep secret, turn {}", round + 1));
        let (mut deep, mut shallow) = (Vec::new(), Vec::new());
        for number in 0..WRITES.min(FEW / effort.rounds) {
            let fresh = path(round * (FEW / effort.rounds) + number);
            shallow.push(micros(
                timed(connection.update(Dialect::Native, &id, &fresh, body.clone())).await?,
            ));
            deep.push(micros(
                timed(connection.update(Dialect::Native, &id, DEEP_SECRET, body.clone())).await?,
            ));
        }
        rounds.push(median(deep), median(shallow));
    }
    Ok(rounds.row(
        format!("p50 of a write at version {DEEP}, beside version 2"),
        " us",
        Budget::AtMost(1.3),
    ))
}

/// Numbers in no order: Marsaglia's xorshift.
struct Pick(u64);

impl Pick {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap_or_default()
    }
}
