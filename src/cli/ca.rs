//! `okmsd ca`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::{
    client::{Client, text},
    output::{Outcome, say},
};
use crate::{
    files::{self, FileName},
    material,
    model::OkmsId,
    pki::{LIST_BYTES_MAX, PemFault, lists_in, pem},
};

/// Authorities of a domain's own, whose certificates reach it beside the region's.
#[derive(Subcommand)]
pub(super) enum Ca {
    /// Add an authority to a domain, or put its renewed certificate in the place of the old one.
    Add(Add),
    /// List a domain's authorities: name, status, end, who has added it, and subject.
    List(List),
    /// Show one authority as JSON, with its certificate.
    Show(Named),
    /// Take an authority away: from now on all that comes with a certificate of it is refused.
    Remove(Named),
    /// Give an authority its revocation list: from now on the certificates that are on it are refused.
    Crl(Crl),
}

#[derive(Args)]
pub(super) struct Add {
    #[command(flatten)]
    named: Named,
    /// The file with its certificate, PEM.
    certificate: PathBuf,
    /// A certificate that it has signed to prove that you have its key, PEM, with the one common name
    /// okms.ca: and the okmsId. Operators need none.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
}

#[derive(Args)]
pub(super) struct List {
    /// The domain's okmsId.
    #[arg(long = "domain")]
    okms_id: OkmsId,
    #[command(flatten)]
    client: Client,
}

#[derive(Args)]
pub(super) struct Crl {
    #[command(flatten)]
    named: Named,
    /// The file with its revocation list, PEM or DER.
    list: PathBuf,
    /// What is done when the list is past its end and there is no new one.
    #[arg(long, value_enum, default_value_t = Stale::Refuse)]
    stale: Stale,
}

#[derive(Clone, Copy, ValueEnum)]
enum Stale {
    /// Nobody is let in by it.
    Refuse,
    /// It goes on.
    Accept,
}

#[derive(Args)]
pub(super) struct Named {
    /// The authority's name in the domain.
    name: String,
    /// The domain's okmsId.
    #[arg(long = "domain")]
    okms_id: OkmsId,
    #[command(flatten)]
    client: Client,
}

impl Ca {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Add(add) => add.run().await,
            Self::List(list) => list.run().await,
            Self::Show(named) => named.show().await,
            Self::Remove(named) => named.remove().await,
            Self::Crl(crl) => crl.run().await,
        }
    }
}

impl Named {
    /// The authority's address.
    fn path(&self) -> String {
        let name = utf8_percent_encode(&self.name, NON_ALPHANUMERIC);
        format!("/v2/okms/resource/{}/ca/{name}", self.okms_id)
    }

    async fn show(self) -> Outcome {
        let shown = self.client.call(Method::GET, &self.path(), None).await?;
        say(format_args!("{shown:#}"));
        Ok(())
    }

    async fn remove(self) -> Outcome {
        self.client.call(Method::DELETE, &self.path(), None).await?;
        say(format_args!("removed {}", self.name));
        Ok(())
    }
}

impl Add {
    async fn run(self) -> Outcome {
        let Self { named, certificate, proof, description } = self;
        let body = json!({
            "certificatePEM": one_certificate(&certificate)?,
            "proofPEM": proof.as_deref().map(one_certificate).transpose()?,
            "description": description,
        });
        let told = named.client.call(Method::PUT, &named.path(), Some(body)).await?;
        let shown = |name| text(&told, name).unwrap_or_default();
        say(format_args!("{}  {}", shown("publicKeySHA256"), shown("subject")));
        Ok(())
    }
}

impl List {
    async fn run(self) -> Outcome {
        let path = format!("/v2/okms/resource/{}/ca", self.okms_id);
        for one in self.client.list(&path).await? {
            let shown = |name| text(&one, name).unwrap_or_default();
            say(format_args!(
                "{}  {:7}  {}  {}  {}",
                text(&one, "name").unwrap_or("-"),
                shown("status"),
                shown("expiredAt"),
                shown("managedBy"),
                shown("subject")
            ));
        }
        Ok(())
    }
}

impl Crl {
    async fn run(self) -> Outcome {
        let Self { named, list, stale } = self;
        let stale = match stale {
            Stale::Refuse => "refuse",
            Stale::Accept => "accept",
        };
        let body = json!({ "crlPEM": one_list(&list)?, "stale": stale });
        let path = format!("{}/crl", named.path());
        let told = named.client.call(Method::PUT, &path, Some(body)).await?;
        let revoked = told.get("revoked").and_then(serde_json::Value::as_u64).unwrap_or_default();
        let next = text(&told, "nextUpdate").unwrap_or_default();
        say(format_args!("{revoked} revoked, the next list is due {next}"));
        Ok(())
    }
}

/// The one certificate in a file, PEM. Whatever else is in the file stays here.
fn one_certificate(path: &Path) -> Outcome<String> {
    let found = material::certificates(path)?;
    match found.as_slice() {
        [one] => Ok(pem::of_certificate(one)),
        _ => Err(format!("{}: {}", FileName::from(path), PemFault::Several).into()),
    }
}

/// The one revocation list in a file, PEM. Whatever else is in the file stays here.
fn one_list(path: &Path) -> Outcome<String> {
    let file = files::read_up_to(LIST_BYTES_MAX as u64, path)?;
    let named = |fault: &dyn std::fmt::Display| format!("{}: {fault}", FileName::from(path));
    let found = lists_in(&file).map_err(|fault| named(&fault))?;
    match found.as_slice() {
        [one] => Ok(pem::of_revocation_list(one)),
        _ => Err(named(&PemFault::Several).into()),
    }
}
