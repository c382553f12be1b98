//! `sys/audit`: where records of the audit trail go, for operators to see, and files of records that they
//! enable and disable.
//!
//! Always holds: who may name a file that a server writes could have it write anything (CVE-2025-6000),
//! so that a file has a plain name in a folder that the config names, and nothing that a client says
//! has it say more, or be read by more. Never does: open one.

use hyper::StatusCode;

use super::{
    super::{Call, Context, Failed, NewAuditDevice, Problem, Reply, TenantName},
    asked, envelope,
    envelope::{Parts, SYSTEM},
    fields::{self, Fields},
};
use crate::{
    auth::{Action, RegionPermit},
    model::{DeviceName, Invalid},
};

/// What one who gives no file is told, and one who gives no path to hash.
pub(in crate::api) const NO_FILE_PATH: &str =
    "the option file_path is missing: the name of the file";
pub(in crate::api) const NO_INPUT: &str =
    "the \"input\" parameter is empty: it is the path of a secret";

pub(super) fn list(context: &Context, permit: &RegionPermit, call: &Call) -> Result<Reply, Failed> {
    permit.check(Action::AuditDeviceGet)?;
    Ok(envelope::also_at_top_level(call, |out| {
        for device in &context.audit_devices.views() {
            let path = format!("{}/", device.name);
            out.object(&path, |out| {
                out.text("description", &device.description);
                out.boolean("local", false);
                out.object("options", |out| {
                    device.options.iter().for_each(|(name, value)| out.text(name, value));
                });
                out.text("path", &path);
                out.text("type", device.kind);
            });
        }
    }))
}

pub(super) async fn enable(
    context: &Context,
    permit: &RegionPermit,
    call: &Call,
) -> Result<Reply, Failed> {
    permit.check(Action::AuditDeviceEdit)?;
    let name = DeviceName::parse(name(call))?;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    check_kind(fields.text("type")?.as_deref())?;
    let description = fields.text("description")?.unwrap_or_default();
    let options = fields.take("options")?.map_or("{}", |options| options.get());
    let options = Options::parse(options)?;
    let Options { file_path, is_required, has_vaults_form } = options;
    let device = NewAuditDevice { name, file_path, is_required, has_vaults_form, description };
    context.audit_devices.enable(permit, device).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn disable(
    context: &Context,
    permit: &RegionPermit,
    call: &Call,
) -> Result<Reply, Failed> {
    permit.check(Action::AuditDeviceEdit)?;
    context.audit_devices.disable(permit, name(call)).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// What stands in the trail for a path of the domain that the address or the namespace names.
pub(super) async fn hash(
    context: &Context,
    permit: &RegionPermit,
    call: &Call,
) -> Result<Reply, Failed> {
    permit.check(Action::AuditHash)?;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let input = fields.text("input")?.filter(|input| !input.is_empty());
    let input = input.ok_or(Invalid(NO_INPUT))?;
    let name = name(call);
    if !context.audit_devices.views().iter().any(|device| device.name == name) {
        return Err(Invalid("there is no such audit device; vault audit list shows them").into());
    }
    let id = match &call.params.address.tenant {
        Some(TenantName::Id(id)) => Some((*id)?),
        _ => asked::namespace(&call.head.headers),
    };
    let id = id.ok_or(Invalid(
        "paths have another hash in each domain: name the domain, as the namespace (-namespace=OKMS_ID) or in the address",
    ))?;
    let hash = context.audit_devices.hashed(id, &input).await?;
    Ok(envelope::data(call, SYSTEM, &Parts::default(), |out| out.text("hash", &hash)))
}

fn name(call: &Call) -> &str {
    call.params.name.as_deref().unwrap_or_default()
}

fn check_kind(kind: Option<&str>) -> Result<(), Failed> {
    let why = match kind.unwrap_or_default() {
        "file" => return Ok(()),
        "syslog" => {
            "devices of type syslog are set in the server's config (audit.device) alone: only who runs it says where it connects to"
        }
        "socket" => {
            "devices of type socket are not served by okmsd; a syslog device in the server's config (audit.device) sends records over a socket, over TCP and over TLS"
        }
        _ => "the type of an audit device that is enabled here is file",
    };
    Err(Problem::BadInput.with(&[why]))
}

/// How a file is to be written.
struct Options {
    file_path: String,
    is_required: bool,
    has_vaults_form: bool,
}

impl Options {
    fn parse(text: &str) -> Result<Self, Failed> {
        let refused = |why: &'static str| Err(Invalid(why).into());
        let mut fields = Fields::parse(text)?;
        let path = (fields.text("file_path")?, fields.text("path")?);
        let file_path =
            path.0.or(path.1).filter(|path| !path.is_empty()).ok_or(Invalid(NO_FILE_PATH))?;
        if ["stdout", "discard"].contains(&&*file_path) {
            return refused(
                "a device for standard output is set in the server's config (audit.device)",
            );
        }
        let has_vaults_form = match fields.text("format")?.as_deref() {
            None | Some("" | "json" | "vault") => true,
            Some("okmsd") => false,
            Some(_) => {
                return refused(
                    "the option format is json (Vault's form) or okmsd (records that can be verified)",
                );
            }
        };
        let is_required = fields.flag("required")?.unwrap_or(true);
        if fields.flag("log_raw")? == Some(true) {
            return refused("log_raw is refused: no record of okmsd has a value in it, raw or not");
        }
        if fields.flag("hmac_accessor")? == Some(true) {
            return refused("hmac_accessor is refused: accessors stand in records as they are");
        }
        let mode = fields.text("mode")?.unwrap_or_default();
        if !["", "0600", "600"].contains(&&*mode) {
            return refused("mode is refused: files of records have the mode 0600, always");
        }
        if fields.text("prefix")?.is_some_and(|prefix| !prefix.is_empty()) {
            return refused(
                "prefix is refused: what a client chose would stand in front of each record",
            );
        }
        // There are no answers in records, and so no lists of them either.
        fields.flag("elide_list_responses")?;
        if !fields.is_empty() {
            return refused(
                "the options of an audit device are file_path, format, required and description",
            );
        }
        Ok(Self { file_path, is_required, has_vaults_form })
    }
}
