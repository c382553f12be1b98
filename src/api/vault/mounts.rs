//! `sys/mounts`, and what clients ask about mounts elsewhere.

use hyper::StatusCode;
use uuid::Uuid;

use super::{
    super::{Failed, Problem, Reply, json::ObjectWriter},
    address::{collapse, mount_path, new_mount_path},
    asked::Asked,
    auth_methods, envelope,
    envelope::{Parts, SYSTEM},
    fields::{self, Fields},
    status,
};
use crate::{
    auth::Permit,
    model::{DomainConfig, Invalid, MountError, MountPath, OkmsId, SettingsPatch},
    service::{Error, MountPatch, Mounts},
};

const DESCRIPTION: &str = "key/value secret storage";

/// A mount as clients see it.
struct MountView<'a> {
    path: MountPath,
    description: &'a str,
    uuid: Uuid,
}

/// Those of them that the caller may know of.
async fn known<'a>(config: &'a DomainConfig, permit: &Permit) -> Vec<MountView<'a>> {
    let mut known = Vec::new();
    for mount in views(config, permit.okms_id()) {
        if may_know(config, permit, &mount.path) {
            known.push(mount);
        }
        // Each may take a while.
        tokio::task::yield_now().await;
    }
    known
}

fn may_know(config: &DomainConfig, permit: &Permit, path: &MountPath) -> bool {
    config.view(path).is_some_and(|view| Mounts::may_know(permit, &view))
}

/// The mounts of a domain: the one that is always there, and those that were made.
fn views(config: &DomainConfig, id: OkmsId) -> Vec<MountView<'_>> {
    // Of the two names of the whole tree only the first is listed.
    let built_in = MountPath::whole_trees().take(1).map(|path| {
        // The domain's own id is as good a name as any, and never changes.
        MountView {
            path,
            description: default_description(config),
            uuid: Uuid::from_bytes(*id.as_bytes()),
        }
    });
    let made = config.mounts().iter().map(|mount| MountView {
        path: mount.path.clone(),
        description: &mount.description,
        uuid: Uuid::from_bytes(mount.uuid),
    });
    built_in.chain(made).collect()
}

fn default_description(config: &DomainConfig) -> &str {
    if config.description.is_empty() { DESCRIPTION } else { &config.description }
}

pub(super) async fn list(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let config = context.service.mounts.list(permit).await?;
    let mounts = views(&config, permit.okms_id());
    let write = |out: &mut ObjectWriter<'_>| mounts.iter().for_each(|mount| entry(out, mount));
    Ok(envelope::also_at_top_level(call, write))
}

pub(super) async fn read(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let (config, path) = (context.service.mounts.list(permit).await?, path(asked)?);
    let mounts = views(&config, permit.okms_id());
    let mount = mounts.iter().find(|mount| mount.path == path);
    let mount = mount.ok_or_else(|| Problem::NoMount.with(&[path.as_str()]))?;
    Ok(envelope::also_at_top_level(call, |out| members(out, mount)))
}

pub(super) async fn enable(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let kind = fields.text("type")?.unwrap_or_default();
    let version = version(&mut fields)?;
    let is_kv2 = match kind.as_str() {
        "kv-v2" => version.as_deref().is_none_or(|version| version == "2"),
        "kv" | "generic" => version.as_deref() == Some("2"),
        _ => false,
    };
    if !is_kv2 {
        return Err(Problem::NotKv2.with(&[type_of_engine(&kind)]));
    }
    let path = new_mount_path(asked.name())?;
    let description = fields.text("description")?.unwrap_or_default();
    context.service.mounts.enable(permit, &path, &description, &SettingsPatch::default()).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// A word on an engine that people ask for.
fn type_of_engine(kind: &str) -> &'static str {
    match kind {
        "database" => "the database secrets engine is not served by okmsd: ",
        "kv" | "generic" => "version 1 of kv is not served by okmsd: ",
        _ => "",
    }
}

pub(super) async fn disable(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let force = fields::query_flag(call, "force")?;
    let retention = (context.retention_seconds, call.now);
    match context.service.mounts.disable(permit, &path(asked)?, force, retention).await {
        // As Vault has it: what is not there is disabled.
        Ok(()) | Err(Error::Mount(MountError::NotFound)) => {
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives a mount another name.
pub(super) async fn rename(asked: &Asked<'_>) -> Result<Reply, Failed> {
    const BOTH: Invalid = Invalid("both 'from' and 'to' path must be specified as a string");
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let mut named = |name| -> Result<String, Failed> {
        Ok(collapse(&fields.text(name)?.filter(|path| !path.is_empty()).ok_or(BOTH)?)?)
    };
    let (from, to) = (named("from")?, named("to")?);
    let unknown = || Problem::NoMountToMove.with(&[&from]);
    let path: MountPath = mount_path(&from).map_err(|_| unknown())?;
    let moved = context.service.mounts.rename(permit, &path, &new_mount_path(&to)?).await.map_err(
        |error| match error {
            Error::Mount(MountError::NotFound) => unknown(),
            error => error.into(),
        },
    )?;
    Ok(envelope::also_at_top_level(call, |out| out.text("migration_id", &moved.to_string())))
}

/// What became of a move: it is done, or there was none.
pub(super) async fn remount_status(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let config = context.service.mounts.list(permit).await?;
    let id = asked.name().parse::<Uuid>().ok();
    let (mount, moved) =
        id.and_then(|id| config.find_move(id.into_bytes())).ok_or(Error::SecretNotFound)?;
    Ok(envelope::data(call, SYSTEM, &Parts::default(), |out| {
        out.text("migration_id", &Uuid::from_bytes(moved.id).to_string());
        out.object("migration_info", |out| {
            out.text("source_mount", &format!("{}/", moved.from));
            out.text("status", "success");
            out.text("target_mount", &format!("{}/", mount.path));
        });
    }))
}

pub(super) async fn read_tune(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let (config, path) = (context.service.mounts.list(permit).await?, path(asked)?);
    let mounts = views(&config, permit.okms_id());
    let mount = mounts.iter().find(|mount| mount.path == path);
    let mount = mount.ok_or_else(|| Problem::NothingToTune.with(&[path.as_str()]))?;
    Ok(envelope::also_at_top_level(call, |out| {
        envelope::ttls(out);
        out.text("description", mount.description);
        out.object("options", |out| out.text("version", "2"));
    }))
}

pub(super) async fn tune(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let path = path(asked)?;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    match version(&mut fields)?.as_deref() {
        None | Some("2") => {}
        Some("1") => return Err(Invalid("cannot downgrade mount from version 2").into()),
        Some(_) => return Err(Invalid("the version of a kv mount is 2").into()),
    }
    let patch = MountPatch { description: fields.text("description")? };
    let mut warnings = Vec::new();
    for name in ["default_lease_ttl", "max_lease_ttl"] {
        if fields.seconds(name)?.is_some_and(|seconds| seconds != 0) {
            warnings.push(format!("{name} has no effect: secrets have no leases here"));
        }
    }
    context.service.mounts.tune(permit, &path, &patch).await.map_err(|error| match error {
        Error::Mount(MountError::NotFound) => Failed::from(Problem::MountUnknown),
        error => error.into(),
    })?;
    Ok(envelope::nothing(call, SYSTEM, &warnings))
}

/// The version in `options`.
fn version(fields: &mut Fields<'_>) -> Result<Option<String>, Failed> {
    let Some(options) = fields.take("options")? else { return Ok(None) };
    let found = fields::map(options, "options")?.into_iter().find(|(name, _)| name == "version");
    let version = found.map(|(_, raw)| {
        fields::weak_text(raw).ok_or_else(|| fields::wrong("version", "expected text"))
    });
    Ok(version.transpose()?.filter(|version| !version.is_empty()))
}

pub(super) async fn for_interfaces(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let config = context.service.mounts.config(permit).await?;
    let mounts = known(&config, permit).await;
    Ok(envelope::data(call, SYSTEM, &Parts { bytes: 1024, ..Parts::default() }, |out| {
        out.object("auth", auth_methods::auth_mounts);
        out.object("secret", |out| mounts.iter().for_each(|mount| entry(out, mount)));
    }))
}

/// The mount above a path. The CLI takes 404 for an old server, so that any other refusal is 403; one that the
/// caller may not know of is as one that is not there.
pub(super) async fn preflight(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let path_asked = asked.name();
    let config = context.service.mounts.config(permit).await?;
    let above = config.mount_above(path_asked);
    let Some(path) = above.filter(|path| may_know(&config, permit, path)) else {
        return Err(Problem::Preflight.with(&[path_asked]));
    };
    let mounts = views(&config, permit.okms_id());
    let known = mounts.iter().find(|mount| mount.path == path);
    let uuid =
        known.map_or_else(|| Uuid::from_bytes(*permit.okms_id().as_bytes()), |mount| mount.uuid);
    let mount = MountView {
        path,
        description: known.map_or(default_description(&config), |mount| mount.description),
        uuid,
    };
    Ok(envelope::data(call, SYSTEM, &Parts { bytes: 512, ..Parts::default() }, |out| {
        members(out, &mount);
        out.text("path", &format!("{}/", mount.path));
    }))
}

fn path(asked: &Asked<'_>) -> Result<MountPath, Failed> {
    Ok(mount_path(asked.name())?)
}

fn entry(out: &mut ObjectWriter<'_>, mount: &MountView<'_>) {
    out.object(&format!("{}/", mount.path), |out| members(out, mount));
}

fn members(out: &mut ObjectWriter<'_>, mount: &MountView<'_>) {
    let uuid = mount.uuid.to_string();
    out.text("accessor", &format!("kv_{}", uuid.get(..8).unwrap_or_default()));
    out.object("config", envelope::ttls);
    out.text("deprecation_status", "supported");
    out.text("description", mount.description);
    out.boolean("external_entropy_access", false);
    out.boolean("local", false);
    // Clients want the version as text.
    out.object("options", |out| out.text("version", "2"));
    out.text("plugin_version", "");
    out.text("running_plugin_version", status::VERSION);
    out.text("running_sha256", "");
    out.boolean("seal_wrap", false);
    out.text("type", "kv");
    out.text("uuid", &uuid);
}
