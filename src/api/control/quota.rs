//! What a domain may take of the server.

use hyper::StatusCode;
use serde_json::value::RawValue;

use super::super::{
    Call, Context, Reply,
    json::{self, Object, ObjectWriter, Writer},
};
use crate::{
    auth::Permit,
    model::{Invalid, Quota, Rate},
    service::{Bounded, Error},
};

/// A rate by its names: how many a second, and how many at once.
type Names = (&'static str, &'static str);

const REQUESTS: Names = ("requestsPerSecond", "requestsBurst");
const WRITES: Names = ("writesPerSecond", "writesBurst");
const SUBJECT: Names = ("subjectRequestsPerSecond", "subjectRequestsBurst");
const SUBJECT_WRITES: Names = ("subjectWritesPerSecond", "subjectWritesBurst");
/// Numbers by their names.
const TOKENS: &str = "tokens";
const SECRETS: &str = "secrets";
const BYTES: &str = "versionBytes";
const WEIGHT: &str = "weight";

const UNKNOWN: Invalid = Invalid(
    "a quota says requestsPerSecond, writesPerSecond, subjectRequestsPerSecond and subjectWritesPerSecond, each with a burst \
     where it is not ten seconds' worth (requestsBurst, writesBurst, subjectRequestsBurst, subjectWritesBurst), tokens, secrets, versionBytes and weight; nothing else is known",
);
const NO_RATE: Invalid = Invalid("a burst belongs to a rate: name both, or neither");
const NOT_WHOLE: Invalid =
    Invalid("a burst, a weight, or a number of tokens, secrets or bytes, is a whole number");

pub(super) async fn get(context: &Context, permit: &Permit, _: &Call) -> Result<Reply, Error> {
    Ok(reply(&context.service.quotas.get(permit).await?))
}

pub(super) async fn put(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    let mut body = Object::from_body(&call.body)?;
    let quota = Quota {
        requests: rate(&mut body, REQUESTS)?,
        writes: rate(&mut body, WRITES)?,
        subject_requests: rate(&mut body, SUBJECT)?,
        subject_writes: rate(&mut body, SUBJECT_WRITES)?,
        tokens: taken(&mut body, TOKENS)?.map(whole).transpose()?,
        secrets: taken(&mut body, SECRETS)?.map(whole).transpose()?,
        bytes: taken(&mut body, BYTES)?.map(whole).transpose()?,
        weight: taken(&mut body, WEIGHT)?.map(whole).transpose()?,
    };
    if body.has_unknown() {
        return Err(UNKNOWN.into());
    }
    Ok(reply(&context.service.quotas.put(permit, quota).await?))
}

pub(super) async fn delete(context: &Context, permit: &Permit, _: &Call) -> Result<Reply, Error> {
    context.service.quotas.delete(permit).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn taken<'a>(body: &mut Object<'a>, name: &str) -> Result<Option<&'a RawValue>, Invalid> {
    Ok(json::non_null(body.take(&[name])?))
}

fn whole(raw: &RawValue) -> Result<u64, Invalid> {
    // JSON's own words for numbers have signs, points and exponents besides.
    raw.get().parse().map_err(|_| NOT_WHOLE)
}

fn rate(body: &mut Object<'_>, (name, burst): Names) -> Result<Option<Rate>, Invalid> {
    let burst = taken(body, burst)?.map(whole).transpose()?;
    match taken(body, name)? {
        Some(rate) => Rate::parse(rate.get(), burst).map(Some),
        None if burst.is_some() => Err(NO_RATE),
        None => Ok(None),
    }
}

fn reply(Bounded { whole, own }: &Bounded) -> Reply {
    let rates = [
        (REQUESTS, whole.requests, own.requests),
        (WRITES, whole.writes, own.writes),
        (SUBJECT, whole.subject_requests, own.subject_requests),
        (SUBJECT_WRITES, whole.subject_writes, own.subject_writes),
    ];
    let numbers = [
        (TOKENS, whole.tokens, own.tokens),
        (SECRETS, whole.secrets, own.secrets),
        (BYTES, whole.bytes, own.bytes),
        (WEIGHT, whole.weight, own.weight),
    ];
    Reply::json(Writer::object(|out| {
        let named = rates.iter().filter(|(.., own)| own.is_some()).map(|((name, _), ..)| *name);
        let counted = numbers.iter().filter(|(.., own)| own.is_some()).map(|(name, ..)| *name);
        out.texts("own", named.chain(counted));
        for ((name, burst), rate, _) in rates {
            write(out, burst, rate.map(|rate| rate.burst().to_string()));
            write(out, name, rate.map(|rate| rate.to_string()));
        }
        for (name, number, _) in numbers {
            write(out, name, number.map(|number| number.to_string()));
        }
    }))
}

/// A number, or that there is no bound.
fn write(out: &mut ObjectWriter<'_>, name: &str, number: Option<String>) {
    match number {
        Some(number) => out.raw(name, number.as_bytes()),
        None => out.null(name),
    }
}
