//! The command line: one file a subcommand.
//!
//! Always holds: no secret is taken from or shown in an argument; an error names the file, key or
//! address at fault. If nobody reads what a command says (`okmsd dev | true`), it does its work all
//! the same, and a server goes on serving.

mod audit;
mod audit_key;
mod audit_show;
mod audit_tail;
mod audit_verify;
mod ca;
mod cert;
mod cert_issue;
mod cert_manage;
mod cert_renew;
mod client;
mod dev;
mod domain;
mod folder;
mod init;
mod output;
mod policy;
mod secret;
mod serve;
mod signals;
mod store;

use std::{
    io::{self, Write},
    process::{self, ExitCode},
};

use clap::{
    Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use self::{output::Unanswered, signals::Cut};

/// A self-hosted secret service: client certificates, versioned and encrypted secrets, the OKMS
/// Secret API.
#[derive(Parser)]
#[command(name = "okmsd", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make everything that is needed to try okmsd on this machine, and serve it.
    Dev(dev::Dev),
    /// Make a folder for a new region: config, certificate authority, server and operator
    /// certificate, root key.
    Init(init::Init),
    /// Serve a region.
    Serve(serve::Serve),
    /// Prepare and look at the database that several servers share.
    #[command(subcommand)]
    Store(store::Store),
    /// Create and list domains, on a running server.
    #[command(subcommand)]
    Domain(domain::Domain),
    /// Move and copy secrets with their history, on a running server.
    #[command(subcommand)]
    Secret(secret::Secret),
    /// Issue, list, renew and revoke access certificates, on a running server.
    #[command(subcommand)]
    Cert(cert::Cert),
    /// Add, list and take away authorities of domains' own, and give them their revocation lists, on a
    /// running server.
    #[command(subcommand)]
    Ca(ca::Ca),
    /// Ask a running server who may do what.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Read and check the audit trail, in its files.
    #[command(subcommand)]
    Audit(audit::Audit),
}

/// So many tasks go on before a worker looks again what has arrived. Each takes some 100 us, and
/// what arrives is another domain's, maybe: by default it is seen after 61 of them.
const EVENT_INTERVAL: u32 = 8;

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return report_misuse(error),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().event_interval(EVENT_INTERVAL).build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Dev(command) => command.run().await,
            Command::Init(command) => command.run(),
            Command::Serve(command) => command.run().await,
            Command::Store(command) => command.run().await,
            Command::Domain(command) => command.run().await,
            Command::Secret(command) => command.run().await,
            Command::Cert(command) => command.run().await,
            Command::Ca(command) => command.run().await,
            Command::Policy(command) => command.run().await,
            Command::Audit(command) => command.run().await,
        }
    });
    // What was begun and is not needed any more, such as the opening of a store, is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Cut>() {
            // Whatever is still at work is not waited for.
            Some(cut) => process::exit(cut.exit_code()),
            // As where the arguments are wrong.
            None if error.is::<Unanswered>() => fail(&*error, ExitCode::from(2)),
            None => fail(&*error, ExitCode::FAILURE),
        },
    }
}

/// Shows what is wrong with the arguments, or the help that was asked for, and never what was
/// typed: with a file's content in the place of its name, that is a key.
fn report_misuse(mut error: clap::Error) -> ExitCode {
    // What an argument is named is ours, unless there is no such argument.
    let typed: &[_] = match error.kind() {
        ErrorKind::UnknownArgument => &[ContextKind::InvalidArg, ContextKind::InvalidValue],
        ErrorKind::InvalidSubcommand => &[ContextKind::InvalidSubcommand],
        _ => &[ContextKind::InvalidValue],
    };
    for kind in typed {
        if matches!(error.get(*kind), Some(ContextValue::String(text)) if !is_plain(text)) {
            error.insert(*kind, ContextValue::String("...".to_owned()));
            // It may repeat it.
            error.remove(ContextKind::Suggested);
        }
    }
    let _nobody_reads = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Whether what was typed is a word such as the command line's own.
fn is_plain(text: &str) -> bool {
    let word = text.trim_start_matches('-');
    let is_short = word.len() <= 24 && text.len() - word.len() <= 2;
    is_short && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn fail(error: &dyn std::error::Error, code: ExitCode) -> ExitCode {
    let _nobody_reads = writeln!(io::stderr(), "okmsd: {error}");
    code
}
