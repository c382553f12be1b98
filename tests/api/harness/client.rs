//! A client of the server, which checks each answer.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use hyper::Method;
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::client::TlsStream;

use super::{
    PATIENCE,
    answer::Answer,
    mtls::{self, Failure, Http},
};

/// A client of one domain. Each call is a connection of its own, unless the test opens one.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub id: String,
    pub http: Http,
    pub tls: Arc<ClientConfig>,
}

impl Client {
    /// The same certificate over the other protocol.
    pub fn over(&self, http: Http) -> Self {
        let mut tls = (*self.tls).clone();
        mtls::speak(&mut tls, http);
        Self { http, tls: Arc::new(tls), ..self.clone() }
    }

    /// The path of `rest` in the client's own domain: `secret/foo`.
    pub fn url(&self, rest: &str) -> String {
        format!("/api/{}/v2/{rest}", self.id)
    }

    /// Creates the secret `path` with this value.
    pub async fn create(&self, path: &str, data: &str) -> Answer {
        self.post("secret", &format!(r#"{{"path":"{path}","version":{{"data":{data}}}}}"#)).await
    }

    /// Creates secrets with these paths, over a few connections at once.
    pub async fn create_all(&self, paths: &[String]) {
        let connections = paths.chunks(paths.len().div_ceil(8)).map(|share| {
            let (client, share) = (self.clone(), share.to_vec());
            tokio::spawn(async move {
                let mut connection = client.connect().await;
                for path in share {
                    let body = format!(r#"{{"path":"{path}","version":{{"data":{{}}}}}}"#);
                    connection.send(Method::POST, &client.url("secret"), &[], body).await.ok();
                }
            })
        });
        for task in connections.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }

    /// A page of the list at `rest`.
    pub async fn page(&self, rest: &str, size: &str, cursor: Option<&str>) -> Answer {
        let mut headers = vec![("x-pagination-size", size)];
        headers.extend(cursor.map(|cursor| ("x-pagination-cursor", cursor)));
        self.send(Method::GET, &self.url(rest), &headers, "").await
    }

    /// Whether the server ends the handshake with an alert. In TLS 1.3 it comes after the client's
    /// last flight.
    pub async fn is_refused_in_tls(&self) -> bool {
        let Ok(mut stream) = self.tls().await else { return true };
        let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let (mut answer, _) = (Vec::new(), stream.write_all(request).await);
        match stream.read_to_end(&mut answer).await {
            Ok(_) => false,
            Err(error) => answer.is_empty() && error.to_string().contains("alert"),
        }
    }

    pub async fn get(&self, rest: &str) -> Answer {
        self.call(Method::GET, &self.url(rest), "").await
    }

    pub async fn post(&self, rest: &str, body: &str) -> Answer {
        self.call(Method::POST, &self.url(rest), body).await
    }

    pub async fn put(&self, rest: &str, body: &str) -> Answer {
        self.call(Method::PUT, &self.url(rest), body).await
    }

    pub async fn delete(&self, rest: &str) -> Answer {
        self.call(Method::DELETE, &self.url(rest), "").await
    }

    pub async fn call(&self, method: Method, path: &str, body: &str) -> Answer {
        self.send(method, path, &[], body.to_owned()).await
    }

    /// Sends a request on a connection of its own.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.connect().await.send(method, path, headers, body).await
    }

    /// A TLS stream to the server.
    pub async fn tls(&self) -> std::io::Result<TlsStream<TcpStream>> {
        mtls::stream(self.address, &self.tls).await
    }

    /// A connection that many requests can use.
    pub async fn connect(&self) -> Connection {
        self.try_connect().await.expect("a handshake")
    }

    /// The same from another address of this machine.
    pub async fn connect_from(&self, own: IpAddr) -> Connection {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(own, 0)).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let stream = mtls::stream_over(stream, &self.tls).await.unwrap();
        Connection(mtls::Connection::over(stream).await.unwrap())
    }

    pub async fn try_connect(&self) -> Result<Connection, Failure> {
        Ok(Connection(mtls::Connection::open(self.address, &self.tls).await?))
    }
}

/// An open connection.
pub struct Connection(pub mtls::Connection);

impl Connection {
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_send(method, path, headers, body).await.expect("an answer")
    }

    pub async fn try_send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, Failure> {
        let sent = self.0.send(method.clone(), path, headers, body.into());
        let response = tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time")?;
        Ok(Answer::checked(response, &method))
    }
}
