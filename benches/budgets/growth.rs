//! What becomes of a read, a write and a list as the store, a secret and the list grow.

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
    client::{self, Connection, Dialect, timed},
    note,
    server::{Region, Server},
    table::{Budget, Rounds, Row, median},
};

/// How many secrets the small store holds.
const FEW: usize = 1_000;
/// How many versions the deep secret has.
const DEEP: u32 = 20_000;
const DEEP_SECRET: &str = "bench/deep";
/// How many writes fill a store at once.
pub(super) const FILLERS: usize = 400;
/// How many requests of each kind a turn has.
const READS: usize = 3_000;
const WRITES: usize = 100;
const PAGES: usize = 100;
const PAGE: usize = 100;

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
    rows.extend(pages(&large, &many, effort).await?);
    rows.push(writes(&small, &few, effort).await?);
    Ok(rows)
}

fn path(number: usize) -> String {
    format!("bench/grow/{number:07}")
}

/// Fills the region's store through the use cases, without a server.
async fn fill(region: &Region, secrets: usize, versions: u32) -> Outcome<()> {
    note(format_args!("filling a store with {secrets} secrets"));
    let service = Arc::new(open(region).await?);
    let actions = &[Action::SecretCreate, Action::VersionCreate];
    let permit = Arc::new(Principal::of_process().authorize(region.id()?.parse()?, actions)?);
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
    if versions > 0 {
        note(format_args!("adding {versions} versions to a secret"));
        let settings = SettingsPatch {
            max_versions: Some(MaxVersions::new(24_000)?),
            ..SettingsPatch::default()
        };
        let patch = MetadataPatch { settings, custom: None };
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

async fn create(
    service: &Service,
    permit: &Permit,
    path: &SecretPath,
    metadata: &MetadataPatch,
) -> Outcome<()> {
    service.secrets.create(permit, path, metadata, &value(), SystemClock.now()).await?;
    Ok(())
}

fn value() -> SecretValue {
    SecretValue::new(client::value(1024).into_bytes())
}

pub(super) async fn open(region: &Region) -> Outcome<Service> {
    let options =
        RedbOptions { group_batches: FILLERS, ..RedbOptions::new(region.path("okmsd.redb")) };
    let engine =
        tokio::task::spawn_blocking(move || RedbEngine::open(&options, Arc::new(Unobserved)))
            .await??;
    let root = FileRootKey::load(Path::new(&region.path("root.key")))?;
    Ok(Service::open(Arc::new(engine), Arc::new(root), None, Box::new(|_, _| {})).await?)
}

struct Unobserved;

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

/// Pages of 100 in the middle and at the end of the list, beside the first one.
async fn pages(region: &Region, server: &Server, effort: Effort) -> Outcome<Vec<Row>> {
    note("walking through the list");
    let url = format!("/api/{}/v2/secret", region.id()?);
    let mut connection = region.client(server)?.connect().await?;
    let mut cursors = vec![None];
    while let Some(next) =
        page(&mut connection, &url, cursors.last().and_then(Option::as_deref)).await?
    {
        cursors.push(Some(next));
    }
    if cursors.len() != effort.secrets.div_ceil(PAGE) {
        return Err(format!(
            "the list has {} pages of {PAGE} for {} secrets",
            cursors.len(),
            effort.secrets
        )
        .into());
    }
    let at = |index: usize| cursors.get(index).cloned().flatten();
    // The last page may be a short one.
    let (middle, end) = (at(cursors.len() / 2), at(cursors.len() - 2));
    let (mut in_middle, mut at_end) = (Rounds::default(), Rounds::default());
    for round in 0..effort.rounds {
        note(format_args!("pages of the list, turn {}", round + 1));
        let mut times = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..PAGES {
            times.0.push(micros(timed(page(&mut connection, &url, None)).await?));
            times.1.push(micros(timed(page(&mut connection, &url, middle.as_deref())).await?));
            times.2.push(micros(timed(page(&mut connection, &url, end.as_deref())).await?));
        }
        let first = median(times.0);
        in_middle.push(median(times.1), first);
        at_end.push(median(times.2), first);
    }
    let what = |place: &str| {
        format!("p50 of a page of {PAGE} {place} of {} secrets, beside the first", effort.secrets)
    };
    Ok(vec![
        in_middle.row(what("in the middle"), " us", Budget::AtMost(1.1)),
        at_end.row(what("at the end"), " us", Budget::AtMost(1.1)),
    ])
}

/// Asks for a page; the cursor of the next one.
async fn page(
    connection: &mut Connection,
    url: &str,
    cursor: Option<&str>,
) -> Outcome<Option<String>> {
    let size = PAGE.to_string();
    let mut headers = vec![("x-pagination-size", &*size)];
    headers.extend(cursor.map(|cursor| ("x-pagination-cursor", cursor)));
    let answer = connection.call(hyper::Method::GET, url, &headers, bytes::Bytes::new()).await?;
    let next = answer
        .headers()
        .get("x-pagination-cursor-next")
        .map(|next| next.to_str().map(str::to_owned));
    Ok(next.transpose()?)
}

pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
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
