//! Commits: what waits goes to the database in groups, each in one transaction, one after the other.
//!
//! Always holds: a batch is answered once; one whose transaction was not answered is looked for before anybody is told
//! anything: it is there, or it can never be there, or nobody who takes writes was found in time. Never does: cancel
//! what runs on the server, or repeat what may have happened.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio_postgres::{Row, Statement, types::Type};
use uuid::Uuid;

use super::{
    connect::Session,
    fault::Fault,
    group::{self, Columns},
    shared::{PAUSE, Shared, column, revision},
};
use crate::{
    seldom::Seldom,
    store::{
        engine::{CommitError, Observer},
        engines::{
            groups,
            lanes::{Limits, Queued as _},
            waiting::{Job, Queue},
        },
    },
};

/// What became of a group.
enum Outcome {
    /// The revision of each batch, 0 where it was refused.
    Judged(Vec<i64>),
    /// It did not happen, and never will.
    Undone(Fault),
    /// It may have happened.
    Unknown(Fault),
}

/// Writes what waits until nothing will come.
pub(super) async fn run(shared: Arc<Shared>, queue: Arc<Queue>, observer: Arc<dyn Observer>) {
    let options = shared.options();
    let limits = Limits { batches: options.group_batches, bytes: options.group_bytes };
    let mut at_hand = None;
    let mut held = Vec::new();
    let undone = Seldom::new(Duration::from_secs(10));
    while let Some(jobs) = queue.next(std::mem::take(&mut held), limits).await {
        let (group, later) = groups::divide(jobs);
        held = later;
        let mut parts = vec![group];
        while let Some(group) = parts.pop() {
            match write(&shared, &*observer, group, &mut at_hand, &undone).await {
                Left::Nothing => {}
                Left::Again(jobs) => {
                    held.splice(0..0, jobs);
                    tokio::time::sleep(PAUSE).await;
                }
                Left::Halves(first, second) => parts.extend([second, first]),
            }
        }
    }
}

/// What is left of a group that was tried.
enum Left {
    Nothing,
    /// What did not happen, and may yet.
    Again(Vec<Job>),
    /// One of them is refused for what it is: the others are not.
    Halves(Vec<Job>, Vec<Job>),
}

/// Commits a group, and answers whoever can be answered.
async fn write(
    shared: &Shared,
    observer: &dyn Observer,
    mut group: Vec<Job>,
    at_hand: &mut Option<Writing>,
    undone: &Seldom,
) -> Left {
    let began = Instant::now();
    let columns = Columns::of(group.iter().map(Job::batch), &shared.spaces);
    let operations = columns.operations();
    let outcome = commit(shared, &columns, observer.moment(), at_hand).await;
    drop(columns);
    match outcome {
        Outcome::Judged(revisions) => {
            shared.is_read_only.store(false, Ordering::Relaxed);
            shared.acknowledged(began);
            observer.committed(group.len(), operations, began.elapsed());
            let last = revisions.iter().copied().max().unwrap_or(0);
            shared.reached(revision(last));
            shared.news.notify_one();
            for (job, at) in group.into_iter().zip(revisions) {
                job.answer(match at {
                    1.. => Ok(revision(at)),
                    _ => Err(CommitError::Conflict),
                });
            }
            Left::Nothing
        }
        Outcome::Undone(fault) if fault.is_of_one() && group.len() > 1 => {
            let second = group.split_off(group.len() / 2);
            Left::Halves(group, second)
        }
        Outcome::Undone(fault) => {
            shared.is_read_only.store(fault.is_read_only(), Ordering::Relaxed);
            if let Some(left_out) = undone.due() {
                tracing::warn!(error = %fault, left_out, "a group of writes did not happen");
            }
            let settle_time = shared.options().settle_time;
            let (again, spent): (Vec<_>, Vec<_>) = group
                .into_iter()
                .partition(|job| !fault.is_refusal() && job.began.elapsed() < settle_time);
            for job in spent {
                let why = fault.to_string().into();
                job.answer(Err(if fault.is_damage() {
                    CommitError::Corrupt(why)
                } else {
                    CommitError::Unavailable(why)
                }));
            }
            if again.is_empty() { Left::Nothing } else { Left::Again(again) }
        }
        Outcome::Unknown(fault) => {
            observer.commit_failed(group.len());
            tracing::error!(error = %fault, "whether a group of writes happened cannot be found out");
            for job in group {
                job.answer(Err(CommitError::OutcomeUnknown(fault.to_string().into())));
            }
            Left::Nothing
        }
    }
}

/// A session that commits.
struct Writing {
    session: Session,
    statement: Statement,
}

const COMMIT: &str = "select okms.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, \
     $18, $19, $20, $21)";

async fn writing(shared: &Shared, at_hand: Option<Writing>) -> Result<Writing, Fault> {
    if let Some(writing) = at_hand.filter(|writing| shared.is_good(&writing.session)) {
        return Ok(writing);
    }
    let session = shared.session(None).await?;
    let types = [&[Type::UUID, Type::INT8, Type::INT8][..], &group::TYPES].concat();
    let statement = session.prepare(COMMIT, &types).await?;
    Ok(Writing { session, statement })
}

async fn commit(
    shared: &Shared,
    columns: &Columns<'_>,
    moment: Option<u64>,
    at_hand: &mut Option<Writing>,
) -> Outcome {
    let options = shared.options();
    let began = Instant::now();
    let now = moment.and_then(|moment| i64::try_from(moment).ok());
    loop {
        // Of nothing that was not sent there is anything to be found.
        let writing = match writing(shared, at_hand.take()).await {
            Ok(writing) => writing,
            Err(fault) => return Outcome::Undone(fault),
        };
        let id = Uuid::new_v4();
        // Two that count alike, before and after the history was set back, hardly ever name the same revision.
        let salt = i64::from(u16::from_be_bytes([id.as_bytes()[0], id.as_bytes()[1]]));
        let mut parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            vec![&id, &salt, &now];
        parameters.extend(columns.parameters());
        let answer =
            writing.session.query(&writing.statement, &parameters, options.commit_time).await;
        let was_warned = writing.session.was_warned();
        match answer.and_then(|rows| told(&rows)) {
            // The server may be told to give up waiting for its standby, or be passed over, and says yes nevertheless.
            Ok(Some(revisions)) if !was_warned && shared.is_with_primary(&writing.session) => {
                *at_hand = Some(writing);
                return Outcome::Judged(revisions);
            }
            Err(fault) if fault.is_refusal() => {
                *at_hand = Some(writing);
                if fault.is_read_only() {
                    *at_hand = None;
                    shared.doubted.notify_one();
                } else if fault.is_passing() && began.elapsed() < options.commit_time {
                    continue;
                }
                return Outcome::Undone(fault);
            }
            answer => {
                let fault = answer.err().unwrap_or_else(|| {
                    Fault::Lost("PostgreSQL may not have made it durable".into())
                });
                tracing::warn!(error = %fault, "a commit was not acknowledged; looking for what became of it");
                drop(writing);
                return settle(shared, id, fault).await;
            }
        }
    }
}

/// What `okms.commit` says; nothing where it says nothing.
fn told(rows: &[Row]) -> Result<Option<Vec<i64>>, Fault> {
    rows.first().map(|row| column(row, 0)).transpose()
}

/// Puts a mark in the place of what a group leaves, so that it can never be committed, unless it was; waits for it where
/// it is being committed. What is always written is acknowledged by none but who really takes writes.
const SETTLE: &str = "insert into okms.outcome (id, revs) values ($1, '{}') \
     on conflict (id) do update set at = clock_timestamp() returning revs";

/// Finds out what became of a group whose commit was not answered.
async fn settle(shared: &Shared, id: Uuid, mut fault: Fault) -> Outcome {
    let options = shared.options();
    let began = Instant::now();
    while began.elapsed() < options.settle_time {
        let left = options.settle_time.saturating_sub(began.elapsed());
        match look(shared, id, left).await {
            Ok(revisions) if revisions.is_empty() => return Outcome::Undone(fault),
            Ok(revisions) => return Outcome::Judged(revisions),
            Err(other) => fault = other,
        }
        tokio::time::sleep(PAUSE).await;
    }
    Outcome::Unknown(fault)
}

async fn look(shared: &Shared, id: Uuid, within: Duration) -> Result<Vec<i64>, Fault> {
    let session = shared.connector.elect().await?;
    let rows = session.once(SETTLE, &[(&id, Type::UUID)], within).await?;
    if session.was_warned() {
        return Err(Fault::Stale);
    }
    told(&rows)?.ok_or(Fault::Late)
}
