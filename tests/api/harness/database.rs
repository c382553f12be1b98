//! The suite over PostgreSQL: with `OKMSD_TEST_POSTGRES=HOST:PORT`, each server has a database of its own there, which
//! the role `owner` makes without a password and removes again.

use std::{process::Command, time::Duration};

use okmsd::{
    config::{Config, RequireSync, Span, StoreEngine},
    store::engines::postgres::{self, PostgresHost, PostgresOptions},
};

/// A database that is there as long as its test.
pub struct Database {
    at: (String, u16),
    name: String,
}

impl Database {
    /// A new one, and the config goes by it; nothing where files are meant.
    pub fn new(config: &mut Config) -> Option<Self> {
        let at = std::env::var("OKMSD_TEST_POSTGRES").ok()?;
        let (host, port) = at.rsplit_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let database = Self { at: (host.to_owned(), port), name };
        database.sql(&format!("create database {}", database.name));
        let host = PostgresHost { host: host.into(), port };
        let options = PostgresOptions {
            commit_time: Duration::from_secs(20),
            settle_time: Duration::from_secs(20),
            ..PostgresOptions::new(vec![host], database.name.clone(), "owner".into())
        };
        // A test's runtime is not to be waited in.
        let made = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(postgres::init(&options, None, true)).unwrap()
        });
        assert!(made.join().unwrap());
        config.store.engine = StoreEngine::Postgres;
        // What is not remembered is read as without it.
        config.store.cache_reads = true;
        let said = &mut config.store.postgres;
        said.hosts = vec![at.parse().unwrap()];
        said.database = database.name.clone();
        said.user = "owner".into();
        said.require_sync = RequireSync::No;
        said.read_connections = 2;
        // Whoever would want a second moment beside the one that he has would wait for himself.
        said.view_connections = 1;
        // Of a machine that does something else as well.
        for time in [&mut said.connect_time, &mut said.commit_time, &mut said.max_stale] {
            *time = Span(Duration::from_secs(20));
        }
        said.unready_after = Span(Duration::from_secs(30));
        Some(database)
    }

    fn sql(&self, sql: &str) {
        let mut psql = Command::new("psql");
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "owner", "-d", "postgres"]);
        psql.args(["-h", &self.at.0, "-p", &self.at.1.to_string(), "-c", sql]);
        assert!(psql.status().unwrap().success(), "{sql}");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.sql(&format!("drop database if exists {} with (force)", self.name));
    }
}
