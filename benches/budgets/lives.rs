//! What is looked for among secrets with a life: by a tag, an owner or a type, by their ends, by their rotation. The same answer of ten
//! secrets, among few and among many.

use std::sync::Arc;

use okmsd::{
    auth::{Action, Permit, Principal},
    clock::{Clock, SystemClock},
    model::{AboutPatch, EndPatch, LifePatch, MetadataPatch, SecretType, Tags, Timestamp},
    service::{Expects, Put, Service},
};
use tokio::task::JoinSet;

use super::{
    Effort, Outcome,
    client::{Connection, micros, timed},
    growth::{FEW, FILLERS, open, value},
    note,
    server::{Region, Server},
    table::{Budget, Rounds, Row, median},
};

/// How many secrets are found.
const FOUND: usize = 10;
/// How many requests of each kind a turn has.
const REQUESTS: usize = 200;
const DAY: i64 = 86_400;

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let (small, large) = (Region::create()?, Region::create()?);
    for (region, secrets) in [(&small, FEW), (&large, effort.secrets)] {
        // Makes the files, with the domain.
        drop(Server::okmsd(region, &[]).await?);
        fill(region, secrets).await?;
    }
    let few = Server::okmsd(&small, &[]).await?;
    let many = Server::okmsd(&large, &[]).await?;
    let mut few = small.client(&few)?.connect().await?;
    let mut many = large.client(&many)?.connect().await?;
    let mut rows = Vec::new();
    for (what, url) in [
        ("a list by a tag", "/v1/secrets?tag=rare"),
        ("a list by an owner", "/v1/secrets?owner=team:rare"),
        ("a list by a type", "/v1/secrets?secret_type=api_key"),
        ("secrets that end soon", "/v1/secrets/expiring?days=30"),
        ("secrets that are due", "/v1/rotation/due?within_hours=1"),
    ] {
        for connection in [&mut few, &mut many] {
            let found = count(&connection.get(url).await?);
            if found != FOUND {
                return Err(format!("{what}: {found} were found").into());
            }
        }
        let mut rounds = Rounds::default();
        for round in 0..effort.rounds {
            note(format_args!("{what}, turn {}", round + 1));
            let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
            for _ in 0..REQUESTS {
                of_few.push(ask(&mut few, url).await?);
                of_many.push(ask(&mut many, url).await?);
            }
            rounds.push(median(of_many), median(of_few));
        }
        let what = format!("p50 of {what}, {FOUND} of {} secrets, beside {FEW}", effort.secrets);
        rows.push(rounds.row(what, " us", Budget::AtMost(1.3)));
    }
    Ok(rows)
}

async fn ask(connection: &mut Connection, url: &str) -> Outcome<f64> {
    Ok(micros(timed(connection.get(url)).await?))
}

/// How many secrets an answer tells of.
fn count(body: &[u8]) -> usize {
    let text = String::from_utf8_lossy(body);
    text.matches("\"rare/").count()
}

/// Fills the region's store through the use cases, without a server: ten secrets that are looked for, and all others.
async fn fill(region: &Region, secrets: usize) -> Outcome<()> {
    note(format_args!("filling a store with {secrets} secrets that have a life"));
    let service = Arc::new(open(region).await?);
    let (id, rights) = (region.id()?.parse()?, service.access.directory());
    let permit = Arc::new(Principal::of_process().authorize(id, Action::ALL, rights)?);
    let mut fillers = JoinSet::new();
    for first in 0..FILLERS.min(secrets) {
        let (service, permit) = (Arc::clone(&service), Arc::clone(&permit));
        fillers.spawn(async move {
            for number in (first..secrets).step_by(FILLERS) {
                let is_rare = number.is_multiple_of(secrets / FOUND);
                create(&service, &permit, number, is_rare).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(filled) = fillers.join_next().await {
        filled??;
    }
    tokio::task::spawn_blocking(move || drop(service)).await?;
    Ok(())
}

async fn create(service: &Service, permit: &Permit, number: usize, is_rare: bool) -> Outcome<()> {
    let now = SystemClock.now();
    let days = |days: i64| Timestamp::from_unix_seconds(now.unix_seconds() + days * DAY);
    let (tag, policy, end, written) = if is_rare {
        ("rare", "rot_weekly", days(5), days(-9))
    } else {
        ("common", "rot_yearly", days(1_000), now)
    };
    let life = LifePatch {
        end: Some(EndPatch::At(end)),
        rotation: Some(Some(policy.into())),
        secret_policy: None,
    };
    let about = AboutPatch {
        tags: Some(Tags::new([tag])?),
        owner: Some(Some(format!("team:{tag}").into())),
        secret_type: is_rare.then_some(SecretType::ApiKey),
        description: None,
    };
    let put = Put {
        patch: MetadataPatch { about, life, ..MetadataPatch::default() },
        value: value(),
        expects: Expects::Nothing,
        creates: true,
    };
    let path = format!("{tag}/{:04}/{number:07}", number % 2_000).parse()?;
    service.secrets.put(permit, &path, &put, written).await?;
    Ok(())
}
