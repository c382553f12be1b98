//! Secrets in a file, for developing: `yaml://secret/crud#DB_PASS` is `DB_PASS` of the map `crud` in the map `secret`.
//!
//! Always holds: one domain has the file, and whoever may do something to each of its secrets may do it here; it is
//! written where the configuration says that this is no production. Never does: know where the file is, or how it is
//! written down.

use std::{borrow::Cow, sync::Arc};

use serde_json::value::RawValue;

use super::{
    super::{Call, Context, Failed, Problem, Reply, json::Writer, page},
    fields::Paging,
    file::SecretFile,
    parts,
    tree::Node,
};
use crate::{
    auth::{Action, Detail, Permit, Resource, Thing, pdp::Purpose},
    model::{Cas, Fragment, Scheme, SecretUri, SecretUriPrefix, Timestamp},
    service::{Adding, SecretValue},
};

/// What is about all of the file takes the right to each secret.
const OF_ALL: Resource<'static> = Resource::AllBelow("");

/// A secret, or a part of one, in the file.
pub(super) struct InFile {
    uri: SecretUri,
    file: Arc<dyn SecretFile>,
}

/// The file, if this domain has one.
pub(super) fn of_domain(context: &Context, permit: &Permit) -> Result<Arc<dyn SecretFile>, Failed> {
    let text = "there is no file of secrets for this domain; use openbao+kv2";
    let file = context.uris.file.as_ref().filter(|file| file.domain() == permit.okms_id());
    Ok(Arc::clone(file.ok_or_else(|| Problem::ProviderNotSupported.with(&[text]))?))
}

/// Why something is not done to what is in a file.
pub(super) fn not_in_files() -> Failed {
    let text = "a file of secrets has no versions, and nothing is said of what is in it; this is for other schemes";
    Problem::OperationNotSupported.with(&[text])
}

impl InFile {
    /// What this URI names in the domain's file; nothing where it names something else.
    pub(super) fn of(
        context: &Context,
        permit: &Permit,
        text: &str,
    ) -> Result<Option<Self>, Failed> {
        let uri: SecretUri = text.parse()?;
        if uri.scheme() != Scheme::Yaml {
            return Ok(None);
        }
        let file = of_domain(context, permit)?;
        if uri.version().is_some() {
            return Err(not_in_files());
        }
        Ok(Some(Self { uri, file }))
    }

    /// The URI, in the words of an answer.
    pub(super) fn text(&self) -> String {
        self.uri.canonical()
    }

    /// As the audit trail tells it.
    pub(super) fn name(&self) -> String {
        format!("{}://{}", Scheme::Yaml.as_str(), self.uri.path())
    }

    pub(super) fn fragment(&self) -> Option<&Fragment> {
        self.uri.fragment()
    }

    /// Whether both are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.text() == other.text()
    }

    /// Goes on if whoever asks may do that to each secret.
    async fn may(&self, context: &Context, permit: &Permit, action: Action) -> Result<(), Failed> {
        permit.learns(Detail::About(Thing::Secret, &self.name()));
        permit.check(action, OF_ALL)?;
        Ok(context.service.settles(permit).await?)
    }

    /// The same where that changes something, which is not done in production.
    async fn may_change(
        &self,
        context: &Context,
        permit: &Permit,
        action: Action,
    ) -> Result<(), Failed> {
        self.may(context, permit, action).await?;
        if self.file.is_writable() { Ok(()) } else { Err(Problem::DevOnly.into()) }
    }

    /// Goes on if whoever asks may take away what is named.
    pub(super) async fn may_remove(
        &self,
        context: &Context,
        permit: &Permit,
    ) -> Result<(), Failed> {
        let action = match self.fragment() {
            Some(_) => Action::VersionCreate,
            None => Action::VersionDeactivateCurrent,
        };
        self.may_change(context, &permit.meant_for(Purpose::Delete), action).await
    }

    /// The value of the secret.
    pub(super) async fn value(
        &self,
        context: &Context,
        permit: &Permit,
        action: Action,
    ) -> Result<SecretValue, Failed> {
        self.may(context, permit, action).await?;
        let tree = self.file.read().await?;
        Ok(tree.value(self.uri.path()).ok_or(Problem::SecretNotFound)?)
    }

    /// Puts what `make` makes of the value that is there in the place of that. Whether there was none.
    pub(super) async fn write(
        &self,
        context: &Context,
        permit: &Permit,
        mut make: impl FnMut(Option<&SecretValue>) -> Result<SecretValue, Failed> + Send,
    ) -> Result<bool, Failed> {
        self.may_change(context, permit, Action::VersionCreate).await?;
        let (path, mut is_new) = (self.uri.path(), false);
        let change = |tree: &mut Node| {
            let before = tree.value(path);
            is_new = before.is_none();
            let value = make(before.as_ref())?;
            let map = Node::of_value(&value).ok_or(Problem::ValueNotObject)?;
            tree.put(path, map).map_err(|_| parts::no_object())
        };
        self.file.change(Box::new(change)).await?;
        Ok(is_new)
    }

    /// Takes away what is named.
    pub(super) async fn remove(&self, context: &Context, permit: &Permit) -> Result<(), Failed> {
        self.may_remove(context, permit).await?;
        let path = self.uri.path();
        let change = |tree: &mut Node| {
            let value = tree.value(path).ok_or(Problem::SecretNotFound)?;
            let left = match self.fragment() {
                Some(fragment) => parts::without(&value, fragment)?,
                None => None,
            };
            match left.as_ref().and_then(Node::of_value) {
                Some(map) => tree.put(path, map).map_err(|_| parts::no_object())?,
                None => _ = tree.remove(path),
            }
            Ok(())
        };
        self.file.change(Box::new(change)).await
    }

    /// Writes what a body says.
    pub(super) async fn set(
        &self,
        context: &Context,
        permit: &Permit,
        (raw, cas): (&RawValue, Option<Cas>),
        adding: Adding,
    ) -> Result<bool, Failed> {
        if cas.is_some() {
            return Err(not_in_files());
        }
        let permit = &match adding {
            Adding::Write => Cow::Borrowed(permit),
            Adding::Rotation => permit.meant_for(Purpose::Rotate),
        };
        match self.fragment() {
            None => {
                let whole = parts::whole(raw.get(), context.value_bytes)?;
                self.write(context, permit, |_| Ok(SecretValue::new(whole.expose().to_vec()))).await
            }
            Some(fragment) => {
                let part = parts::part(raw, fragment)?;
                let bytes_max = context.value_bytes;
                self.write(context, permit, |before| {
                    parts::set(before, fragment, part.get(), bytes_max)
                })
                .await
            }
        }
    }
}

/// The answer to a write.
pub(super) fn written(uri: &str, is_new: bool, now: Timestamp) -> Reply {
    Reply::json(Writer::object(|out| {
        out.text("uri", uri);
        out.null("version");
        out.boolean("created", is_new);
        out.text("created_at", &now.to_rfc3339_seconds());
    }))
}

/// The answer to a rotation.
pub(super) fn rotated(uri: &str, now: Timestamp) -> Reply {
    Reply::json(Writer::object(|out| {
        out.text("uri", uri);
        out.null("version");
        out.null("previous_version");
        out.text("rotated_at", &now.to_rfc3339_seconds());
    }))
}

/// The answer to a read: a value, or a part of it.
pub(super) fn told(value: &SecretValue, fragment: Option<&Fragment>) -> Result<Reply, Failed> {
    let body = match fragment {
        None => value.expose().to_vec(),
        Some(fragment) => {
            let part = parts::get(value, fragment)?;
            Writer::object_sized(16 + part.len(), |out| out.raw("value", part.as_bytes()))
        }
    };
    Ok(Reply::json(body))
}

/// The names in the value, or in a part of it.
pub(super) async fn keys(
    context: &Context,
    permit: &Permit,
    named: &InFile,
) -> Result<Reply, Failed> {
    let value = named.value(context, permit, Action::SubkeysGet).await?;
    let names = parts::names(&value, named.fragment())?;
    Ok(Reply::json(Writer::object(|out| {
        out.text("uri", &named.text());
        out.null("version");
        out.texts("keys", names.iter().map(String::as_str));
    })))
}

/// A page of the secrets in the file whose URIs begin so, or of those of them that have the text in their path.
pub(super) async fn list(
    context: &Context,
    permit: &Permit,
    call: &Call,
    (prefix, text): (&SecretUriPrefix, Option<&str>),
) -> Result<Reply, Failed> {
    let file = of_domain(context, permit)?;
    permit.check(Action::SecretGet, OF_ALL)?;
    permit.check_beside(Action::SecretList, OF_ALL)?;
    context.service.settles(permit).await?;
    let Paging { limit, offset, cursor } = Paging::of(context, call)?;
    let tree = file.read().await?;
    let behind = cursor.unwrap_or_default();
    let named = |path: &String| {
        path.as_bytes() > behind.as_slice()
            && text.is_none_or(|text| path.to_lowercase().contains(text))
    };
    let all: Vec<_> = tree.secrets(prefix.path()).into_iter().filter(named).collect();
    let found: Vec<_> = all.iter().skip(offset).take(limit).collect();
    let has_more = offset + found.len() < all.len();
    Ok(Reply::json(Writer::object_sized(128 + 128 * found.len(), |out| {
        out.objects("items", &found, |path, out| {
            out.text("uri", &uri_of(path));
            for none in ["version", "state", "owner", "created_at", "updated_at"] {
                out.null(none);
            }
            if text.is_some() {
                out.text("matched", "path");
            }
        });
        out.number("limit", limit as u64);
        out.number("offset", offset as u64);
        out.boolean("has_more", has_more);
        match found.last().filter(|_| has_more) {
            Some(last) => out.text("next_cursor", &page::text(last.as_bytes())),
            None => out.null("next_cursor"),
        }
    })))
}

/// The URI of what is at this path.
fn uri_of(path: &str) -> String {
    SecretUri::in_file(path).canonical()
}
