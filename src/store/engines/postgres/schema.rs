//! The schema in the database: made once by its owner, looked at by whoever serves.

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::{
    connect::{Connector, Session, is_durable},
    fault::Fault,
    options::{PostgresOptions, RequireSync},
    reader::record,
    shared::{column, revision},
    spaces::Spaces,
};
use crate::store::{
    engine::{Record, Revision, Space},
    kinds,
};

/// The layout of the schema that this program knows.
const LAYOUT: &str = "1";

const SCHEMA: &str = include_str!("schema.sql");

/// What `okmsd store status` tells.
#[derive(Debug)]
pub struct PostgresStatus {
    /// The server that takes writes, as it calls itself.
    pub server: String,
    /// The store's own name.
    pub store: String,
    /// How many commits there have been.
    pub commits: u64,
    /// What the records take on disk, in bytes.
    pub bytes: i64,
    /// What the row of the head takes with its dead versions, which stay while somebody holds an old moment, in bytes.
    pub head_bytes: i64,
    /// How many ranges are gone and still to be swept up.
    pub left_over: i64,
    /// The processes that serve, and for how many seconds they were silent.
    pub processes: Vec<(String, f64)>,
    /// What would lose what is acknowledged.
    pub not_durable: Option<&'static str>,
}

/// What is known of a store when it is opened.
pub(super) struct Opened {
    pub(super) store: String,
    pub(super) spaces: Spaces,
    pub(super) head: Revision,
    pub(super) moment: Option<u64>,
}

async fn meta(
    session: &Session,
    options: &PostgresOptions,
) -> Result<Option<(String, String)>, Fault> {
    let within = options.commit_time;
    let there = session.once("select to_regclass('okms.meta') is not null", &[], within).await?;
    if !there.first().is_some_and(|row| row.try_get(0).unwrap_or(false)) {
        return Ok(None);
    }
    let rows = session
        .once(
            "select (select value from okms.meta where name = 'layout'), \
             (select value from okms.meta where name = 'store')",
            &[],
            within,
        )
        .await?;
    let row = rows.first().ok_or(Fault::Late)?;
    let (layout, store): (Option<String>, Option<String>) = (column(row, 0)?, column(row, 1)?);
    let unfinished = || Fault::Schema("the schema okms in the database is not whole".into());
    let (layout, store) = (layout.ok_or_else(unfinished)?, store.ok_or_else(unfinished)?);
    if layout != LAYOUT {
        return Err(Fault::Schema(format!(
            "the database's schema is of layout {layout}, which a newer okmsd has made, and this one knows {LAYOUT}: start the newer one"
        )));
    }
    Ok(Some((layout, store)))
}

fn none_yet() -> Fault {
    let what = "the database has no store yet: run `okmsd store init` as the owner of the schema";
    Fault::Schema(what.into())
}

/// Looks at the store before it is used.
pub(super) async fn check(session: &Session, options: &PostgresOptions) -> Result<Opened, Fault> {
    let Some((_, store)) = meta(session, options).await? else {
        return Err(none_yet());
    };
    is_durable(session, options).await?;
    let within = options.commit_time;
    let rows = session.once("select id, name from okms.space", &[], within).await?;
    let rows: Result<Vec<_>, Fault> =
        rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect();
    let spaces = Spaces::of(rows?).map_err(|name| {
        Fault::Schema(format!(
            "the database does not know the records `{name}`: run `okmsd store migrate`"
        ))
    })?;
    let rows = session.once("select rev, moment from okms.head", &[], within).await?;
    let row =
        rows.first().ok_or_else(|| Fault::Schema("the head of the history is gone".into()))?;
    let moment: Option<i64> = column(row, 1)?;
    Ok(Opened {
        store,
        spaces,
        head: revision(column(row, 0)?),
        moment: moment.and_then(|moment| u64::try_from(moment).ok()),
    })
}

/// Makes the schema where there is none, and adds to one that is there what this program needs. `role` is who serves,
/// who may read and write rows and nothing else; nobody where the owner serves himself. Says whether it was made, which it
/// is only if it `may_be_new`.
///
/// # Errors
/// What the server says; nothing is changed then.
pub async fn init(
    options: &PostgresOptions,
    role: Option<&str>,
    may_be_new: bool,
) -> Result<bool, Fault> {
    let connector = Connector::new(options.clone());
    let session = connector.elect().await?;
    let within = options.settle_time;
    session.execute("begin; select pg_advisory_xact_lock(hashtext('okmsd store'))", within).await?;
    let is_new = meta(&session, options).await?.is_none();
    if is_new && !may_be_new {
        return Err(none_yet());
    }
    if is_new {
        session.execute(SCHEMA, within).await?;
        let store = Uuid::new_v4().to_string();
        let values = "insert into okms.meta (name, value) values ('layout', $1), ('store', $2)";
        session.once(values, &[(&LAYOUT, Type::TEXT), (&store, Type::TEXT)], within).await?;
    }
    let names: Vec<&str> = kinds::SPACES.iter().map(|space| space.name()).collect();
    let add =
        "insert into okms.space (name) select unnest($1::text[]) on conflict (name) do nothing";
    session.once(add, &[(&names, Type::TEXT_ARRAY)], within).await?;
    if let Some(role) = role {
        let rows = session.once("select quote_ident($1)", &[(&role, Type::TEXT)], within).await?;
        let role: String =
            rows.first().map(|row| column(row, 0)).transpose()?.ok_or(Fault::Late)?;
        let grants = format!(
            "grant usage on schema okms to {role}; \
             grant select, insert, update, delete on okms.record, okms.cut, okms.head, okms.log, okms.outcome, okms.process to {role}; \
             grant select on okms.meta, okms.space, okms.live to {role}; \
             grant execute on all functions in schema okms to {role}"
        );
        session.execute(&grants, within).await?;
    }
    session.execute("commit", within).await?;
    Ok(is_new)
}

/// The record under a key, of a store that is not opened for it.
///
/// # Errors
/// What the server says, or what the schema lacks.
pub async fn peek(
    options: &PostgresOptions,
    space: Space,
    key: &[u8],
) -> Result<Option<Record>, Fault> {
    let connector = Connector::new(options.clone());
    let session = connector.elect().await?;
    let opened = check(&session, options).await?;
    let number = opened.spaces.number(space);
    let asked: [(&(dyn ToSql + Sync), Type); 2] = [(&number, Type::INT2), (&key, Type::BYTEA)];
    let found = "select rev, v from okms.live where space = $1 and k = $2";
    let rows = session.once(found, &asked, options.commit_time).await?;
    rows.first().map(|row| record(row, 0)).transpose()
}

/// How the store is.
///
/// # Errors
/// What the server says.
pub async fn status(options: &PostgresOptions) -> Result<PostgresStatus, Fault> {
    let asked = |require_sync| PostgresOptions { require_sync, ..options.clone() };
    let connector = Connector::new(asked(RequireSync::No));
    let session = connector.elect().await?;
    let opened = check(&session, &connector.options).await?;
    // Also where nothing is required of it.
    let required = match options.require_sync {
        RequireSync::Provider => RequireSync::Provider,
        RequireSync::Yes | RequireSync::No => RequireSync::Yes,
    };
    let not_durable = match is_durable(&session, &asked(required)).await {
        Err(Fault::NotDurable(what)) => Some(what),
        other => other.map(|()| None)?,
    };
    let within = options.commit_time;
    let rows = session
        .once(
            "select current_setting('server_version'), pg_total_relation_size('okms.record')::bigint, \
             pg_relation_size('okms.head')::bigint, (select count(*) from okms.cut)",
            &[],
            within,
        )
        .await?;
    let row = rows.first().ok_or(Fault::Late)?;
    let version: String = column(row, 0)?;
    let processes = session
        .once(
            "select about, extract(epoch from clock_timestamp() - at)::float8 from okms.process order by began",
            &[],
            within,
        )
        .await?;
    let processes: Result<_, Fault> =
        processes.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect();
    Ok(PostgresStatus {
        server: format!("PostgreSQL {version}"),
        store: opened.store,
        commits: opened.head.0 >> 16,
        bytes: column(row, 1)?,
        head_bytes: column(row, 2)?,
        left_over: column(row, 3)?,
        processes: processes?,
        not_durable,
    })
}
