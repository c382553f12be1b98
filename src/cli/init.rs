//! `okmsd init`

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{
    folder::{Folder, Region},
    output::{Outcome, say},
};
use crate::{config, pki::ServerName};

/// Makes a region's folder.
#[derive(Args)]
pub(super) struct Init {
    /// The folder; what is in it already stays as it is.
    #[arg(long)]
    dir: PathBuf,
    /// The region's name, as in URNs: letters, digits and -.
    #[arg(long, default_value = "local")]
    region: config::Region,
    /// Where clients will connect.
    #[arg(long, default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where probes and metrics will be, over plain HTTP.
    #[arg(long, default_value = "127.0.0.1:9464")]
    admin_listen: SocketAddr,
    /// A DNS name or IP address of the server; repeat for more. Answers and commands use the first
    /// one.
    #[arg(long = "server-name", default_values = ["localhost", "127.0.0.1", "::1"])]
    server_names: Vec<String>,
}

impl Init {
    pub(super) fn run(self) -> Outcome {
        let names: Vec<ServerName> =
            self.server_names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
        let folder = Folder::new(&self.dir);
        folder.complete(&Region {
            name: self.region.as_str(),
            listen: self.listen,
            admin_listen: self.admin_listen,
            server_names: &names,
            endpoint: self.server_names.first().map(|name| endpoint(name, self.listen.port())),
        })?;
        let (dir, config) = (self.dir.display(), folder.config());
        say(format_args!(
            "The region is in {dir}. Back up root.key and region_ca_privatekey.pem apart from the store."
        ));
        say(format_args!("Serve it:         okmsd serve --config {}", config.display()));
        say(format_args!("Create a domain:  okmsd domain create NAME --dir {dir}"));
        say(format_args!("Issue its access: okmsd cert issue --domain OKMS_ID --dir {dir}"));
        Ok(())
    }
}

fn endpoint(name: &str, port: u16) -> String {
    if name.contains(':') {
        format!("https://[{name}]:{port}")
    } else {
        format!("https://{name}:{port}")
    }
}
