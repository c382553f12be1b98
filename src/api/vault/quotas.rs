//! `sys/quotas/rate-limit`: the rates of a domain's quota, in Vault's words. Each rate has its name, and
//! there are no others: it is another spelling of the same record.

use hyper::StatusCode;

use super::{
    super::{Failed, Problem, Reply},
    asked::Asked,
    envelope::{self, Parts, SYSTEM},
    fields::{self, Fields},
};
use crate::model::{Invalid, Quota, Rate};

/// One of a quota's rates.
type Of = fn(&mut Quota) -> &mut Option<Rate>;

/// The rates by their names, which headers have for them, too.
const RATES: [(&str, Of); 4] = [
    ("requests", |quota| &mut quota.requests),
    ("subject", |quota| &mut quota.subject_requests),
    ("subject-writes", |quota| &mut quota.subject_writes),
    ("writes", |quota| &mut quota.writes),
];

const NAME: Invalid = Invalid(
    "a domain's rates have these names: requests, writes (its changes), subject (the requests of one key), subject-writes",
);
const PATH: Invalid = Invalid(
    "a rate is the whole domain's: leave path empty; mounts, folders and methods of logging in have none of their own",
);
const BLOCK: Invalid = Invalid(
    "block_interval is not served: whoever is beyond a rate is refused until there is room for one more; leave it out, or 0",
);
const ROLE: Invalid = Invalid("role is not served: a rate counts for whoever acts in the domain");
const GROUP: Invalid = Invalid(
    "group_by is not served: the rates requests and writes are the domain's, subject and subject-writes each key's",
);
const NO_RATE: Invalid = Invalid("rate is a positive number of requests in an interval");
const INTERVAL: Invalid = Invalid("interval is a second at least");

pub(super) async fn list(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let mut own = context.service.quotas.get(permit).await?.own;
    let names: Vec<_> = RATES.iter().filter(|(_, of)| of(&mut own).is_some()).collect();
    if names.is_empty() {
        return Err(Problem::KvNotFound.into());
    }
    Ok(envelope::data(call, SYSTEM, &Parts::default(), |out| {
        out.texts("keys", names.iter().map(|(name, _)| *name));
    }))
}

pub(super) async fn read(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let mut own = context.service.quotas.get(permit).await?.own;
    let found = named(asked).ok().and_then(|(name, of)| Some((name, (*of(&mut own))?)));
    let (name, rate) = found.ok_or(Problem::KvNotFound)?;
    // What comes at once is an interval's worth.
    let seconds = rate.depth().div_ceil(1_000_000_000).max(1);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    Ok(envelope::data(call, SYSTEM, &Parts::default(), |out| {
        out.number("block_interval", 0_u32);
        out.text("group_by", if name.starts_with("subject") { "entity_then_ip" } else { "none" });
        out.boolean("inheritable", true);
        out.number("interval", seconds);
        out.text("name", name);
        out.text("path", "");
        out.raw("rate", rate.burst().to_string().as_bytes());
        out.text("role", "");
        out.text("type", "rate-limit");
    }))
}

pub(super) async fn write(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let (_, of) = named(asked)?;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    for (name, fault) in [("path", PATH), ("role", ROLE), ("group_by", GROUP)] {
        if fields.text(name)?.is_some_and(|text| !text.is_empty()) {
            return Err(fault.into());
        }
    }
    if fields.seconds("block_interval")?.is_some_and(|seconds| seconds != 0) {
        return Err(BLOCK.into());
    }
    // The domain is all that there is, and this is another word for the path.
    for name in ["inheritable", "name", "type"] {
        fields.take(name)?;
    }
    let interval = fields.seconds("interval")?.unwrap_or(1);
    let rate = fields.text("rate")?.ok_or(NO_RATE)?;
    let rate = per_interval(&rate, interval)?;
    let change = |own: &mut Quota| *of(own) = Some(rate);
    context.service.quotas.edit(permit, change).await?;
    Ok(envelope::nothing(call, SYSTEM, &fields.warnings()))
}

pub(super) async fn delete(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, .. } = *asked;
    // As Vault has it: what is not there is deleted.
    if let Ok((_, of)) = named(asked) {
        context.service.quotas.edit(permit, |own| *of(own) = None).await?;
    }
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn named(asked: &Asked<'_>) -> Result<(&'static str, Of), Invalid> {
    RATES.into_iter().find(|(name, _)| *name == asked.name()).ok_or(NAME)
}

/// So many requests in so many seconds, and at once after a pause.
fn per_interval(rate: &str, seconds: i64) -> Result<Rate, Invalid> {
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).ok_or(INTERVAL)?;
    let all = Rate::parse(rate, Some(1))?.thousandths();
    Rate::new(all.checked_div(seconds).unwrap_or(0), Some(all.div_ceil(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_what_comes_at_once() {
        for (rate, interval, thousandths, burst) in [
            ("500", 1, 500_000, 500),
            ("100", 60, 1666, 100),
            ("0.5", 1, 500, 1),
            ("2.5", 10, 250, 3),
            ("1", 1000, 1, 1),
        ] {
            let found = per_interval(rate, interval).unwrap();
            assert_eq!((found.thousandths(), found.burst()), (thousandths, burst), "{rate}");
        }
        for (rate, interval) in [("0", 1), ("-1", 1), ("x", 1), ("1", 0), ("1", -1), ("1", 1001)] {
            assert!(per_interval(rate, interval).is_err(), "{rate} {interval}");
        }
    }
}
