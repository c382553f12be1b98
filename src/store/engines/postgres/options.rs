//! Where the database is, and how long it may take.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::fair::Weights;

/// A server of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresHost {
    /// Its name, its address, or the folder of its socket.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl PostgresHost {
    /// Whether nobody but this machine carries what is said to it.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.socket().is_some()
            || self.host == "localhost"
            || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.host.starts_with('/').then(|| Path::new(&self.host))
    }
}

impl fmt::Display for PostgresHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Whether the database has to have a standby that acknowledges each commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequireSync {
    /// It has to, and its settings have to say so.
    Yes,
    /// Whoever provides the database promises it; its settings cannot be seen.
    Provider,
    /// What is acknowledged may be lost with the one machine that has it.
    No,
}

/// What [`super::PostgresEngine::open`] needs.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// All servers; the one that takes writes is found.
    pub hosts: Vec<PostgresHost>,
    /// The database.
    pub database: String,
    /// Its role for `okmsd serve`.
    pub user: String,
    /// The role's password. Read again for each connection.
    pub password_file: Option<PathBuf>,
    /// The authorities of the servers' certificates, PEM. Without them only what is on this machine is spoken to.
    pub ca: Option<PathBuf>,
    /// The role's certificate and its key, PEM. Read again for each connection.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether there has to be a standby that acknowledges.
    pub require_sync: RequireSync,
    /// Connections that read.
    pub read_connections: usize,
    /// Connections that show one moment for several reads.
    pub view_connections: usize,
    /// How long a connection may take.
    pub connect_time: Duration,
    /// How long an answer may take.
    pub commit_time: Duration,
    /// How long to look for what became of a commit that was not answered.
    pub settle_time: Duration,
    /// An answer counts if something was made durable so shortly before.
    pub max_stale: Duration,
    /// Not ready after so long without anything made durable.
    pub unready_after: Duration,
    /// How many batches may wait.
    pub queue_batches: usize,
    /// And how many bytes.
    pub queue_bytes: usize,
    /// How many batches are committed together.
    pub group_batches: usize,
    /// And how many bytes.
    pub group_bytes: usize,
    /// So many bytes of what was read are remembered; 0 where each read goes to the database.
    pub answers_bytes: usize,
    /// What a turn of each tenant is worth.
    pub weights: Arc<Weights>,
}

impl PostgresOptions {
    /// The usual ones.
    #[must_use]
    pub fn new(hosts: Vec<PostgresHost>, database: String, user: String) -> Self {
        Self {
            hosts,
            database,
            user,
            password_file: None,
            ca: None,
            certificate: None,
            require_sync: RequireSync::Yes,
            read_connections: 4,
            view_connections: 4,
            connect_time: Duration::from_secs(1),
            commit_time: Duration::from_secs(2),
            settle_time: Duration::from_secs(8),
            max_stale: Duration::from_secs(1),
            unready_after: Duration::from_secs(3),
            queue_batches: 4096,
            queue_bytes: 64 << 20,
            group_batches: 128,
            group_bytes: 4 << 20,
            answers_bytes: 0,
            weights: Arc::default(),
        }
    }
}
