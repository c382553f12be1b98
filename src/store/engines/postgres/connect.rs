//! Connections: who is spoken to, how, and whether it is the one that takes writes.
//!
//! Always holds: a server beyond this machine is spoken to over TLS, and its certificate has to be for its name; what a
//! session is used for goes to a server that took writes when the session began, and has the store that was opened.
//! Never does: cancel what runs on a server.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, CopyInSink, NoTls, Row, Socket, Statement,
    config::SslMode,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
    types::{ToSql, Type},
};
use tokio_rustls::{TlsConnector, client::TlsStream as Tls};
use zeroize::Zeroizing;

use super::{
    fault::Fault,
    options::{PostgresHost, PostgresOptions, RequireSync},
};
use crate::{seldom::Seldom, store::engines::tls};

/// What a session is for.
const SETTINGS: &str = "set default_transaction_isolation = 'read committed'; \
     set default_transaction_read_only = off; set client_min_messages = warning; \
     set plan_cache_mode = force_generic_plan; set jit = off; set enable_seqscan = off; \
     set enable_bitmapscan = off; set enable_hashjoin = off; set enable_mergejoin = off; \
     set enable_material = off; set statement_timeout = 0; set lock_timeout = 0; \
     set idle_in_transaction_session_timeout = '15s'; \
     set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3; \
     select set_config('synchronous_commit', 'on', false) \
       where current_setting('synchronous_commit') <> 'remote_apply'";

/// Who takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Primary {
    /// Which of the hosts.
    pub(super) host: usize,
    /// Its timeline, which grows with each promotion.
    pub(super) timeline: u32,
}

impl Primary {
    /// Whether it was promoted after the other one.
    pub(super) const fn is_later(self, than: Self) -> bool {
        self.timeline > than.timeline
    }
}

/// A connection to a server that took writes when it began.
pub(super) struct Session {
    client: Client,
    pub(super) primary: Primary,
    /// The server has warned of something, for example that a commit was not replicated.
    warned: Arc<AtomicBool>,
}

impl Session {
    /// Whether nothing can be asked any more.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Whether the server has warned since this was asked last.
    pub(super) fn was_warned(&self) -> bool {
        self.warned.swap(false, Ordering::Relaxed)
    }

    pub(super) async fn prepare(&self, sql: &str, types: &[Type]) -> Result<Statement, Fault> {
        Ok(self.client.prepare_typed(sql, types).await?)
    }

    /// The rows that a statement gives, within a time; afterwards the session is not to be used again.
    pub(super) async fn query(
        &self,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
        within: Duration,
    ) -> Result<Vec<Row>, Fault> {
        Ok(timeout(within, self.client.query(statement, parameters))
            .await
            .map_err(|_| Fault::Late)??)
    }

    /// Takes what a `copy … from stdin` is given.
    pub(super) async fn copy(&self, sql: &str) -> Result<CopyInSink<Bytes>, Fault> {
        Ok(self.client.copy_in(sql).await?)
    }

    /// Does what a text without parameters says.
    pub(super) async fn execute(&self, sql: &str, within: Duration) -> Result<(), Fault> {
        Ok(timeout(within, self.client.batch_execute(sql)).await.map_err(|_| Fault::Late)??)
    }

    /// The rows of a text with parameters of these types, which is not kept prepared.
    pub(super) async fn once(
        &self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
        within: Duration,
    ) -> Result<Vec<Row>, Fault> {
        Ok(timeout(within, self.client.query_typed(sql, parameters))
            .await
            .map_err(|_| Fault::Late)??)
    }
}

/// Makes sessions.
pub(super) struct Connector {
    pub(super) options: PostgresOptions,
    /// The store's own name, once it is known.
    pub(super) store: OnceLock<String>,
    /// The timeline on which something was made durable last. Who takes writes on an older one was passed over, and has nothing
    /// of what was acknowledged since.
    durable: AtomicU32,
    passed_over: Seldom,
}

impl Connector {
    pub(super) const fn new(options: PostgresOptions) -> Self {
        Self {
            options,
            store: OnceLock::new(),
            durable: AtomicU32::new(0),
            passed_over: Seldom::new(Duration::from_secs(10)),
        }
    }

    /// Something was made durable there.
    pub(super) fn made_durable(&self, by: &Session) {
        self.durable.fetch_max(by.primary.timeline, Ordering::Relaxed);
    }

    /// A session with the server that takes writes: of those that say so the one of the highest timeline. One that was
    /// passed over in a failover may still think that it takes them.
    pub(super) async fn elect(&self) -> Result<Session, Fault> {
        let asked = (0..self.options.hosts.len()).map(|host| self.connect(host));
        let answers = futures_util::future::join_all(asked).await;
        let mut best: Option<Session> = None;
        let mut faults = Vec::new();
        for (answer, host) in answers.into_iter().zip(&self.options.hosts) {
            match answer {
                Ok(session) => {
                    let is_later = |other: &Session| session.primary.is_later(other.primary);
                    if best.as_ref().is_none_or(is_later) {
                        best = Some(session);
                    }
                }
                Err(fault) => faults.push(format!("{host}: {fault}")),
            }
        }
        best.ok_or_else(|| Fault::NoPrimary(faults.join("; ")))
    }

    /// A session with the server that takes writes as far as is known.
    pub(super) async fn to(&self, primary: Primary) -> Result<Session, Fault> {
        let session = self.connect(primary.host).await?;
        if session.primary == primary { Ok(session) } else { Err(Fault::Stale) }
    }

    /// A session with one of the servers, which has to take writes.
    async fn connect(&self, host: usize) -> Result<Session, Fault> {
        let session = timeout(self.options.connect_time, self.dial(host));
        session.await.map_err(|_| Fault::Late)?
    }

    async fn dial(&self, host: usize) -> Result<Session, Fault> {
        let options = &self.options;
        let to = options.hosts.get(host).ok_or(Fault::Late)?;
        let mut config = Config::new();
        config
            .dbname(&options.database)
            .user(&options.user)
            .application_name("okmsd")
            .port(to.port)
            .connect_timeout(options.connect_time)
            .tcp_user_timeout(options.commit_time * 2)
            .keepalives_idle(Duration::from_secs(10));
        match to.socket() {
            Some(folder) => config.host_path(folder),
            None => config.host(&to.host),
        };
        let (asked, of) = (options.clone(), to.clone());
        let files = tokio::task::spawn_blocking(move || credentials(&asked, &of)).await;
        let (password, tls) = files.map_err(|_| Fault::Late)??;
        if let Some(password) = password {
            config.password(password.trim_ascii_end());
        }
        let warned = Arc::<AtomicBool>::default();
        let client = if let Some(tls) = tls {
            config.ssl_mode(SslMode::Require);
            let (client, connection) = config.connect(tls).await?;
            spawn(connection, &warned);
            client
        } else {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await?;
            spawn(connection, &warned);
            client
        };
        let rows = client
            .simple_query(
                "select pg_is_in_recovery() or current_setting('transaction_read_only')::bool, \
                 case when pg_is_in_recovery() then '' \
                 else left(pg_walfile_name(pg_current_wal_lsn()), 8) end",
            )
            .await?;
        let row = rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let text = |column: usize| row.and_then(|row| row.get(column)).unwrap_or_default();
        if text(0) != "f" {
            return Err(Fault::Lost("it takes no writes".into()));
        }
        let timeline = u32::from_str_radix(text(1), 16)
            .map_err(|_| Fault::Lost("it does not tell its timeline".into()))?;
        let durable = self.durable.load(Ordering::Relaxed);
        if timeline < durable {
            if self.passed_over.due().is_some() {
                tracing::error!(
                    %to, timeline, durable,
                    "a server takes writes that was passed over: what was acknowledged on a later timeline is not there. Nobody \
                     goes back to it until okmsd is restarted"
                );
            }
            return Err(Fault::Lost(format!(
                "it was passed over: its timeline is {timeline}, and something was made durable on {durable}"
            )));
        }
        client.batch_execute(SETTINGS).await?;
        if let Some(store) = self.store.get() {
            let named = "select value from okms.meta where name = 'store'";
            let rows = client.query_typed(named, &[]).await?;
            if rows.first().and_then(|row| row.try_get(0).ok()) != Some(&**store) {
                return Err(Fault::Schema(
                    "it has another store than the one that was opened".into(),
                ));
            }
        }
        // What it warns of while a connection is made, such as another version of a collation, is about no commit.
        warned.store(false, Ordering::Relaxed);
        Ok(Session { client, primary: Primary { host, timeline }, warned })
    }
}

/// Says what of the server's settings would lose what it acknowledges.
pub(super) async fn is_durable(session: &Session, options: &PostgresOptions) -> Result<(), Fault> {
    if options.require_sync == RequireSync::No {
        return Ok(());
    }
    let rows = session
        .once(
            "select current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', \
             current_setting('synchronous_commit') in ('on', 'remote_apply'), \
             current_setting('synchronous_standby_names') <> ''",
            &[],
            options.commit_time,
        )
        .await?;
    let holds = |column| rows.first().is_some_and(|row| row.try_get(column).unwrap_or(false));
    let wanted = [
        (holds(0), "fsync is off"),
        (holds(1), "full_page_writes is off"),
        (holds(2), "synchronous_commit is less than on"),
        (
            holds(3) || options.require_sync == RequireSync::Provider,
            "synchronous_standby_names is empty, so that one machine alone has it; where that is meant, say \
             store.postgres.require_sync = false",
        ),
    ];
    match wanted.into_iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(Fault::NotDurable(what)),
        None => Ok(()),
    }
}

/// Carries what goes over a connection until that ends.
fn spawn<T>(mut connection: Connection<Socket, T>, warned: &Arc<AtomicBool>)
where
    T: TlsStream + Unpin + Send + 'static,
{
    let warned = Arc::clone(warned);
    tokio::spawn(async move {
        let mut next = move |context: &mut Context<'_>| loop {
            match ready!(connection.poll_message(context)) {
                Some(Ok(AsyncMessage::Notice(notice))) => {
                    // Before the answer to what it is about.
                    warned.store(true, Ordering::Relaxed);
                    tracing::warn!(
                        code = notice.code().code(),
                        message = notice.message(),
                        "PostgreSQL warns"
                    );
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        };
        std::future::poll_fn(&mut next).await;
    });
}

/// The password, and how TLS is spoken, if it is.
type Credentials = (Option<Zeroizing<Vec<u8>>>, Option<MakeTls>);

/// What is read anew for each connection.
fn credentials(options: &PostgresOptions, host: &PostgresHost) -> Result<Credentials, Fault> {
    let password = options.password_file.as_deref().map(tls::read).transpose();
    let password = password.map_err(Fault::Credentials)?;
    Ok((password.map(Zeroizing::new), make_tls(options, host)?))
}

/// How TLS is spoken to a server, if it is.
fn make_tls(options: &PostgresOptions, host: &PostgresHost) -> Result<Option<MakeTls>, Fault> {
    let Some(ca) = &options.ca else {
        if host.is_here() {
            return Ok(None);
        }
        return Err(Fault::Credentials(format!(
            "store.postgres.ca has to name the authorities of {host}: only what is on this machine is spoken to without TLS"
        )));
    };
    if host.socket().is_some() {
        return Ok(None);
    }
    let config = tls::client(ca, options.certificate.as_ref()).map_err(Fault::Credentials)?;
    Ok(Some(MakeTls(Arc::new(config))))
}

/// Speaks TLS by rustls to whoever is connected to.
#[derive(Clone)]
struct MakeTls(Arc<ClientConfig>);

struct OneTls(Arc<ClientConfig>, ServerName<'static>);

impl MakeTlsConnect<Socket> for MakeTls {
    type Stream = TlsOver;
    type TlsConnect = OneTls;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<OneTls, Self::Error> {
        Ok(OneTls(Arc::clone(&self.0), ServerName::try_from(domain)?.to_owned()))
    }
}

impl TlsConnect<Socket> for OneTls {
    type Stream = TlsOver;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TlsOver>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(
            async move { Ok(TlsOver(TlsConnector::from(self.0).connect(self.1, stream).await?)) },
        )
    }
}

/// A stream over TLS.
struct TlsOver(Tls<Socket>);

impl TlsStream for TlsOver {
    fn channel_binding(&self) -> ChannelBinding {
        // The server's certificate is verified for its name, by authorities that are named for it.
        ChannelBinding::none()
    }
}

impl AsyncRead for TlsOver {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for TlsOver {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
