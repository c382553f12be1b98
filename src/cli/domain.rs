//! `okmsd domain`

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, text},
    output::{Outcome, say},
};
use crate::model::OkmsId;

/// Domains: the tenants of a region.
#[derive(Subcommand)]
pub(super) enum Domain {
    /// Create a domain and print its okmsId.
    Create(Create),
    /// List the domains: okmsId and name.
    List(List),
    /// Show one domain as JSON.
    Show(Show),
}

#[derive(Args)]
pub(super) struct Create {
    /// The domain's name.
    name: String,
    #[command(flatten)]
    client: Client,
}

#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    client: Client,
}

#[derive(Args)]
pub(super) struct Show {
    /// The domain's okmsId.
    okms_id: OkmsId,
    #[command(flatten)]
    client: Client,
}

impl Domain {
    pub(super) async fn run(self) -> Outcome {
        let shown = |domain: &Value, name| text(domain, name).unwrap_or_default().to_owned();
        match self {
            Self::Create(Create { name, client }) => {
                let body = json!({ "name": name });
                let domain = client.call(Method::POST, "/v2/okms/resource", Some(body)).await?;
                say(shown(&domain, "id"));
            }
            Self::List(List { client }) => {
                for domain in client.list("/v2/okms/resource").await? {
                    say(format_args!("{}  {}", shown(&domain, "id"), shown(&domain, "name")));
                }
            }
            Self::Show(Show { okms_id, client }) => {
                let domain =
                    client.call(Method::GET, &format!("/v2/okms/resource/{okms_id}"), None).await?;
                say(format_args!("{domain:#}"));
            }
        }
        Ok(())
    }
}
