//! Stopping: what runs is finished, nobody new is let in, and nobody can hold the server beyond its
//! drain time.

use std::time::{Duration, Instant};

use hyper::Method;
use okmsd::config::Span;
use tokio::net::TcpStream;

use crate::{
    harness::{BOTH, Client, Http, PATIENCE, TestServer, eventually},
    wire::{self, *},
};

/// Half a request that creates the secret `half/<protocol>`, and the other half.
fn halves(client: &Client) -> (Vec<u8>, Vec<u8>) {
    let body = format!(r#"{{"path":"half/{:?}","version":{{"data":{{}}}}}}"#, client.http);
    let (front, back) = body.split_at(5);
    let path = client.url("secret");
    match client.http {
        Http::One => {
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            (format!("{head}{front}").into_bytes(), back.as_bytes().to_vec())
        }
        Http::Two => {
            let front = frame(DATA, 0, 1, front.as_bytes());
            (
                [preface(&[]), head(1, 0, "POST", &path), front].concat(),
                frame(DATA, END_STREAM, 1, back.as_bytes()),
            )
        }
    }
}

async fn begun(server: &TestServer, requests: f64) {
    // Nothing tells of a request that has begun; its handshake is counted, and its head follows at
    // once.
    server.metric_reaches("okmsd_connections ", requests).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn what_runs_is_finished_and_nobody_new_is_let_in() {
    let mut server = TestServer::start().await;
    let client = server.tenant().await;
    let mut running = Vec::new();
    for http in BOTH {
        let client = client.over(http);
        let mut wire = Wire::open(&client).await;
        let (front, back) = halves(&client);
        wire.send(front).await;
        running.push((client, wire, back));
    }
    let mut idle = Vec::new();
    for http in BOTH {
        let mut connection = client.over(http).connect().await;
        connection
            .send(Method::GET, &client.url("secret/none"), &[], "")
            .await
            .error(404, 17_125_377);
        idle.push(connection);
    }
    begun(&server, 4.0).await;
    assert_eq!(server.admin("/readyz").await.0, 200);
    server.begin_stop();
    eventually("new connections are refused", async || {
        TcpStream::connect(client.address).await.is_err()
    })
    .await;
    assert_eq!(server.admin("/readyz").await, (503.try_into().unwrap(), "stopping\n".to_owned()));
    assert_eq!(server.admin("/livez").await.0, 200);
    for connection in idle {
        tokio::time::timeout(PATIENCE, connection.0.driver)
            .await
            .expect("an idle connection is closed")
            .unwrap();
    }
    for (client, mut wire, back) in running {
        wire.send(back).await;
        if client.http == Http::Two {
            // The end of HTTP/2 is agreed upon: the server asks whether anything is still on its
            // way.
            assert!(
                wire.read_until(|bytes| wire::frames(bytes).iter().any(|frame| frame.kind == PING))
                    .await
            );
            let ping = wire.frames().into_iter().find(|frame| frame.kind == PING).unwrap();
            wire.send(frame(PING, ACK, 0, &ping.payload)).await;
        }
        wire.until_closed().await;
        match client.http {
            Http::One => {
                assert_eq!(statuses(&wire.text()), [200]);
                assert!(
                    wire.text().to_lowercase().contains("connection: close"),
                    "{}",
                    wire.text()
                );
                assert!(wire.text().contains("\"currentVersion\":1"));
            }
            Http::Two => {
                assert!(
                    wire.frames()
                        .iter()
                        .any(|frame| frame.kind == GOAWAY && frame.error() == Some(0))
                );
                let bytes: Vec<_> = wire.until_closed().await.to_vec();
                assert!(wire::body(&bytes, 1).unwrap().contains("\"currentVersion\":1"));
            }
        }
    }
    server.stop().await;
    server.start_again().await.unwrap();
    let client = server.at(&client);
    for http in BOTH {
        client.get(&format!("secret/half/{http:?}")).await.ok();
    }
}

/// Peers that never finish: a silent one, half a handshake's worth of nothing, half a head, half a
/// body.
///
/// This found that connections outlived their server: after the drain time `run` returned, but the
/// connections went on, with the store open under them, so that the next server on the same store
/// could not start.
#[tokio::test]
async fn a_stuck_client_does_not_hold_the_server() {
    const DRAIN: Duration = Duration::from_secs(1);
    let mut server = TestServer::start_with(|config| config.limits.drain_time = Span(DRAIN)).await;
    let client = server.tenant().await;
    client.post("secret", r#"{"path":"kept","version":{"data":{}}}"#).await.ok();
    let silent = TcpStream::connect(client.address).await.unwrap();
    let mut stuck = Vec::new();
    for http in BOTH {
        let client = client.over(http);
        let mut wire = Wire::open(&client).await;
        wire.send(halves(&client).0).await;
        stuck.push(wire);
        stuck.push(Wire::open(&client).await);
    }
    let mut head = Wire::open(&client.over(Http::One)).await;
    head.send("GET / HTTP").await;
    begun(&server, 6.0).await;
    let stopping = Instant::now();
    server.stop().await;
    assert!(
        stopping.elapsed() >= DRAIN,
        "stopped after {:?}: what ran had no time",
        stopping.elapsed()
    );
    // The store is closed, so that the next server can have it; nothing half-done is in it.
    server.start_again().await.unwrap();
    let client = server.at(&client);
    client.get("secret/kept").await.ok();
    for http in BOTH {
        client.get(&format!("secret/half/{http:?}")).await.error(404, 17_125_377);
    }
    for wire in &mut stuck {
        wire.until_closed().await;
    }
    drop((silent, head));
}

/// Peers that have sent nothing need no time to finish.
///
/// This found that a peer in its handshake, or before its first byte of HTTP/2, held the server
/// until a deadline came.
#[tokio::test]
async fn silent_peers_do_not_delay_the_stop() {
    let mut server = TestServer::start_with(|config| {
        // Longer than the harness waits for the stop.
        config.limits.drain_time = Span(Duration::from_secs(120));
        config.limits.handshake_time = Span(Duration::from_secs(120));
        config.limits.first_byte_time = Span(Duration::from_secs(120));
    })
    .await;
    let client = server.tenant().await;
    let _silent = TcpStream::connect(client.address).await.unwrap();
    let _one = Wire::open(&client.over(Http::One)).await;
    let _two = Wire::open(&client.over(Http::Two)).await;
    begun(&server, 3.0).await;
    server.stop().await;
}
