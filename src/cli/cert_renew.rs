//! `okmsd cert renew`

use std::path::PathBuf;

use clap::Args;
use hyper::Method;
use serde_json::json;

use super::{
    cert_issue::KeyType,
    client::{Client, text},
    folder::{self, Folder},
    output::{Outcome, say},
};
use crate::{
    auth::{claim::DomainClaim, identity::CertIdentity},
    clock::{Clock as _, SystemClock},
    material, pki,
};

#[derive(Args)]
pub(super) struct Renew {
    /// The kind of key to make.
    #[arg(long, value_enum, default_value_t = KeyType::P256)]
    key_type: KeyType,
    /// How many days the new certificate lives [default: as many as the one before].
    #[arg(long)]
    days: Option<u32>,
    /// Do nothing where the certificate lives longer than so many days: for a timer that runs every
    /// day.
    #[arg(long, value_name = "DAYS")]
    within: Option<u32>,
    /// Revoke the certificate that was renewed, at once.
    #[arg(long)]
    revoke_old: bool,
    /// Put the new certificate and key into the files of --cert and --key.
    #[arg(long, conflicts_with = "out")]
    replace: bool,
    /// The folder to write to.
    #[arg(long, default_value = ".")]
    out: PathBuf,
    #[command(flatten)]
    client: Client,
}

impl Renew {
    pub(super) async fn run(self) -> Outcome {
        const WHICH: &str = "name the certificate to renew with --cert, and its key with --key";
        let (cert, key_path) = self.client.pair().ok_or(WHICH)?;
        let shown = cert.display();
        let chain = material::certificates(cert)?;
        let identity = chain.first().and_then(|leaf| CertIdentity::from_der(leaf).ok());
        let identity = identity.ok_or_else(|| format!("{shown}: cannot be read"))?;
        let Some(DomainClaim::One(okms_id)) = identity.okms_domain() else {
            return Err(format!("{shown}: is no access certificate of a domain").into());
        };
        let left = identity.validity().not_after.saturating_sub(SystemClock.now().unix_seconds());
        if self.within.is_some_and(|days| left > i64::from(days) * 86_400) {
            say(format_args!("{shown} lives for {} days more; nothing is done", left / 86_400));
            return Ok(());
        }
        let folder = Folder::new(&self.out);
        let stem = okms_id.to_string();
        let paths = if self.replace {
            (cert.to_owned(), key_path.to_owned())
        } else {
            let file = |what| folder.file(&format!("{stem}_{what}.pem"));
            (file("certificate"), file("privatekey"))
        };
        let is_free = || match [&paths.0, &paths.1].into_iter().find(|path| path.exists()) {
            Some(path) if !self.replace => Err(format!(
                "{} exists; choose another folder with --out, or --replace the files in use",
                path.display()
            )),
            _ => Ok(()),
        };
        is_free()?;
        let key = pki::generate_key(self.key_type.into())?;
        let csr = pki::signing_request(&key, "renewal")?;
        let body = json!({ "csr": csr, "validity": self.days, "revokeOld": self.revoke_old });
        let path = format!("/v2/okms/resource/{okms_id}/credential/renew");
        let answer = self.client.call(Method::POST, &path, Some(body)).await?;
        let certificate =
            text(&answer, "certificatePEM").ok_or("the server's answer has no certificate")?;
        let _turn = if self.replace { None } else { Some(folder.lock()?) };
        is_free()?;
        folder::replace_pair((&paths.0, certificate.as_bytes()), (&paths.1, &key))?;
        say(format_args!("{}", paths.0.display()));
        say(format_args!("{}", paths.1.display()));
        say(format_args!("valid until {}", text(&answer, "expiredAt").unwrap_or("?")));
        Ok(())
    }
}
