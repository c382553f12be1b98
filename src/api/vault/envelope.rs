//! Vault's envelope: the nine members around every answer's data.

use hyper::StatusCode;

use super::super::{
    Call, Problem, Reply,
    json::{ObjectWriter, Writer},
};

/// What an envelope says of the mount that answers.
pub(super) type Mount = &'static str;
/// The type of KV2's mounts.
pub(super) const KV: Mount = "kv";
/// The type of what the server itself answers.
pub(super) const SYSTEM: Mount = "system";
/// The type of what is about users.
pub(super) const USERPASS: Mount = "userpass";
/// The type of what is about tokens.
pub(super) const TOKEN: Mount = "token";

/// The envelope's members.
pub(super) const MEMBERS: [&str; 9] = [
    "request_id",
    "lease_id",
    "renewable",
    "lease_duration",
    "data",
    "wrap_info",
    "warnings",
    "auth",
    "mount_type",
];

/// The members of an envelope that differ from answer to answer; the default is one without any.
#[derive(Default)]
pub(super) struct Parts<'a> {
    /// Texts for people.
    pub warnings: &'a [String],
    /// Room for what is written, in bytes.
    pub bytes: usize,
}

/// 200 with `data`, which writes its members.
pub(super) fn data(
    call: &Call,
    mount: Mount,
    parts: &Parts<'_>,
    data: impl FnOnce(&mut ObjectWriter<'_>),
) -> Reply {
    Reply::json(Writer::object_sized(384 + parts.bytes, |out| {
        head(out, call);
        out.object("data", data);
        out.null("wrap_info");
        tail(out, mount, parts.warnings);
    }))
}

/// 200 with ready-made JSON as `data`.
pub(super) fn with_raw_data(call: &Call, mount: Mount, json: &[u8]) -> Reply {
    Reply::json(Writer::object_sized(384 + json.len(), |out| {
        head(out, call);
        out.raw("data", json);
        out.null("wrap_info");
        tail(out, mount, &[]);
    }))
}

/// 200 with a token in `auth`.
pub(super) fn auth(
    call: &Call,
    warnings: &[String],
    auth: impl FnOnce(&mut ObjectWriter<'_>),
) -> Reply {
    Reply::json(Writer::object_sized(1024, |out| {
        head(out, call);
        out.null("data");
        out.null("wrap_info");
        warnings_and(out, warnings);
        out.object("auth", auth);
        out.text("mount_type", TOKEN);
    }))
}

/// 200 with `wrap_info`, and nothing of what is wrapped.
pub(super) fn wrap_info(call: &Call, info: impl FnOnce(&mut ObjectWriter<'_>)) -> Reply {
    Reply::json(Writer::object_sized(768, |out| {
        head(out, call);
        out.null("data");
        out.object("wrap_info", info);
        tail(out, "", &[]);
    }))
}

/// 204; 200 with the warnings alone, where there are any.
pub(super) fn nothing(call: &Call, mount: Mount, warnings: &[String]) -> Reply {
    if warnings.is_empty() {
        return Reply::empty(StatusCode::NO_CONTENT);
    }
    Reply::json(Writer::object_sized(512, |out| without_data(out, call, mount, warnings)))
}

/// 404 with `data`: the version is there, its value is not. `OVHcloud`'s clients find the members
/// of an error beside it.
pub(super) fn not_found_with(call: &Call, data: impl FnOnce(&mut ObjectWriter<'_>)) -> Reply {
    let body = Writer::object_sized(768, |out| {
        head(out, call);
        out.object("data", data);
        out.null("wrap_info");
        tail(out, KV, &[]);
        not_found(out, call);
    });
    Reply { status: StatusCode::NOT_FOUND, ..Reply::json(body) }
}

/// 404 with a hint for people, which the CLI prints.
pub(super) fn not_found_hint(call: &Call, text: &str) -> Reply {
    let body = Writer::object_sized(768, |out| {
        without_data(out, call, KV, &[text.to_owned()]);
        not_found(out, call);
    });
    Reply { status: StatusCode::NOT_FOUND, ..Reply::json(body) }
}

fn without_data(out: &mut ObjectWriter<'_>, call: &Call, mount: Mount, warnings: &[String]) {
    head(out, call);
    out.null("data");
    out.null("wrap_info");
    tail(out, mount, warnings);
}

fn head(out: &mut ObjectWriter<'_>, call: &Call) {
    out.text("request_id", &call.request_id);
    out.text("lease_id", "");
    out.boolean("renewable", false);
    out.number("lease_duration", 0u32);
}

fn tail(out: &mut ObjectWriter<'_>, mount: Mount, warnings: &[String]) {
    warnings_and(out, warnings);
    out.null("auth");
    out.text("mount_type", mount);
}

fn warnings_and(out: &mut ObjectWriter<'_>, warnings: &[String]) {
    if warnings.is_empty() {
        out.null("warnings");
    } else {
        out.texts("warnings", warnings.iter().map(String::as_str));
    }
}

fn not_found(out: &mut ObjectWriter<'_>, call: &Call) {
    out.texts("errors", []);
    out.number("error_code", Problem::KvNotFound.code());
    out.text("error_id", &call.request_id);
}

/// Data that is beside the envelope's members as well, as older clients look for it there.
pub(super) fn also_at_top_level(call: &Call, members: impl Fn(&mut ObjectWriter<'_>)) -> Reply {
    beside_top_level(call, &members, &members)
}

/// Data, and what is told of it beside the envelope's members.
pub(super) fn beside_top_level(
    call: &Call,
    inner: impl FnOnce(&mut ObjectWriter<'_>),
    members: impl FnOnce(&mut ObjectWriter<'_>),
) -> Reply {
    let mut reply = data(call, SYSTEM, &Parts { bytes: 1024, ..Parts::default() }, inner);
    let again = Writer::object(members);
    if let (Some(inner), Some(outer)) = (again.get(1..), reply.body.strip_suffix(b"}"))
        && inner.len() > 1
    {
        reply.body = [outer, b",", inner].concat().into();
    }
    reply
}

/// Secrets have no leases here.
pub(super) fn ttls(out: &mut ObjectWriter<'_>) {
    out.number("default_lease_ttl", 0u32);
    out.boolean("force_no_cache", false);
    out.number("max_lease_ttl", 0u32);
}

/// 200 with `members` alone.
pub(super) fn raw(members: impl FnOnce(&mut ObjectWriter<'_>)) -> Reply {
    Reply::json(Writer::object_sized(512, members))
}
