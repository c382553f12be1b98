//! `okmsd dev`

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{
    folder::{self, Folder, Region},
    output::{Outcome, say},
    serve,
    signals::Signals,
};
use crate::{
    app::{App, Files},
    audit::Trail,
    auth::{Action, Principal, Witness},
    clock::{Clock, SystemClock},
    config::{self, Config, ConfigError, Environment},
    material,
    model::OkmsId,
    pki::{self, KeyKind, PrivateKeyPem, ServerName},
    service::{CredentialRequest, Error, KeySource},
    telemetry,
};

/// The password of `client.p12`. It lies beside the key in PEM, so that it protects nothing.
const PKCS12_PASSWORD: &str = "okmsd";
const ACCESS_DAYS: u32 = 365;
/// The name of the domain that a first start makes.
const DOMAIN: &str = "dev";

/// Makes, where absent, a region with one domain and its access certificate, and serves it.
#[derive(Args)]
pub(super) struct Dev {
    /// The folder for everything.
    #[arg(long, default_value = "okmsd-dev")]
    dir: PathBuf,
    /// Where clients connect [default: the config's, which is 127.0.0.1:8443 at first].
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where probes and metrics are [default: the config's, which is 127.0.0.1:9464 at first].
    #[arg(long)]
    admin_listen: Option<SocketAddr>,
}

impl Dev {
    pub(super) async fn run(self) -> Outcome {
        let folder = Folder::new(&self.dir);
        folder.complete(&Region {
            name: "local",
            listen: self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8443))),
            admin_listen: self.admin_listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9464))),
            server_names: &server_names()?,
            endpoint: None,
        })?;
        let file = folder.config();
        let load = {
            let (file, listen, admin_listen) = (file.clone(), self.listen, self.admin_listen);
            move || {
                let mut config = Config::load(&file, config::environment())?;
                config.server.listen = listen.unwrap_or(config.server.listen);
                config.server.admin_listen = admin_listen.unwrap_or(config.server.admin_listen);
                Ok::<_, ConfigError>(for_development(config))
            }
        };
        let config = load()?;
        let _log = telemetry::start(&config.log)?;
        let mut signals = Signals::take()?;
        let Some(app) = serve::start(&config, Arc::new(SystemClock), &mut signals).await? else {
            return Ok(());
        };
        let okms_id = access(&folder, &self.dir, &app).await?;
        let root = fs::canonicalize(&self.dir)
            .map_err(|error| format!("{}: {error}", self.dir.display()))?;
        folder::write(&folder.file("env.sh"), env(&root, okms_id, app.endpoint()).as_bytes())?;
        greet(&root, okms_id, &app);
        serve::run_until_signal(app, signals, Files { config: file, load: Box::new(load) }).await
    }
}

/// The same for whoever develops; what somebody has said stays.
fn for_development(mut config: Config) -> Config {
    config.environment = Environment::Dev;
    config.dev.helpers.get_or_insert(true);
    config
}

fn server_names() -> Result<Vec<ServerName>, pki::Error> {
    ["localhost", "127.0.0.1", "::1"].iter().map(|name| name.parse()).collect()
}

/// The domain whose access certificate is in the folder; a new one with a certificate where there
/// is none.
async fn access(
    folder: &Folder,
    dir: &Path,
    app: &App,
) -> Result<OkmsId, Box<dyn std::error::Error + Send + Sync>> {
    let service = app.service();
    let (operator, rights) = (Principal::of_process(), service.access.directory());
    if let Some(id) = domain_in(dir)? {
        match service.tenants.get(&operator.authorize(id, &[Action::DomainGet], rights)?).await {
            Ok(_) => return Ok(id),
            Err(Error::DomainNotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let region = operator.authorize_region(&[Action::DomainGet, Action::DomainCreate], None)?;
    // A first start that was killed half-way has left the domain, and no certificate.
    let domain = match service.tenants.by_name(&region, DOMAIN).await {
        Err(Error::DomainNotFound) => {
            recorded(app, "MakeDevDomain", async |seen_by| {
                service
                    .tenants
                    .create(&region.clone().seen_by(witness(seen_by)), DOMAIN, app.now())
                    .await
            })
            .await?
        }
        found => found?,
    };
    let permit = operator.authorize(domain.id, &[Action::CredentialCreate], rights)?;
    let request = CredentialRequest {
        name: "dev".to_owned(),
        description: "made by okmsd dev".to_owned(),
        identities: Vec::new(),
        key: KeySource::Fresh(KeyKind::P256),
        days: ACCESS_DAYS,
    };
    // Certificates live by the machine's clock.
    let issued = recorded(app, "MakeDevCertificate", async |seen_by| {
        if let Some(trail) = &seen_by {
            trail.is_in(domain.id, service.tenants.salt(domain.id).await.ok());
        }
        service
            .credentials
            .issue(&permit.seen_by(witness(seen_by)), request, SystemClock.now())
            .await
    })
    .await?;
    let key: PrivateKeyPem = issued.key.ok_or("no key was made")?;
    let ca = material::text(&folder.file("region_ca.pem"))?;
    let bundle = pki::pkcs12(&issued.certificate_pem, &key, &ca, "okmsd dev", PKCS12_PASSWORD)?;
    folder::write_private(&folder.file("client.p12"), &bundle)?;
    folder.write_pair(&domain.id.to_string(), &issued.certificate_pem, &key)?;
    Ok(domain.id)
}

/// Does what the process does by itself, and records it as a request's.
async fn recorded<T>(
    app: &App,
    operation: &str,
    work: impl AsyncFnOnce(Option<Arc<Trail>>) -> Result<T, Error>,
) -> Result<T, Box<dyn std::error::Error + Send + Sync>> {
    let trail = app.record(operation, &Principal::of_process());
    let done = work(trail.clone()).await;
    if let Some(trail) = trail {
        let status = if done.is_ok() { 200 } else { 500 };
        let told = trail.ends(status, None).await;
        told.map_err(|_| "what was made could not be recorded in the audit trail")?;
    }
    Ok(done?)
}

fn witness(trail: Option<Arc<Trail>>) -> Option<Arc<dyn Witness>> {
    trail.map(|trail| trail as Arc<dyn Witness>)
}

/// The domain that a certificate in the folder is named after.
fn domain_in(dir: &Path) -> Result<Option<OkmsId>, String> {
    let failed = |error| format!("{}: {error}", dir.display());
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix("_certificate.pem"));
        if let Some(id) = stem.and_then(|stem| stem.parse().ok()) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

fn env(root: &Path, id: OkmsId, endpoint: &str) -> String {
    let root = root.display();
    let (ca, cert, key) = (
        format!("{root}/region_ca.pem"),
        format!("{root}/{id}_certificate.pem"),
        format!("{root}/{id}_privatekey.pem"),
    );
    [
        ("OKMS_ID", id.to_string()),
        ("KMS_RESTAPI_ENDPOINT", endpoint.to_owned()),
        ("KMS_RESTAPI_CA", ca.clone()),
        ("KMS_RESTAPI_CERT", cert.clone()),
        ("KMS_RESTAPI_KEY", key.clone()),
        ("VAULT_ADDR", format!("{endpoint}/api/{id}")),
        ("VAULT_CACERT", ca),
        ("VAULT_CLIENT_CERT", cert),
        ("VAULT_CLIENT_KEY", key),
    ]
    .map(|(name, value)| format!("export {name}={}\n", quote(&value)))
    .concat()
        // Of another server they would be refused here.
        + "unset VAULT_TOKEN VAULT_NAMESPACE\n"
}

/// `text` as one word of a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn greet(root: &Path, id: OkmsId, app: &App) {
    let env_file = root.join("env.sh");
    let curl =
        "curl --cacert \"$KMS_RESTAPI_CA\" --cert \"$KMS_RESTAPI_CERT\" --key \"$KMS_RESTAPI_KEY\"";
    let base = "\"$KMS_RESTAPI_ENDPOINT/api/$OKMS_ID/v2/secret";
    say(format_args!(
        "okmsd serves one domain.\n\
         \n  okmsId       {id}\
         \n  endpoint     {}\
         \n  admin        http://{}/metrics\
         \n  Swagger UI   {}/swagger/\
         \n  files        {}\
         \n  for browsers client.p12, password {PKCS12_PASSWORD}\n\
         \nIn another terminal:\n\
         \nsource {}\
         \n{curl} {base}\" -d '{{\"path\":\"app/database\",\"version\":{{\"data\":{{\"password\":\"correct horse\"}}}}}}'\
         \n{curl} {base}/app/database?includeData=true\"\
         \nvault kv get secret/app/database   # the same secret, with the vault or bao CLI\n",
        app.endpoint(),
        app.admin_address(),
        app.endpoint(),
        root.display(),
        quote(&env_file.display().to_string()),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The helpers were on, whatever the operator had said of them.
    #[test]
    fn what_is_said_of_the_helpers_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("okmsd.toml");
        for (text, variable, expected) in [
            ("", None, true),
            ("", Some("false"), false),
            ("[dev]\nhelpers = false", None, false),
            ("[dev]\nhelpers = false", Some("true"), true),
        ] {
            let device = "[[audit.device]]\nkind = \"stdout\"\n";
            fs::write(&file, format!("{device}{text}")).unwrap();
            let said = |text: &str| ("OKMSD_DEV__HELPERS".to_owned(), text.to_owned());
            let config = Config::load(&file, variable.map(said).into_iter()).unwrap();
            let config = for_development(config);
            assert_eq!(config.dev.tells(), expected, "{text} {variable:?}");
            assert_eq!(config.environment, Environment::Dev);
        }
    }
}
