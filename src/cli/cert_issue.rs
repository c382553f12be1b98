//! `okmsd cert issue`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hyper::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, text},
    folder::{self, Folder},
    output::{Outcome, say},
};
use crate::{
    files::FileName,
    material,
    model::OkmsId,
    pki::{self, KeyKind, PrivateKeyPem},
};

#[derive(Args)]
pub(super) struct Issue {
    /// The domain's okmsId.
    #[arg(long = "domain")]
    okms_id: OkmsId,
    /// The certificate's display name.
    #[arg(long, default_value = "access")]
    name: String,
    /// What it is for.
    #[arg(long)]
    description: Option<String>,
    /// Whom it speaks for beside its domain, such as `urn:v1:eu:identity:account:xx1111-ovh`; may be
    /// given several times.
    #[arg(long = "identity")]
    identities: Vec<String>,
    /// A signing request (PKCS#10, PEM) that brings its own key.
    #[arg(long, conflicts_with_all = ["key_type", "pkcs12"])]
    csr: Option<PathBuf>,
    /// The kind of key to make.
    #[arg(long, value_enum, default_value_t = KeyType::P256)]
    key_type: KeyType,
    /// How many days the certificate lives.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Write a PKCS#12 bundle for browsers to this file as well.
    #[arg(long, requires = "pkcs12_password_file")]
    pkcs12: Option<PathBuf>,
    /// The file with the bundle's password.
    #[arg(long)]
    pkcs12_password_file: Option<PathBuf>,
    /// The folder to write to.
    #[arg(long, default_value = ".")]
    out: PathBuf,
    #[command(flatten)]
    client: Client,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum KeyType {
    P256,
    P384,
    Rsa2048,
    Rsa3072,
    Rsa4096,
}

impl From<KeyType> for KeyKind {
    fn from(kind: KeyType) -> Self {
        match kind {
            KeyType::P256 => Self::P256,
            KeyType::P384 => Self::P384,
            KeyType::Rsa2048 => Self::Rsa2048,
            KeyType::Rsa3072 => Self::Rsa3072,
            KeyType::Rsa4096 => Self::Rsa4096,
        }
    }
}

impl Issue {
    pub(super) async fn run(self) -> Outcome {
        self.nothing_is_there()?;
        let password = match &self.pkcs12_password_file {
            Some(path) => Some(material::text(path)?),
            None => None,
        };
        let password = password.as_ref().map(|text| text.trim_end_matches(['\r', '\n']));
        let (csr, key) = if let Some(path) = &self.csr {
            // Whatever else is in the file stays here.
            let request = pki::request_alone(&material::text(path)?);
            (request.map_err(|error| format!("{}: {error}", FileName::from(path.as_path())))?, None)
        } else {
            let key = pki::generate_key(self.key_type.into())?;
            (pki::signing_request(&key, &self.name)?, Some(key))
        };
        let path = format!("/v2/okms/resource/{}/credential", self.okms_id);
        let body = json!({
            "name": self.name, "csr": csr, "validity": self.days,
            "description": self.description, "identityURNs": self.identities,
        });
        let answer = self.client.call(Method::POST, &path, Some(body)).await?;
        let certificate =
            text(&answer, "certificatePEM").ok_or("the server's answer has no certificate")?;
        self.write(certificate, key.as_ref(), password, &answer)
    }

    /// A key that is in use must not be lost to a second call.
    fn nothing_is_there(&self) -> Outcome {
        for name in ["certificate", "privatekey"] {
            let path = self.out.join(format!("{}_{name}.pem", self.okms_id));
            if path.exists() {
                return Err(format!(
                    "{} exists; move it away, or choose another folder with --out",
                    path.display()
                )
                .into());
            }
        }
        Ok(())
    }

    fn write(
        &self,
        certificate: &str,
        key: Option<&PrivateKeyPem>,
        password: Option<&str>,
        answer: &Value,
    ) -> Outcome {
        let folder = Folder::new(&self.out);
        let _turn = folder.lock()?;
        self.nothing_is_there()?;
        let stem = self.okms_id.to_string();
        let certificate_path = folder.file(&format!("{stem}_certificate.pem"));
        match key {
            Some(key) => folder.write_pair(&stem, certificate, key)?,
            None => folder::write(&certificate_path, certificate.as_bytes())?,
        }
        if let (Some(path), Some(key), Some(password)) = (&self.pkcs12, key, password) {
            let bundle =
                pki::pkcs12(certificate, key, &self.client.ca_pem()?, &self.name, password)?;
            folder::write_private(path, &bundle)?;
            say(format_args!("{}", path.display()));
        }
        say(format_args!("{}", certificate_path.display()));
        if key.is_some() {
            say(format_args!("{}", folder.file(&format!("{stem}_privatekey.pem")).display()));
        }
        say(format_args!("id {}", text(answer, "id").unwrap_or("?")));
        say(format_args!("valid until {}", text(answer, "expiredAt").unwrap_or("?")));
        Ok(())
    }
}
