//! Values, versions, metadata and config of KV2.

use std::borrow::Cow;

use hyper::{StatusCode, header::HeaderValue};
use serde_json::value::RawValue;

use super::{
    super::{
        Call, Context, Failed, Problem, Reply, etag,
        json::{ObjectWriter, Writer},
        outline, value,
    },
    address::collapse,
    asked::{Asked, wrap_ttl},
    envelope,
    envelope::{KV, Parts},
    fields::{self, Fields},
};
use crate::{
    auth::Permit,
    model::{
        Cas, CustomMetadata, CustomPatch, DeactivateAfter, Header, Invalid, MetadataPatch,
        MountPath, Refused, SecretPath, Settings, Timestamp, VersionAct, VersionNumber,
        VersionRecord, View,
    },
    service::{
        Changed, Error, History, Include, MetadataWrite, Patched, Relocation, Secret, SecretValue,
        Through, VersionView, Versions, Way,
    },
};

/// The view that the path names.
///
/// # Errors
/// `Problem::NoRoute` where there is none.
pub(super) async fn view(asked: &Asked<'_>) -> Result<View, Failed> {
    let Asked { context, permit, .. } = *asked;
    // What cannot be a mount's path is none.
    let mount = asked.mount().map_err(|_| Problem::NoRoute)?;
    Ok(context.service.mounts.view(permit, &mount).await?.ok_or(Problem::NoRoute)?)
}

/// The secret that the path names, and the view through which it does.
struct Target {
    path: SecretPath,
    view: View,
}

impl Target {
    /// # Errors
    /// `Problem::NoRoute` where no route leads to a secret.
    async fn of(asked: &Asked<'_>) -> Result<Self, Failed> {
        let view = view(asked).await?;
        if asked.call.params.address.is_folder {
            return Err(Problem::NoRoute.into());
        }
        Ok(Self { path: view.secret(asked.name())?, view })
    }

    /// The target of a request about metadata, where a slash at the end of a secret's name does no
    /// harm but to a write.
    async fn of_metadata(asked: &Asked<'_>) -> Result<Self, Failed> {
        let view = view(asked).await?;
        Ok(Self { path: view.secret(asked.name())?, view })
    }

    const fn through(&self) -> Through<'_> {
        Through { path: &self.path, view: &self.view }
    }
}

pub(super) async fn read(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { call, .. } = *asked;
    let target = Target::of(asked).await?;
    let (secret, version) = version(asked, &target.path, Include::Value).await?;
    let warnings = fields::warn_of_ignored(call, &["version"]);
    let Some(value) = &version.value else {
        return Ok(envelope::not_found_with(call, |out| {
            out.null("data");
            out.object("metadata", |out| {
                five(out, version.number, &version.record, &secret.header.custom);
            });
        }));
    };
    let tag = etag::of_version(&secret.header, &version, call.now);
    if is_known(call, &tag) {
        return Ok(etag::not_modified(tag));
    }
    let parts = Parts { bytes: 512 + value.len(), warnings: &warnings };
    let reply = envelope::data(call, KV, &parts, |out| {
        // The answer to a caller whose permit covers getData.
        out.raw("data", value.expose());
        out.object("metadata", |out| {
            five(out, version.number, &version.record, &secret.header.custom);
        });
    });
    Ok(etag::tagged(reply, tag))
}

/// Whether the client has the answer with this tag. One that is to be wrapped nobody has.
fn is_known(call: &Call, tag: &HeaderValue) -> bool {
    wrap_ttl(&call.head.headers).is_none() && etag::is_known(call, tag)
}

pub(super) async fn subkeys(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { call, .. } = *asked;
    // 0 is no bound; what is below it is the least there is.
    let depth = fields::query_int(call, "depth")?.filter(|depth| *depth != 0);
    let depth = depth.map(|depth| usize::try_from(depth.max(1)).unwrap_or(usize::MAX));
    let target = Target::of(asked).await?;
    let (secret, version) = version(asked, &target.path, Include::Names).await?;
    let metadata = |out: &mut ObjectWriter<'_>| {
        out.object("metadata", |out| {
            five(out, version.number, &version.record, &secret.header.custom);
        });
    };
    let Some(value) = &version.value else {
        return Ok(envelope::not_found_with(call, |out| {
            metadata(out);
            out.null("subkeys");
        }));
    };
    let names = outline::subkeys(value, depth);
    let warnings = fields::warn_of_ignored(call, &["version", "depth"]);
    Ok(envelope::data(call, KV, &Parts { bytes: 512 + names.len(), warnings: &warnings }, |out| {
        metadata(out);
        out.raw("subkeys", &names);
    }))
}

/// The version that the query names, with its value if it is active.
async fn version(
    asked: &Asked<'_>,
    path: &SecretPath,
    include: Include,
) -> Result<(Secret, VersionView), Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let number = match fields::query_int(call, "version")? {
        None | Some(..=0) => None,
        Some(number) => {
            let number =
                u32::try_from(number).ok().and_then(|number| VersionNumber::new(number).ok());
            Some(number.ok_or(Error::VersionNotFound)?)
        }
    };
    let is_known = |header: &Header, version: &VersionView| etag::knows(call, header, version);
    let secrets = &context.service.secrets;
    let read = secrets.get_unless(permit, path, number, include, is_known, call.now);
    let mut secret = read.await?;
    let version = secret.version.take().ok_or(Error::VersionNotFound)?;
    Ok((secret, version))
}

pub(super) async fn write(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let target = Target::of(asked).await?;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let options = options(&mut fields)?;
    let (data, cas) = (object(fields.raw("data")?)?, cas(&options)?);
    let value = value::value_of(&data, context.value_bytes)?;
    let warnings = fields.warnings();
    let written =
        context.service.secrets.write(permit, target.through(), &value, cas, call.now).await?;
    Ok(write_reply(call, &warnings, &written))
}

pub(super) async fn patch(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let target = Target::of(asked).await?;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let options = options(&mut fields)?;
    let data = object(fields.raw("data")?)?;
    value::check(&data)?;
    let warnings = fields.warnings();
    // Whether the secret is there is told before what is wrong with the CAS: until then it is one
    // that never matches.
    let (cas, unread) = match cas(&options) {
        Ok(cas) => (cas, None),
        Err(wrong) => (Some(Cas::any(-1)), Some(wrong)),
    };
    let merge = |value: &SecretValue| {
        let merged = outline::merge(value, &data)?;
        if merged.len() > context.value_bytes {
            return Err(Invalid(
                "data would be larger than this server takes; split it into several secrets",
            ));
        }
        Ok(merged)
    };
    let patched =
        context.service.secrets.patch(permit, target.through(), merge, cas, call.now).await;
    let patched = patched.map_err(|error| match (error, unread) {
        (Error::Refused(Refused::CasMismatch), Some(wrong)) => wrong,
        (error, _) => error.into(),
    })?;
    match patched {
        Patched::Changed(written) => Ok(write_reply(call, &warnings, &written)),
        Patched::Unreadable(header, number, record) => {
            Ok(envelope::not_found_with(call, |out| five(out, number, &record, &header.custom)))
        }
    }
}

pub(super) async fn delete(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    // It is always the current one; but what is asked for must be a number.
    fields::query_int(call, "version")?;
    let target = Target::of(asked).await?;
    context
        .service
        .secrets
        .act(permit, target.through(), Versions::Current, VersionAct::Delete, call.now)
        .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn act(asked: &Asked<'_>, act: VersionAct) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let target = Target::of(asked).await?;
    let body = fields::body(call)?;
    let numbers = Fields::parse(&body)?.ints("versions")?;
    if numbers.is_empty() {
        let problem = if act == VersionAct::Destroy {
            Problem::NoVersionsToDestroy
        } else {
            Problem::NoVersions
        };
        return Err(problem.into());
    }
    let numbers = numbers
        .into_iter()
        .filter_map(|number| VersionNumber::new(u32::try_from(number).ok()?).ok());
    let numbers: Vec<_> = numbers.collect();
    context
        .service
        .secrets
        .act(permit, target.through(), Versions::Numbers(&numbers), act, call.now)
        .await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// A write of metadata, or a patch of what is there.
pub(super) async fn write_metadata(asked: &Asked<'_>, is_patch: bool) -> Result<Reply, Failed> {
    const CAS_OVERRULED: &str = "\"cas_required\" set to false, but is mandated by backend config. This value will be ignored.";
    const METADATA_CAS_OVERRULED: &str = "\"metadata_cas_required\" set to false, but is mandated by backend config. This value will be ignored.";
    let Asked { context, permit, call, .. } = *asked;
    let target = Target::of(asked).await?;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let settings = fields.settings(false)?;
    let cas = fields.int("metadata_cas")?;
    let custom =
        fields.raw("custom_metadata")?.map(|raw| custom_patch(raw, is_patch)).transpose()?;
    let unknown = fields.warnings();
    let patch = MetadataPatch { settings, custom, ..MetadataPatch::default() };
    // No field at all changes nothing, not even a patch of what is not there.
    if patch.settings.is_empty() && patch.custom.is_none() {
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    let cas = cas.map(|cas| u32::try_from(cas).unwrap_or(u32::MAX));
    let wanted = (patch.settings.cas_required, patch.settings.metadata_cas_required);
    let write = MetadataWrite { patch, cas, creates: !is_patch };
    let defaults =
        context.service.secrets.write_metadata(permit, target.through(), &write, call.now).await?;
    let cas = (wanted.0 == Some(false) && defaults.cas_required).then(|| CAS_OVERRULED.to_owned());
    let metadata_cas = (wanted.1 == Some(false) && defaults.metadata_cas_required)
        .then(|| METADATA_CAS_OVERRULED.to_owned());
    let mut warnings: Vec<_> = cas.into_iter().chain(metadata_cas).collect();
    // What is not known is told where there is a body anyway.
    if !warnings.is_empty() {
        warnings.extend(unknown);
    }
    Ok(envelope::nothing(call, KV, &warnings))
}

pub(super) async fn delete_metadata(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let target = Target::of_metadata(asked).await?;
    match context.service.secrets.delete(permit, &target.path, call.now).await {
        Ok(()) | Err(Error::SecretNotFound) => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        Err(error) => Err(error.into()),
    }
}

/// Takes secrets of a mount with their history to another name in it: an addition of ours, as Vault has none.
pub(super) async fn relocate(asked: &Asked<'_>, moves: bool) -> Result<Reply, Failed> {
    const BOTH: Invalid = Invalid(
        "both 'from' and 'to' must be specified: names of secrets in this mount, or of folders, which end in a slash",
    );
    let Asked { context, permit, call, .. } = *asked;
    let view = view(asked).await?;
    if call.params.address.is_folder {
        return Err(Problem::NoRoute.into());
    }
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let mut named = |name| -> Result<String, Failed> {
        let text = fields.text(name)?.filter(|text| !text.is_empty()).ok_or(BOTH)?;
        let name = collapse(&text)?;
        Ok(if text.ends_with('/') {
            view.folder(&name)
        } else {
            view.secret(&name)?.as_str().to_owned()
        })
    };
    let (from, to) = (named("from")?, named("to")?);
    let overwrites = fields.flag("overwrite")?.unwrap_or(false);
    let warnings = fields.warnings();
    let way = Way::between(&from, &to)?;
    let how = Relocation { moves, overwrites, through: &[view] };
    let gone = context.service.secrets.relocate(permit, &way, how, call.now).await?;
    Ok(envelope::data(call, KV, &Parts { warnings: &warnings, bytes: 64 }, |out| {
        out.number("secrets", gone.secrets);
        out.number("versions", gone.versions);
    }))
}

pub(super) async fn read_config(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let mount = mount(asked).await?;
    let own = context.service.mounts.settings(permit, &mount).await?;
    let parts = Parts { warnings: &fields::warn_of_ignored(call, &[]), bytes: 0 };
    Ok(envelope::data(call, KV, &parts, |out| settings(out, &own)))
}

pub(super) async fn write_config(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let mount = mount(asked).await?;
    let body = fields::body(call)?;
    let patch = Fields::parse(&body)?.settings(true)?;
    if !patch.is_empty() {
        context.service.mounts.update_settings(permit, &mount, &patch).await?;
    }
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

async fn mount(asked: &Asked<'_>) -> Result<MountPath, Failed> {
    view(asked).await?;
    if asked.call.params.address.is_folder {
        Err(Problem::NoRoute.into())
    } else {
        Ok(asked.mount()?)
    }
}

/// A secret's metadata with all its versions.
pub(super) fn metadata(
    out: &mut ObjectWriter<'_>,
    context: &Context,
    permit: &Permit,
    path: &SecretPath,
    of: &History,
) {
    history(out, of, |out| custom(out, &of.header.custom));
    out.display("urn", context.secret_urn(permit.okms_id(), path));
}

/// What Vault tells of a secret, with what is its custom metadata.
pub(in super::super) fn history(
    out: &mut ObjectWriter<'_>,
    of: &History,
    custom: impl FnOnce(&mut ObjectWriter<'_>),
) {
    let History { header, versions } = of;
    // Vault's times of change are those of values.
    let updated = versions
        .last()
        .map_or(header.created_at, |(_, newest)| newest.created_at.max(header.created_at));
    settings(out, &header.settings);
    out.text("created_time", &header.created_at.to_rfc3339_nanos());
    out.number("current_metadata_version", header.metadata_version);
    out.number("current_version", header.current_number());
    custom(out);
    out.number("oldest_version", header.oldest);
    out.text("updated_time", &updated.to_rfc3339_nanos());
    out.object("versions", |out| {
        for (number, record) in versions {
            out.object(&number.get().to_string(), |out| times(out, record));
        }
    });
}

fn settings(out: &mut ObjectWriter<'_>, settings: &Settings) {
    out.boolean("cas_required", settings.cas_required);
    let after = settings
        .deactivate_after
        .as_ref()
        .map_or_else(|| "0s".to_owned(), DeactivateAfter::in_hours);
    out.text("delete_version_after", &after);
    out.number("max_versions", settings.max_versions.get());
    out.boolean("metadata_cas_required", settings.metadata_cas_required);
}

/// The answer to a write that added a version.
fn write_reply(call: &Call, warnings: &[String], written: &Changed) -> Reply {
    let none = CustomMetadata::default();
    let of_secret = written.header.as_ref().map_or(&none, |header| &header.custom);
    envelope::data(call, KV, &Parts { warnings, bytes: 512 }, |out| {
        if let Some((number, record)) = &written.added {
            five(out, *number, record, of_secret);
        }
    })
}

/// The five members that KV2 tells of a version.
fn five(
    out: &mut ObjectWriter<'_>,
    number: VersionNumber,
    record: &VersionRecord,
    of_secret: &CustomMetadata,
) {
    custom(out, of_secret);
    times(out, record);
    out.number("version", number.get());
}

fn times(out: &mut ObjectWriter<'_>, record: &VersionRecord) {
    out.text("created_time", &record.created_at.to_rfc3339_nanos());
    out.text(
        "deletion_time",
        &record.deactivate_at.map(Timestamp::to_rfc3339_nanos).unwrap_or_default(),
    );
    out.boolean("destroyed", record.deleted_at.is_some());
}

fn custom(out: &mut ObjectWriter<'_>, metadata: &CustomMetadata) {
    if metadata.is_empty() {
        return out.null("custom_metadata");
    }
    out.object("custom_metadata", |out| {
        for (key, text) in metadata.iter() {
            out.text(key, text);
        }
    });
}

/// The value in `data`: an object, and not null.
fn object(data: Option<&RawValue>) -> Result<Cow<'_, str>, Failed> {
    let data = data.ok_or(Problem::NoData)?;
    if data.get().starts_with('{') {
        return Ok(Cow::Borrowed(data.get()));
    }
    // Whatever else can be taken for a map, and is not an empty one.
    let members = fields::map(data, "data")?;
    if members.is_empty() {
        return Err(Problem::NoData.into());
    }
    let text = Writer::object(|out| {
        for (name, raw) in &members {
            out.raw(name, raw.get().as_bytes());
        }
    });
    Ok(Cow::Owned(String::from_utf8(text).unwrap_or_default()))
}

/// What is beside `data` in a write: its `options`. A `version` is known and means nothing, but it
/// must be a number.
fn options<'a>(fields: &mut Fields<'a>) -> Result<Vec<(String, &'a RawValue)>, Failed> {
    let options = fields.raw("options")?.map(|raw| fields::map(raw, "options")).transpose()?;
    fields.int("version")?;
    Ok(options.unwrap_or_default())
}

/// The CAS in `options`.
fn cas(options: &[(String, &RawValue)]) -> Result<Option<Cas>, Failed> {
    let found = options.iter().find(|(name, _)| name == "cas");
    let number = found
        .map(|(_, raw)| fields::int(raw).ok_or(Invalid("error parsing check-and-set parameter")));
    Ok(number.transpose()?.map(Cas::any))
}

fn custom_patch(raw: &RawValue, is_patch: bool) -> Result<CustomPatch, Failed> {
    // Null in a patch removes all there is, as an empty map does in a write.
    if raw.get() == "null" {
        return Ok(CustomPatch::Replace(std::collections::BTreeMap::new()));
    }
    let entries = fields::custom_metadata(raw, is_patch)?;
    Ok(if is_patch {
        CustomPatch::Merge(entries)
    } else {
        CustomPatch::Replace(
            entries.into_iter().filter_map(|(key, text)| Some((key, text?))).collect(),
        )
    })
}

/// A patch's body must say that it is one; `OVHcloud`'s clients call it JSON.
pub(super) fn check_media_type(call: &Call) -> Result<(), Failed> {
    let media_type = call.header("content-type").and_then(|value| value.to_str().ok());
    let media_type = media_type.ok_or(Invalid("mime: no media type"))?;
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let is_right = |known: &str| essence.eq_ignore_ascii_case(known);
    if is_right("application/merge-patch+json") || is_right("application/json") {
        return Ok(());
    }
    let essence: String = essence.chars().filter(char::is_ascii_graphic).take(100).collect();
    Err(Problem::MediaType.with(&[&essence]))
}
