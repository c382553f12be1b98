//! `okmsd store`: the database that several servers share, and the way from one store into another.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::output::{Outcome, say};
use crate::{
    app,
    clock::SystemClock,
    config::{self, Config, StoreEngine},
    store::engines::postgres::{self, PostgresOptions},
};

/// Prepare and look at the database that several servers share, and move a store.
#[derive(Subcommand)]
pub(super) enum Store {
    /// Make the schema in a new database, as its owner. What is there already stays.
    Init(Prepare),
    /// Add what this program needs to a schema that is there, as its owner; servers of this version and of the one
    /// before may go on meanwhile.
    Migrate(Prepare),
    /// Tell how the store is, and who serves it.
    Status(Status),
    /// Write all that is in the store to a file, encrypted as it is, for another store to take in: a file's, while nobody
    /// serves it, or a database's at any time.
    Export(Export),
    /// Make a store of an export: a new file, or in a database that has a new store. All of it, or nothing.
    Import(Import),
}

/// Who owns the schema, and who serves it.
#[derive(Args)]
pub(super) struct Prepare {
    /// The config whose [store.postgres] says where the database is, and by which role it is served.
    #[arg(long)]
    config: PathBuf,
    /// The role that owns the schema; the one that serves, if nothing is said.
    #[arg(long)]
    owner: Option<String>,
    /// The file of the owner's password.
    #[arg(long, requires = "owner")]
    owner_password_file: Option<PathBuf>,
}

/// Where to.
#[derive(Args)]
pub(super) struct Export {
    /// The config whose [store] says where the store is.
    #[arg(long)]
    config: PathBuf,
    /// The new file, or - for standard output.
    file: PathBuf,
}

/// Where from.
#[derive(Args)]
pub(super) struct Import {
    /// The config whose [store] says where the new store is. Its root key has to be the one of the store that was exported.
    #[arg(long)]
    config: PathBuf,
    /// What `store export` has written, or - for standard input.
    file: PathBuf,
}

/// Which store.
#[derive(Args)]
pub(super) struct Status {
    /// The config whose [store.postgres] says where the database is.
    #[arg(long)]
    config: PathBuf,
}

impl Store {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Init(command) => command.run(true).await,
            Self::Migrate(command) => command.run(false).await,
            Self::Status(command) => command.run().await,
            Self::Export(command) => command.run().await,
            Self::Import(command) => command.run().await,
        }
    }
}

/// Where the database is.
fn options(file: &Path) -> Outcome<PostgresOptions> {
    let config = Config::load(file, config::environment())?;
    if config.store.engine == StoreEngine::Postgres {
        return Ok(app::postgres(&config));
    }
    Err("store.engine is redb: a file needs no preparation; only what is in [store.postgres] does"
        .into())
}

impl Prepare {
    async fn run(self, may_be_new: bool) -> Outcome {
        let served = options(&self.config)?;
        let role = served.user.clone();
        let mut options = PostgresOptions { require_sync: postgres::RequireSync::No, ..served };
        let mut served_by = None;
        if let Some(owner) = self.owner {
            if owner != role {
                served_by = Some(role.as_str());
            }
            options = PostgresOptions {
                user: owner,
                password_file: self.owner_password_file,
                certificate: None,
                ..options
            };
        }
        if postgres::init(&options, served_by, may_be_new).await? {
            say(format_args!("made a store in the database {}", options.database));
        } else {
            say(format_args!("the database {} has all that is needed", options.database));
        }
        Ok(())
    }
}

impl Status {
    async fn run(self) -> Outcome {
        let options = options(&self.config)?;
        let status = postgres::status(&options).await?;
        say(format_args!("store      {}", status.store));
        say(format_args!("server     {}", status.server));
        say(format_args!("commits    {}", status.commits));
        say(format_args!("bytes      {}", status.bytes));
        say(format_args!("head       {} bytes", status.head_bytes));
        say(format_args!("left over  {}", status.left_over));
        say(format_args!(
            "durable    {}",
            status.not_durable.map_or_else(|| "yes".to_owned(), |what| format!("no: {what}"))
        ));
        for (about, silent) in status.processes {
            say(format_args!("process    {about}, heard {silent:.1} s ago"));
        }
        Ok(())
    }
}

/// Whether standard input or output is meant.
fn is_standard(file: &Path) -> bool {
    file == Path::new("-")
}

impl Export {
    async fn run(self) -> Outcome {
        let config = Config::load(&self.config, config::environment())?;
        if is_standard(&self.file) {
            app::export_store(&config, &SystemClock, io::stdout()).await?;
            return Ok(());
        }
        let in_file = |error: io::Error| format!("{}: {error}", self.file.display());
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
        let file = options.open(&self.file).map_err(in_file)?;
        let exported = app::export_store(&config, &SystemClock, &file).await;
        // What is there is whole, or is not there.
        let count: Outcome<u64> = match exported {
            Ok(count) => file.sync_all().map(|()| count).map_err(|error| in_file(error).into()),
            Err(error) => Err(error.into()),
        };
        if count.is_err() {
            fs::remove_file(&self.file).map_err(in_file)?;
        }
        say(format_args!("exported {} records to {}", count?, self.file.display()));
        Ok(())
    }
}

impl Import {
    async fn run(self) -> Outcome {
        let config = Config::load(&self.config, config::environment())?;
        let count = if is_standard(&self.file) {
            app::import_store(&config, io::stdin()).await?
        } else {
            let in_file = |error: io::Error| format!("{}: {error}", self.file.display());
            app::import_store(&config, File::open(&self.file).map_err(in_file)?).await?
        };
        say(format_args!("imported {count} records"));
        Ok(())
    }
}
