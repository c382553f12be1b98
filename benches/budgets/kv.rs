//! What a client of KV version 2 asks, of okmsd or of `OpenBao`: the same requests, timed alike.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Outcome,
    client::{self, Client, Connection, Dialect, SECRET, micros, timed},
    lists::FOLDER,
    server::{Region, Server},
    table::percentile,
};

/// How many secrets a client writes to: none of them reaches its last version so soon.
pub(super) const OWN: usize = 8;

/// A server, as a client of KV version 2 finds it.
#[derive(Clone)]
pub(super) struct Peer {
    client: Client,
    root: String,
    token: Option<String>,
}

/// An open connection to one.
pub(super) struct Caller {
    connection: Connection,
    peer: Peer,
}

/// What is asked again and again.
#[derive(Clone, Copy)]
pub(super) enum Job {
    /// Of one secret, which all read.
    Read,
    /// Of each client's own secrets, one after the other.
    Write,
    /// The names of one folder, which all read.
    List,
    /// As [`Job::Write`], after a pause.
    WriteAfter(Duration),
    /// Over a new connection, with a full handshake.
    Connect,
    /// By the certificate, for a token.
    Login,
}

impl Peer {
    /// okmsd, which takes the certificate for all that it needs to know.
    pub(super) fn okmsd(region: &Region, server: &Server) -> Outcome<Self> {
        Self::at(region, server, format!("/api/{}/v1", region.id()?))
    }

    /// `OpenBao`, which wants a token beside it.
    pub(super) fn openbao(region: &Region, server: &Server) -> Outcome<Self> {
        Self::at(region, server, "/v1".to_owned())
    }

    /// okmsd, for a client of the domain `id`.
    pub(super) fn of(client: Client, id: &str) -> Self {
        Self { client, root: format!("/api/{id}/v1"), token: None }
    }

    fn at(region: &Region, server: &Server, root: String) -> Outcome<Self> {
        Ok(Self { client: region.client(server)?, root, token: None })
    }

    /// The same, with this token.
    pub(super) fn with(&self, token: String) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    /// The same, with the token that the certificate is worth.
    pub(super) async fn login(&self) -> Outcome<Self> {
        let answer: Value = serde_json::from_slice(&self.connect().await?.login().await?)?;
        let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
        Ok(self.with(token.ok_or("a login told no token")?.to_owned()))
    }

    /// Where a secret is read and written.
    pub(super) fn secret_url(&self, path: &str) -> String {
        format!("{}/secret/data/{path}", self.root)
    }

    /// Where the names in a folder are told; the root is "".
    pub(super) fn list_url(&self, folder: &str) -> String {
        format!("{}/secret/metadata/{folder}?list=true", self.root)
    }

    /// What each request has.
    pub(super) fn headers(&self) -> Vec<(&'static str, &str)> {
        self.token.iter().map(|token| ("x-vault-token", token.as_str())).collect()
    }

    pub(super) async fn connect(&self) -> Outcome<Caller> {
        Ok(Caller { connection: self.client.connect().await?, peer: self.clone() })
    }
}

impl Caller {
    /// Asks for what lies at `path` below the root of the API.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Outcome<Bytes> {
        let url = format!("{}/{path}", self.peer.root);
        self.call(method, &url, body.into()).await
    }

    pub(super) async fn read(&mut self, path: &str) -> Outcome<Bytes> {
        self.call(Method::GET, &self.peer.secret_url(path), Bytes::new()).await
    }

    /// Adds a version; `body` is [`Dialect::update`]'s.
    pub(super) async fn write(&mut self, path: &str, body: Bytes) -> Outcome<Bytes> {
        self.call(Method::POST, &self.peer.secret_url(path), body).await
    }

    pub(super) async fn login(&mut self) -> Outcome<Bytes> {
        self.ask(Method::POST, "auth/cert/login", "{}").await
    }

    /// The names in a folder.
    pub(super) async fn list(&mut self, folder: &str) -> Outcome<Bytes> {
        self.call(Method::GET, &self.peer.list_url(folder), Bytes::new()).await
    }

    /// How many names there are in a folder.
    pub(super) async fn count(&mut self, folder: &str) -> Outcome<usize> {
        let answer: Value = serde_json::from_slice(&self.list(folder).await?)?;
        let names = answer.pointer("/data/keys").and_then(Value::as_array);
        Ok(names.ok_or("a list told no names")?.len())
    }

    async fn call(&mut self, method: Method, url: &str, body: Bytes) -> Outcome<Bytes> {
        let headers = self.peer.headers();
        Ok(self.connection.call(method, url, &headers, body).await?.into_body())
    }

    pub(super) async fn work(&mut self, job: Job, path: &str, body: &Bytes) -> Outcome<Bytes> {
        match job {
            Job::Read => self.read(SECRET).await,
            Job::Write => self.write(path, body.clone()).await,
            Job::List => self.list(FOLDER).await,
            Job::WriteAfter(pause) => {
                tokio::time::sleep(pause).await;
                self.write(path, body.clone()).await
            }
            Job::Connect => self.peer.connect().await?.read(SECRET).await,
            Job::Login => self.login().await,
        }
    }
}

/// What requests took, in us, and all of them together.
pub(super) struct Times {
    each: Vec<f64>,
    together: Duration,
}

impl Times {
    pub(super) fn count(&self) -> usize {
        self.each.len()
    }

    /// So much of something else for one.
    pub(super) fn share(&self, of: f64) -> f64 {
        of / f64::from(u32::try_from(self.each.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn rate(&self) -> f64 {
        1.0 / self.share(self.together.as_secs_f64())
    }

    pub(super) fn percentile(&self, at: f64) -> f64 {
        percentile(&self.each, at)
    }
}

/// So many clients do the same for so long, each over a connection of its own.
pub(super) async fn busy(peer: &Peer, clients: usize, job: Job, time: Duration) -> Outcome<Times> {
    let peer = match job {
        Job::Connect => &Peer { client: peer.client.clone().forgetful(), ..peer.clone() },
        _ => peer,
    };
    let mut callers = Vec::new();
    for _ in 0..clients {
        callers.push(peer.connect().await?);
    }
    let body = Dialect::Kv.update(&client::value(1024));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, mut caller) in callers.into_iter().enumerate() {
        let body = body.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while times.is_empty() || started.elapsed() < time {
                let path = format!("bench/writer-{number:02}/{}", times.len() % OWN);
                times.push(micros(timed(caller.work(job, &path, &body)).await?));
            }
            Outcome::Ok(times)
        });
    }
    let mut each = Vec::new();
    while let Some(times) = tasks.join_next().await {
        each.extend(times??);
    }
    Ok(Times { each, together: started.elapsed() })
}
