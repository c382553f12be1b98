//! `sys/policies/acl` and its older spelling `sys/policy`: policies in Vault's language.

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::StatusCode;

use super::{
    super::{Failed, Reply},
    asked::Asked,
    envelope,
    fields::{self, Fields},
};
use crate::{
    model::{Invalid, policy::DEFAULT_POLICY},
    service::Error,
};

/// What bearers of the root token have in Vault, by whose name clients look for it.
const ROOT: &str = "root";
/// What every certificate of a domain has, in Vault's words.
const DEFAULT_TEXT: &str = "# What every certificate of a domain may do, whatever else it may.\n\
    path \"auth/token/lookup-self\" { capabilities = [\"read\"] }\n\
    path \"auth/token/renew-self\" { capabilities = [\"update\"] }\n\
    path \"auth/token/revoke-self\" { capabilities = [\"update\"] }\n\
    path \"sys/capabilities-self\" { capabilities = [\"update\"] }\n\
    path \"sys/internal/ui/mounts\" { capabilities = [\"read\"] }\n\
    path \"sys/internal/ui/mounts/*\" { capabilities = [\"read\"] }\n\
    path \"sys/wrapping/wrap\" { capabilities = [\"update\"] }\n\
    path \"sys/wrapping/lookup\" { capabilities = [\"update\"] }\n\
    path \"sys/wrapping/unwrap\" { capabilities = [\"update\"] }\n\
    path \"sys/tools/random\" { capabilities = [\"update\"] }\n\
    path \"sys/tools/random/*\" { capabilities = [\"update\"] }\n";

/// Which of the two spellings is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `sys/policies/acl`.
    New,
    /// `sys/policy`.
    Old,
}

/// The names, of those that are always there `default` and `root` as in Vault.
pub(super) async fn list(asked: &Asked<'_>, spelling: Spelling) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let mut names = context.service.access.vault_policies(permit).await?;
    names.push(DEFAULT_POLICY.to_owned());
    names.sort_unstable();
    names.push(ROOT.to_owned());
    let texts = || names.iter().map(String::as_str);
    Ok(envelope::also_at_top_level(call, |out| {
        out.texts("keys", texts());
        if spelling == Spelling::Old {
            out.texts("policies", texts());
        }
    }))
}

pub(super) async fn read(asked: &Asked<'_>, spelling: Spelling) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let name = asked.name();
    let found = context.service.access.vault_policy(permit, name).await;
    let text = match (found, name) {
        (Err(Error::PolicyNotFound), DEFAULT_POLICY) => DEFAULT_TEXT.to_owned(),
        (Err(Error::PolicyNotFound), ROOT) => String::new(),
        (found, _) => found?.text,
    };
    Ok(envelope::also_at_top_level(call, |out| {
        out.text("name", name);
        out.text(if spelling == Spelling::Old { "rules" } else { "policy" }, &text);
    }))
}

/// Of the old spelling `rules` is the policy too, as in Vault; of the new one it is not, so that a block
/// which denies `policy` there denies it.
pub(super) async fn write(asked: &Asked<'_>, spelling: Spelling) -> Result<Reply, Failed> {
    const MISSING: Invalid = Invalid("'policy' parameter not supplied or empty");
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let policy = fields.text("policy")?;
    let rules = if spelling == Spelling::Old { fields.text("rules")? } else { None };
    let text = policy.filter(|text| !text.is_empty()).or(rules).filter(|text| !text.is_empty());
    let text = text.ok_or(MISSING)?;
    for narrower in ["ttl", "expiration"] {
        if fields.text(narrower)?.is_some_and(|span| !span.is_empty() && span != "0") {
            return Err(Invalid("a policy that ends by itself is not served").into());
        }
    }
    let text = decoded(text);
    context.service.access.put_vault_policy(permit, asked.name(), &text, call.now).await?;
    Ok(envelope::nothing(call, envelope::SYSTEM, &fields.warnings()))
}

pub(super) async fn delete(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, .. } = *asked;
    match context.service.access.delete_vault_policy(permit, asked.name()).await {
        // As Vault has it: what is not there is deleted.
        Ok(()) | Err(Error::PolicyNotFound) => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        Err(error) => Err(error.into()),
    }
}

/// A text may come in Base64, which a policy never is by chance: it has braces.
fn decoded(text: String) -> String {
    let decoded = STANDARD.decode(text.trim_ascii()).ok();
    decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or(text)
}
