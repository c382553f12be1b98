//! One moment for several reads: a transaction that only reads, on a connection of its own.
//!
//! Always holds: connections are few, and whoever wants one waits in turn; one that was used comes back without its
//! transaction. Never does: write.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_postgres::{
    Statement,
    types::{ToSql, Type},
};

use super::{
    connect::Session,
    fault::Fault,
    reader::{self, Part, READ, READ_TYPES},
    shared::{Shared, column, most, revision, unread},
};
use crate::store::engine::{Cut, Entry, Fut, Parts, Read, ReadError, Revision, Snapshot, Space};

/// So long one waits for a connection.
const TURN: Duration = Duration::from_secs(10);
/// So long a page of a list may take.
const PAGE: Duration = Duration::from_secs(10);

/// A connection that shows moments, and its statements.
struct View {
    session: Session,
    read: Statement,
    scan: Statement,
    names: Statement,
    keys: Statement,
}

const SCAN: &str = "select k, rev, v from okms.live where (space, k) >= ($1, $2) and (space, k) < ($1, $3) \
     order by space, k limit $4";
const KEYS: &str = "select k from okms.live where (space, k) >= ($1, $2) and (space, k) < ($1, $3) \
     order by space, k limit $4";
const NAMES: &str = "select okms.names($1, $2, $3, $5, $6, $4)";

impl View {
    async fn open(shared: &Shared) -> Result<Self, Fault> {
        let session = shared.session(None).await?;
        let read = session.prepare(READ, &READ_TYPES).await?;
        let range = [Type::INT2, Type::BYTEA, Type::BYTEA, Type::INT8];
        let scan = session.prepare(SCAN, &range).await?;
        let keys = session.prepare(KEYS, &range).await?;
        let cut = [Type::INT2, Type::BYTEA, Type::BYTEA, Type::INT4, Type::INT4, Type::INT4];
        let names = session.prepare(NAMES, &cut).await?;
        Ok(Self { session, read, scan, names, keys })
    }
}

/// The connections that show moments.
pub(super) struct Views {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<View>>,
}

impl Views {
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(shared.options().view_connections));
        Arc::new(Self { shared: Arc::clone(shared), turns, idle: Mutex::default() })
    }

    fn idle(&self) -> Option<View> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, view: View) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(view);
    }

    /// The newest moment.
    pub(super) async fn snapshot(self: &Arc<Self>) -> Result<PostgresSnapshot, ReadError> {
        let turn = timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(|| unread(Fault::Busy))?;
        let mut fault = Fault::Late;
        for _ in 0..3 {
            match self.begin().await {
                Ok((view, at)) => {
                    let views = Arc::clone(self);
                    let runtime = Handle::current();
                    return Ok(PostgresSnapshot {
                        view: Some(view),
                        at,
                        views,
                        runtime,
                        turn: Some(turn),
                    });
                }
                Err(other) => fault = other,
            }
            self.shared.doubted.notify_one();
            tokio::time::sleep(super::shared::PAUSE).await;
        }
        Err(unread(fault))
    }

    async fn begin(&self) -> Result<(View, Revision), Fault> {
        let within = self.shared.options().commit_time;
        let mut idle = std::iter::from_fn(|| self.idle());
        let view = match idle.find(|view| self.shared.is_good(&view.session)) {
            Some(view) => view,
            None => View::open(&self.shared).await?,
        };
        // Both go at once.
        let (begun, rows) = tokio::join!(
            view.session.execute(reader::MOMENT, within),
            view.session.once("select rev from okms.head", &[], within),
        );
        begun?;
        let at = rows?.first().map(|row| column(row, 0)).transpose()?.ok_or(Fault::Late)?;
        self.shared.is_fresh(view.session.primary)?;
        Ok((view, revision(at)))
    }
}

/// The store at one moment.
pub(super) struct PostgresSnapshot {
    view: Option<View>,
    at: Revision,
    views: Arc<Views>,
    runtime: Handle,
    turn: Option<OwnedSemaphorePermit>,
}

impl PostgresSnapshot {
    fn view(&self) -> Result<&View, Fault> {
        self.view.as_ref().ok_or(Fault::Late)
    }

    fn number(&self, space: Space) -> i16 {
        self.views.shared.spaces.number(space)
    }

    async fn parts(&self, reads: &[Read<'_>]) -> Result<Parts, Fault> {
        let view = self.view()?;
        let spaces = &self.views.shared.spaces;
        let parts: Vec<_> = reads.iter().map(|read| Part::of(read, spaces)).collect();
        let within = self.views.shared.options().commit_time;
        reader::read_of_moment(&view.session, &view.read, &parts, within).await
    }

    async fn page(
        &self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let session = &self.view()?.session;
        let rows = session.query(statement, parameters, PAGE).await;
        if rows.as_ref().is_err_and(Fault::is_refusal) {
            session.execute(reader::GO_ON, PAGE).await?;
        }
        rows
    }

    async fn entries(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, Fault> {
        let statement = &self.view()?.scan;
        let rows = self.page(statement, &[&self.number(space), &from, &to, &most(limit)]).await?;
        rows.iter().map(|row| Ok((column(row, 0)?, reader::record(row, 1)?))).collect()
    }

    async fn names(
        &self,
        space: Space,
        (from, to): (&[u8], &[u8]),
        cut: Option<Cut>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let view = self.view()?;
        let number = self.number(space);
        let rows = match cut {
            None => self.page(&view.keys, &[&number, &from, &to, &most(limit)]).await?,
            Some(cut) => {
                let count = i32::try_from(limit).unwrap_or(i32::MAX);
                let behind = i32::try_from(cut.behind).unwrap_or(i32::MAX);
                let separator = i32::from(cut.separator);
                let asked: [&(dyn ToSql + Sync); 6] =
                    [&number, &from, &to, &count, &behind, &separator];
                self.page(&view.names, &asked).await?
            }
        };
        rows.iter().map(|row| column(row, 0)).collect()
    }
}

impl Drop for PostgresSnapshot {
    fn drop(&mut self) {
        let (Some(view), turn) = (self.view.take(), self.turn.take()) else { return };
        let views = Arc::clone(&self.views);
        self.runtime.spawn(async move {
            let within = views.shared.options().commit_time;
            if view.session.execute("rollback", within).await.is_ok() {
                views.put_back(view);
            }
            drop(turn);
        });
    }
}

impl Snapshot for PostgresSnapshot {
    fn revision(&self) -> Revision {
        self.at
    }

    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>> {
        Box::pin(async { self.parts(parts).await.map_err(unread) })
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        limit: usize,
    ) -> Fut<'a, Result<Vec<Entry>, ReadError>> {
        Box::pin(async move { self.entries(space, from, to, limit).await.map_err(unread) })
    }

    fn keys<'a>(
        &'a self,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        cut: Option<Cut>,
        limit: usize,
    ) -> Fut<'a, Result<Vec<Vec<u8>>, ReadError>> {
        Box::pin(async move { self.names(space, (from, to), cut, limit).await.map_err(unread) })
    }
}
