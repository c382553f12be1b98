//! Reads of one moment: what waits at once is asked for in one statement.
//!
//! Always holds: an answer counts only if something was made durable shortly before it came. Never does: read from a
//! server that takes no writes.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_postgres::{Row, Statement, types::Type};

use super::{
    connect::Session,
    fault::Fault,
    shared::{PAUSE, Shared, column, revision, unread},
    spaces::Spaces,
};
use crate::store::engine::{Found, Parts, Read, Record, Revision};

/// So many are asked for together.
const TOGETHER: usize = 64;
/// So many times it is tried on another connection.
const TRIES: usize = 3;

/// A read that waits.
pub(super) struct Asked {
    pub(super) parts: Vec<Part>,
    pub(super) reply: oneshot::Sender<Result<Parts, Fault>>,
}

/// As [`Read`], with its bytes and its space's number.
pub(super) enum Part {
    Key(i16, Vec<u8>),
    Last(i16, Vec<u8>, Vec<u8>),
}

impl Part {
    pub(super) fn of(read: &Read<'_>, spaces: &Spaces) -> Self {
        match *read {
            Read::Key(space, key) => Self::Key(spaces.number(space), key.to_vec()),
            Read::Last(space, from, to) => {
                Self::Last(spaces.number(space), from.to_vec(), to.to_vec())
            }
        }
    }
}

/// Point reads, and the last of ranges; each row with the number of the part that it answers.
pub(super) const READ: &str = "select a.n, null::bytea, r.rev, r.v \
     from unnest($1, $2, $3) a (n, space, k) join okms.live r on r.space = a.space and r.k = a.k \
     union all \
     select a.n, r.k, r.rev, r.v from unnest($4, $5, $6, $7) a (n, space, first, upto) cross join lateral \
     (select o.k, o.rev, o.v from okms.live o where (o.space, o.k) >= (a.space, a.first) \
      and (o.space, o.k) < (a.space, a.upto) order by o.space desc, o.k desc limit 1) r";
pub(super) const READ_TYPES: [Type; 7] = [
    Type::INT4_ARRAY,
    Type::INT2_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT4_ARRAY,
    Type::INT2_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
];

/// What is asked for behind [`READ`] by whoever remembers the answers: the revision of their moment.
const AND_MOMENT: &str = " union all select -1, null, h.rev, null from okms.head h";

/// The columns that [`READ`] takes.
#[derive(Default)]
struct Columns<'a> {
    key_n: Vec<i32>,
    key_space: Vec<i16>,
    key: Vec<&'a [u8]>,
    last_n: Vec<i32>,
    last_space: Vec<i16>,
    last_from: Vec<&'a [u8]>,
    last_to: Vec<&'a [u8]>,
}

/// What was found, and of which moment, where that was asked for.
struct Answer {
    found: Vec<Option<Found>>,
    at: Option<Revision>,
}

/// Reads parts in one statement.
async fn read<'a>(
    session: &Session,
    statement: &Statement,
    parts: impl Iterator<Item = &'a Part>,
    within: Duration,
) -> Result<Answer, Fault> {
    let mut columns = Columns::default();
    let mut count = 0;
    for (part, n) in parts.zip(0..) {
        match part {
            Part::Key(space, key) => {
                columns.key_n.push(n);
                columns.key_space.push(*space);
                columns.key.push(key);
            }
            Part::Last(space, from, to) => {
                columns.last_n.push(n);
                columns.last_space.push(*space);
                columns.last_from.push(from);
                columns.last_to.push(to);
            }
        }
        count += 1;
    }
    let Columns { key_n, key_space, key, last_n, last_space, last_from, last_to } = &columns;
    let rows = session
        .query(statement, &[key_n, key_space, key, last_n, last_space, last_from, last_to], within)
        .await?;
    let (mut found, mut at) = (vec![None; count], None);
    for row in &rows {
        let n: i32 = column(row, 0)?;
        if n < 0 {
            at = Some(revision(column(row, 2)?));
            continue;
        }
        let place = usize::try_from(n).ok().and_then(|n| found.get_mut(n));
        *place.ok_or_else(|| Fault::Lost("an answer to what was not asked".into()))? =
            Some(Found { key: column(row, 1)?, record: record(row, 2)? });
    }
    Ok(Answer { found, at })
}

/// Begins a moment for several reads, in which one that fails does not end it.
pub(super) const MOMENT: &str = "begin isolation level repeatable read read only; savepoint part";
/// After a read in a moment that failed.
pub(super) const GO_ON: &str = "rollback to part";

/// Reads parts of one moment, which was begun by [`MOMENT`]. Where something is damaged, each part by itself, so that it
/// fails alone.
pub(super) async fn read_of_moment(
    session: &Session,
    statement: &Statement,
    parts: &[Part],
    within: Duration,
) -> Result<Parts, Fault> {
    match read(session, statement, parts.iter(), within).await {
        Ok(answer) => return Ok(answer.found.into_iter().map(Ok).collect()),
        Err(fault) if fault.is_damage() => {}
        Err(fault) => return Err(fault),
    }
    let mut found = Vec::with_capacity(parts.len());
    for part in parts {
        session.execute(GO_ON, within).await?;
        found.push(match read(session, statement, std::iter::once(part), within).await {
            Ok(mut one) => Ok(one.found.pop().flatten()),
            Err(fault) if fault.is_damage() => Err(unread(fault)),
            Err(fault) => return Err(fault),
        });
    }
    session.execute(GO_ON, within).await?;
    Ok(found)
}

/// A record whose revision is in this column, and its bytes in the next.
pub(super) fn record(row: &Row, at: usize) -> Result<Record, Fault> {
    let bytes: Vec<u8> = column(row, at + 1)?;
    Ok(Record { revision: revision(column(row, at)?), bytes: bytes.into() })
}

/// One of those who read what waits.
pub(super) async fn run(shared: Arc<Shared>, queue: Arc<Mutex<mpsc::Receiver<Asked>>>) {
    let mut at_hand = None;
    loop {
        let mut asked = Vec::new();
        if queue.lock().await.recv_many(&mut asked, TOGETHER).await == 0 {
            return;
        }
        asked.retain(|one| !one.reply.is_closed());
        let mut answer = Err(Fault::Late);
        for _ in 0..TRIES {
            answer = attempt(&shared, &asked, &mut at_hand).await;
            match &answer {
                Ok(_) => break,
                Err(fault) if fault.is_of_one() => break,
                Err(_) => {
                    shared.doubted.notify_one();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        match answer {
            Ok(found) => {
                let mut found = found.into_iter();
                for one in asked {
                    let parts = found.by_ref().take(one.parts.len()).map(Ok).collect();
                    // A caller that has stopped waiting does not want to know.
                    let _ = one.reply.send(Ok(parts));
                }
            }
            // One of them is refused for what it asks for: the others are not.
            Err(fault) if fault.is_of_one() => {
                for one in asked {
                    let found = alone(&shared, &one.parts, &mut at_hand).await;
                    let _ = one.reply.send(found);
                }
            }
            Err(fault) => {
                for one in asked {
                    let _ = one.reply.send(Err(fault.clone()));
                }
            }
        }
    }
}

/// A connection that reads, with its statement.
type Reading = (Session, Statement);

async fn reading(shared: &Shared, at_hand: &mut Option<Reading>) -> Result<Reading, Fault> {
    match at_hand.take() {
        Some(kept) if shared.is_good(&kept.0) => Ok(kept),
        _ => {
            let session = shared.session(None).await?;
            let text = if shared.answers.is_on() {
                format!("{READ}{AND_MOMENT}")
            } else {
                READ.to_owned()
            };
            let statement = session.prepare(&text, &READ_TYPES).await?;
            Ok((session, statement))
        }
    }
}

async fn attempt(
    shared: &Shared,
    asked: &[Asked],
    at_hand: &mut Option<Reading>,
) -> Result<Vec<Option<Found>>, Fault> {
    let (session, statement) = reading(shared, at_hand).await?;
    let parts = asked.iter().flat_map(|one| &one.parts);
    let answer = read(&session, &statement, parts.clone(), shared.options().commit_time).await?;
    shared.is_fresh(session.primary)?;
    if let Some(at) = answer.at {
        for (part, found) in parts.zip(&answer.found) {
            if let Part::Key(space, key) = part
                && let Some(space) = shared.spaces.space(*space)
            {
                let record = found.as_ref().map(|found| &found.record);
                shared.answers.learn(session.primary, at, space, key, record);
            }
        }
    }
    *at_hand = Some((session, statement));
    Ok(answer.found)
}

async fn alone(
    shared: &Shared,
    parts: &[Part],
    at_hand: &mut Option<Reading>,
) -> Result<Parts, Fault> {
    let (session, statement) = reading(shared, at_hand).await?;
    let within = shared.options().commit_time;
    session.execute(MOMENT, within).await?;
    let found = read_of_moment(&session, &statement, parts, within).await;
    session.execute("rollback", within).await?;
    shared.is_fresh(session.primary)?;
    *at_hand = Some((session, statement));
    found
}
