//! `okmsd domain`

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::{Outcome, client::Client, say};
use crate::domain::OkmsId;

/// Domains: the tenants of a region.
#[derive(Subcommand)]
pub enum Domain {
    /// Create a domain and print its okmsId.
    Create(Create),
    /// List the domains: okmsId and name.
    List(List),
    /// Show one domain as JSON.
    Show(Show),
}

#[derive(Args)]
pub struct Create {
    /// The domain's name.
    name: String,
    #[command(flatten)]
    client: Client,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    client: Client,
}

#[derive(Args)]
pub struct Show {
    /// The domain's okmsId.
    okms_id: OkmsId,
    #[command(flatten)]
    client: Client,
}

impl Domain {
    pub async fn run(self) -> Outcome {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match self {
            Self::Create(Create { name, client }) => {
                let body = json!({ "name": name });
                let domain = client.call(Method::POST, "/v2/okms/resource", Some(body)).await?;
                say(text(&domain["id"]));
            }
            Self::List(List { client }) => {
                let domains = client.call(Method::GET, "/v2/okms/resource", None).await?;
                for domain in domains.as_array().into_iter().flatten() {
                    say(format_args!("{}  {}", text(&domain["id"]), text(&domain["name"])));
                }
            }
            Self::Show(Show { okms_id, client }) => {
                let domain = client.call(Method::GET, &format!("/v2/okms/resource/{okms_id}"), None).await?;
                say(format_args!("{domain:#}"));
            }
        }
        Ok(())
    }
}
