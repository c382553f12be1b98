//! What whoever can write the trail's file, and has not the key, makes of it while the server does not run.

use std::{fs, iter};

use okmsd::{
    audit::{Doubt, Fault, Verifier},
    crypto::fingerprint,
};
use serde_json::{Value, json};
use tracing::Level;

use crate::{
    audit::{key, trail, trail_at},
    harness::{Lines, TestServer},
};

/// What the log says of records that nobody has signed: what is not known, and what is certain.
const UNSIGNED: [&str; 2] = ["WARN", "were not signed yet"];
const PUT_IN: [&str; 2] = ["ERROR", "records were put into the audit trail"];

/// The lines, linked anew from one of them on.
fn linked(lines: &[String], from: usize) -> Vec<String> {
    let mut all: Vec<String> = lines[..from].to_vec();
    for line in &lines[from..] {
        let mut record: Vec<_> = line.splitn(4, ',').map(str::to_owned).collect();
        let hash = fingerprint(all.last().unwrap().as_bytes());
        record[1] = format!("\"seq\":{}", all.len() + 1);
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        record[2] = format!("\"prev\":\"{hash}\"");
        all.push(record.join(","));
    }
    all
}

fn lines(server: &TestServer) -> Vec<String> {
    let text = fs::read_to_string(server.path("audit.log")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn write(server: &TestServer, lines: &[String]) {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    fs::write(server.path("audit.log"), text).unwrap();
}

/// The first line that is found to be wrong, by its number, and what nobody can say.
fn verified(server: &TestServer) -> (Option<Fault>, Vec<Doubt>) {
    let mut verifier = Verifier::new(key(server));
    let fault = lines(server).iter().find_map(|line| verifier.line(line.as_bytes()).err());
    (fault, verifier.doubts().to_vec())
}

fn starts(server: &TestServer, member: &str) -> Vec<Value> {
    let records =
        lines(server).into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    records.filter(|record| record["type"] == "start").map(|start| start[member].clone()).collect()
}

/// A record that was put in behind a stop was signed by the next checkpoint, and counted as written.
#[tokio::test]
async fn what_was_put_in_behind_a_stop_is_named() {
    for begins_as_start in [false, true] {
        let (mut server, client) = TestServer::with_tenant().await;
        client.create("a", "{}").await.ok();
        server.stop().await;
        let (_, proven) = trail(&server);
        assert!(proven.is_closed);
        let mut forged = lines(&server);
        let end = forged.len();
        if begins_as_start {
            forged.push(forged[0].clone());
        }
        let create =
            |line: &&String| line.contains("\"PostSecretV2\"") && line.contains("\"request\"");
        let one = forged.iter().find(create).unwrap().replace("\"a\"", "\"forged\"");
        forged.push(one);
        write(&server, &linked(&forged, end));
        let last = forged.len() as u64;
        let (log, _listening) = Lines::listen(Level::WARN);
        server.start_again().await.unwrap();
        let said = [UNSIGNED, PUT_IN].map(|words| log.with(&words));
        assert_eq!(said, if begins_as_start { [1, 0] } else { [0, 1] }, "{}", log.all());
        server.at(&client).create("b", "{}").await.ok();
        server.stop().await;
        assert_eq!(starts(&server, "unsigned_from").last(), Some(&json!(end + 1)));
        assert_eq!(starts(&server, "unsigned_to").last(), Some(&json!(last)));
        let doubt = Doubt::Unsigned(proven.chain, end as u64 + 1, last, last + 1);
        let (fault, doubts) = verified(&server);
        if begins_as_start {
            assert_eq!((fault, doubts), (None, vec![doubt]));
        } else {
            assert_eq!(fault, Some(Fault::AfterStop(proven.chain, end as u64 + 1)));
        }
        // What a stop ends is vouched for.
        server.start_again().await.unwrap();
        server.stop().await;
        assert_eq!(starts(&server, "unsigned_from").last(), Some(&Value::Null));
    }
}

/// A server that was killed before it had signed that it starts has forged nothing: that was told as if somebody had
/// put its record in.
#[tokio::test]
async fn a_start_that_was_killed_was_put_in_by_nobody() {
    let (mut server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    server.stop().await;
    let (stopped, proven) = (lines(&server), trail(&server).1);
    let beside = okmsd::durable::behind(&server.config.store.path, "-audit");
    let kept = fs::read(&beside).unwrap();
    // However often it is killed there.
    for kills in 1..=2 {
        server.start_again().await.unwrap();
        server.stop().await;
        write(&server, &lines(&server)[..stopped.len() + kills]);
        fs::write(&beside, &kept).unwrap();
    }
    let (log, _listening) = Lines::listen(Level::WARN);
    server.start_again().await.unwrap();
    assert_eq!([UNSIGNED, PUT_IN].map(|words| log.with(&words)), [1, 0], "{}", log.all());
    assert_eq!(log.with(&["ERROR"]), 0, "{}", log.all());
    server.stop().await;
    let (from, to) = (stopped.len() as u64 + 1, stopped.len() as u64 + 2);
    assert_eq!(starts(&server, "unsigned_from")[1..], [json!(null), json!(from), json!(from)]);
    assert_eq!(starts(&server, "unsigned_to").last(), Some(&json!(to)));
    assert_eq!(starts(&server, "after_stop")[1..], [true, false, false]);
    // That nobody has signed it stays told.
    let doubts = [(from, from + 1), (to, to + 1)]
        .map(|(to, start)| Doubt::Unsigned(proven.chain, from, to, start));
    assert_eq!(verified(&server), (None, doubts.to_vec()));
}

/// What a server writes when it starts is signed before it serves anybody.
#[tokio::test]
async fn a_start_is_signed_before_anybody_is_served() {
    let (server, _engine, _does_not_run_yet) = TestServer::two_processes().await;
    let (records, proven) = trail_at(&server, &server.path("audit_2.log"));
    let kinds: Vec<_> = records.iter().map(|record| record["type"].as_str().unwrap()).collect();
    assert_eq!((kinds, proven.signed), (vec!["start", "checkpoint"], 1));
}

/// Of a server that was killed, what it had not signed yet.
#[tokio::test]
async fn what_nobody_had_signed_is_named() {
    let (mut server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    let before = trail(&server).1;
    client.create("b", "{}").await.ok();
    // As if it was killed here.
    let killed = lines(&server);
    let (_, proven) = trail(&server);
    let beside = okmsd::durable::behind(&server.config.store.path, "-audit");
    let kept = fs::read(&beside).unwrap();
    server.stop().await;
    assert!(before.signed > 0 && before.signed + 1 < proven.last);
    let edit = |line: &String| line.replace("\"resource\":\"b\"", "\"resource\":\"c\"");
    let edited: Vec<_> = killed.iter().map(edit).collect();
    assert_ne!(edited, killed);
    write(&server, &linked(&edited, usize::try_from(before.last).unwrap()));
    fs::write(&beside, kept).unwrap();
    server.start_again().await.unwrap();
    server.stop().await;
    let from = starts(&server, "unsigned_from");
    assert_eq!(from.len(), 2);
    assert_eq!(from[0], Value::Null, "where there is nothing yet, nothing is unsigned");
    let (fault, doubts) = verified(&server);
    assert_eq!(fault, None);
    let [Doubt::Unsigned(_, first, last, _)] = doubts[..] else { panic!("{doubts:?}") };
    assert_eq!((json!(first), last), (from[1].clone(), proven.last));
    assert!(first <= before.last + 1);
}

/// The record that is kept apart is another one, and the checkpoint behind it is gone.
#[tokio::test]
async fn what_was_kept_apart_is_missed() {
    let (mut server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    server.stop().await;
    let mut forged = lines(&server);
    forged.pop();
    let last = forged.len();
    let own = forged[last - 1].replace("\"stop\"", "\"none\"");
    forged[last - 1] = own;
    write(&server, &forged);
    server.start_again().await.unwrap();
    server.stop().await;
    assert_eq!(starts(&server, "replaced_at").last(), Some(&json!(last)));
    let (fault, doubts) = verified(&server);
    let chain = trail(&server).1.chain;
    assert_eq!(fault, None);
    assert!(doubts.contains(&Doubt::Replaced(chain, last as u64, last as u64 + 1)), "{doubts:?}");
    assert!(iter::once(doubts[0]).all(|doubt| matches!(doubt, Doubt::Unsigned(..))));
}
