//! A store of what another one had.
//!
//! Always holds: all of it is one transaction, and nobody commits anything beside it. Never does: add to a store that
//! has something.

use std::pin::pin;

use tokio_postgres::{binary_copy::BinaryCopyInWriter, types::Type};

use super::{
    connect::Connector, fault::Fault, options::PostgresOptions, schema::check, shared::column,
};
use crate::store::export::{Import, ImportError};

/// Why a store was not filled. It is as it was then.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// It has something.
    #[error(
        "the store in the database is not empty: an import needs a new one, which `okmsd store init` makes"
    )]
    NotNew,
    /// What it is filled with.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The database.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Fills a store that was made and has nothing with what is imported, and gives the number of its records.
///
/// # Errors
/// Where it has something; what the server says, or the import.
pub async fn fill(options: &PostgresOptions, import: &mut Import<'_>) -> Result<u64, FillError> {
    let session = Connector::new(options.clone()).elect().await?;
    let spaces = check(&session, options).await?.spaces;
    let within = options.settle_time;
    session.execute("begin", within).await?;
    let origin = import.origin();
    let [after, moment] = [Some(origin.revision.0), origin.moment]
        .map(|number| number.and_then(|number| i64::try_from(number).ok()));
    // As a commit of everything: behind all that there was, here and there.
    let head = "update okms.head set rev = ((greatest(rev, $1) >> 16) + 1) << 16, moment = greatest(moment, $2) \
         returning rev, exists (select from okms.record)";
    let rows = session.once(head, &[(&after, Type::INT8), (&moment, Type::INT8)], within).await?;
    let row = rows.first().ok_or(Fault::Late)?;
    let (revision, is_used): (i64, bool) = (column(row, 0)?, column(row, 1)?);
    if is_used {
        return Err(FillError::NotNew);
    }
    let types = [Type::INT2, Type::BYTEA, Type::INT8, Type::BYTEA];
    let sink =
        session.copy("copy okms.record (space, k, rev, v) from stdin (format binary)").await?;
    let mut copy = pin!(BinaryCopyInWriter::new(sink, &types));
    for record in import {
        let (space, key, bytes) = record?;
        copy.as_mut()
            .write(&[&spaces.number(space), &key, &revision, &bytes])
            .await
            .map_err(Fault::from)?;
    }
    let count = copy.finish().await.map_err(Fault::from)?;
    // Whoever follows begins here.
    session.execute("update okms.head set floor = rev; commit", within).await?;
    if session.was_warned() {
        return Err(Fault::NotDurable("it has warned while the import was committed").into());
    }
    Ok(count)
}
