//! What goes on beside reads and writes: making sure that something can be made durable, finding who takes writes, and
//! reading what others have committed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{
    connect::Session,
    fault::Fault,
    options::RequireSync,
    shared::{PAUSE, Shared, column, revision, stored},
    touched,
};
use crate::{
    seldom::Seldom,
    store::engine::{Change, Observer, Revision},
};

/// How often something is made durable.
const BEAT: Duration = Duration::from_millis(300);
/// How often the log is looked at where nobody says that there is something.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is looked whether somebody else was promoted while all goes well.
const AROUND: Duration = Duration::from_secs(5);
/// So many changes are read at once.
const AT_ONCE: i64 = 1024;
/// How often the past is forgotten.
const FORGET: Duration = Duration::from_secs(30);
/// The same trouble is told again after so long.
const AGAIN: Duration = Duration::from_secs(10);
/// Nobody waits longer for a beat.
const UNANSWERED: Duration = Duration::from_secs(24 * 60 * 60);
/// How far the clocks of this machine and of the server's may be apart before it is worth a word.
const SKEW: Duration = Duration::from_secs(2);

const BEGIN: &str = "insert into okms.process (id, about) values ($1, $2) \
     on conflict (id) do update set at = clock_timestamp() \
     returning (extract(epoch from clock_timestamp()) * 1000000000)::bigint, \
     current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on', \
     current_setting('synchronous_standby_names') <> '', exists (select from okms.cut)";

/// Makes something durable for the first time, before anything is answered; says by which name this process is known.
///
/// # Errors
/// Why that cannot be done.
pub(super) async fn begin(shared: &Shared) -> Result<Uuid, Fault> {
    let id = Uuid::new_v4();
    let beat = timeout(shared.options().settle_time, one_beat(shared, None, id));
    beat.await.map_err(|_| Fault::Stale)??;
    Ok(id)
}

/// Makes something durable again and again, and compares the clocks; where that fails, looks for who takes writes.
pub(super) async fn beat(shared: Arc<Shared>, id: Uuid, observer: Arc<dyn Observer>) {
    let mut at_hand: Option<Session> = None;
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_skewed = false;
    let told = Seldom::new(AGAIN);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.doubted.notified() => {}
        }
        match answered(&shared, at_hand.take(), id).await {
            Ok((session, theirs)) => {
                let ours = observer.moment().unwrap_or(theirs);
                let skew = Duration::from_nanos(theirs.abs_diff(ours));
                if (skew > SKEW) != is_skewed {
                    is_skewed = !is_skewed;
                    if is_skewed {
                        tracing::warn!(
                            seconds = skew.as_secs(),
                            "the clock of the database's machine and this one's differ: ends of secrets and tokens come too early or too late"
                        );
                    }
                }
                at_hand = Some(session);
            }
            Err(fault) => {
                if told.due().is_some() {
                    tracing::warn!(error = %fault, "PostgreSQL cannot make anything durable; looking for who takes writes");
                }
                match shared.connector.elect().await {
                    Ok(session) => {
                        shared.elected(session.primary);
                        at_hand = Some(session);
                    }
                    Err(fault) => {
                        tracing::debug!(error = %fault, "nobody takes writes");
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }
}

/// A beat, for whose answer is waited as long as nobody else takes writes: one that is given up holds a connection for as
/// long as the server waits for its standby.
async fn answered(
    shared: &Shared,
    at_hand: Option<Session>,
    id: Uuid,
) -> Result<(Session, u64), Fault> {
    let mut beat = Box::pin(one_beat(shared, at_hand, id));
    loop {
        match timeout(shared.options().max_stale, &mut beat).await {
            Ok(answer) => return answer,
            Err(_) => match shared.connector.elect().await {
                Ok(session) if session.primary != shared.primary() => return Err(Fault::Late),
                _ => {}
            },
        }
    }
}

async fn one_beat(
    shared: &Shared,
    at_hand: Option<Session>,
    id: Uuid,
) -> Result<(Session, u64), Fault> {
    let (options, began) = (shared.options(), Instant::now());
    let session = match at_hand {
        Some(session) if shared.is_good(&session) => session,
        // Somebody else may take writes meanwhile, beside the one that this was with.
        Some(_) => return Err(Fault::Lost("it has ended".into())),
        None => shared.connector.to(shared.primary()).await?,
    };
    let about = concat!("okmsd ", env!("CARGO_PKG_VERSION"));
    let asked: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&id, Type::UUID), (&about, Type::TEXT)];
    let rows = session.once(BEGIN, &asked, UNANSWERED).await?;
    if session.was_warned() {
        return Err(Fault::Stale);
    }
    let holds = |column| rows.first().is_some_and(|row| row.try_get(column).unwrap_or(false));
    // What was looked at when the store was opened may have been changed since, or another server may not have it so.
    match options.require_sync {
        RequireSync::Yes | RequireSync::Provider if !holds(1) => {
            return Err(Fault::NotDurable("fsync or full_page_writes is off"));
        }
        RequireSync::Yes if !holds(2) => {
            return Err(Fault::NotDurable("synchronous_standby_names is empty"));
        }
        _ => {}
    }
    if holds(3) {
        shared.left_over.notify_one();
    }
    let theirs: i64 = rows.first().map(|row| column(row, 0)).transpose()?.ok_or(Fault::Late)?;
    shared.acknowledged(began);
    shared.connector.made_durable(&session);
    Ok((session, u64::try_from(theirs).unwrap_or(0)))
}

/// Looks whether somebody was promoted while the one before goes on: both take writes then, and only one of them is right.
pub(super) async fn look_around(shared: Arc<Shared>) {
    while shared.options().hosts.len() > 1 {
        sleep(AROUND).await;
        match shared.connector.elect().await {
            Ok(session) if session.primary.is_later(shared.primary()) => {
                tracing::warn!(
                    "another server of PostgreSQL was promoted; the one before takes writes nevertheless"
                );
                shared.elected(session.primary);
                shared.doubted.notify_one();
            }
            _ => {}
        }
    }
}

/// Removes from the records what is gone already, a piece at a time.
pub(super) async fn sweep(shared: Arc<Shared>) {
    loop {
        shared.left_over.notified().await;
        // It may be lost, and is done again then.
        let setting = "set synchronous_commit = off";
        match bit_by_bit(&shared, setting, "select okms.sweep()", Duration::ZERO).await {
            Ok(()) => {}
            // Somebody who writes was in the way: the next beat finds it again.
            Err(fault) if fault.is_refusal() => {}
            Err(fault) => {
                tracing::warn!(error = %fault, "what was removed cannot be swept up");
                sleep(BEAT).await;
            }
        }
    }
}

/// Forgets the past, from time to time.
pub(super) async fn forget(shared: Arc<Shared>) {
    loop {
        sleep(FORGET).await;
        // It has time; whoever writes has not.
        let setting = "set lock_timeout = '300ms'";
        let step = "select okms.forget('10 minutes', '1 hour')";
        if let Err(fault) = bit_by_bit(&shared, setting, step, PAUSE).await {
            tracing::warn!(error = %fault, "the log of commits cannot be shortened");
        }
    }
}

/// Does what `step` says, as long as that says that there is more; between, others have as much time as it takes, or this
/// much at least.
async fn bit_by_bit(
    shared: &Shared,
    setting: &str,
    step: &str,
    pause: Duration,
) -> Result<(), Fault> {
    let within = shared.options().commit_time;
    let session = shared.session(None).await?;
    session.execute(setting, within).await?;
    loop {
        let began = Instant::now();
        let rows = session.once(step, &[], within).await?;
        if !rows.first().map(|row| column(row, 0)).transpose()?.unwrap_or(false) {
            return Ok(());
        }
        sleep(began.elapsed().max(pause)).await;
    }
}

const NEWS: &str = "select h.rev, h.floor, l.rev, l.moment, l.touched from okms.head h left join lateral \
     (select rev, moment, touched from okms.log where rev >= $1 order by rev limit $2) l on true order by l.rev";

/// Reads what was committed, by whomever, and tells the feed.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut at_hand = None;
    let told = Seldom::new(AGAIN);
    let mut waiting = Vec::new();
    loop {
        let began = Instant::now();
        // Whoever comes later waits for the next look.
        waiting.append(&mut shared.fences());
        match look(&shared, at_hand.take()).await {
            Ok((session, reached)) => {
                shared.followed(began);
                at_hand = Some(session);
                if let Some(reached) = reached {
                    for fence in waiting.drain(..) {
                        // Somebody who has stopped waiting does not want to know.
                        let _ = fence.send(reached);
                    }
                    // Whoever has committed something, or waits, wants it to be told soon.
                    let _ = timeout(LOOK, shared.news.notified()).await;
                }
            }
            Err(fault) => {
                if told.due().is_some() {
                    tracing::warn!(error = %fault, "what other processes commit cannot be read: nothing is answered until it can");
                }
                waiting.clear();
                shared.doubted.notify_one();
                sleep(PAUSE).await;
            }
        }
    }
}

/// Reads once; says up to where, unless there may be more.
async fn look(
    shared: &Shared,
    at_hand: Option<Session>,
) -> Result<(Session, Option<Revision>), Fault> {
    let session = shared.session(at_hand).await?;
    let after = shared.feed.last();
    let rows = session
        .once(
            NEWS,
            &[(&stored(after), Type::INT8), (&AT_ONCE, Type::INT8)],
            shared.options().commit_time,
        )
        .await?;
    shared.is_of_now(session.primary)?;
    let first =
        rows.first().ok_or_else(|| Fault::Schema("the head of the history is gone".into()))?;
    let (head, floor) = (revision(column(first, 0)?), revision(column(first, 1)?));
    let begun: Option<i64> = column(first, 2)?;
    // Where it was is still there, unless it was forgotten just now: else others have gone on from another past.
    if after < floor || (after > floor && begun.map(revision) != Some(after)) {
        tracing::warn!(
            "what was committed cannot be followed: this process was behind for long, or the database was set back"
        );
        shared.set_back(head);
        shared.answers.clear(session.primary, head);
        shared.feed.skip_to(head);
        return Ok((session, Some(head)));
    }
    let mut count = 0;
    for row in &rows {
        let Some(at) = column::<Option<i64>>(row, 2)?.map(revision) else { continue };
        count += 1;
        if at == after {
            continue;
        }
        let moment: Option<i64> = column(row, 3)?;
        let touched = touched::decode(column(row, 4)?, at, &shared.spaces)
            .ok_or_else(|| Fault::Schema("the log of commits is of no known form".into()))?;
        let moment = moment.and_then(|moment| u64::try_from(moment).ok());
        shared.reached(at);
        let change = Change { revision: at, moment, touched };
        shared.answers.tell(&change);
        shared.feed.tell(change);
    }
    Ok((session, (count < AT_ONCE).then_some(head)))
}
