//! Several operations in one request: each authorised, recorded and answered as if it had come alone.

use serde_json::value::RawValue;

use super::{
    super::{Call, Context, Failed, Problem, Reply, json::Writer, problems::Told},
    fields::{Fields, wrong},
    in_file::{self, InFile},
    named::{Named, settle},
    values::{self, NewValue},
    versions::{act, numbers},
    words,
};
use crate::{
    auth::{Action, Permit, Resource, jwt::Scope, pdp::Purpose},
    model::{Timestamp, VersionAct, VersionNumber},
    service::Adding,
};

/// The most operations of one request.
const OPERATIONS_MAX: usize = 100;

/// One of the operations.
enum Operation<'a> {
    Write(Adding, NewValue<'a>),
    Delete(String),
    Destroy(String),
    Act(&'static str, VersionAct, String, Vec<VersionNumber>),
}

impl<'a> Operation<'a> {
    fn of(raw: &'a RawValue) -> Result<Self, Failed> {
        const RULE: &str = "set, rotate, delete, undelete or destroy";
        let mut fields = Fields::of_raw(raw, "operations")?;
        let op = fields.text("op")?;
        let operation = match op.as_str() {
            "set" => Self::Write(Adding::Write, NewValue::of(&mut fields)?),
            "rotate" => Self::Write(Adding::Rotation, NewValue::of(&mut fields)?),
            "delete" | "undelete" | "destroy" => {
                let (uri, raw) = (fields.text("uri")?, fields.take("versions"));
                match (op.as_str(), raw) {
                    ("delete", None) => Self::Delete(uri),
                    ("destroy", None) => Self::Destroy(uri),
                    ("delete", raw) => Self::Act("delete", VersionAct::Delete, uri, numbers(raw)?),
                    ("destroy", raw) => {
                        Self::Act("destroy", VersionAct::Destroy, uri, numbers(raw)?)
                    }
                    (_, raw) => Self::Act("undelete", VersionAct::Undelete, uri, numbers(raw)?),
                }
            }
            _ => return Err(wrong("op", RULE)),
        };
        fields.finish()?;
        Ok(operation)
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Write(Adding::Write, _) => "set",
            Self::Write(Adding::Rotation, _) => "rotate",
            Self::Act(name, ..) => name,
            Self::Delete(_) => "delete",
            Self::Destroy(_) => "destroy",
        }
    }

    fn uri(&self) -> &str {
        match self {
            Self::Write(_, NewValue { uri, .. })
            | Self::Delete(uri)
            | Self::Destroy(uri)
            | Self::Act(_, _, uri, _) => uri,
        }
    }

    /// The scope that a JWT must give for it, as for the operation alone.
    fn scope(&self) -> Scope {
        match self {
            Self::Write(Adding::Rotation, _) => Scope::Rotate,
            Self::Write(Adding::Write, _) => Scope::Write,
            Self::Destroy(_) | Self::Act(_, VersionAct::Destroy, ..) => Scope::Destroy,
            Self::Delete(_) | Self::Act(..) => Scope::Delete,
        }
    }

    /// Does it; the version that is current then, where one is.
    async fn perform(
        &self,
        context: &Context,
        permit: &Permit,
        named: Named,
        now: Timestamp,
    ) -> Result<Option<VersionNumber>, Failed> {
        permit.check_scope(self.scope())?;
        let named = named.unpinned()?;
        match self {
            Self::Write(adding, value) => {
                Ok(Some(value.write(context, permit, (&named, *adding), now).await?.number))
            }
            Self::Delete(_) => Ok(Some(values::end(context, permit, &named, now).await?.number)),
            Self::Destroy(_) => {
                values::destroy(context, permit, named, now).await?;
                Ok(None)
            }
            Self::Act(_, what, _, numbers) => {
                let named = named.whole()?;
                act(context, permit, (&named, numbers), *what, now).await?;
                Ok(None)
            }
        }
    }
}

/// Has all of them judged at once, where somebody else judges them.
async fn foresee(
    context: &Context,
    ahead: &Permit,
    operations: &[Operation<'_>],
) -> Result<(), Failed> {
    let mut all = Vec::with_capacity(operations.len());
    for operation in operations.iter().filter(|operation| ahead.gives(operation.scope())) {
        // What cannot be asked at all is told in its turn.
        if let Ok(None) = InFile::of(context, ahead, operation.uri())
            && let Ok(named) = Named::untold(context, ahead, operation.uri()).await
        {
            all.push((operation, named));
        }
    }
    // Whoever looks for a mount would have judged what is known by then.
    for (operation, named) in &all {
        operation.expects(ahead, named);
    }
    Ok(context.service.foresees(ahead).await?)
}

impl Operation<'_> {
    /// Says what is to be asked for it.
    fn expects(&self, permit: &Permit, named: &Named) {
        let (action, purpose) = match self {
            Self::Write(Adding::Write, _) => (Action::VersionCreate, Purpose::Write),
            Self::Write(Adding::Rotation, _) => (Action::VersionCreate, Purpose::Rotate),
            Self::Delete(_) if named.fragment().is_some() => {
                (Action::VersionCreate, Purpose::Delete)
            }
            Self::Delete(_) => (Action::VersionDeactivateCurrent, Purpose::Delete),
            Self::Destroy(_) => (Action::SecretDelete, Purpose::DestroyVersions),
            Self::Act(_, VersionAct::Undelete, ..) => (Action::VersionActivate, Purpose::Undelete),
            Self::Act(_, VersionAct::Delete, ..) => (Action::VersionDeactivate, Purpose::Delete),
            Self::Act(_, VersionAct::Destroy, ..) => {
                (Action::VersionDelete, Purpose::DestroyVersions)
            }
        };
        let permit = permit.meant_for(purpose);
        let permit = permit.of_part(named.fragment());
        permit.expects(action, Resource::Secret(&named.path));
    }

    /// The same to what is in a file.
    async fn perform_in_file(
        &self,
        context: &Context,
        permit: &Permit,
        named: &InFile,
    ) -> Result<(), Failed> {
        permit.check_scope(self.scope())?;
        match self {
            Self::Write(adding, value) => {
                let set = named.set(context, permit, (value.value, value.cas), *adding).await;
                set.map(drop)
            }
            Self::Delete(_) | Self::Destroy(_) => named.remove(context, permit).await,
            Self::Act(..) => Err(in_file::not_in_files()),
        }
    }
}

pub(super) async fn bulk(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Failed> {
    const RULE: &str = "an array of 1 to 100 operations";
    let permit = settle(context, permit, call).await?;
    let mut fields = Fields::of_body(&call.body)?;
    let raw = fields.needed("operations")?;
    let goes_on = fields.flag("continueOnError", true)?;
    fields.finish()?;
    let raw: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|_| wrong("operations", RULE))?;
    if raw.is_empty() || raw.len() > OPERATIONS_MAX {
        return Err(wrong("operations", RULE));
    }
    // All are read before the first is done.
    let mut operations = Vec::with_capacity(raw.len());
    for (index, raw) in (0_u32..).zip(raw) {
        let operation = Operation::of(raw)
            .map_err(|failed| failed.with_details(vec![("index", Told::Number(index))]))?;
        operations.push(operation);
    }
    if let Some(ahead) = permit.ahead() {
        foresee(context, &ahead, &operations).await?;
    }
    let mut outcomes = Vec::with_capacity(operations.len());
    let mut has_failed = false;
    for operation in &operations {
        let mut uri = operation.uri().to_owned();
        let outcome = if has_failed && !goes_on {
            Err(Problem::NotExecuted.into())
        } else {
            match InFile::of(context, &permit, &uri) {
                Err(failed) => Err(failed),
                Ok(Some(named)) => {
                    uri = named.text();
                    let item = permit.item(&named.name());
                    let outcome = operation.perform_in_file(context, &item, &named).await;
                    outcome.map(|()| None).inspect_err(|failed| failed.tell(&item))
                }
                Ok(None) => match Named::untold(context, &permit, &uri).await {
                    Ok(named) => {
                        uri = named.text();
                        let item = permit.item(named.path.as_str());
                        named.tell(&item);
                        let outcome = operation.perform(context, &item, named, call.now).await;
                        outcome.inspect_err(|failed| failed.tell(&item))
                    }
                    Err(failed) => Err(failed),
                },
            }
        };
        has_failed |= outcome.is_err();
        outcomes.push((uri, outcome));
    }
    let succeeded = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    let all = operations.iter().zip(&outcomes).enumerate();
    Ok(Reply::json(Writer::object_sized(64 + 160 * operations.len(), |out| {
        out.objects("results", all, |(index, (operation, (uri, outcome))), out| {
            out.number("index", index as u64);
            out.text("op", operation.name());
            out.text("uri", uri);
            out.boolean("ok", outcome.is_ok());
            match outcome {
                Ok(version) => {
                    out.number("status", 200_u32);
                    if let Some(version) = version {
                        out.number("version", version.get());
                    }
                }
                Err(failed) => {
                    out.number("status", failed.problem.status().as_u16());
                    out.text("code", words::code(failed.problem));
                    out.text("message", &failed.text);
                }
            }
        });
        out.number("succeeded", succeeded as u64);
        out.number("failed", (operations.len() - succeeded) as u64);
    })))
}
