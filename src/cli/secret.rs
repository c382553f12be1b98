//! `okmsd secret`

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    client::Client,
    output::{Outcome, say},
};
use crate::model::OkmsId;

/// Secrets, as a whole: no value is taken or shown.
#[derive(Subcommand)]
pub(super) enum Secret {
    /// Move a secret, or all that is in a folder, with all versions and all that is said of them, in
    /// one step.
    Mv(Way),
    /// Copy them, with all versions.
    Cp(Way),
}

#[derive(Args)]
pub(super) struct Way {
    /// The path of a secret, or of a folder, which ends in a slash.
    from: String,
    /// Where it goes: a path, or a folder, as the first one is.
    to: String,
    /// The okmsId of their domain.
    #[arg(long)]
    domain: OkmsId,
    /// What is there already gives way, with all its versions.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    client: Client,
}

impl Secret {
    pub(super) async fn run(self) -> Outcome {
        let (what, done, Way { from, to, domain, overwrite, client }) = match self {
            Self::Mv(way) => ("move", "moved", way),
            Self::Cp(way) => ("copy", "copied", way),
        };
        let body = json!({ "from": from, "to": to, "overwrite": overwrite });
        let path = format!("/api/{domain}/v2/{what}");
        let answer = client.call(Method::POST, &path, Some(body)).await?;
        let count = |name| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
        say(format_args!("{done}: {} secrets, {} versions", count("secrets"), count("versions")));
        Ok(())
    }
}
