//! The numbered cases, and what is asked in each dialect.

use okmsd::config::Span;

use super::*;

const A: &str = "openbao+kv2://secret/team/a";

fn value(uri: &str) -> String {
    format!("/api/secrets/value?uri={}", uri.replace('#', "%23"))
}

/// The secret `team/a` through a mount of its own, a view on the whole tree, Vault's dialect, the native one and by
/// its path.
async fn doors(client: &Client) -> Vec<Answer> {
    let kv = format!("/api/{}/v1", client.id);
    let mut answers = Vec::new();
    for at in [
        value("hashicorp+kv2://team/a"),
        value(A),
        format!("{kv}/team/data/a"),
        format!("{kv}/secret/data/team/a"),
        client.url("secret/team%2Fa?includeData=true"),
        client.url("secret/team%2Fa/version/1?includeData=true"),
        "/v1/secrets/team/a".to_owned(),
    ] {
        answers.push(client.call(Method::GET, &at, "").await);
    }
    answers
}

async fn with_mount(client: &Client) {
    let at = format!("/api/{}/v1/sys/mounts/team", client.id);
    let made = client.call(Method::POST, &at, r#"{"type":"kv-v2"}"#).await;
    assert_eq!(made.status, 204, "{made:?}");
}

/// Case 107: who may not is not told whether there is a secret.
#[tokio::test]
async fn case_107_a_denial_tells_nothing_else() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    pdp.judges(|_| denies("d-1"));
    let answer = client.call(Method::GET, &value("openbao+kv2://secret/none#x"), "").await;
    assert_eq!(is_denied(&answer), "SECRET_AUTHZ_FAILED");
    let details = &answer.json()["details"];
    assert_eq!(details, &json!({"purpose": "read", "decision_id": "d-1"}));
    assert!(!answer.text().contains("never"), "its reasons are not told: {answer:?}");
    assert_eq!(pdp.asked(), ["read secret openbao+kv2://secret/none#x"]);
    // Without an id of its own it has one all the same.
    pdp.judges(|_| json!({"decision": false}));
    let answer = client.call(Method::GET, &value("openbao+kv2://secret/other"), "").await;
    let id = answer.json()["details"]["decision_id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 36, "{id}");
}

/// Case 108, and 143 of path secrets: one secret is one resource, by whichever door.
#[tokio::test]
async fn case_108_one_resource_behind_all_doors() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    with_mount(&client).await;
    client.create("team/a", r#"{"t":1}"#).await.ok();
    assert_eq!(pdp.asked(), [format!("write secret {A}")]);
    for answer in doors(&client).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let asked = pdp.asked();
    assert!(asked.iter().all(|asked| asked.ends_with(A)), "{asked:?}");
    pdp.judges(
        |asked| {
            if asked["resource"]["id"] == A { denies("no") } else { json!({"decision": true}) }
        },
    );
    let words: Vec<_> = doors(&client).await.iter().map(is_denied).collect();
    let (uri, native) = ("SECRET_AUTHZ_FAILED", "16924673");
    assert_eq!(words, [uri, uri, native, native, native, native, "access_denied"]);
    let batch = client.call(Method::POST, "/v1/secrets/batch", r#"{"paths":["team/a","b"]}"#).await;
    assert_eq!(batch.ok()["errors"]["team/a"]["code"], "access_denied", "{batch:?}");
    assert_eq!(batch.json()["errors"]["b"]["code"], "secret_not_found", "{batch:?}");
    // There or not, it is the same.
    client.delete("secret/team%2Fa").await.error(403, 16_924_673);
    pdp.judges(|_| json!({"decision": true}));
    tokio::time::sleep(Duration::from_millis(5_200)).await;
    assert_eq!(client.delete("secret/team%2Fa").await.status, 204);
    pdp.judges(|_| denies("no"));
    let words: Vec<_> = doors(&client).await.iter().map(is_denied).collect();
    assert_eq!(words, [uri, uri, native, native, native, native, "access_denied"]);
}

/// Case 110: what is not understood is a denial; what was permitted for a while is asked once, and another
/// certificate asks for itself.
#[tokio::test]
async fn case_110_obligations() {
    let pdp = Pdp::start().await;
    let (server, client) = pdp.server(|_| {}).await;
    client.create("a", r#"{"t":1}"#).await.ok();
    pdp.judges(|_| json!({"decision": true, "context": {"obligations": [{"id": "mask"}]}}));
    let read = async |client: &Client| {
        client.call(Method::GET, &value("openbao+kv2://secret/a"), "").await
    };
    assert_eq!(is_denied(&read(&client).await), "SECRET_AUTHZ_FAILED");
    pdp.had();
    let other = server.client_of(&client.id, crate::harness::Http::Two);
    pdp.judges(|_| json!({"decision": true, "context": {"obligations": [{"id": "ttl_seconds", "value": 60}]}}));
    for _ in 0..3 {
        read(&other).await.ok();
    }
    assert_eq!(pdp.had().len(), 1);
    // Through another door, too.
    let kv = format!("/api/{}/v1/secret/data/a", client.id);
    other.call(Method::GET, &kv, "").await.ok();
    assert_eq!(pdp.had().len(), 0);
    let third = server.client_of(&client.id, crate::harness::Http::One);
    read(&third).await.ok();
    assert_eq!(pdp.had().len(), 1, "another certificate asks");
    // Another purpose, another secret, another domain.
    third.call(Method::GET, &client.url("secret/a"), "").await.ok();
    let stranger = server.tenant().await;
    assert_eq!(read(&stranger).await.status, 404);
    assert_eq!(pdp.had().len(), 2);
}

/// Case 111.
#[tokio::test]
async fn case_111_a_permission_for_two_uses() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    client.create("a", r#"{"t":1}"#).await.ok();
    pdp.had();
    pdp.judges(|_| json!({"decision": true, "context": {"obligations": {"max_uses": 2}}}));
    for asked in [1, 0, 1, 0] {
        client.call(Method::GET, &value("openbao+kv2://secret/a"), "").await.ok();
        assert_eq!(pdp.had().len(), asked);
    }
}

/// A denial counts for five seconds, for whom it was.
#[tokio::test]
async fn a_denial_is_remembered_for_a_moment() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    pdp.judges(|_| denies("x"));
    for asked in [1, 0, 0] {
        is_denied(&client.call(Method::GET, &value("openbao+kv2://secret/a"), "").await);
        assert_eq!(pdp.had().len(), asked);
    }
}

/// To the member: who asks, for what, of what, and whose that is by the store's word.
#[tokio::test]
async fn what_is_told_of_a_request() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    let body = json!({"data": {"v": "a value"}, "metadata": {"owner": "team:x"}}).to_string();
    let put = client.call(Method::PUT, "/v1/secrets/app/db", &body).await;
    assert_eq!(put.status, 201, "{put:?}");
    let had = pdp.had();
    assert_eq!(had.len(), 1, "{had:?}");
    assert_eq!(had[0].path, "/access/v1/evaluations");
    assert_eq!(had[0].body["options"], json!({"evaluations_semantic": "execute_all"}));
    let purposes: Vec<_> = had[0].evaluations().iter().map(told).collect();
    let id = "openbao+kv2://secret/app/db";
    assert_eq!(purposes, [format!("write secret {id}"), format!("owner_update secret {id}")]);
    assert!(had[0].evaluations()[0]["resource"]["properties"].get("owner").is_none());
    let read = client.call(Method::GET, "/v1/secrets/app/db", "").await;
    let had = pdp.had();
    assert_eq!((had.len(), &*had[0].path), (1, "/access/v1/evaluation"));
    let body = &had[0].body;
    let subject = &body["subject"];
    assert_eq!(subject["type"], "certificate");
    let serial = subject["id"].as_str().unwrap();
    assert!(serial.starts_with("cert:"), "{subject}");
    assert_eq!(subject["properties"]["cnf"].as_str().unwrap().len(), 43);
    assert_eq!(
        body["action"],
        json!({"name": "read", "properties": {"iam": "okms:apikms:secret/version/getData"}})
    );
    assert_eq!(
        body["resource"],
        json!({"type": "secret", "id": id, "properties": {
            "tenant_id": client.id, "owner": "team:x", "created_by": serial,
            "created_at": "2025-01-02T03:04:05Z",
        }})
    );
    let request = read.headers["x-request-id"].to_str().unwrap();
    assert_eq!(
        body["context"],
        json!({"correlation_id": request, "source_ip": "127.0.0.1", "dialect": "paths"})
    );
    // Owners by the path dialect and by URI are given for the same purpose.
    let uri = json!({"uri": id, "owner": "team:y"}).to_string();
    client.call(Method::POST, "/api/secrets/metadata/owner", &uri).await.ok();
    let patch = client
        .call(Method::PATCH, "/v1/secrets/app/db", r#"{"metadata":{"owner":"team:z"}}"#)
        .await;
    assert_eq!(patch.status, 200, "{patch:?}");
    let both = format!("owner_update secret {id}");
    assert_eq!(pdp.asked(), [both.clone(), both]);
}

/// What an operation is for is said by its dialect where its action does not.
#[tokio::test]
async fn purposes_of_uris() {
    let pdp = Pdp::start().await;
    let (_server, client) = pdp.server(|_| {}).await;
    let s = "openbao+kv2://secret/";
    let post = async |at: &str, body: Value| {
        let answer =
            client.call(Method::POST, &format!("/api/secrets{at}"), &body.to_string()).await;
        assert_eq!(answer.status, 200, "{at} {answer:?}");
        pdp.asked()
    };
    assert_eq!(
        post("", json!({"uri": format!("{s}a#t"), "value": 1})).await,
        [format!("write secret {s}a#t")]
    );
    assert_eq!(
        post("/rotate", json!({"uri": format!("{s}a#t"), "value": 2})).await,
        [format!("rotate secret {s}a#t")]
    );
    assert_eq!(
        post("/copy", json!({"fromUri": format!("{s}a#t"), "toUri": format!("{s}b#k")})).await,
        [format!("write secret {s}b#k"), format!("read secret {s}a#t")]
    );
    assert_eq!(
        post("/move", json!({"fromUri": format!("{s}b#k"), "toUri": format!("{s}c#k")})).await,
        [
            format!("write secret {s}c#k"),
            format!("read secret {s}b#k"),
            format!("delete secret {s}b#k")
        ]
    );
    assert_eq!(
        post("/move", json!({"fromUri": format!("{s}c#k"), "toUri": format!("{s}c#l")})).await,
        [
            format!("delete secret {s}c#k"),
            format!("read secret {s}c#k"),
            format!("write secret {s}c#l")
        ]
    );
    // With its history, by whichever address.
    let kv = format!("/api/{}/v1/secret/move", client.id);
    let native = format!("/api/{}/v2/move", client.id);
    for (at, from, to) in [
        ("/api/secrets/move", format!("{s}c"), format!("{s}h")),
        (&*kv, "h".to_owned(), "c".to_owned()),
        (&*native, "c".to_owned(), "h".to_owned()),
    ] {
        let body = match at {
            "/api/secrets/move" => json!({"fromUri": from, "toUri": to, "history": true}),
            _ => json!({"from": from, "to": to}),
        };
        client.call(Method::POST, at, &body.to_string()).await.ok();
        let (from, to) = if at == kv { ("h", "c") } else { ("c", "h") };
        let mut asked = pdp.asked();
        asked.sort();
        let one = |purpose: &str, path: &str| format!("{purpose} secret {s}{path}");
        let mut expected = vec![
            one("destroy_versions", from),
            one("read", from),
            one("read_metadata", from),
            one("write", to),
        ];
        expected.sort();
        assert_eq!(asked, expected, "{at}");
    }
    let bulk = json!({"operations": [
        {"op": "set", "uri": format!("{s}d"), "value": {"v": 1}},
        {"op": "rotate", "uri": format!("{s}d#v"), "value": 2},
        {"op": "delete", "uri": format!("{s}d#v")},
    ]});
    assert_eq!(
        post("/bulk", bulk).await,
        [
            format!("write secret {s}d"),
            format!("rotate secret {s}d#v"),
            format!("delete secret {s}d#v")
        ]
    );
    for (at, asked) in [
        ("/api/secrets/keys?uri=openbao+kv2://secret/a", format!("read_metadata secret {s}a")),
        (
            "/api/secrets/metadata?prefix=openbao+kv2://secret/ap",
            format!("read_metadata secret_prefix {s}ap"),
        ),
        ("/api/secrets/search?q=a", format!("read_metadata secret_prefix {s}")),
        (
            "/api/secrets/search?q=a&mount=secret&prefix=x/",
            format!("read_metadata secret_prefix {s}x/"),
        ),
        ("/v1/secrets?prefix=x/", format!("read_metadata secret_prefix {s}x/")),
        ("/v1/rotation/due", format!("read_metadata secret_prefix {s}")),
    ] {
        let answer = client.call(Method::GET, at, "").await;
        assert_eq!(answer.status, 200, "{at} {answer:?}");
        assert_eq!(pdp.asked(), [asked], "{at}");
    }
}

/// The audit trail has the purpose and the decision, of a request and of each of many, and no reason.
#[tokio::test]
async fn records_have_purpose_and_decision() {
    let pdp = Pdp::start().await;
    let (server, client) = pdp.server(|_| {}).await;
    pdp.judges(|asked| {
        let id =
            format!("d-{}", asked["resource"]["id"].as_str().unwrap().rsplit('/').next().unwrap());
        let context = json!({"decision_id": id, "reason": "a reason"});
        json!({"decision": id != "d-no", "context": context})
    });
    let record = || {
        let text = std::fs::read_to_string(server.path("audit.log")).unwrap();
        assert!(!text.contains("a reason"));
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let requests: Vec<_> = records.filter(|record| record["type"] == "request").collect();
        requests.last().unwrap().clone()
    };
    let s = "openbao+kv2://secret/";
    let rotated = json!({"uri": format!("{s}a"), "value": {"v": 1}}).to_string();
    client.call(Method::POST, "/api/secrets/rotate", &rotated).await.ok();
    let told = record();
    let members = ["purpose", "decision_id", "effect", "resource"].map(|name| told[name].clone());
    assert_eq!(members, ["rotate", "d-a", "permit", "a"].map(Value::from));
    client.call(Method::GET, "/v1/secrets/a", "").await.ok();
    assert_eq!(record()["decision_id"], "d-a");
    is_denied(&client.call(Method::GET, "/v1/secrets/no", "").await);
    let told = record();
    let members =
        ["purpose", "decision_id", "effect", "resource", "problem"].map(|name| told[name].clone());
    assert_eq!(members, ["read", "d-no", "deny", "no", "PdpDenied"].map(Value::from), "{told}");
    // 114: by URI, too, of a secret that is there or not.
    for (method, at, body, purpose, action) in [
        (Method::GET, value("openbao+kv2://secret/no"), "", "read", "version/getData"),
        (
            Method::POST,
            "/api/secrets".to_owned(),
            r#"{"uri":"openbao+kv2://secret/no","value":{}}"#,
            "write",
            "version/create",
        ),
    ] {
        assert_eq!(is_denied(&client.call(method, &at, body).await), "SECRET_AUTHZ_FAILED");
        let told = record();
        let members = ["purpose", "decision_id", "effect", "resource", "resource_type"]
            .map(|name| told[name].clone());
        assert_eq!(members, [purpose, "d-no", "deny", "no", "secret"].map(Value::from), "{told}");
        assert!(told["resource_ref"].is_string(), "{told}");
        let action = json!(format!("okms:apikms:secret/{action}"));
        assert!(told["actions"].as_array().unwrap().contains(&action), "{told}");
    }
    client.call(Method::POST, "/v1/secrets/batch", r#"{"paths":["a","no"]}"#).await.ok();
    let told = record();
    let each: Vec<_> = told["also"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| ["name", "purpose", "decision_id", "effect"].map(|name| one[name].clone()))
        .collect();
    assert_eq!(
        each,
        [
            ["a", "read", "d-a", "permit"].map(Value::from),
            ["no", "read", "d-no", "deny"].map(Value::from),
        ],
        "{told}"
    );
}

/// Of many, all are asked for at once, and each is told what was said of it.
#[tokio::test]
async fn many_are_one_request() {
    let pdp = Pdp::start().await;
    let (_server, client) =
        pdp.server(|config| config.pdp.timeout = Span(Duration::from_secs(1))).await;
    let s = "openbao+kv2://secret/";
    pdp.judges(
        |asked| json!({"decision": !asked["resource"]["id"].as_str().unwrap().ends_with("no")}),
    );
    let set = |name: &str| json!({"op": "set", "uri": format!("{s}{name}"), "value": {"v": 1}});
    let all: Vec<_> =
        (0..20).map(|number| set(&format!("a{number}"))).chain([set("no"), set("last")]).collect();
    let bulk = json!({ "operations": all }).to_string();
    let answer = client.call(Method::POST, "/api/secrets/bulk", &bulk).await.ok();
    assert_eq!((&answer["succeeded"], &answer["failed"]), (&json!(21), &json!(1)));
    assert_eq!(answer["results"][20]["code"], "SECRET_AUTHZ_FAILED");
    let had = pdp.had();
    assert_eq!((had.len(), &*had[0].path), (1, "/access/v1/evaluations"));
    assert_eq!(had[0].evaluations().len(), 22);
    let batch = json!({"paths": ["a0", "a1", "none", "no"]}).to_string();
    let answer = client.call(Method::POST, "/v1/secrets/batch", &batch).await.ok();
    assert_eq!(answer["secrets"].as_object().unwrap().len(), 2);
    assert_eq!(answer["errors"]["no"]["code"], "access_denied");
    assert_eq!(answer["errors"]["none"]["code"], "secret_not_found");
    assert_eq!(pdp.had().len(), 1);
    // Nobody waits once for each.
    pdp.does(Mode::Silence);
    let begun = std::time::Instant::now();
    let answer = client.call(Method::POST, "/api/secrets/bulk", &bulk).await.ok();
    assert_eq!(answer["failed"], 22);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// A feed goes on for hours: what was permitted when it began is asked again, and who is denied meanwhile is told nothing
/// more.
#[tokio::test]
async fn a_feed_ends_with_the_permission() {
    let pdp = Pdp::start().await;
    let (server, client) = pdp.server(|_| {}).await;
    let other = server.client_of(&client.id, crate::harness::Http::One);
    let mut feed = crate::feeds::Events::open(&client, &client.url("events"), &[]).await;
    other.create("before", "{}").await.ok();
    assert_eq!(feed.records(1).await[0].1["path"], "before");
    pdp.judges(|asked| json!({"decision": asked["resource"]["type"] != "secret_prefix"}));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    other.create("behind", "{}").await.ok();
    let told = feed.whole().await;
    assert!(told.contains("you may not see it any more") && !told.contains("behind"), "{told}");
}

/// A source that must not be read was told as permitted, and its refusal with the destination.
#[tokio::test]
async fn each_end_of_a_transfer_has_its_own_verdict() {
    let pdp = Pdp::start().await;
    let (server, client) = pdp.server(|config| config.dev.helpers = Some(true)).await;
    for (denied, operation) in
        [("read from", "copy"), ("write to", "copy"), ("delete from", "move"), ("-", "copy")]
    {
        // A denial counts for a moment.
        let folder = format!("{}{operation}", denied.replace(' ', "-"));
        pdp.judges(|_| json!({"decision": true}));
        client.create(&format!("{folder}/from"), r#"{"t":1}"#).await.ok();
        pdp.judges(move |asked| {
            let purpose = asked["action"]["name"].as_str().unwrap().to_owned();
            let path =
                asked["resource"]["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            let context = json!({"decision_id": format!("{purpose}-{path}")});
            json!({"decision": format!("{purpose} {path}") != denied, "context": context})
        });
        let s = format!("openbao+kv2://secret/{folder}/");
        let body = json!({"fromUri": format!("{s}from"), "toUri": format!("{s}to")}).to_string();
        let at = format!("/api/secrets/{operation}");
        let answer = client.call(Method::POST, &at, &body).await;
        let id = denied.replace(' ', "-");
        if denied == "-" {
            answer.ok();
        } else {
            is_denied(&answer);
            assert_eq!(answer.json()["details"]["decision_id"], *id, "{answer:?}");
        }
        let text = std::fs::read_to_string(server.path("audit.log")).unwrap();
        let mut records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = records.rfind(|record| record["type"] == "request").unwrap();
        let members = ["resource", "decision_id"].map(|name| told[name].clone());
        assert_eq!(
            members,
            [format!("{folder}/to"), "write-to".to_owned()].map(Value::from),
            "{denied}: {told}"
        );
        let source = &told["also"][0];
        let (effect, decision) = match denied {
            "-" | "write to" => ("permit", "read-from"),
            _ => ("deny", &*id),
        };
        let members = ["name", "effect", "decision_id"].map(|name| source[name].clone());
        assert_eq!(
            members,
            [&*format!("{folder}/from"), effect, decision].map(Value::from),
            "{denied}: {told}"
        );
        assert_eq!(told["effect"], if denied == "-" { "permit" } else { "deny" });
        let expected = if denied == "-" { "write-to" } else { &*id };
        crate::harness::eventually(format!("{expected} is told"), async || {
            let late = client.call(Method::GET, "/api/secrets/audit?limit=1", "").await;
            late.json()["items"][0]["decision_id"] == *expected
        })
        .await;
    }
}
