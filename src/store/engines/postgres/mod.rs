//! The engine for several machines: a PostgreSQL that its users operate already.
//!
//! Any number of equal processes share one database. None is special. The order of commits is the database's: whoever
//! commits holds the row of the head until what he has written is durable, so that there is one history, as in the engine
//! on one machine, and everything that the contract promises of revisions, of the feed and of preconditions follows from
//! that alone. What waits at once in a process is one transaction, so that holding the head costs no more than a sync
//! does on one machine.
//!
//! Owns the schema, the connections and the way to them. Always holds: what was acknowledged is durable as the database
//! promises it, which is looked at before it is used; a read shows every commit that was acknowledged before, anywhere,
//! or fails: a server that could be cut off from the others is not believed for longer than
//! [`PostgresOptions::max_stale`]; a commit that was not answered is looked for. Never does: encryption, key layout,
//! changes of the schema while serving.
//!
//! `connect` makes sessions and elects who is spoken to, `writer` commits a `group` at a time, `reader` and `snapshot`
//! read, `follow` listens to what others do, `schema` makes the tables.

mod answers;
mod connect;
mod fault;
mod fill;
mod follow;
mod group;
mod options;
mod reader;
mod schema;
mod shared;
mod snapshot;
mod spaces;
mod touched;
mod writer;

use std::sync::Arc;

use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task::JoinSet,
};

use self::{
    answers::Known,
    connect::Connector,
    reader::{Asked, Part},
    shared::{Shared, unread},
    snapshot::Views,
};
pub use self::{
    fault::Fault,
    fill::{FillError, fill},
    options::{PostgresHost, PostgresOptions, RequireSync},
    schema::{PostgresStatus, init, peek, status},
};
use crate::store::{
    engine::{
        Batch, Changes, ChangesError, CommitError, Engine, Found, Fut, Health, Observer, Parts,
        Read, ReadError, Revision, Snapshot,
    },
    engines::{lanes::Limits, waiting::Queue},
};

/// So many reads may wait.
const READS: usize = 4096;

/// A store in PostgreSQL.
pub struct PostgresEngine {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    reads: mpsc::Sender<Asked>,
    views: Arc<Views>,
    latest: Option<u64>,
    /// What goes on beside; it ends with the engine.
    _tasks: JoinSet<()>,
}

impl PostgresEngine {
    /// Opens the store, which has to be there.
    ///
    /// # Errors
    /// Who cannot be spoken to, and why; what the schema lacks; which setting would lose what is acknowledged.
    pub async fn open(
        options: PostgresOptions,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, Fault> {
        let connector = Connector::new(options);
        let session = connector.elect().await?;
        let opened = schema::check(&session, &connector.options).await?;
        let readers = connector.options.read_connections.max(1);
        connector.store.get_or_init(|| opened.store);
        let shared = Arc::new(Shared::new(connector, opened.spaces, session.primary, opened.head));
        drop(session);
        let id = follow::begin(&shared).await?;
        let options = shared.options();
        let limits = Limits { batches: options.queue_batches, bytes: options.queue_bytes };
        let queue = Arc::new(Queue::new(limits, &options.weights));
        let (reads, asked) = mpsc::channel(READS);
        let asked = Arc::new(Mutex::new(asked));
        let mut tasks = JoinSet::new();
        for _ in 0..readers {
            tasks.spawn(reader::run(Arc::clone(&shared), Arc::clone(&asked)));
        }
        tasks.spawn(follow::beat(Arc::clone(&shared), id, Arc::clone(&observer)));
        tasks.spawn(follow::follow(Arc::clone(&shared)));
        tasks.spawn(follow::forget(Arc::clone(&shared)));
        tasks.spawn(follow::look_around(Arc::clone(&shared)));
        tasks.spawn(follow::sweep(Arc::clone(&shared)));
        // Not among them: it goes on until what waits is written.
        tokio::spawn(writer::run(Arc::clone(&shared), Arc::clone(&queue), observer));
        let views = Views::new(&shared);
        Ok(Self { shared, queue, reads, views, latest: opened.moment, _tasks: tasks })
    }

    /// What is remembered of all parts, of one moment that is not before this was called.
    async fn remembered(&self, parts: &[Read<'_>]) -> Option<Parts> {
        let answers = &self.shared.answers;
        let keys: Option<Vec<_>> = parts
            .iter()
            .map(|part| match *part {
                Read::Key(space, key) => answers.has(space, key).then_some((space, key)),
                Read::Last(..) => None,
            })
            .collect();
        let (keys, at) = (keys?, self.shared.fence().await?);
        let found = keys.into_iter().map(|(space, key)| answers.get(space, key, at));
        let found: Option<Vec<_>> = found.collect();
        let found = found?.into_iter();
        Some(
            found
                .map(|Known(record)| Ok(record.map(|record| Found { key: None, record })))
                .collect(),
        )
    }

    async fn ask(&self, parts: &[Read<'_>]) -> Result<Parts, Fault> {
        if self.shared.answers.is_on()
            && let Some(found) = self.remembered(parts).await
        {
            return Ok(found);
        }
        let parts = parts.iter().map(|part| Part::of(part, &self.shared.spaces)).collect();
        let (reply, answer) = oneshot::channel();
        self.reads.try_send(Asked { parts, reply }).map_err(|_| Fault::Busy)?;
        answer.await.map_err(|_| Fault::Lost("the store has stopped".into()))?
    }

    async fn follow(&self, after: Revision) -> Result<Changes, ChangesError> {
        // What this process has committed itself it may not have read in the log yet.
        self.shared.feed.until(|told| after <= told || after > self.shared.last()).await;
        self.shared.feed.changes(after).await
    }
}

impl Drop for PostgresEngine {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Engine for PostgresEngine {
    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>> {
        Box::pin(async { self.ask(parts).await.map_err(unread) })
    }

    fn snapshot(&self) -> Fut<'_, Result<Box<dyn Snapshot>, ReadError>> {
        Box::pin(async { Ok(Box::new(self.views.snapshot().await?) as _) })
    }

    fn commit(&self, batch: Batch) -> Fut<'_, Result<Revision, CommitError>> {
        let taken = self.queue.push(batch, self.shared.health());
        Box::pin(async {
            let stopped = |_| CommitError::OutcomeUnknown("the store has stopped".into());
            taken?.await.map_err(stopped)?
        })
    }

    fn changes(&self, after: Revision) -> Fut<'_, Result<Changes, ChangesError>> {
        Box::pin(self.follow(after))
    }

    fn revision(&self) -> Revision {
        self.shared.last()
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn latest(&self) -> Option<u64> {
        self.latest
    }
}
