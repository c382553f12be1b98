//! Pages of lists: how many entries are wanted, where a list goes on, and where it is to go on.

use super::{
    super::{Call, Failed, Problem, json::ObjectWriter, page},
    fields::{number, parameter},
};
use crate::service::Error;

/// The fewest and the most entries of a page, and how many there are where nobody says.
const LIMIT: (u32, u32, u32) = (1, 200, 50);
const LIMIT_RULE: &str = "a whole number from 1 to 200";

/// How many entries of a list are wanted.
pub(super) fn limit(call: &Call) -> Result<usize, Failed> {
    Ok(number(call, "limit", LIMIT, LIMIT_RULE)? as usize)
}

/// Where a list goes on.
pub(super) fn paging(out: &mut ObjectWriter<'_>, next: Option<&[u8]>) {
    match next {
        Some(next) => out.text("cursor", &page::text(next)),
        None => out.null("cursor"),
    }
    out.boolean("has_more", next.is_some());
}

/// The cursor that the query brings.
pub(super) fn cursor(call: &Call) -> Result<Option<Vec<u8>>, Failed> {
    let text = parameter(call, "cursor")?;
    let cursor = text.map(page::read).transpose();
    Ok(cursor.map_err(|_| Problem::BadListCursor)?)
}

/// Of lists nothing else can be wrong with what a client sends.
pub(super) fn of_cursor(error: Error) -> Failed {
    match error {
        Error::Invalid(_) => Problem::BadListCursor.into(),
        error => error.into(),
    }
}
