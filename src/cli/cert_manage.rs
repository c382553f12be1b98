//! `okmsd cert list`, `show` and `revoke`

use clap::Args;
use hyper::Method;
use serde_json::json;
use uuid::Uuid;

use super::{
    client::{Client, text},
    output::{Outcome, say},
};
use crate::{
    model::{DeactivateAfter, OkmsId, RevocationReason},
    pki::Serial,
};

#[derive(Args)]
pub(super) struct List {
    /// The domain's okmsId. Without one, those of all domains are listed, each behind its domain.
    #[arg(long = "domain")]
    okms_id: Option<OkmsId>,
    /// Only those that end within this time, for instance 14d, and were neither renewed nor revoked:
    /// the next one first.
    #[arg(long, value_name = "TIME")]
    ending: Option<DeactivateAfter>,
    #[command(flatten)]
    client: Client,
}

#[derive(Args)]
pub(super) struct Show {
    /// The certificate's id, as the list has it.
    id: Uuid,
    /// The domain's okmsId.
    #[arg(long = "domain")]
    okms_id: OkmsId,
    #[command(flatten)]
    client: Client,
}

#[derive(Args)]
pub(super) struct Revoke {
    /// The certificate's id, as the list has it.
    id: Option<Uuid>,
    /// The domain's okmsId.
    #[arg(long = "domain")]
    okms_id: Option<OkmsId>,
    /// In place of an id: the serial number in hexadecimal, of any certificate that the region's
    /// authority has signed, an operator's for instance.
    #[arg(long, conflicts_with_all = ["id", "okms_id"])]
    serial: Option<Serial>,
    /// Why: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or
    /// privilegeWithdrawn.
    #[arg(long, default_value_t)]
    reason: RevocationReason,
    #[command(flatten)]
    client: Client,
}

impl List {
    pub(super) async fn run(self) -> Outcome {
        if let Some(id) = self.okms_id {
            return self.of(&id.to_string(), "").await;
        }
        for domain in self.client.list("/v2/okms/resource").await? {
            let id = text(&domain, "id").unwrap_or_default();
            self.of(id, &format!("{id}  ")).await?;
        }
        Ok(())
    }

    /// Lists those of one domain, each line behind `label`.
    async fn of(&self, okms_id: &str, label: &str) -> Outcome {
        let seconds = self.ending.as_ref().map(|time| time.limit_seconds().unwrap_or_default());
        let query = seconds.map(|seconds| format!("?endingWithin={seconds}s")).unwrap_or_default();
        let path = format!("/v2/okms/resource/{okms_id}/credential{query}");
        for one in self.client.list(&path).await? {
            let shown = |name| text(&one, name).unwrap_or_default();
            say(format_args!(
                "{label}{}  {:7}  {}  {}",
                shown("id"),
                shown("status"),
                shown("expiredAt"),
                shown("name")
            ));
        }
        Ok(())
    }
}

impl Show {
    pub(super) async fn run(self) -> Outcome {
        let path = format!("/v2/okms/resource/{}/credential/{}", self.okms_id, self.id);
        let shown = self.client.call(Method::GET, &path, None).await?;
        say(format_args!("{shown:#}"));
        Ok(())
    }
}

impl Revoke {
    pub(super) async fn run(self) -> Outcome {
        let reason = self.reason.name();
        match (self.id, self.okms_id, self.serial) {
            (Some(id), Some(okms_id), _) => {
                let path = format!("/v2/okms/resource/{okms_id}/credential/{id}?reason={reason}");
                self.client.call(Method::DELETE, &path, None).await?;
                say(format_args!("revoked {id}"));
            }
            (_, _, Some(serial)) => {
                let body = json!({ "serial": serial.to_string(), "reason": reason });
                self.client.call(Method::POST, "/v2/okms/revocation", Some(body)).await?;
                say(format_args!("revoked {serial}"));
            }
            _ => return Err("name the certificate by its id and --domain, or by --serial".into()),
        }
        Ok(())
    }
}
