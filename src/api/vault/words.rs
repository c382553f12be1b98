//! What this dialect says where something goes wrong: Vault's own words.

use super::{
    super::{Call, Failed, Problem},
    asked, fields,
};
use crate::{model::Refused, service::Error};

/// `failed` as it is told to whoever sent `call`.
pub(super) fn of(failed: Failed, call: &Call) -> Failed {
    const METHODS: [&str; 8] = ["GET", "LIST", "SCAN", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
    match (failed.problem, failed.cause.as_deref()) {
        // Without its certificate a token is worth nothing, which Vault says in its way.
        (Problem::Unauthenticated, _) if asked::token(&call.head.headers).is_some() => {
            failed.in_words_of(Problem::PermissionDenied)
        }
        // Nothing is said of a method that Vault's router does not know.
        (Problem::UnknownMethod, _) if !METHODS.contains(&call.head.method.as_str()) => {
            failed.in_words_of(Problem::KvUnknownMethod)
        }
        (_, Some(Error::Refused(Refused::TooManyEntries(number)))) => {
            fields::too_many_entries(*number)
        }
        _ => failed.in_vault(),
    }
}
