//! Where a PostgreSQL is that several servers share.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

use super::units::Span;

/// `[store.postgres]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Postgres {
    /// All servers of the cluster; the one that takes writes is found.
    pub hosts: Vec<DatabaseHost>,
    /// The database.
    pub database: String,
    /// The role that serves.
    pub user: String,
    /// The file of its password.
    pub password_file: Option<PathBuf>,
    /// The authorities of the servers' certificates.
    pub ca: Option<PathBuf>,
    /// The role's certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub private_key: Option<PathBuf>,
    /// Whether a standby has to acknowledge what is acknowledged.
    pub require_sync: RequireSync,
    /// Connections that read.
    pub read_connections: usize,
    /// Connections that show one moment for several reads.
    pub view_connections: usize,
    /// How long a connection may take.
    pub connect_time: Span,
    /// How long an answer may take.
    pub commit_time: Span,
    /// How long to look for what became of a commit that was not answered.
    pub settle_time: Span,
    /// For how long a server is believed that may have been cut off from the others.
    pub max_stale: Span,
    /// Not ready after so long without anything made durable.
    pub unready_after: Span,
}

impl Default for Postgres {
    fn default() -> Self {
        let span = |seconds| Span(Duration::from_secs(seconds));
        Self {
            hosts: Vec::new(),
            database: "okmsd".into(),
            user: "okmsd".into(),
            password_file: None,
            ca: None,
            certificate: None,
            private_key: None,
            require_sync: RequireSync::Yes,
            read_connections: 4,
            view_connections: 4,
            connect_time: span(1),
            commit_time: span(2),
            settle_time: span(8),
            max_stale: span(1),
            unready_after: span(3),
        }
    }
}

/// Whether the database has to have a standby that acknowledges each commit: `true`, `false` or `"provider"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequireSync {
    /// Its settings have to say so.
    Yes,
    /// Whoever provides it promises it; its settings cannot be seen.
    Provider,
    /// What is acknowledged may be lost with one machine.
    No,
}

const WORDS: &str = "must be true, false or \"provider\"";

impl<'de> Deserialize<'de> for RequireSync {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Said {
            Plain(bool),
            Text(String),
        }
        match Said::deserialize(deserializer) {
            Ok(Said::Plain(true)) => Ok(Self::Yes),
            Ok(Said::Plain(false)) => Ok(Self::No),
            // The environment has texts alone.
            Ok(Said::Text(text)) => match text.as_str() {
                "true" => Ok(Self::Yes),
                "false" => Ok(Self::No),
                "provider" => Ok(Self::Provider),
                _ => Err(de::Error::custom(WORDS)),
            },
            Err(_) => Err(de::Error::custom(WORDS)),
        }
    }
}

/// A server: `name:port`, `[address]:port`, or the folder of a socket and its port, `/folder:port`. The port is 5432
/// where none is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseHost {
    /// Its name, its address, or the folder of its socket.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// Text that names no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is name:port, [address]:port or /folder/of/a/socket:port")]
pub struct NoHost;

impl FromStr for DatabaseHost {
    type Err = NoHost;

    fn from_str(text: &str) -> Result<Self, NoHost> {
        let is_bare_v6 = text.parse::<IpAddr>().is_ok();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !is_bare_v6 => (host, port.parse().map_err(|_| NoHost)?),
            _ => (text, 5432),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_known = !host.is_empty() && !host.contains([' ', ',', '@']);
        if is_known && port > 0 { Ok(Self { host: host.into(), port }) } else { Err(NoHost) }
    }
}

impl fmt::Display for DatabaseHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl<'de> Deserialize<'de> for DatabaseHost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_required_unless_it_is_said_otherwise() {
        let read = |text: &str| {
            let text = format!("require_sync = {text}");
            toml::from_str::<Postgres>(&text).map(|read| read.require_sync).ok()
        };
        assert_eq!(toml::from_str::<Postgres>("").unwrap().require_sync, RequireSync::Yes);
        for (text, expected) in [("true", RequireSync::Yes), ("false", RequireSync::No)] {
            assert_eq!(read(text), Some(expected));
            assert_eq!(read(&format!("\"{text}\"")), Some(expected), "as the environment has it");
        }
        assert_eq!(read("\"provider\""), Some(RequireSync::Provider));
        for wrong in ["\"no\"", "0", "[]", "\"\""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hosts_are_names_addresses_and_sockets() {
        for (text, host, port) in [
            ("db-0.example:5433", "db-0.example", 5433),
            ("db-0", "db-0", 5432),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:6", "::1", 6),
            ("::1", "::1", 5432),
            ("/run/postgresql:5434", "/run/postgresql", 5434),
        ] {
            let read: DatabaseHost = text.parse().unwrap();
            assert_eq!((&*read.host, read.port), (host, port), "{text}");
        }
        for wrong in ["", ":5432", "db:", "db:0", "db:65536", "user@db:1", "a,b", "db :1"] {
            assert_eq!(wrong.parse::<DatabaseHost>(), Err(NoHost), "{wrong}");
        }
    }
}
