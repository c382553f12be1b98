//! What the server says of itself, in Vault's words. There is nothing to unseal, and one server.

use hyper::StatusCode;
use uuid::Uuid;

use super::{
    super::{Call, Context, Failed, Problem, Reply, query},
    asked::Asked,
    envelope::raw,
    fields,
};
use crate::{
    auth::{Action, RegionPermit},
    model::Invalid,
    service::Health,
};

/// The version of Vault's API that is spoken, which clients compare, and our own.
pub(super) const VERSION: &str = concat!("1.21.0+okmsd.", env!("CARGO_PKG_VERSION"));
const NOTHING_TO_DO: Invalid =
    Invalid("there is nothing to initialize, seal or unseal: the server starts by itself");

#[expect(clippy::unnecessary_wraps, reason = "as every handler")]
pub(super) fn seal_status(context: &Context, _: &Call) -> Result<Reply, Failed> {
    Ok(raw(|out| {
        out.text("build_date", "");
        out.text("cluster_id", &cluster_id(context));
        out.text("cluster_name", &context.region);
        out.boolean("initialized", true);
        out.boolean("migration", false);
        out.number("n", 0u32);
        out.text("nonce", "");
        out.number("progress", 0u32);
        out.boolean("recovery_seal", false);
        out.boolean("sealed", context.service.health() == Health::Down);
        out.text("storage_type", "redb");
        out.number("t", 0u32);
        out.text("type", "okmsd");
        out.text("version", VERSION);
    }))
}

#[expect(clippy::unnecessary_wraps, reason = "as every handler")]
pub(super) fn leader(_: &Context, _: &Call) -> Result<Reply, Failed> {
    Ok(raw(|out| {
        out.text("active_time", "0001-01-01T00:00:00Z");
        out.boolean("ha_enabled", false);
        out.boolean("is_self", false);
        out.text("leader_address", "");
        out.text("leader_cluster_address", "");
        out.boolean("performance_standby", false);
        out.number("performance_standby_last_remote_wal", 0u32);
    }))
}

#[expect(clippy::unnecessary_wraps, reason = "as every handler")]
pub(super) fn init_status(_: &Context, _: &Call) -> Result<Reply, Failed> {
    Ok(raw(|out| out.boolean("initialized", true)))
}

/// The server's figures, in the one form that they have here.
pub(super) fn metrics(
    context: &Context,
    permit: &RegionPermit,
    call: &Call,
) -> Result<Reply, Failed> {
    permit.check(Action::MetricsGet)?;
    if query::parameter(call.query(), "format")?.as_deref() != Some("prometheus") {
        return Err(Problem::OnlyPrometheus.into());
    }
    Ok(Reply::ok("text/plain; version=0.0.4; charset=utf-8", (context.figures)()))
}

/// Vault's health: its codes can be chosen in the query.
pub(super) fn health(context: &Context, call: &Call) -> Result<Reply, Failed> {
    const RANGE: std::ops::RangeInclusive<i64> = 200..=599;
    let health = context.service.health();
    let code = |name, default| {
        let chosen = fields::query_int(call, name)?.unwrap_or(i64::from(default));
        let chosen =
            u16::try_from(chosen).ok().filter(|chosen| RANGE.contains(&i64::from(*chosen)));
        let status = chosen.and_then(|chosen| StatusCode::from_u16(chosen).ok());
        status.ok_or_else(|| fields::wrong(name, "expected a status code from 200 to 599"))
    };
    let (active, standby, sealed) =
        (code("activecode", 200)?, code("standbycode", 429)?, code("sealedcode", 503)?);
    code("uninitcode", 501)?;
    let standby_is_fine = fields::query_flag(call, "standbyok")?;
    let status = match health {
        Health::Ready => active,
        // Reads work and writes do not: what Vault calls standing by.
        Health::ReadOnly if standby_is_fine => active,
        Health::ReadOnly => standby,
        Health::Down => sealed,
    };
    let reply = raw(|out| {
        out.text("cluster_id", &cluster_id(context));
        out.text("cluster_name", &context.region);
        out.boolean("initialized", true);
        out.boolean("performance_standby", false);
        out.text("replication_dr_mode", "disabled");
        out.text("replication_performance_mode", "disabled");
        out.boolean("sealed", health == Health::Down);
        out.number("server_time_utc", u64::try_from(call.now.unix_seconds()).unwrap_or_default());
        out.boolean("standby", health == Health::ReadOnly);
        out.text("version", VERSION);
    });
    Ok(Reply { status, ..reply })
}

/// Clients want a cluster to have an id: the region's name makes one that does not change.
fn cluster_id(context: &Context) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("urn:okmsd:{}", context.region).as_bytes())
        .to_string()
}

/// What is said of what Vault has and this server not yet.
pub(super) async fn not_served(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let mut segments = asked.call.params.address.path.split('/');
    let what = match (segments.next().unwrap_or_default(), segments.next().unwrap_or_default()) {
        ("sys", "policy" | "policies") => "policies are",
        ("sys", "quotas") => "other quotas than those of rates (rate-limit) are",
        ("sys", "auth") => "other ways to log in are",
        ("auth", "userpass") => "userpass is",
        ("auth", "token") => "this way of asking about tokens is",
        ("auth", "cert") => "roles of certificates are",
        ("auth", _) => "this way to log in is",
        ("sys", "unseal" | "seal" | "init") => return Err(NOTHING_TO_DO.into()),
        ("sys", _) => "leases are",
        _ => "the database secrets engine is",
    };
    Err(Problem::BadInput.with(&[&format!("{what} not served by okmsd")]))
}
