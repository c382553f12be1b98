//! Secrets in a file, for developing (cases 117 to 119).

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use okmsd::config::Environment;
use serde_json::json;

use super::{Uris, refused};
use crate::{
    access::Domain,
    audit::record_of,
    harness::{Http, TestServer},
};

const FILE: &str =
    "secret:\n  crud: {DB_PASS: s3cr3t, n: 1.5, list: [1, {a: b}]}\n  deep:\n    er: {x: yes}\n";

/// A server in this environment whose file has this text, and its domain.
async fn with(environment: Environment, text: &str) -> (TestServer, Uris, PathBuf) {
    let mut server = TestServer::start().await;
    let client = server.tenant().await;
    let path = server.path("secrets.yaml");
    fs::write(&path, text).unwrap();
    server.config.environment = environment;
    server.config.dev.yaml_file = Some(path.clone());
    server.config.dev.yaml_domain = Some(client.id.parse().unwrap());
    server.restart().await;
    let client = server.at(&client);
    (server, Uris { client }, path)
}

/// 117: what is in the file is read, written and taken away.
#[tokio::test]
async fn a_file_is_read_and_written() {
    let (server, uris, path) = with(Environment::Dev, FILE).await;
    let written =
        r#"{"uri":"yaml://secret/env#K","version":null,"created":true,"created_at":"NOW"}"#;
    uris.says(&[
        ("GET value yaml://secret/crud#DB_PASS", r#"{"value":"s3cr3t"}"#),
        ("GET - YAML://secret/crud#DB_PASS", r#"{"value":"s3cr3t"}"#),
        ("GET - yaml://secret/crud/", r#"{"DB_PASS":"s3cr3t","n":1.5,"list":[1,{"a":"b"}]}"#),
        ("GET value yaml://secret/crud#/list/1/a", r#"{"value":"b"}"#),
        ("GET value yaml://secret/deep", r#"{"er":{"x":"yes"}}"#),
        ("GET value yaml://secret/nope", "404 SECRET_NOT_FOUND"),
        ("GET value yaml://secret/crud/n", "404 SECRET_NOT_FOUND"),
        ("GET value yaml://secret/crud#nope", "404 FRAGMENT_NOT_FOUND"),
        ("GET value yaml://secret", "400 ILLEGAL_SEGMENT"),
        ("GET keys yaml://secret/crud", r#"{"uri":"yaml://secret/crud","version":null,"keys":["DB_PASS","list","n"]}"#),
        ("GET keys yaml://secret/crud#n", "400 FRAGMENT_INVALID"),
        (r#"POST {"uri":"yaml://secret/env#K","value":"v"}"#, written),
        ("GET - yaml://secret/env#K", r#"{"value":"v"}"#),
        ("GET - yaml://secret/env", r#"{"K":"v"}"#),
        (r#"POST {"uri":"yaml://secret/env#/db/pass","value":{"pass":"p"}}"#, "200"),
        (r#"POST {"uri":"yaml://new/a/b","value":{"yes":"no","big":12345678901234567890}}"#, "200"),
        ("GET value yaml://secret/env", r#"{"K":"v","db":{"pass":"p"}}"#),
        ("GET value yaml://new/a/b", r#"{"yes":"no","big":12345678901234567890}"#),
        (r#"POST {"uri":"yaml://secret/env","value":"v"}"#, "400 VALUE_NOT_OBJECT"),
        (r#"POST {"uri":"yaml://secret/env#K","value":1e999}"#, "400 INVALID_FIELD"),
        (r#"POST {"uri":"yaml://secret/crud/n/x","value":{}}"#, "400 FRAGMENT_INVALID"),
        (r#"POST rotate {"uri":"yaml://secret/env#K","value":"w"}"#, r#"{"uri":"yaml://secret/env#K","version":null,"previous_version":null,"rotated_at":"NOW"}"#),
        ("DELETE yaml://secret/env#/db", r#"{"uri":"yaml://secret/env#db","deleted":true,"destroyed":true,"version":null,"changed":true}"#),
        ("DELETE yaml://secret/env#nope", "404 FRAGMENT_NOT_FOUND"),
        ("GET value yaml://secret/env", r#"{"K":"w"}"#),
        ("DELETE yaml://secret/env#K", "200"),
        ("GET value yaml://secret/env", "404 SECRET_NOT_FOUND"),
        ("DELETE yaml://new/a/b&destroy=true", "200"),
        ("DELETE yaml://new/a/b", "404 SECRET_NOT_FOUND"),
        ("GET value yaml://secret/crud#DB_PASS", r#"{"value":"s3cr3t"}"#),
        // It is no part of the domain's own.
        ("GET value U crud", "404 SECRET_NOT_FOUND"),
    ])
    .await;
    // What somebody else has written is read at once.
    fs::write(&path, "secret:\n  other:\n    a: 1\n").unwrap();
    uris.says(&[
        ("GET value yaml://secret/other", r#"{"a":1}"#),
        ("GET value yaml://secret/crud", "404 SECRET_NOT_FOUND"),
    ])
    .await;
    // The trail tells which it was, and nothing that is in it.
    let read = uris.ask("GET value yaml://secret/other#a").await;
    let record = record_of(&server, &read);
    assert_eq!(record["also"][0]["name"], "yaml://secret/other", "{record}");
    assert_eq!(
        fs::read_dir(path.parent().unwrap())
            .unwrap()
            .filter(|entry| {
                entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("secrets.yaml")
            })
            .count(),
        1
    );
}

#[tokio::test]
async fn lists_of_a_file() {
    let (_server, uris, _) = with(Environment::Test, FILE).await;
    let item = |path: &str, more: &str| {
        format!(
            r#"{{"uri":"yaml://{path}","version":null,"state":null,"owner":null,"created_at":null,"updated_at":null{more}}}"#
        )
    };
    let page = |items: &[String], limit: usize, next: &str| {
        let has_more = next != "null";
        format!(
            r#"{{"items":[{}],"limit":{limit},"offset":0,"has_more":{has_more},"next_cursor":{next}}}"#,
            items.join(",")
        )
    };
    let (crud, deep) = (item("secret/crud", ""), item("secret/deep/er", ""));
    let first = uris.told("GET metadata ?prefix=yaml://secret&limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let found = item("secret/deep/er", r#","matched":"path""#);
    uris.says(&[
        ("GET metadata ?prefix=yaml://secret", &page(&[crud.clone(), deep.clone()], 100, "null")),
        ("GET metadata ?prefix=yaml://secret/de", &page(std::slice::from_ref(&deep), 100, "null")),
        ("GET metadata ?prefix=yaml://nope", &page(&[], 100, "null")),
        ("GET metadata ?prefix=yaml://secret&limit=1", &page(&[crud], 1, &format!("\"{cursor}\""))),
        (
            &format!("GET metadata ?prefix=yaml://secret&limit=1&cursor={cursor}"),
            &page(&[deep], 1, "null"),
        ),
        ("GET search ?q=ER&prefix=yaml://secret/d", &page(&[found], 100, "null")),
        ("GET search ?q=s3cr3t&in=all&prefix=yaml://secret", &page(&[], 100, "null")),
        ("GET search ?q=deep&in=metadata&prefix=yaml://secret", &page(&[], 100, "null")),
        ("GET metadata ?prefix=yaml://secret&limit=0", "400 INVALID_FIELD"),
    ])
    .await;
}

/// 118: in production it is read, and not written by anything.
#[tokio::test]
async fn in_production_it_is_read_alone() {
    let (_server, uris, path) = with(Environment::Production, FILE).await;
    let dev_only = "403 DEV_ONLY";
    uris.versions("a", &[r#"{"t":1}"#]).await;
    uris.says(&[
        (r#"POST {"uri":"yaml://secret/env#K","value":"v"}"#, dev_only),
        (r#"POST rotate {"uri":"yaml://secret/crud#n","value":2}"#, dev_only),
        ("DELETE yaml://secret/crud", dev_only),
        ("DELETE yaml://secret/crud#n", dev_only),
        ("DELETE yaml://secret/nope&destroy=true", dev_only),
        (r#"POST copy {"fromUri":"U a","toUri":"yaml://secret/a"}"#, dev_only),
        (r#"POST move {"fromUri":"yaml://secret/crud","toUri":"U b"}"#, dev_only),
        ("GET value U b", "404 SECRET_NOT_FOUND"),
        (r#"POST copy {"fromUri":"yaml://secret/crud#n","toUri":"U c#n"}"#, "200"),
        ("GET value U c", r#"{"n":1.5}"#),
        ("GET - yaml://secret/crud#DB_PASS", r#"{"value":"s3cr3t"}"#),
        ("GET metadata ?prefix=yaml://secret/c", "200"),
    ])
    .await;
    let told = uris
        .told(r#"POST bulk {"operations":[{"op":"set","uri":"yaml://secret/x","value":{}},{"op":"delete","uri":"yaml://secret/crud"}]}"#)
        .await;
    for result in told["results"].as_array().unwrap() {
        assert_eq!((&result["status"], &result["code"]), (&json!(403), &json!("DEV_ONLY")));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), FILE);
}

/// 119: others have no such file, and a file has no versions.
#[tokio::test]
async fn what_is_not_served() {
    let nowhere = "501 PROVIDER_NOT_SUPPORTED";
    let (server, uris, _) = with(Environment::Dev, FILE).await;
    let (without, client) = TestServer::with_tenant().await;
    for others in [Uris { client: server.tenant().await }, Uris { client }] {
        others
            .says(&[
                ("GET - yaml://secret/crud", nowhere),
                ("GET value yaml://secret/crud#n", nowhere),
                ("GET keys yaml://secret/crud", nowhere),
                ("GET metadata ?prefix=yaml://secret", nowhere),
                ("GET search ?q=crud&prefix=yaml://secret", nowhere),
                ("GET versions yaml://secret/crud", nowhere),
                (r#"POST {"uri":"yaml://secret/crud","value":{}}"#, nowhere),
                ("DELETE yaml://secret/crud", nowhere),
                (r#"POST copy {"fromUri":"yaml://secret/crud","toUri":"U x"}"#, nowhere),
                (r#"POST undelete {"uri":"yaml://secret/crud","versions":[1]}"#, nowhere),
            ])
            .await;
    }
    drop(without);
    let not_so = "501 OPERATION_NOT_SUPPORTED";
    uris.says(&[
        ("GET value yaml://secret/crud&version=1", not_so),
        ("GET value yaml://secret/crud?version=1", not_so),
        ("GET - yaml://secret/crud?version=1", not_so),
        ("GET keys yaml://secret/crud&version=1", not_so),
        ("GET versions yaml://secret/crud", not_so),
        ("GET metadata/detail yaml://secret/crud", not_so),
        (r#"POST metadata/owner {"uri":"yaml://secret/crud","owner":"x"}"#, not_so),
        (r#"POST undelete {"uri":"yaml://secret/crud","versions":[1]}"#, not_so),
        (r#"POST destroy-versions {"uri":"yaml://secret/crud","versions":[1]}"#, not_so),
        (r#"POST {"uri":"yaml://secret/crud","value":{},"cas":1}"#, not_so),
        (r#"POST {"uri":"yaml://secret/crud?version=1","value":{}}"#, not_so),
    ])
    .await;
    let operator = Uris { client: server.operator() };
    let named =
        operator.ask_with("GET - yaml://secret/crud#n", &[("x-tenant-id", &uris.client.id)]).await;
    assert_eq!(named.ok(), json!({"value": 1.5}));
}

/// Several operations, copies and moves, within the file and across.
#[tokio::test]
async fn several_and_across() {
    let (_server, uris, _) = with(Environment::Dev, FILE).await;
    uris.versions("a", &[r#"{"t":"of-the-store"}"#]).await;
    let told = uris
        .told(r#"POST bulk {"operations":[{"op":"set","uri":"yaml://secret/x#k","value":1},{"op":"delete","uri":"yaml://secret/nope"},{"op":"undelete","uri":"yaml://secret/x","versions":[1]},{"op":"rotate","uri":"yaml://secret/x#k","value":2},{"op":"destroy","uri":"yaml://secret/crud"}]}"#)
        .await;
    let results: Vec<_> =
        told["results"].as_array().unwrap().iter().map(|it| (&it["status"], &it["code"])).collect();
    let (ok, none) = (json!(200), json!(null));
    assert_eq!(
        results,
        [
            (&ok, &none),
            (&json!(404), &json!("SECRET_NOT_FOUND")),
            (&json!(501), &json!("OPERATION_NOT_SUPPORTED")),
            (&ok, &none),
            (&ok, &none),
        ]
    );
    uris.says(&[
        ("GET value yaml://secret/x", r#"{"k":2}"#),
        ("GET value yaml://secret/crud", "404 SECRET_NOT_FOUND"),
        (
            r#"POST copy {"fromUri":"U a","toUri":"yaml://secret/a"}"#,
            r#"{"fromUri":"U a","toUri":"yaml://secret/a","from_version":1,"version":null,"created":true}"#,
        ),
        ("GET value yaml://secret/a", r#"{"t":"of-the-store"}"#),
        (r#"POST copy {"fromUri":"U a","toUri":"yaml://secret/a"}"#, "409 DESTINATION_EXISTS"),
        (r#"POST copy {"fromUri":"U a#t","toUri":"yaml://secret/a#t","overwrite":true}"#, "200"),
        (r#"POST copy {"fromUri":"yaml://secret/a","toUri":"yaml://secret/a"}"#, "400 SAME_RESOURCE"),
        (r#"POST copy {"fromUri":"yaml://secret/a","toUri":"U b","cas":7}"#, "409 VERSION_CONFLICT"),
        (
            r#"POST move {"fromUri":"yaml://secret/a#t","toUri":"U b#t"}"#,
            r#"{"fromUri":"yaml://secret/a#t","toUri":"U b#t","from_version":null,"version":1,"created":true,"source_deleted":true}"#,
        ),
        ("GET value U b", r#"{"t":"of-the-store"}"#),
        ("GET value yaml://secret/a", "404 SECRET_NOT_FOUND"),
        (r#"POST move {"fromUri":"yaml://secret/x","toUri":"yaml://other/y"}"#, "200"),
        ("GET value yaml://other/y", r#"{"k":2}"#),
        ("GET value yaml://secret/x", "404 SECRET_NOT_FOUND"),
        (r#"POST move {"fromUri":"U a","toUri":"yaml://secret/moved"}"#, "200"),
        ("GET value U a", "404 SECRET_NOT_FOUND"),
        ("GET value yaml://secret/moved", r#"{"t":"of-the-store"}"#),
        (r#"POST copy {"fromUri":"yaml://secret/nope","toUri":"U c"}"#, "404 SECRET_NOT_FOUND"),
    ])
    .await;
}

/// A file that is none is told of without a word of what is in it, and so is one that cannot be written.
#[tokio::test]
async fn a_file_that_is_none() {
    let (_server, uris, path) = with(Environment::Dev, "secret: {a: &canary {b: canary}}\n").await;
    for text in [
        "secret: {a: &canary {b: canary}}\n",
        "secret: {a: {b: !canary x}}\n",
        "- canary\n",
        "a: {canary\n",
    ] {
        fs::write(&path, text).unwrap();
        for case in [
            "GET value yaml://secret/a",
            r#"POST {"uri":"yaml://secret/a","value":{}}"#,
            "GET metadata ?prefix=yaml://secret",
        ] {
            let answer = uris.ask(case).await;
            refused(&answer, 503, "UNAVAILABLE");
            assert!(
                answer.headers.contains_key("retry-after") && !answer.text().contains("canary")
            );
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::remove_file(&path).unwrap();
    uris.says(&[
        ("GET value yaml://secret/a", "404 SECRET_NOT_FOUND"),
        (r#"POST {"uri":"yaml://secret/a","value":{"b":1}}"#, "200"),
    ])
    .await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "secret:\n  a:\n    b: 1\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Whoever may not do something to each secret may not do it here, whatever it may do to some.
#[tokio::test]
async fn rights() {
    let (server, uris, path) = with(Environment::Dev, FILE).await;
    let domain = Domain { server, admin: uris.client.clone() };
    domain.rule("reader", &["read-only"]).await;
    domain.rule("some", &[]).await;
    domain.policy("some", &["secret/*", "app/*"], json!({"allow": ["*"]})).await;
    let denied = "403 SECRET_AUTHZ_FAILED";
    let reader = Uris { client: domain.client("reader", Http::One) };
    reader
        .says(&[
            ("GET value yaml://secret/crud#n", r#"{"value":1.5}"#),
            ("GET metadata ?prefix=yaml://secret", "200"),
            (r#"POST {"uri":"yaml://secret/crud#n","value":2}"#, denied),
            ("DELETE yaml://secret/crud#n", denied),
        ])
        .await;
    let some = Uris { client: domain.client("some", Http::One) };
    some.says(&[
        (r#"POST {"uri":"U secret/crud","value":{}}"#, "200"),
        ("GET value yaml://secret/crud#n", denied),
        ("GET - yaml://secret/crud", denied),
        ("GET keys yaml://secret/crud", denied),
        ("GET metadata ?prefix=yaml://secret", denied),
        ("GET search ?q=crud&prefix=yaml://secret", denied),
        (r#"POST {"uri":"yaml://secret/crud#n","value":2}"#, denied),
        (r#"POST rotate {"uri":"yaml://secret/crud#n","value":2}"#, denied),
        ("DELETE yaml://secret/crud", denied),
        (r#"POST copy {"fromUri":"yaml://secret/crud","toUri":"U app/x"}"#, denied),
        (r#"POST move {"fromUri":"U secret/crud","toUri":"yaml://secret/x"}"#, denied),
    ])
    .await;
    assert_eq!(fs::read_to_string(&path).unwrap(), FILE);
}
