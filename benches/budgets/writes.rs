//! Durable writes by 64 writers, beside raw redb commits that change the same records.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use okmsd::{
    model::{OkmsId, SecretPath},
    store::{
        engine::Space,
        kinds::{header, value, version},
    },
};
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction,
};

use super::{
    Effort, Outcome,
    client::{self, Client, Connection, Dialect},
    note,
    server::{Region, Server, scheduled_seconds},
    table::{Budget, Rounds, Row},
};

pub(super) const WRITERS: usize = 64;
/// The thread of okmsd that commits.
const WRITER_THREAD: &str = "store-writer";
/// How many versions a secret keeps where nobody says otherwise: each write beyond removes the
/// oldest.
const KEPT: u32 = 10;

type Records = TableDefinition<'static, &'static [u8], &'static [u8]>;
type RecordTable<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

const fn records(space: Space) -> Records {
    TableDefinition::new(space.name())
}

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let region = Region::create()?;
    let server = Server::okmsd(&region, &[]).await?;
    let id = region.id()?;
    let mut writers = Writers::create(&region.client(&server)?, id.clone()).await?;
    let raw = Region::create()?;
    let raw = Arc::new(Raw::create(&raw.path("raw.redb"), id.parse()?)?);
    // Until every secret is full, so that all writes do the same.
    for _ in 0..KEPT {
        writers.write(Dialect::Native, Duration::ZERO).await?;
        raw.group(WRITERS)?;
    }
    let (mut rates, mut costs, mut kv) = (Rounds::default(), Rounds::default(), Rounds::default());
    let mut groups = Vec::new();
    for round in 0..effort.rounds {
        note(format_args!("writes, turn {}", round + 1));
        let (before, cpu_before) =
            (batches(&server).await?, server.thread_cpu_seconds(WRITER_THREAD)?);
        let rate = writers.write(Dialect::Native, effort.turn).await?;
        let (after, cpu) =
            (batches(&server).await?, server.thread_cpu_seconds(WRITER_THREAD)? - cpu_before);
        let mean = (after.0 - before.0) / (after.1 - before.1);
        groups.push(mean);
        let raw = Arc::clone(&raw);
        let reference = tokio::task::spawn_blocking(move || raw.run(mean, effort.turn)).await??;
        rates.push(rate, reference.0);
        kv.push(writers.write(Dialect::Kv, effort.turn).await?, rate);
        costs.push(cpu * 1e6 / (after.0 - before.0), reference.1);
    }
    drop((writers, server));
    let (ours, theirs) = (shape(&region.path("okmsd.redb"))?, raw.shape()?);
    if ours != theirs {
        return Err(
            format!("raw redb was not asked to store the same: {ours:?}, {theirs:?}").into()
        );
    }
    let group = super::table::median(groups);
    let what = format!("durable writes of 1 KiB, {WRITERS} writers, {group:.1} in a commit");
    Ok(vec![
        rates.row(what, "/s", Budget::AtLeast(0.75)),
        costs.row("the committing thread's processor time for one".to_owned(), " us", Budget::None),
        kv.row(
            "durable writes over KV2, beside native ones".to_owned(),
            "/s",
            Budget::AtLeast(0.9),
        ),
    ])
}

fn path(writer: usize) -> String {
    format!("bench/writer-{writer:02}")
}

/// Clients that add versions, each to a secret of its own.
pub(super) struct Writers {
    id: String,
    connections: Vec<Connection>,
}

impl Writers {
    /// Connections of a domain's client, and the secrets.
    pub(super) async fn create(client: &Client, id: String) -> Outcome<Self> {
        let mut connections = Vec::new();
        for number in 0..WRITERS {
            let mut connection = client.connect().await?;
            connection.create(&id, &path(number), &client::value(1024)).await?;
            connections.push(connection);
        }
        Ok(Self { id, connections })
    }

    /// Every writer adds versions for so long, and at least one: the writes a second.
    pub(super) async fn write(&mut self, dialect: Dialect, time: Duration) -> Outcome<f64> {
        let body = dialect.update(&client::value(1024));
        let started = Instant::now();
        let connections = std::mem::take(&mut self.connections).into_iter().enumerate();
        let tasks = connections.map(|(number, connection)| {
            tokio::spawn(write_one(
                connection,
                dialect,
                self.id.clone(),
                path(number),
                body.clone(),
                started + time,
            ))
        });
        let tasks: Vec<_> = tasks.collect();
        let mut total = 0;
        for task in tasks {
            let (done, connection) = task.await??;
            total += done;
            self.connections.push(connection);
        }
        Ok(f64::from(total) / started.elapsed().as_secs_f64())
    }
}

async fn write_one(
    mut connection: Connection,
    dialect: Dialect,
    id: String,
    path: String,
    body: Bytes,
    end: Instant,
) -> Outcome<(u32, Connection)> {
    let mut writes = 0;
    loop {
        connection.update(dialect, &id, &path, body.clone()).await?;
        writes += 1;
        if Instant::now() >= end {
            return Ok((writes, connection));
        }
    }
}

/// How many batches became durable, and in how many commits.
async fn batches(server: &Server) -> Outcome<(f64, f64)> {
    Ok((
        server.metric("okmsd_commit_batches_sum").await?,
        server.metric("okmsd_commit_batches_count").await?,
    ))
}

/// redb alone: the same records, without encryption, requests and preconditions.
struct Raw {
    database: Database,
    id: OkmsId,
    paths: Vec<SecretPath>,
    next: std::sync::Mutex<(usize, u32)>,
}

/// The bytes of a stored record. After the run these are checked against okmsd's own.
const HEADER_BYTES: usize = 83;
const VERSION_BYTES: usize = 103;
const VALUE_BYTES: usize = 1048;

impl Raw {
    fn create(file: &Path, id: OkmsId) -> Outcome<Self> {
        // As large a cache as okmsd's.
        let database = Builder::new().set_cache_size(256 << 20).create(file)?;
        let paths = (0..WRITERS).map(|number| path(number).parse()).collect::<Result<_, _>>()?;
        Ok(Self { database, id, paths, next: std::sync::Mutex::new((0, 1)) })
    }

    /// Commits groups of `mean` writes for so long: the writes a second, and the processor time of
    /// one in us.
    fn run(&self, mean: f64, time: Duration) -> Outcome<(f64, f64)> {
        let this = Path::new("/proc/thread-self");
        let (started, cpu_before) = (Instant::now(), scheduled_seconds(this)?);
        let (mut due, mut done) = (0.0, 0.0);
        while started.elapsed() < time {
            due += mean;
            let mut size = 0;
            while done < due {
                size += 1;
                done += 1.0;
            }
            self.group(size)?;
        }
        let cpu = scheduled_seconds(this)? - cpu_before;
        Ok((done / started.elapsed().as_secs_f64(), cpu * 1e6 / done))
    }

    /// One durable commit of so many writes.
    fn group(&self, writes: usize) -> Outcome<()> {
        let mut writing: WriteTransaction = self.database.begin_write()?;
        writing.set_quick_repair(true);
        {
            let mut headers = writing.open_table(records(header::SPACE))?;
            let mut versions = writing.open_table(records(version::SPACE))?;
            let mut values = writing.open_table(records(value::SPACE))?;
            let mut next = self.next.lock().map_err(|_| "a writer failed")?;
            for _ in 0..writes {
                let (index, version) = *next;
                let path = self.paths.get(index).ok_or("there is no such writer")?;
                self.write(&mut headers, &mut versions, &mut values, path, version)?;
                *next = if index + 1 < WRITERS { (index + 1, version) } else { (0, version + 1) };
            }
        }
        Ok(writing.commit()?)
    }

    fn write(
        &self,
        headers: &mut RecordTable<'_>,
        versions: &mut RecordTable<'_>,
        values: &mut RecordTable<'_>,
        path: &SecretPath,
        version: u32,
    ) -> Outcome<()> {
        let key = version::key(self.id, path, version);
        headers.insert(header::key(self.id, path).as_slice(), [7; HEADER_BYTES].as_slice())?;
        versions.insert(key.as_slice(), [7; VERSION_BYTES].as_slice())?;
        values.insert(key.as_slice(), [7; VALUE_BYTES].as_slice())?;
        if let Some(oldest) = version.checked_sub(KEPT).filter(|oldest| *oldest > 0) {
            let key = version::key(self.id, path, oldest);
            versions.remove(key.as_slice())?;
            values.remove(key.as_slice())?;
        }
        Ok(())
    }

    fn shape(&self) -> Outcome<Vec<(usize, usize)>> {
        shape_of(&self.database)
    }
}

/// The lengths of a key and a record in each table.
fn shape(file: &Path) -> Outcome<Vec<(usize, usize)>> {
    shape_of(&Builder::new().open(file)?)
}

fn shape_of(database: &Database) -> Outcome<Vec<(usize, usize)>> {
    let reading = database.begin_read()?;
    [header::SPACE, version::SPACE, value::SPACE]
        .into_iter()
        .map(|space| {
            let table = reading.open_table(records(space))?;
            let (key, record) = table.first()?.ok_or("a table is empty")?;
            Ok((key.value().len(), record.value().len()))
        })
        .collect()
}
