//! `okmsd policy`

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, text},
    output::{Answer, Outcome, answered, say},
};
use crate::model::OkmsId;

/// Questions about who may do what, to a running server.
#[derive(Subcommand)]
pub(super) enum Policy {
    /// Say whether somebody may do something, and which policies say so. Ends with 0 where it may be
    /// done, with 1 where it may not, and with 2 where there is no answer.
    Test(Test),
}

#[derive(Args)]
pub(super) struct Test {
    /// The action, for instance okms:apikms:secret/version/getData.
    #[arg(long)]
    action: String,
    /// The path of a secret; without it, the domain itself is asked about.
    #[arg(long)]
    path: Option<String>,
    /// Certificates that fit the rule of this name. Without it and --user: the certificate that
    /// asks.
    #[arg(long, conflicts_with = "user")]
    rule: Option<String>,
    /// The user of this name.
    #[arg(long)]
    user: Option<String>,
    /// When it would be done, like 2026-12-31T23:59:59Z; without it, now.
    #[arg(long)]
    at: Option<String>,
    /// The IP address that it would be done from. Without it, of the certificate that asks it is its
    /// own, and of others none is known.
    #[arg(long)]
    address: Option<String>,
    /// The domain's okmsId.
    #[arg(long = "domain")]
    okms_id: OkmsId,
    #[command(flatten)]
    client: Client,
}

impl Policy {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Test(test) => answered(test.run().await),
        }
    }
}

impl Test {
    async fn run(self) -> Outcome<Answer> {
        let Self { action, path, rule, user, at, address, okms_id, client } = self;
        let asked = json!({
            "action": action,
            "path": path,
            "rule": rule,
            "user": user,
            "at": at,
            "address": address,
        });
        let at = format!("/v2/okms/resource/{okms_id}/policy/test");
        let told = client.call(Method::POST, &at, Some(asked)).await?;
        let is_allowed = told.get("isAllowed") == Some(&Value::Bool(true));
        say(format_args!("{}", if is_allowed { "allowed" } else { "not allowed" }));
        for rule in told.get("rules").and_then(Value::as_array).into_iter().flatten() {
            say(format_args!("rule {}", rule.as_str().unwrap_or_default()));
        }
        for identity in told.get("identities").and_then(Value::as_array).into_iter().flatten() {
            say(format_args!("issued for {}", identity.as_str().unwrap_or_default()));
        }
        for word in told.get("decidedBy").and_then(Value::as_array).into_iter().flatten() {
            let shown = |name| text(word, name).unwrap_or_default();
            let block = text(word, "block").map(|block| format!(" ({block})")).unwrap_or_default();
            say(format_args!("{} by policy {}{block}", shown("says"), shown("policy")));
        }
        for policy in told.get("unmetConditions").and_then(Value::as_array).into_iter().flatten() {
            let policy = policy.as_str().unwrap_or_default();
            say(format_args!(
                "nothing by policy {policy}: its conditions are not met, or it is over, or it asks for parameters or wrapping"
            ));
        }
        Ok(if is_allowed { Answer::Yes } else { Answer::No("not allowed".to_owned()) })
    }
}
