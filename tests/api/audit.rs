//! The audit trail, seen from outside: what requests leave in it, and what is done while it cannot
//! be written.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::fs::symlink,
    path::Path,
    time::Duration,
};

use hyper::Method;
use okmsd::{
    api::{Effect, Handler, ListedRoute},
    app::{AUDIT_PURPOSE, Heads},
    audit::{Fault, FileDevice, Head, Proven, Verifier},
    config::AuditReads,
    crypto::{FileRootKey, SigningKey, VerifyingKey},
};
use serde_json::{Value, json};

use crate::{
    access::Domain,
    audit_told::things,
    failure::Faulty,
    harness::{Answer, BOTH, Http, Leaf, START, TestServer, eventually},
    isolation::{SECRET, body, key as key_of, method, routes, url},
};

const UNAVAILABLE: u32 = 50_425_858;
const FORBIDDEN: u32 = 16_924_673;

pub fn key(server: &TestServer) -> VerifyingKey {
    let root = FileRootKey::load(&server.config.keys.root_key).unwrap();
    SigningKey::of(&root, AUDIT_PURPOSE).unwrap().public()
}

/// What the trail has, checked.
pub fn trail(server: &TestServer) -> (Vec<Value>, Proven) {
    trail_at(server, server.config.audit.device[0].path.as_ref().unwrap())
}

/// What the trail in this file has, checked.
pub fn trail_at(server: &TestServer, path: &Path) -> (Vec<Value>, Proven) {
    let key = key(server);
    let (mut verifier, mut records) = (Verifier::new(key), Vec::new());
    for file in FileDevice::all(path).unwrap() {
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines() {
            verifier.line(line.as_bytes()).unwrap();
            records.push(serde_json::from_str(line).unwrap());
        }
    }
    let proven = verifier.finish().unwrap();
    assert_eq!(proven.len(), 1);
    (records, proven[0])
}

pub fn request_id(answer: &Answer) -> String {
    answer.headers["x-request-id"].to_str().unwrap().to_owned()
}

/// The record of a request.
pub fn record_of(server: &TestServer, answer: &Answer) -> Value {
    let (records, _) = trail(server);
    let id = request_id(answer);
    let mut found = records
        .into_iter()
        .filter(|record| record["request_id"] == *id && record["type"] == "request");
    let record = found.next().unwrap_or_else(|| panic!("a record of {id}"));
    assert!(found.next().is_none(), "two records of {id}");
    record
}

#[tokio::test]
async fn a_record_says_who_did_what_and_what_became_of_it() {
    for http in BOTH {
        let domain = Domain::new().await;
        let admin = domain.admin.over(http);
        domain.rule("reader", &[]).await;
        domain
            .policy(
                "reader",
                &["app/*"],
                json!({"allow": ["secret/version/getData", "secret/get"]}),
            )
            .await;
        let reader = domain.client("reader", http);
        let server = &domain.server;

        let created = admin.create("app/database", r#"{"password":"canary-of-a-value"}"#).await;
        created.ok();
        let record = record_of(server, &created);
        let told = |name: &str| record[name].clone();
        assert_eq!(told("operation"), "PostSecretV2");
        assert_eq!(told("dialect"), "okms");
        assert_eq!(told("actions"), json!(["okms:apikms:secret/create"]));
        assert_eq!(told("resource"), "app/database");
        assert_eq!(told("resource_type"), "secret");
        assert_eq!((told("effect"), told("status")), (json!("permit"), json!(200)));
        assert_eq!((told("tenant"), told("acting_tenant")), (json!(admin.id), json!(admin.id)));
        assert_eq!((told("policy"), told("version")), (json!("admin"), json!(1)));
        assert_eq!((told("issuer"), told("client")), (json!("region"), json!("127.0.0.1")));
        assert!(
            record["serial"].as_str().unwrap().len() > 8 && record["micros"].as_u64() > Some(0)
        );
        let [change] = record["changes"].as_array().unwrap().as_slice() else {
            panic!("one change")
        };
        assert_eq!(
            (&change["change"], &change["happened"]),
            (&json!("secrets.create"), &json!(true))
        );
        // It was announced before.
        let (records, _) = trail(server);
        let intent = records.iter().find(|record| record["seq"] == change["intent"]).unwrap();
        assert_eq!(
            (&intent["type"], &intent["request_id"]),
            (&json!("intent"), &record["request_id"])
        );
        assert!(intent["seq"].as_u64() < record["seq"].as_u64());

        let read = reader.get("secret/app/database?includeData=true").await;
        read.ok();
        let record = record_of(server, &read);
        assert_eq!(record["common_name"], "reader");
        assert_eq!(record["identities"], json!(["reader"]));
        assert!(record["policy"].as_str().unwrap().starts_with("reader"), "{record}");
        assert_eq!(record["changes"], Value::Null);
        assert!(
            record["actions"]
                .as_array()
                .unwrap()
                .contains(&json!("okms:apikms:secret/version/getData"))
        );

        let forbidden = reader.delete("secret/app/database").await;
        forbidden.error(403, FORBIDDEN);
        let record = record_of(server, &forbidden);
        assert_eq!((&record["effect"], &record["status"]), (&json!("deny"), &json!(403)));
        assert_eq!(record["actions"], json!(["okms:apikms:secret/delete"]));
        assert_eq!(
            (&record["resource_type"], &record["resource"]),
            (&json!("secret"), &json!("app/database"))
        );
        assert_eq!((&record["problem"], &record["code"]), (&json!("Forbidden"), &json!(FORBIDDEN)));

        let missing = admin.get("secret/app/nothing").await;
        let record = record_of(server, &missing);
        assert_eq!(
            (&record["effect"], &record["problem"]),
            (&json!("error"), &json!("SecretNotFound"))
        );

        let conflict = admin.create("app/database", "{}").await;
        let record = record_of(server, &conflict);
        assert_eq!((&record["effect"], &record["changes"]), (&json!("error"), &Value::Null));

        // Another tenant's is denied, though it is told that there is none.
        let stranger = server.tenant().await.over(http);
        let foreign = stranger
            .call(Method::GET, &format!("/api/{}/v2/secret/app/database", admin.id), "")
            .await;
        let record = record_of(server, &foreign);
        assert_eq!((&record["effect"], &record["status"]), (&json!("deny"), &json!(404)));
        assert_eq!(
            (&record["tenant"], &record["acting_tenant"]),
            (&json!(admin.id), &json!(stranger.id))
        );

        let nobody = server.client(None, Some(&admin.id), http).get("secret").await;
        let record = record_of(server, &nobody);
        assert_eq!((&record["effect"], &record["status"]), (&json!("deny"), &json!(401)));
        assert_eq!(record["serial"], Value::Null);

        let text = std::fs::read_to_string(server.path("audit.log")).unwrap();
        assert!(!text.contains("canary-of-a-value") && !text.contains("password"));
    }
}

/// Who logs in is told by name, whether that goes well or not, and the token that comes of it by its
/// accessor.
#[tokio::test]
async fn users_and_tokens_are_told_and_their_secrets_are_not() {
    let (server, client) = TestServer::with_tenant().await;
    let at = |rest: &str| format!("/api/{}/v1/{rest}", client.id);
    let put = async |rest: &str, body: Value| {
        client.call(Method::PUT, &at(rest), &body.to_string()).await
    };
    let user = json!({"password": "a-canary-of-a-password", "policies": ["reads"]});
    assert_eq!(put("auth/userpass/users/ann", user).await.status, 204);
    let policy = json!({"policy": "path \"secret/data/app/*\" { capabilities = [\"read\"] }"});
    assert_eq!(put("sys/policies/acl/reads", policy).await.status, 204);
    client.create("app/one", "{}").await.ok();
    let wrong = put("auth/userpass/login/ann", json!({"password": "wrong-canary"})).await;
    let record = record_of(&server, &wrong);
    assert_eq!((&record["user"], &record["effect"]), (&json!("ann"), &json!("deny")));
    assert_eq!(record["problem"], "LoginFailed");
    let login = json!({"password": "a-canary-of-a-password"});
    let login = put("auth/userpass/login/ann", login).await;
    assert_eq!(record_of(&server, &login)["user"], "ann");
    let auth = login.ok()["auth"].clone();
    let token = auth["client_token"].as_str().unwrap();
    let headers = [("x-vault-token", token)];
    let read = client.send(Method::GET, &at("secret/data/app/one"), &headers, "").await;
    read.ok();
    let record = record_of(&server, &read);
    assert_eq!((&record["user"], &record["token_accessor"]), (&json!("ann"), &auth["accessor"]));
    assert_eq!(
        (&record["policy"], &record["block"]),
        (&json!("reads"), &json!("secret/data/app/*"))
    );
    let text = std::fs::read_to_string(server.path("audit.log")).unwrap();
    assert!(!text.contains("canary") && !text.contains(token));
}

/// A name that is to start a line of its own, or to turn a terminal's text: an address is told before
/// anybody has looked at it, and a certificate says what it says.
#[tokio::test]
async fn names_cannot_break_lines_or_terminals() {
    let domain = Domain::new().await;
    let (server, id) = (&domain.server, &domain.admin.id);
    let name = "a\n{\"seq\":1}\u{1b}[31m\u{202e}b\u{9b}31m";
    let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let claim = format!("okms.domain:{id}");
    let evil = |valid| {
        let upns = [&*claim];
        let pair = server.mint(&Leaf { common_name: name, upns: &upns, valid, ..Leaf::default() });
        server.client(Some(&pair), Some(id), Http::Two)
    };
    let (evil, late) = (evil(START - 60..=START + 60), evil(START - 60..=START - 1));
    let is_whole = || {
        let text = std::fs::read(server.path("audit.log")).unwrap();
        assert!(text.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')));
    };
    let at = format!("/api/{id}/v1/auth/userpass/login/{escaped}");
    let login = evil.call(Method::PUT, &at, r#"{"password":"wrong"}"#).await;
    let record = record_of(server, &login);
    assert!(record["serial"].is_string());
    assert_eq!((&record["resource_type"], &record["resource"]), (&json!("user"), &json!(name)));
    is_whole();
    let at = format!("/api/{id}/v1/secret/data/{escaped}");
    let refused = evil.call(Method::PUT, &at, r#"{"data":{"v":1}}"#).await;
    assert_eq!(refused.status, 400);
    assert_eq!(record_of(server, &refused)["resource"], name);
    is_whole();
    assert!(late.is_refused_in_tls().await);
    eventually("the handshake is recorded", async || {
        trail(server).0.iter().any(|record| record["type"] == "handshake")
    })
    .await;
    is_whole();
}

/// Operations that ask no policy for anything beyond what lets somebody in, or end before they do.
const ASK_NOTHING: [&str; 9] = [
    "VaultRandom",
    "VaultAuthMethods",
    "VaultReadAuthMethod",
    "VaultReadAuthTune",
    "VaultEnableAuth",
    "VaultLookupSelf",
    "VaultRenewSelf",
    "VaultRevokeSelf",
    "VaultDeleteRateQuota",
];
/// Operations that are well answered here where there is nothing to change.
const IDLE: [&str; 5] = [
    "PathEnableRotationPolicy",
    "PutResource",
    "UriUndeleteVersions",
    "VaultDeleteRateQuota",
    "VaultTune",
];

/// The name in the row's address, if it is that of something that somebody has.
fn named(route: &ListedRoute) -> Option<String> {
    const NOTHING: [&str; 5] =
        ["VaultRandom", "VaultRemountStatus", "VaultUiMount", "VaultNotServed", "VaultUnrouted"];
    if NOTHING.contains(&route.operation.id) {
        return None;
    }
    let name = route.pattern.replace("{okmsId}", "").replace("{tenant}", "");
    let name = match name.find('{') {
        Some(at) => &name[at..],
        None => return None,
    };
    Some(match name {
        "{mount}/config" => "secret".to_owned(),
        _ if name.starts_with("{name}") => "app".to_owned(),
        // A secret is what is told where a policy is named, too.
        _ if name.starts_with("{id}") && name.ends_with("{path}") => SECRET.to_owned(),
        _ if name.starts_with("{credentialId}") || name.starts_with("{id}") => {
            let at = route
                .pattern
                .split('/')
                .position(|part| part.ends_with("d}") && part != "{okmsId}");
            url(route, "", SECRET).split('/').nth(at.unwrap()).unwrap().to_owned()
        }
        _ if name.starts_with("{serial}") => "0a".to_owned(),
        _ if name.starts_with("{path}")
            || name.starts_with("{mount}/") && name.contains("{key}") =>
        {
            SECRET.to_owned()
        }
        _ if name.starts_with("{key}") => {
            key_of(route, &SECRET.replace('/', "%2F")).replace("%2F", "/")
        }
        _ => return None,
    })
}

/// One request for each row leaves one record of its operation, which says who it was, what he was
/// asked for, of what, and what was changed.
#[tokio::test]
async fn no_operation_is_without_a_record() {
    let (server, client) = TestServer::with_tenant().await;
    client.create(SECRET, "{}").await.ok();
    let mut answers = BTreeMap::new();
    for asking in [client.clone(), server.operator()] {
        for route in routes() {
            let url = url(&route, &client.id, SECRET);
            let headers = [("content-type", "application/json")];
            // Some row may have deleted it.
            client.create(SECRET, "{}").await;
            let answer = asking.send(method(&route), &url, &headers, body(&route, SECRET)).await;
            answers.insert(request_id(&answer), (route, answer.status.as_u16()));
        }
    }
    let (records, _) = trail(&server);
    let mut found = BTreeMap::new();
    for record in records.iter().filter(|record| record["type"] == "request") {
        let id = record["request_id"].as_str().unwrap().to_owned();
        assert!(found.insert(id, record).is_none());
    }
    let (mut faults, mut idle, mut busy) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (id, (route, status)) in answers {
        let Some(record) = found.get(&id) else {
            faults.push(format!("{} has no record", route.operation.id));
            continue;
        };
        let has = |name: &str| !record[name].is_null();
        let is_open = matches!(route.operation.handler, Handler::Open(_));
        let is_well = (200..300).contains(&status);
        let is_decided = !is_open && (is_well || status == 403);
        let asks = is_decided && !ASK_NOTHING.contains(&route.operation.id);
        let happened = record["changes"].as_array().into_iter().flatten();
        let happened = happened.filter(|change| change["happened"] == true).count();
        let is_named = named(&route).is_none_or(|name| {
            let told = things(record);
            told.iter().any(|(_, told)| told.trim_end_matches('/') == name)
        });
        if is_well && route.operation.effect != Effect::Read {
            let which = if happened > 0 { &mut busy } else { &mut idle };
            which.insert(route.operation.id);
        }
        for (what, is_told) in [
            ("the operation", record["operation"] == route.operation.id),
            ("the status", record["status"] == status),
            ("whose it was", has("serial") && has("common_name") && has("acting_tenant")),
            ("what was asked", !asks || has("actions")),
            ("of what kind", !is_decided || has("resource_type")),
            ("of what", is_named),
        ] {
            if !is_told {
                faults.push(format!(
                    "{} {} {status} does not tell {what}: {record}",
                    route.method, route.pattern
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // Each that changes something has told so, if not each time.
    assert_eq!(idle.difference(&busy).copied().collect::<Vec<_>>(), IDLE);
    assert!(busy.len() > 20, "{busy:?}");
}

/// Every change of the trail is told of by the request that made it, and the trail ends as it
/// should when the server stops.
#[tokio::test]
async fn a_trail_is_whole_when_the_server_stops_and_goes_on_when_it_starts() {
    let (mut server, client) = TestServer::with_tenant().await;
    for number in 0..20 {
        client.create(&format!("a/{number}"), "{}").await.ok();
    }
    server.stop().await;
    let (records, proven) = trail(&server);
    assert!(proven.is_closed && proven.first == 1, "{proven:?}");
    let of = |kind: &str| records.iter().filter(|record| record["type"] == kind).count();
    assert_eq!((of("start"), of("stop"), of("intent")), (1, 1, 21));
    server.start_again().await.unwrap();
    server.at(&client).create("b", "{}").await.ok();
    server.stop().await;
    let (records, again) = trail(&server);
    assert!(again.is_closed && again.chain == proven.chain && again.last > proven.last);
    let starts: Vec<_> = records.iter().filter(|record| record["type"] == "start").collect();
    assert_eq!(starts[1]["after_stop"], true);
}

/// How far the trail has come, by what is kept apart from it.
pub fn heads(server: &TestServer) -> Vec<Head> {
    Heads::load(&server.config, key(server)).unwrap().all()
}

/// The power goes when a change is in the store, and its announcement was written and is not on the
/// disk yet. The next start tells of it, by itself and once.
#[tokio::test]
async fn a_change_whose_record_went_with_the_power_is_told() {
    let (mut server, client) = TestServer::with_tenant().await;
    client.create("kept", "{}").await.ok();
    server.restart().await;
    // The disk at the moment of the change; the store has it, as its commit has waited for that.
    let beside = okmsd::durable::behind(&server.config.store.path, "-audit");
    let files = [server.path("audit.log"), beside];
    let on_disk = files.clone().map(|file| std::fs::read(file).unwrap());
    server.at(&client).create("lost", "{}").await.ok();
    let (records, _) = trail(&server);
    let is_intent = |record: &&Value| record["type"] == "intent" && record["resource"] == "lost";
    let intent = records.iter().find(is_intent).unwrap()["seq"].clone();
    let behind = records.iter().find(|record| record["seq"] == intent.as_u64().unwrap() + 1);
    let hash = behind.unwrap()["prev"].clone();
    server.stop().await;
    for (file, bytes) in files.iter().zip(&on_disk) {
        std::fs::write(file, bytes).unwrap();
    }
    for round in 0..2 {
        server.start_again().await.unwrap();
        server.at(&client).create(&format!("more/{round}"), "{}").await.ok();
        let (records, _) = trail(&server);
        let lost: Vec<_> = records.iter().filter(|record| record["type"] == "lost").collect();
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert_eq!((&lost[0]["intent"], &lost[0]["intent_hash"]), (&intent, &hash));
        assert_eq!(lost[0]["happened"], true);
        assert!(records.iter().all(|record| record["missing_to"] == Value::Null));
        server.at(&client).get("secret/lost").await.ok();
        server.stop().await;
    }
}

/// What was on the disk cannot be cut off at the end without being missed, whether a stop is asked for
/// there or not.
#[tokio::test]
async fn an_end_that_was_cut_off_is_found() {
    let (mut server, client) = TestServer::with_tenant().await;
    for number in 0..5 {
        client.create(&format!("a/{number}"), "{}").await.ok();
    }
    server.stop().await;
    let (records, proven) = trail(&server);
    let known = heads(&server);
    assert_eq!((known.len(), known[0].at.seq), (1, proven.last - 1), "up to its stop");
    let path = server.path("audit.log");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let verify = |lines: &[&str]| {
        let mut verifier = Verifier::new(key(&server));
        known.iter().for_each(|head| verifier.must_reach(head.at));
        lines.iter().try_for_each(|line| verifier.line(line.as_bytes()))?;
        verifier.finish()
    };
    assert!(verify(&lines).is_ok() && verify(&lines[..records.len() - 1]).is_ok());
    for left in 1..records.len() - 1 {
        let expected = Fault::CutOff(proven.chain, left as u64 + 1, proven.last - 1);
        assert_eq!(verify(&lines[..left]), Err(expected));
    }
    // What nobody has signed says nothing.
    let forged = known[0].as_str().replace("\"at\":", "\"at\":1");
    assert!(Head::parse(&forged, key(&server)).is_none());
    // A start says so, too, and what it says stays.
    std::fs::write(&path, lines[..6].iter().flat_map(|line| [*line, "\n"]).collect::<String>())
        .unwrap();
    server.start_again().await.unwrap();
    server.stop().await;
    let (records, _) = trail(&server);
    let starts = records.iter().filter(|record| record["type"] == "start");
    let missing: Vec<_> = starts.map(|start| start["missing_to"].clone()).collect();
    assert_eq!(missing, [Value::Null, json!(known[0].at.seq)]);
    assert!(records.iter().any(|record| record["type"] == "lost"), "the store has what was there");
    // Another trail says which one was before it.
    std::fs::remove_file(&path).unwrap();
    server.start_again().await.unwrap();
    server.at(&client).create("b", "{}").await.ok();
    let (records, _) = trail(&server);
    assert_eq!(records[0]["before"]["chain"], json!(proven.chain.to_string()));
}

/// Points the name of the trail's file somewhere else.
pub fn point(name: &Path, to: &Path) {
    let new = name.with_extension("new");
    symlink(to, &new).unwrap();
    std::fs::rename(new, name).unwrap();
}

#[tokio::test]
async fn nothing_is_changed_while_the_trail_cannot_be_written() {
    for required in [false, true] {
        let (server, client) = {
            let server = TestServer::start_with(|config| {
                let folder = config.store.path.parent().unwrap().to_owned();
                point(&folder.join("audit.log"), &folder.join("disk.log"));
                config.audit.reads =
                    if required { AuditReads::Required } else { AuditReads::Recorded };
            })
            .await;
            let client = server.tenant().await;
            (server, client)
        };
        client.create("kept", "{}").await.ok();
        point(&server.path("audit.log"), Path::new("/dev/full"));
        eventually("writes are refused", async || {
            client.put("secretConfig", r#"{"maxVersions":7}"#).await.status == 503
        })
        .await;
        let refused = client.create("refused", "{}").await;
        refused.error(503, UNAVAILABLE);
        assert_eq!(refused.headers["retry-after"], "5");
        assert_eq!(server.admin("/readyz").await.0, 503);
        assert_eq!(server.metric(r#"okmsd_ready"#).await, 0.0);
        let read = client.get("secret/kept").await;
        assert_eq!(read.status, if required { 503 } else { 200 });
        // What is refused stays refused.
        assert_eq!(client.get("secret/nothing").await.status, 404);
        point(&server.path("audit.log"), &server.path("disk.log"));
        eventually("writes go on", async || client.create("later", "{}").await.status == 200).await;
        assert_eq!(client.get("secret/refused").await.status, 404);
        let lists = client.get("secret").await.ok();
        let paths: Vec<_> =
            lists.as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
        assert_eq!(paths, ["kept", "later"].map(|path| json!(path)));
        assert_eq!(server.admin("/readyz").await.0, 200);
        if required {
            let record = record_of(&server, &read);
            assert_eq!((&record["status"], &record["effect"]), (&json!(503), &json!("error")));
            assert_eq!(record["resource"], "kept");
        }
        let (records, _) = trail(&server);
        // It is told that nothing happened.
        let id = request_id(&refused);
        let told = records.iter().filter(|record| record["request_id"] == *id);
        let told: Vec<_> = told.filter(|record| record["type"] == "request").collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0]["status"], &told[0]["resource"]), (&json!(503), &json!("refused")));
        let changes = told[0]["changes"].as_array().into_iter().flatten();
        let fates: Vec<_> = changes.map(|change| change["happened"].clone()).collect();
        assert!(fates.iter().all(|happened| *happened == false), "{fates:?}");
        let lies = records.iter().filter(|record| record["resource"] == "refused");
        for record in lies.filter(|record| record["type"] == "request") {
            let happened = record["changes"].as_array().into_iter().flatten();
            assert!(happened.into_iter().all(|change| change["happened"] != true), "{record}");
        }
    }
}

#[tokio::test]
async fn a_trail_of_which_no_paths_are_told_tells_none() {
    let server = TestServer::start_with(|config| config.audit.paths = false).await;
    let client = server.tenant().await;
    let (one, other) = (client.create("very/private", "{}").await, client.create("b", "{}").await);
    let again = client.get("secret/very/private").await;
    let resource = |answer| record_of(&server, answer)["resource"].clone();
    assert_eq!(resource(&one), resource(&again));
    assert_ne!(resource(&one), resource(&other));
    assert!(resource(&one).as_str().unwrap().starts_with("hash:"));
    let elsewhere = server.tenant().await;
    let foreign = elsewhere.create("very/private", "{}").await;
    assert_ne!(resource(&one), resource(&foreign));
    assert!(!std::fs::read_to_string(server.path("audit.log")).unwrap().contains("private"));
}

/// A client that hangs up is in the trail.
#[tokio::test]
async fn whoever_hangs_up_is_recorded() {
    let (server, client) = TestServer::with_tenant().await;
    let mut stream = client.over(Http::One).tls().await.unwrap();
    let head = format!(
        "POST /api/{}/v2/secret HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{{",
        client.id
    );
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    eventually("it is recorded", async || {
        let (records, _) = trail(&server);
        records.iter().any(|record| {
            record["operation"] == "PostSecretV2"
                && record["effect"] == "error"
                && record["status"].as_u64() >= Some(400)
        })
    })
    .await;
}

/// Whoever goes while his change is on its way to the disk is told what became of it.
#[tokio::test]
async fn whoever_hangs_up_while_his_commit_waits_is_recorded() {
    let (server, engine) = Faulty::serve(|_| {}).await;
    let client = server.tenant().await;
    for http in BOTH {
        let path = format!("left/{http:?}");
        engine.hold();
        let writer = tokio::spawn({
            let (client, path) = (client.over(http), path.clone());
            async move { client.create(&path, "{}").await }
        });
        eventually("it waits", async || {
            let (records, _) = trail(&server);
            let is_it = |record: &Value| record["type"] == "intent" && record["resource"] == *path;
            engine.commits() > 0 && records.iter().any(is_it)
        })
        .await;
        writer.abort();
        assert!(writer.await.unwrap_err().is_cancelled());
        engine.let_go();
        eventually("it is recorded", async || {
            let (records, _) = trail(&server);
            let mut of_it = records.iter().filter(|record| record["resource"] == *path);
            of_it.any(|record| {
                record["type"] == "request"
                    && record["changes"][0]["happened"] == true
                    && record["status"] == 200
            })
        })
        .await;
        client.get(&format!("secret/{path}")).await.ok();
    }
}

/// Whoever may read a domain's part of the trail sees what happened in it and what its callers did
/// elsewhere, and nothing of others.
#[tokio::test]
async fn a_domain_sees_its_own_part() {
    let mut domain = Domain::new().await;
    let admin = domain.admin.clone();
    domain.rule("auditor", &["auditor"]).await;
    domain.rule("reader", &["read-only"]).await;
    let other = domain.server.tenant().await;
    let operator = domain.server.operator();
    let quota = format!("/v2/okms/resource/{}/quota", admin.id);
    operator.call(Method::PUT, &quota, r#"{"secrets":1000000}"#).await.ok();
    admin.create("app/one", "{}").await.ok();
    admin.get("secret/app/one").await.ok();
    admin.get("secret/app/none").await;
    other.create("theirs", "{}").await.ok();
    let at = |id: &str, rest: &str| format!("/v2/okms/resource/{id}/audit{rest}");
    let foreign = other.call(Method::GET, &at(&admin.id, ""), "").await;
    assert_eq!(foreign.status, 404);
    let reader = domain.client("reader", Http::One);
    reader.call(Method::GET, &at(&admin.id, ""), "").await.error(403, FORBIDDEN);
    let auditor = domain.client("auditor", Http::Two);
    let seen = async |client: &crate::harness::Client, rest: &str| -> Vec<Value> {
        let answer = client.call(Method::GET, &at(&client.id, rest), "").await;
        answer.ok().as_array().unwrap().clone()
    };
    let operations = |records: &[Value]| -> Vec<String> {
        records.iter().map(|one| one["operation"].as_str().unwrap().to_owned()).collect()
    };
    eventually("the reader's refusal is seen", async || {
        seen(&auditor, "?operation=ListAudit&effect=deny").await.len() == 1
    })
    .await;
    let all = seen(&auditor, "").await;
    // Not the read, which changed nothing and went well; nor what the stranger tried.
    let expected = ["PutRule", "PutRule", "PutQuota", "PostSecretV2", "GetSecretV2", "ListAudit"];
    assert_eq!(operations(&all), expected);
    assert!(all.iter().all(|record| record["tenant"] == *admin.id));
    // An operator's act is told as his.
    assert_eq!(all[2]["acting_tenant"], "operator");
    assert!(all[2]["serial"].is_string() && all[2]["changes"][0]["happened"] == true);
    assert_eq!(seen(&auditor, "?resource=app/one").await.len(), 1);
    assert_eq!(seen(&auditor, "?subject=reader").await.len(), 1);
    assert_eq!(operations(&seen(&auditor, "?effect=error").await), ["GetSecretV2"]);
    assert!(seen(&auditor, "?to=2020-01-01T00:00:00Z").await.is_empty());
    assert_eq!(auditor.call(Method::GET, &at(&admin.id, "?effect=none"), "").await.status, 400);
    // By pages.
    for number in 0..25 {
        admin.create(&format!("many/{number}"), "{}").await.ok();
    }
    eventually("all are there", async || seen(&auditor, "?resource=many/").await.len() == 25).await;
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut headers = vec![("x-pagination-size", "10")];
        headers.extend(cursor.as_deref().map(|cursor| ("x-pagination-cursor", cursor)));
        let url = at(&admin.id, "?resource=many/");
        let page = auditor.send(Method::GET, &url, &headers, "").await;
        pages.extend(page.ok().as_array().unwrap().iter().map(|one| one["resource"].clone()));
        cursor = page.next();
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..25).map(|number| json!(format!("many/{number}"))).collect();
    assert_eq!(pages, expected);
    // The stranger's own view has what was refused him.
    eventually("he sees it", async || seen(&other, "?effect=deny").await.len() == 1).await;
    // It is there after a restart, too.
    domain.server.restart().await;
    let again = domain.server.at(&auditor);
    assert_eq!(seen(&again, "?resource=many/").await.len(), 25);
}
