//! The same store, later: what a restart keeps, and what happens to a store that somebody has
//! changed meanwhile.

use hyper::Method;
use okmsd::crypto::FileRootKey;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::harness::{BOTH, Client, Http, PATIENCE, TestServer, write_private};

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Everything that the client can see.
async fn everything(client: &Client) -> Vec<String> {
    let mut seen = Vec::new();
    for rest in [
        "secret",
        "secretConfig",
        "secret/a/b?includeData=true",
        "secret/a/b/version",
        "secret/a/b/version/1?includeData=true",
        "secret/c?includeData=true",
    ] {
        let answer = client.get(rest).await;
        answer.ok();
        seen.push(answer.text().to_owned());
    }
    seen.push(
        client.call(Method::GET, &format!("/v2/okms/resource/{}", client.id), "").await.ok()
            ["name"]
            .to_string(),
    );
    seen
}

/// Changes the record of `table` whose key ends so, in a store that nobody has open.
fn tamper(
    server: &TestServer,
    table: &'static str,
    key_end: &[u8],
    change: impl FnOnce(&mut Vec<u8>),
) {
    let database = Database::open(&server.config.store.path).unwrap();
    let writing = database.begin_write().unwrap();
    {
        let mut table = writing.open_table(Table::new(table)).unwrap();
        let mut records = table.iter().unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            (key.value().to_vec(), value.value().to_vec())
        });
        let (key, mut record) =
            records.find(|(key, _)| key.ends_with(key_end)).expect("such a record");
        drop(records);
        change(&mut record);
        table.insert(&*key, &*record).unwrap();
    }
    writing.commit().unwrap();
}

fn record(server: &TestServer, table: &'static str, key_end: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    tamper(server, table, key_end, |record| found.clone_from(record));
    found
}

/// The end of a version's key.
fn version_key(path: &str, number: u32) -> Vec<u8> {
    [path.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let (mut server, client) = TestServer::with_tenant().await;
    let body = r#"{"path":"a/b","metadata":{"casRequired":true,"maxVersions":3,"deactivateVersionAfter":"1h","customMetadata":{"k":"v"}},"version":{"data":{"n":1.0}}}"#;
    client.post("secret", body).await.ok();
    client.post("secret/a/b/version?cas=1", r#"{"data":{"n":12345678901234567890}}"#).await.ok();
    client.put("secret/a/b/version/1", r#"{"state":"deactivated"}"#).await.ok();
    client.create("gone", "{}").await.ok();
    client.delete("secret/gone").await;
    client.put("secretConfig", r#"{"maxVersions":7,"deactivateVersionAfter":"90"}"#).await.ok();
    client.create("c", "{}").await.ok();
    let before = everything(&client).await;
    for _ in 0..2 {
        server.restart().await;
        let client = server.client_of(&client.id, Http::One);
        assert_eq!(everything(&client).await, before);
        client.get("secret/gone").await.error(404, 17_125_377);
    }
    // Deadlines are kept with the versions, and go on while nobody serves.
    server.stop().await;
    server.clock.advance(90);
    server.start_again().await.unwrap();
    let client = server.client_of(&client.id, Http::One);
    assert_eq!(client.get("secret/c").await.ok()["version"]["state"], "deactivated");
    client.post("secret/a/b/version?cas=1", r#"{"data":{}}"#).await.error(400, 50_405_377);
    client.post("secret/a/b/version?cas=2", r#"{"data":{}}"#).await.ok();
}

/// A connection that nobody uses does not keep a server from stopping, and no new one is taken.
#[tokio::test]
async fn a_stop_ends_idle_connections() {
    for http in BOTH {
        let (mut server, client) = TestServer::with_tenant().await;
        let client = client.over(http);
        let mut connection = client.connect().await;
        connection.send(Method::GET, &client.url("secret"), &[], "").await.ok();
        server.begin_stop();
        tokio::time::timeout(PATIENCE, connection.0.driver).await.expect("an end").unwrap();
        server.stop().await;
        assert!(client.tls().await.is_err());
    }
}

/// The message once named the store alone, though it is the key's file that has to be replaced.
#[tokio::test]
async fn another_root_key_is_refused_at_start() {
    let (mut server, client) = TestServer::with_tenant().await;
    client.create("a", "{}").await.ok();
    server.stop().await;
    let key = server.path("root.key");
    let right = std::fs::read_to_string(&key).unwrap();
    write_private(&key, &FileRootKey::generate().unwrap());
    let said = server.start_again().await.err().unwrap().to_string();
    assert!(said.contains("okmsd.redb") && said.contains("root.key"), "{said}");
    assert!(!said.contains(std::fs::read_to_string(&key).unwrap().trim()));
    for (text, mode) in [
        (&*right, 0o644),
        ("", 0o600),
        ("00", 0o600),
        (&*right.replace(|c: char| c.is_ascii_hexdigit(), "x"), 0o600),
    ] {
        use std::os::unix::fs::PermissionsExt;
        write_private(&key, text);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let said = server.start_again().await.err().unwrap().to_string();
        assert!(said.contains("root.key") && !said.contains(right.trim()), "{said}");
    }
    std::fs::remove_file(&key).unwrap();
    assert!(server.start_again().await.err().unwrap().to_string().contains("root.key"));
    write_private(&key, &right);
    server.start_again().await.unwrap();
    server.client_of(&client.id, Http::One).get("secret/a").await.ok();
}

/// The numbers of the versions with a record in `table`, whatever its content.
fn stored(server: &TestServer, table: &'static str) -> Vec<u8> {
    let database = Database::open(&server.config.store.path).unwrap();
    let table = database.begin_read().unwrap().open_table(Table::new(table)).unwrap();
    table.iter().unwrap().map(|entry| *entry.unwrap().0.value().last().unwrap()).collect()
}

/// A value that was deleted or pruned is not merely hidden: there is no record of it any more.
#[tokio::test]
async fn deleted_values_leave_the_store() {
    let (mut server, client) = TestServer::with_tenant().await;
    client.post("secret", r#"{"path":"a","maxVersions":3,"version":{"data":{}}}"#).await.ok();
    client.create("b", "{}").await.ok();
    for _ in 2..=5 {
        client.post("secret/a/version", r#"{"data":{}}"#).await.ok();
    }
    client.put("secret/a/version/3", r#"{"state":"deleted"}"#).await.ok();
    client.put("secret/a/version/4", r#"{"state":"deactivated"}"#).await.ok();
    server.stop().await;
    assert_eq!(
        (stored(&server, "version"), stored(&server, "value")),
        (vec![3, 4, 5, 1], vec![4, 5, 1])
    );
    server.start_again().await.unwrap();
    let client = server.client_of(&client.id, Http::One);
    client.delete("secret/a").await;
    server.stop().await;
    assert_eq!((stored(&server, "version"), stored(&server, "value")), (vec![1], vec![1]));
    assert_eq!(stored(&server, "header"), b"b");
}

/// A record that was moved, edited or cut does not open: that read fails and is counted, all others
/// go on.
#[tokio::test]
async fn a_changed_record_does_not_open() {
    let (mut server, client) = TestServer::with_tenant().await;
    for path in ["swapped/1", "swapped/2", "flipped", "cut", "older", "header", "state", "fine"] {
        client.create(path, &format!(r#"{{"of":"{path}"}}"#)).await.ok();
        client
            .post(&format!("secret/{path}/version"), &format!(r#"{{"data":{{"of":"{path} 2"}}}}"#))
            .await
            .ok();
    }
    server.stop().await;
    let (one, two) = (version_key("swapped/1", 2), version_key("swapped/2", 2));
    let (first, second) = (record(&server, "value", &one), record(&server, "value", &two));
    tamper(&server, "value", &one, |record| *record = second);
    tamper(&server, "value", &two, |record| *record = first);
    tamper(&server, "value", &version_key("flipped", 2), |record| *record.last_mut().unwrap() ^= 1);
    tamper(&server, "value", &version_key("cut", 2), |record| record.truncate(20));
    let old = record(&server, "value", &version_key("older", 1));
    tamper(&server, "value", &version_key("older", 2), |record| *record = old);
    tamper(&server, "header", b"header", |record| record[12] ^= 1);
    tamper(&server, "version", &version_key("state", 2), |record| *record.last_mut().unwrap() ^= 1);
    server.start_again().await.unwrap();
    let client = server.client_of(&client.id, Http::One);
    let mut damaged = 0.0;
    for (rest, is_damaged) in [
        ("swapped/1?includeData=true", true),
        ("swapped/2?includeData=true", true),
        ("swapped/1", false),
        ("swapped/1?version=1&includeData=true", false),
        ("flipped?includeData=true", true),
        ("flipped/version/2?includeData=true", true),
        ("flipped/version/1?includeData=true", false),
        ("cut?includeData=true", true),
        ("older?includeData=true", true),
        ("header", true),
        ("header/version", true),
        ("header/version/1", true),
        ("state", true),
        ("state?version=1&includeData=true", false),
        ("fine?includeData=true", false),
        ("fine/version", false),
    ] {
        let answer = client.get(&format!("secret/{rest}")).await;
        if is_damaged {
            answer.error(500, 50_401_281);
            assert!(!answer.text().contains("swapped"));
            damaged += 1.0;
        } else {
            answer.ok();
        }
        assert_eq!(server.metric("okmsd_corrupt_records_total").await, damaged, "{rest}");
    }
    // A list shows all of them, the damaged one with what its path tells, and the damage is counted
    // again.
    let list = client.get("secret").await.ok();
    let paths: Vec<_> =
        list.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        ["cut", "fine", "flipped", "header", "older", "state", "swapped/1", "swapped/2"]
    );
    for entry in list.as_array().unwrap() {
        let members = entry["metadata"].as_object().unwrap().len();
        assert_eq!(members, if entry["path"] == "header" { 1 } else { 9 }, "{entry}");
    }
    assert_eq!(server.metric("okmsd_corrupt_records_total").await, damaged + 1.0);
    // A write on damaged metadata is refused; a value that cannot be read can be followed by
    // another one.
    client.post("secret/header/version", r#"{"data":{}}"#).await.error(500, 50_401_281);
    client.post("secret/flipped/version?cas=2", r#"{"data":{"of":"3"}}"#).await.ok();
    assert_eq!(
        client.get("secret/flipped?includeData=true").await.data().unwrap(),
        r#"{"of":"3"}"#
    );
    // What cannot be read any more can still be removed, and the path used again.
    assert_eq!(client.delete("secret/header").await.status, 204);
    client.create("header", "{}").await.ok();
    assert_eq!(server.admin("/readyz").await.0, 200);
    server.tenant().await.get("secret").await.ok();
}

/// One domain's records do not open in another's place, not even with the same path and version.
#[tokio::test]
async fn a_record_of_another_domain_does_not_open() {
    let (mut server, client) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    client.create("mine", r#"{"of":"mine"}"#).await.ok();
    other.create("yours", r#"{"of":"yours"}"#).await.ok();
    other.create("mine", r#"{"of":"theirs"}"#).await.ok();
    server.stop().await;
    let key = |id: &str| {
        [id.parse::<okmsd::model::OkmsId>().unwrap().as_bytes().as_slice(), &version_key("mine", 1)]
            .concat()
    };
    let theirs = record(&server, "value", &key(&other.id));
    tamper(&server, "value", &key(&client.id), |record| *record = theirs);
    server.start_again().await.unwrap();
    let client = server.client_of(&client.id, Http::One);
    client.get("secret/mine?includeData=true").await.error(500, 50_401_281);
    let other = server.client_of(&other.id, Http::One);
    assert_eq!(
        other.get("secret/mine?includeData=true").await.data().unwrap(),
        r#"{"of":"theirs"}"#
    );
}

/// A file that is no store, or of a layout that is not known, is refused by its name.
#[tokio::test]
async fn a_file_that_is_no_store_is_refused_by_name() {
    let (mut server, _) = TestServer::with_tenant().await;
    server.stop().await;
    std::fs::write(&server.config.store.path, b"not a database".repeat(1000)).unwrap();
    let said = server.start_again().await.err().unwrap().to_string();
    assert!(said.contains("okmsd.redb"), "{said}");
}

/// A user's record that is damaged shuts out that user and nobody else, and another can be put in its
/// place.
#[tokio::test]
async fn a_damaged_user_shuts_out_nobody_else() {
    let (mut server, client) = TestServer::with_tenant().await;
    let at = |what: &str, name: &str| format!("/api/{}/v1/auth/userpass/{what}/{name}", client.id);
    let password = r#"{"password":"correct horse"}"#;
    for name in ["ann", "bob"] {
        assert_eq!(client.call(Method::PUT, &at("users", name), password).await.status, 204);
    }
    server.stop().await;
    tamper(&server, "user", b"ann", |record| *record.last_mut().unwrap() ^= 1);
    server.start_again().await.unwrap();
    let own = server.at(&client);
    let log_in = async |name: &str| {
        own.call(Method::PUT, &at("login", name), password).await.status.as_u16()
    };
    assert_eq!((log_in("ann").await, log_in("bob").await), (500, 200));
    own.get("secret").await.ok();
    assert_eq!(own.call(Method::PUT, &at("users", "ann"), password).await.status, 204);
    assert_eq!(log_in("ann").await, 200);
}
