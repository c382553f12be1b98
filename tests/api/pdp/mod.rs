//! A policy decision point beside the domain's own policies: a small one of the tests' own, which speaks
//! `AuthZEN`, over real HTTP.

mod cases;
mod doors;
mod failures;
mod meanwhile;
mod several;
mod tls;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    header::{AUTHORIZATION, LOCATION},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use okmsd::config::Config;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::harness::{Answer, Client, TestServer};

/// What a policy decision point does with an evaluation: what is asked, whole.
type Judgement = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// How it answers.
#[derive(Clone)]
pub enum Mode {
    /// As it judges.
    Judges(Judgement),
    /// With this status and body.
    Says(u16, Vec<u8>),
    /// That somebody else knows.
    Leads(String),
    /// With nothing but a head that promises more.
    Stops,
    /// Not at all.
    Silence,
}

/// A request that it has had.
#[derive(Clone, Debug)]
pub struct Had {
    pub path: String,
    pub bearer: Option<String>,
    /// How many certificates its connection has shown.
    pub certificates: usize,
    pub body: Value,
}

impl Had {
    /// The evaluations that it asks for, each whole.
    fn evaluations(&self) -> Vec<Value> {
        let Some(all) = self.body["evaluations"].as_array() else { return vec![self.body.clone()] };
        let whole = |one: &Value| {
            let mut whole = self.body.clone();
            let members = whole.as_object_mut().unwrap();
            members.remove("evaluations");
            members.extend(one.as_object().unwrap().clone());
            whole
        };
        all.iter().map(whole).collect()
    }
}

struct State {
    mode: Mutex<Mode>,
    had: Mutex<Vec<Had>>,
    connections: Mutex<usize>,
    /// So long it thinks before each answer.
    thinks: Mutex<Duration>,
}

/// A policy decision point.
pub struct Pdp {
    pub address: SocketAddr,
    state: Arc<State>,
    task: AbortOnDropHandle<()>,
}

impl Pdp {
    /// One that permits everything.
    pub async fn start() -> Self {
        Self::over(None).await
    }

    async fn over(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            mode: Mutex::new(judges(|_| json!({"decision": true}))),
            had: Mutex::default(),
            connections: Mutex::default(),
            thinks: Mutex::default(),
        });
        let its = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&its), tls.clone());
                *state.connections.lock().unwrap() += 1;
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, state, 0).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            let shown = stream.get_ref().1.peer_certificates();
                            let shown = shown.map_or(0, |shown| shown.len());
                            serve(stream, state, shown).await;
                        }
                    }
                });
            }
        });
        Self { address, state, task: AbortOnDropHandle::new(task) }
    }

    /// It judges like this from now on.
    pub fn judges(&self, judgement: impl Fn(&Value) -> Value + Send + Sync + 'static) {
        self.does(judges(judgement));
    }

    pub fn does(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
    }

    /// It takes so long for each answer from now on.
    pub fn thinks(&self, time: Duration) {
        *self.state.thinks.lock().unwrap() = time;
    }

    /// All that it has had since it was asked last.
    pub fn had(&self) -> Vec<Had> {
        std::mem::take(&mut *self.state.had.lock().unwrap())
    }

    /// All evaluations of these, by purpose, type and id.
    pub fn asked(&self) -> Vec<String> {
        let evaluations: Vec<_> = self.had().iter().flat_map(Had::evaluations).collect();
        evaluations.iter().map(told).collect()
    }

    pub fn connections(&self) -> usize {
        *self.state.connections.lock().unwrap()
    }

    /// Nobody is there any more.
    pub fn leaves(&self) {
        self.task.abort();
    }

    /// A server that asks it, and a client of one of its domains.
    pub async fn server(&self, change: impl FnOnce(&mut Config)) -> (TestServer, Client) {
        let url = format!("http://{}", self.address);
        let server = TestServer::start_with(|config| {
            config.pdp.url = Some(url.parse().unwrap());
            change(config);
        })
        .await;
        let client = server.tenant().await;
        (server, client)
    }
}

fn judges(judgement: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Mode {
    Mode::Judges(Arc::new(judgement))
}

/// What an evaluation is about, on one line.
fn told(evaluation: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resource = &evaluation["resource"];
    let id = text(&resource["id"]);
    let kind = text(&resource["type"]);
    format!("{} {kind} {}", text(&evaluation["action"]["name"]), id)
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: Arc<State>,
    certificates: usize,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move { answer(&state, request, certificates).await }
    });
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    state: &State,
    request: Request<Incoming>,
    certificates: usize,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    assert_eq!(
        (head.method, head.headers["content-type"].to_str().unwrap()),
        (Method::POST, "application/json")
    );
    let bearer = head.headers.get(AUTHORIZATION);
    let had = Had {
        path: head.uri.path().to_owned(),
        bearer: bearer.map(|bearer| bearer.to_str().unwrap().to_owned()),
        certificates,
        body: serde_json::from_slice(&body).unwrap(),
    };
    state.had.lock().unwrap().push(had.clone());
    let mode = state.mode.lock().unwrap().clone();
    let time = *state.thinks.lock().unwrap();
    tokio::time::sleep(time).await;
    let answer = Response::builder();
    let answer = match mode {
        Mode::Judges(judgement) => {
            let mut all: Vec<_> = had.evaluations().iter().map(|one| judgement(one)).collect();
            let body = match had.body.get("evaluations") {
                Some(_) => json!({ "evaluations": all }),
                None => all.remove(0),
            };
            answer.body(whole(body.to_string().into()))
        }
        Mode::Says(status, body) => answer.status(status).body(whole(body.into())),
        Mode::Leads(to) => answer.status(307).header(LOCATION, to).body(whole(Bytes::new())),
        Mode::Stops => answer.body(BoxBody::new(Stopping(false))),
        Mode::Silence => std::future::pending().await,
    };
    Ok(answer.unwrap())
}

fn whole(body: Bytes) -> BoxBody<Bytes, Infallible> {
    BoxBody::new(Full::new(body))
}

/// A body that begins, and does not go on.
struct Stopping(bool);

impl Body for Stopping {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data("{\"decision".into()))))
    }
}

/// What it says to what must not be done.
fn denies(id: &str) -> Value {
    json!({"decision": false, "context": {"decision_id": id, "reason": "never"}})
}

/// That it was refused by whoever decides, in the words of any dialect; the code that it has there.
#[track_caller]
fn is_denied(answer: &Answer) -> String {
    assert_eq!(answer.status, 403, "{answer:?}");
    let json = answer.json();
    let told = answer.text();
    assert!(told.contains("policy decision point"), "{told}");
    let code = json["code"].as_str().or(json["error"]["code"].as_str());
    code.map_or_else(|| json["error_code"].to_string(), str::to_owned)
}
