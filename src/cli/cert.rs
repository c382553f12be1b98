//! `okmsd cert`

use clap::Subcommand;

use super::{
    cert_issue::Issue,
    cert_manage::{List, Revoke, Show},
    cert_renew::Renew,
    output::Outcome,
};

/// Access certificates: how services prove who they are.
#[derive(Subcommand)]
pub(super) enum Cert {
    /// Issue an access certificate for a domain: `<okmsId>_certificate.pem`, and
    /// `<okmsId>_privatekey.pem` unless a request brings its own key. The key is made here and
    /// never leaves this machine.
    Issue(Issue),
    /// List a domain's access certificates: id, status, end and name.
    List(List),
    /// Show one access certificate as JSON, with the certificate itself.
    Show(Show),
    /// Renew an access certificate by itself, with --cert and --key: an operator is not needed. The
    /// new key is made here and never leaves this machine.
    Renew(Renew),
    /// Revoke a certificate, for good: from now on all that comes with it is refused.
    Revoke(Revoke),
}

impl Cert {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Issue(issue) => issue.run().await,
            Self::List(list) => list.run().await,
            Self::Show(show) => show.run().await,
            Self::Renew(renew) => renew.run().await,
            Self::Revoke(revoke) => revoke.run().await,
        }
    }
}
