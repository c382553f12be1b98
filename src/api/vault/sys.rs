//! What the server says of itself, in Vault's words. There is nothing to unseal, and one server.

use std::collections::HashSet;

use hyper::{Method, StatusCode};

use super::{
    super::{Call, Context, Reply, json::ObjectWriter, query},
    Asked, Failure, VaultOp, auth,
    auth::Named,
    below_base, collapsed, envelope,
    envelope::{Parts, SYSTEM},
    fields::{self, Fields},
    invalid,
    mounts::{raw, ttls},
};
use crate::service::Health;

/// The version of Vault's API that is spoken, which clients compare, and our own.
pub(super) const VERSION: &str = concat!("1.21.0+okmsd.", env!("CARGO_PKG_VERSION"));
/// The most paths of one question about capabilities.
const PATHS_MAX: usize = 1000;

/// What is about no domain: open to everybody, but for the figures, which the edge opens to operators alone.
pub(super) fn open(op: VaultOp, context: &Context, call: &Call) -> Result<Reply, Failure> {
    let health = context.service.health();
    match op {
        VaultOp::Health => self::health(context, call, health),
        VaultOp::SealStatus => Ok(raw(|out| {
            out.text("build_date", "");
            out.text("cluster_id", &cluster_id(context));
            out.text("cluster_name", &context.region);
            out.boolean("initialized", true);
            out.boolean("migration", false);
            out.number("n", 0u32);
            out.text("nonce", "");
            out.number("progress", 0u32);
            out.boolean("recovery_seal", false);
            out.boolean("sealed", health == Health::Down);
            out.text("storage_type", "redb");
            out.number("t", 0u32);
            out.text("type", "okmsd");
            out.text("version", VERSION);
        })),
        VaultOp::Leader => Ok(raw(|out| {
            out.text("active_time", "0001-01-01T00:00:00Z");
            out.boolean("ha_enabled", false);
            out.boolean("is_self", false);
            out.text("leader_address", "");
            out.text("leader_cluster_address", "");
            out.boolean("performance_standby", false);
            out.number("performance_standby_last_remote_wal", 0u32);
        })),
        VaultOp::InitStatus => Ok(raw(|out| out.boolean("initialized", true))),
        VaultOp::Metrics => metrics(context, call),
        _ => Err(Failure::UnsupportedPath),
    }
}

/// The server's figures, in the one form that they have here.
fn metrics(context: &Context, call: &Call) -> Result<Reply, Failure> {
    const ONLY: Failure =
        invalid("the figures are told in Prometheus' form alone: ask for them with ?format=prometheus");
    if query::parameter(call.query(), "format")?.as_deref() != Some("prometheus") {
        return Err(ONLY);
    }
    Ok(Reply::ok("text/plain; version=0.0.4; charset=utf-8", (context.figures)()))
}

/// Vault's health: its codes can be chosen in the query.
fn health(context: &Context, call: &Call, health: Health) -> Result<Reply, Failure> {
    const RANGE: std::ops::RangeInclusive<i64> = 200..=599;
    let code = |name, default| {
        let chosen = fields::query_int(call, name)?.unwrap_or(i64::from(default));
        let chosen = u16::try_from(chosen).ok().filter(|chosen| RANGE.contains(&i64::from(*chosen)));
        let status = chosen.and_then(|chosen| StatusCode::from_u16(chosen).ok());
        status.ok_or_else(|| fields::wrong(name, "expected a status code from 200 to 599"))
    };
    let (active, standby, sealed) = (code("activecode", 200)?, code("standbycode", 429)?, code("sealedcode", 503)?);
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
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, format!("urn:okmsd:{}", context.region).as_bytes()).to_string()
}

/// Data that is beside the envelope's members as well, as older clients look for it there.
pub(super) fn also_at_top_level(call: &Call, members: impl Fn(&mut ObjectWriter<'_>)) -> Reply {
    beside_top_level(call, &members, &members)
}

/// Data, and what is told of it beside the envelope's members.
fn beside_top_level(
    call: &Call,
    data: impl FnOnce(&mut ObjectWriter<'_>),
    members: impl FnOnce(&mut ObjectWriter<'_>),
) -> Reply {
    let mut reply = envelope::data(call, SYSTEM, &Parts { bytes: 1024, ..Parts::default() }, data);
    let again = super::super::json::Writer::object(members);
    if let (Some(inner), Some(outer)) = (again.get(1..), reply.body.strip_suffix(b"}"))
        && inner.len() > 1
    {
        reply.body = [outer, b",", inner].concat().into();
    }
    reply
}

pub(super) fn auth_methods(call: &Call) -> Reply {
    also_at_top_level(call, auth_mounts)
}

/// A way to log in.
struct AuthMethod {
    kind: &'static str,
    uuid: &'static str,
    description: &'static str,
}

/// The ways to log in. Clients want ids; these name nothing that could change.
const AUTH_METHODS: [AuthMethod; 2] = [
    AuthMethod {
        kind: "cert",
        uuid: "a95e1f5e-9a2f-4c11-8a52-7b0c9c2f3a01",
        description: "client certificates of the domain",
    },
    AuthMethod { kind: "token", uuid: "a95e1f5e-9a2f-4c11-8a52-7b0c9c2f3a02", description: "token based credentials" },
];

/// The ways to log in.
pub(super) fn auth_mounts(out: &mut ObjectWriter<'_>) {
    for method in &AUTH_METHODS {
        out.object(&format!("{}/", method.kind), |out| method.members(out));
    }
}

impl AuthMethod {
    /// The one that the path names.
    fn of(call: &Call, refused: impl FnOnce(&str) -> String) -> Result<&'static Self, Failure> {
        let name = collapsed(call.params.key.as_deref().unwrap_or_default())?;
        AUTH_METHODS.iter().find(|method| method.kind == name).ok_or_else(|| Failure::Refused(refused(&name)))
    }

    fn members(&self, out: &mut ObjectWriter<'_>) {
        out.text("accessor", &format!("auth_{}", self.kind));
        out.object("config", |out| {
            ttls(out);
            out.text("token_type", "default-service");
        });
        out.text("description", self.description);
        out.boolean("external_entropy_access", false);
        out.boolean("local", false);
        out.null("options");
        out.boolean("seal_wrap", false);
        out.text("type", self.kind);
        out.text("uuid", self.uuid);
    }
}

pub(super) fn auth_method(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let method = AuthMethod::of(asked.call, |name| format!("No auth engine at {name}/"))?;
    Ok(also_at_top_level(asked.call, |out| method.members(out)))
}

/// How long tokens live, as the operator's config has it.
pub(super) fn auth_tune(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let method = AuthMethod::of(asked.call, |name| format!("cannot fetch sysview for path \"auth/{name}/\""))?;
    let life = asked.context.token_life;
    Ok(also_at_top_level(asked.call, |out| {
        out.number("default_lease_ttl", life.default);
        out.text("description", method.description);
        out.boolean("force_no_cache", false);
        out.number("max_lease_ttl", life.max);
        out.text("token_type", "default-service");
    }))
}

/// What somebody may do at paths: everything below a mount, as there are no policies yet; nothing where nothing is. Who has
/// a token may do what its certificate may, so that of one who is named it matters alone whether the token is good.
pub(super) async fn capabilities(asked: &Asked<'_>, of: Named) -> Result<Reply, Failure> {
    const ALL: [&str; 6] = ["create", "delete", "list", "patch", "read", "update"];
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let mut paths = fields.texts("paths")?;
    paths.extend(fields.texts("path")?);
    if paths.is_empty() || paths.len() > PATHS_MAX {
        return Err(invalid("paths is required: the paths to ask about, at most 1000"));
    }
    match auth::check_named(asked, of, &mut fields).await {
        // The certificate asks about itself.
        Err(Failure::PermissionDenied) if of == Named::Own => {}
        Err(Failure::BadToken) => return Err(invalid("1 error occurred:\n\t* invalid token\n\n")),
        named => named?,
    }
    let config = context.service.domains.config_for_all(permit).await?;
    let (mut answers, mut known): (Vec<(&str, &[&str])>, _) = (Vec::new(), HashSet::new());
    for path in paths.iter().filter(|path| known.insert(path.as_str())) {
        let clean = collapsed(path)?;
        let first = clean.split('/').next().unwrap_or_default();
        let may = config.mount_above(&clean).is_some() || matches!(first, "sys" | "auth");
        answers.push((path, if may { &ALL } else { &["deny"] }));
    }
    let write = |out: &mut ObjectWriter<'_>, taken: &[&str]| {
        for (path, may) in answers.iter().filter(|(path, _)| *path != "capabilities" && !taken.contains(path)) {
            out.texts(path, may.iter().copied());
        }
        if let [(_, may)] = answers.as_slice() {
            out.texts("capabilities", may.iter().copied());
        }
    };
    // A path may be named like a member of the envelope.
    Ok(beside_top_level(call, |out| write(out, &[]), |out| write(out, &envelope::MEMBERS)))
}

/// What is said of what Vault has and this server not yet.
pub(super) fn not_served(call: &Call) -> Failure {
    let path = below_base(call).unwrap_or_default();
    let mut segments = path.split('/');
    let what = match (segments.next().unwrap_or_default(), segments.next().unwrap_or_default()) {
        ("sys", "policy" | "policies") => "policies are",
        ("sys", "audit" | "audit-hash") => "audit devices are",
        ("sys", "auth") => "other ways to log in than certificates are",
        ("auth", "userpass") => "userpass is",
        ("auth", "token") => "this way of asking about tokens is",
        ("auth", "cert") => "roles of certificates are",
        ("auth", _) => "this way to log in is",
        ("sys", "unseal" | "seal" | "init") => return served_by_itself(),
        ("sys", _) => "leases are",
        _ => "the database secrets engine is",
    };
    Failure::Refused(format!("{what} not served by okmsd"))
}

fn served_by_itself() -> Failure {
    Failure::refused("there is nothing to initialize, seal or unseal: the server starts by itself")
}

/// Whether a request has no body, and changes nothing.
#[must_use]
pub(crate) fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD || matches!(method.as_str(), "LIST" | "SCAN")
}
