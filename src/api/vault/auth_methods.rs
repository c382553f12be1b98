//! The ways to log in.

use super::{
    super::{Failed, Problem, Reply, json::ObjectWriter},
    asked::Asked,
    envelope::{self, also_at_top_level, ttls},
    fields::{self, Fields},
};

pub(super) async fn list(asked: &Asked<'_>) -> Result<Reply, Failed> {
    Ok(also_at_top_level(asked.call, auth_mounts))
}

/// A way to log in.
struct AuthMethod {
    kind: &'static str,
    uuid: &'static str,
    description: &'static str,
}

/// The ways to log in. Clients want ids; these name nothing that could change.
const AUTH_METHODS: [AuthMethod; 3] = [
    AuthMethod {
        kind: "cert",
        uuid: "a95e1f5e-9a2f-4c11-8a52-7b0c9c2f3a01",
        description: "client certificates of the domain",
    },
    AuthMethod {
        kind: "token",
        uuid: "a95e1f5e-9a2f-4c11-8a52-7b0c9c2f3a02",
        description: "token based credentials",
    },
    AuthMethod {
        kind: "userpass",
        uuid: "a95e1f5e-9a2f-4c11-8a52-7b0c9c2f3a03",
        description: "users with a password, beside a certificate of the domain",
    },
];

/// The ways to log in.
pub(super) fn auth_mounts(out: &mut ObjectWriter<'_>) {
    for method in &AUTH_METHODS {
        out.object(&format!("{}/", method.kind), |out| method.members(out));
    }
}

impl AuthMethod {
    /// The one that the path names.
    fn of(asked: &Asked<'_>, unless: impl FnOnce(&str) -> Failed) -> Result<&'static Self, Failed> {
        let name = asked.name();
        AUTH_METHODS.iter().find(|method| method.kind == name).ok_or_else(|| unless(name))
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

pub(super) async fn read(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let method = AuthMethod::of(asked, |name| Problem::NoAuthMethod.with(&[name]))?;
    Ok(also_at_top_level(asked.call, |out| method.members(out)))
}

/// Scripts turn on what they then use. All that there is is on, so that nothing is left to do.
pub(super) async fn enable(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let method = AuthMethod::of(asked, |_| Problem::LoginElsewhere.into())?;
    let body = fields::body(asked.call)?;
    let mut fields = Fields::parse(&body)?;
    if fields.text("type")?.as_deref() != Some(method.kind) {
        return Err(Problem::LoginElsewhere.into());
    }
    // What else can be said of one, its lives among it, is the operator's config.
    for known in ["path", "description", "config", "options", "local", "seal_wrap", "plugin_name"] {
        fields.take(known)?;
    }
    fields.take("external_entropy_access")?;
    Ok(envelope::nothing(asked.call, envelope::SYSTEM, &fields.warnings()))
}

/// How long tokens live, as the operator's config has it.
pub(super) async fn read_tune(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let method =
        AuthMethod::of(asked, |name| Problem::NothingToTune.with(&[&format!("auth/{name}")]))?;
    let life = (asked.context.token_life)();
    Ok(also_at_top_level(asked.call, |out| {
        out.number("default_lease_ttl", life.default);
        out.text("description", method.description);
        out.boolean("force_no_cache", false);
        out.number("max_lease_ttl", life.max);
        out.text("token_type", "default-service");
    }))
}
