//! The ways to log in.

use super::{
    super::{Reply, json::ObjectWriter},
    asked::Asked,
    envelope::{also_at_top_level, ttls},
    failure::Failure,
};

pub(super) async fn list(asked: &Asked<'_>) -> Result<Reply, Failure> {
    Ok(also_at_top_level(asked.call, auth_mounts))
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
    fn of(asked: &Asked<'_>, refused: impl FnOnce(&str) -> String) -> Result<&'static Self, Failure> {
        let name = asked.name();
        AUTH_METHODS.iter().find(|method| method.kind == name).ok_or_else(|| Failure::Refused(refused(name)))
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

pub(super) async fn read(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let method = AuthMethod::of(asked, |name| format!("No auth engine at {name}/"))?;
    Ok(also_at_top_level(asked.call, |out| method.members(out)))
}

/// How long tokens live, as the operator's config has it.
pub(super) async fn read_tune(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let method = AuthMethod::of(asked, |name| format!("cannot fetch sysview for path \"auth/{name}/\""))?;
    let life = asked.context.token_life;
    Ok(also_at_top_level(asked.call, |out| {
        out.number("default_lease_ttl", life.default);
        out.text("description", method.description);
        out.boolean("force_no_cache", false);
        out.number("max_lease_ttl", life.max);
        out.text("token_type", "default-service");
    }))
}
