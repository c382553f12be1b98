//! What nobody, and who is somebody elsewhere, can learn, end or use up.

use hyper::Method;
use okmsd::config::ByteSize;
use serde_json::{Value, json};

use super::{CANARY, ask, central, login, v1};
use crate::{
    access::Domain,
    callers::{Outcome, outcome},
    harness::{BOTH, Client, Http, Leaf, eventually},
    isolation::{SECRET, UNKNOWN, body, is_of_vault, method, routes, url},
    limits::{honest, server},
    wire::{self, *},
};

/// The time and the words of a login told who is a user. What it takes is counted by
/// `service::tests::a_login_costs_the_same_for_whoever_there_is_not`.
#[tokio::test]
async fn cve_2025_54999_who_is_a_user_is_told_to_nobody() {
    let domain = Domain::new().await;
    let admin = &domain.admin;
    let user = |name: &str| v1(admin, &format!("auth/userpass/users/{name}"));
    for name in ["ann", "gone"] {
        let made = ask(admin, "PUT", &user(name), &json!({"password": "correct horse"})).await;
        assert_eq!(made.status, 204);
    }
    assert_eq!(ask(admin, "DELETE", &user("gone"), &Value::Null).await.status, 204);
    domain.rule("svc", &["nothing"]).await;
    let names = ["ann", "gone", "never", "Ann", "ann%20", "admin"];
    for http in BOTH {
        // A key that has not failed yet, and may do nothing in the domain.
        let caller = domain.client("svc", http);
        let stranger = Client { id: admin.id.clone(), ..domain.server.tenant().await.over(http) };
        for (client, rest, method, passwords) in [
            (&caller, "login/NAME", "PUT", &["wrong", ""][..]),
            (&caller, "users/NAME", "GET", &[""]),
            (&caller, "users/NAME", "DELETE", &[""]),
            (&caller, "users/NAME/password", "PUT", &["wrong"]),
            (&caller, "users/NAME/policies", "PUT", &["wrong"]),
            (&stranger, "login/NAME", "PUT", &["wrong", "correct horse"]),
            (&stranger, "users/NAME", "GET", &[""]),
        ] {
            for password in passwords {
                let mut told = Vec::new();
                for name in names {
                    let at = v1(admin, &format!("auth/userpass/{}", rest.replace("NAME", name)));
                    let body = json!({ "password": password, "policies": "default" });
                    let answer = ask(client, method, &at, &body).await;
                    assert!(answer.status.is_client_error(), "{method} {at}: {answer:?}");
                    told.push(answer.likeness());
                }
                told.dedup();
                assert_eq!(told.len(), 1, "{method} {rest}: {told:?}");
            }
        }
    }
    // With the right password it is not like that: the test sees what there is to see.
    let right = json!({"password": "correct horse"});
    ask(&domain.client("svc", Http::One), "PUT", &v1(admin, "auth/userpass/login/ann"), &right)
        .await
        .ok();
}

/// A request that was let in to one namespace was carried out in another, which it named besides.
#[tokio::test]
async fn cve_2026_45808_what_names_another_domain_does_nothing_in_it() {
    let domain = Domain::new().await;
    let (server, victim) = (&domain.server, &domain.admin);
    victim.create(SECRET, &json!({ "v": CANARY }).to_string()).await.ok();
    domain.rule("app", &["read-only"]).await;
    let user = json!({"password": "correct horse"});
    assert_eq!(ask(victim, "PUT", &v1(victim, "auth/userpass/users/bob"), &user).await.status, 204);
    let seen = async || {
        let mut seen = Vec::new();
        for (method, at) in [
            ("GET", victim.url(&format!("secret/{SECRET}?includeData=true"))),
            ("GET", victim.url("secret")),
            ("GET", victim.url("secretConfig")),
            ("GET", central(victim, "rule")),
            ("GET", central(victim, "policy")),
            ("GET", central(victim, "credential")),
            ("LIST", v1(victim, "sys/policies/acl")),
            ("GET", v1(victim, "auth/userpass/users/bob")),
            ("GET", v1(victim, "sys/mounts")),
        ] {
            let answer = ask(victim, method, &at, &Value::Null).await;
            assert!(answer.status.is_success(), "{at}: {answer:?}");
            seen.push(answer.likeness());
        }
        seen
    };
    let before = seen().await;
    let thief = server.tenant().await;
    let mut asked = 0;
    for http in BOTH {
        let thief = thief.over(http);
        for route in routes() {
            let own = url(&route, &thief.id, SECRET);
            let media = ("content-type", "application/json");
            let named = [
                ("x-vault-namespace", victim.id.clone()),
                ("x-vault-namespace", format!("../{}", victim.id)),
                ("x-forwarded-prefix", format!("/api/{}", victim.id)),
                ("x-original-url", url(&route, &victim.id, SECRET)),
            ];
            for (name, value) in &named {
                let (headers, body) = ([media, (*name, value.as_str())], body(&route, SECRET));
                let answer = thief.send(method(&route), &own, &headers, body).await;
                let is_fault = answer.status.is_server_error() && answer.status != 501;
                assert!(!is_fault, "{own} {name}: {answer:?}");
                let told = String::from_utf8_lossy(&answer.body);
                assert!(!told.contains(CANARY), "{own} {name}: {answer:?}");
                asked += 1;
            }
            // Below a namespace of the other's name, and in the other's address from its own.
            for at in [
                format!("/v1/{}/{}", victim.id, own.trim_start_matches("/v1/")),
                format!("{own}/../../../../{}", victim.id),
                url(&route, &format!("{}%2F..%2F{}", thief.id, victim.id), SECRET),
                url(&route, &format!("{}/../{}", thief.id, victim.id), SECRET),
            ] {
                let answer = thief.call(method(&route), &at, &body(&route, SECRET)).await;
                let told = String::from_utf8_lossy(&answer.body);
                assert!(!told.contains(CANARY), "{at}: {answer:?}");
            }
        }
        // The namespaces that there are not are told as such, whichever domain they name.
        let at = v1(&thief, "secret/data/app");
        for id in [&*victim.id, UNKNOWN] {
            let headers = [("x-vault-namespace", id)];
            let answer = thief.send(Method::GET, &at, &headers, "").await;
            assert!(answer.status.is_client_error(), "{answer:?}");
        }
    }
    assert!(asked > 700, "{asked}");
    assert_eq!(seen().await, before);
}

/// Whoever reached the server could end what operators had begun, again and again.
#[tokio::test]
async fn cve_2026_5807_nobody_ends_anything() {
    let domain = Domain::new().await;
    let (server, admin) = (&domain.server, &domain.admin);
    admin.create(SECRET, r#"{"v":1}"#).await.ok();
    let user = json!({"password": "correct horse"});
    assert_eq!(ask(admin, "PUT", &v1(admin, "auth/userpass/users/bob"), &user).await.status, 204);
    let auth = login(admin).await;
    let token = auth["client_token"].as_str().unwrap();
    let headers = [("x-vault-wrap-ttl", "1h")];
    let wrap = v1(admin, "sys/wrapping/wrap");
    let wrapped = admin.send(Method::POST, &wrap, &headers, r#"{"a":1}"#).await.ok();
    let wrapping = wrapped["wrap_info"]["token"].as_str().unwrap();
    let nameless = server.mint(&Leaf::default());
    let named = json!({
        "token": token, "accessor": auth["accessor"], "password": "wrong", "versions": [1],
    });
    let mut ends = 0;
    for http in BOTH {
        for nobody in [server.anonymous().over(http), server.client(Some(&nameless), None, http)] {
            // With everything that it would take but a certificate.
            let tokens = [None, Some(token), Some(wrapping), Some("okms.none.such")];
            for token in tokens {
                let mut connection = nobody.connect().await;
                let mut headers = vec![("content-type", "application/json")];
                headers.extend(token.map(|token| ("x-vault-token", token)));
                for route in routes().iter().filter(|route| route.method != "HEAD") {
                    let is_change = route.method != "GET" && route.method != "LIST";
                    if !is_change || route.operation.actions.is_empty() && !is_of_vault(route) {
                        continue;
                    }
                    for body in [body(route, SECRET), named.to_string()] {
                        let at = url(route, &admin.id, SECRET);
                        let answer =
                            match connection.try_send(method(route), &at, &headers, body).await {
                                Ok(answer) => answer,
                                Err(_) => {
                                    connection = nobody.connect().await;
                                    continue;
                                }
                            };
                        // Whether the token is one makes no difference.
                        let expected = match token {
                            Some(_) if is_of_vault(route) => Outcome::NoToken,
                            _ => Outcome::Nobody,
                        };
                        assert_eq!(outcome(&answer), expected, "{token:?} {} {at}", route.method);
                        ends += 1;
                    }
                }
            }
            // What Vault has for nobody in particular is not there, or is for nobody.
            let mut connection = nobody.connect().await;
            for rest in [
                "sys/generate-root/attempt",
                "sys/generate-root/update",
                "sys/rekey/init",
                "sys/rekey/verify",
                "sys/rekey-recovery-key/init",
                "sys/seal",
                "sys/step-down",
                "sys/unseal",
                "sys/storage/raft/join",
            ] {
                for method in ["PUT", "DELETE"].map(|method| method.parse::<Method>().unwrap()) {
                    for at in [v1(admin, rest), format!("/v1/{rest}")] {
                        let sent = connection.try_send(method.clone(), &at, &[], named.to_string());
                        match sent.await {
                            Ok(answer) => {
                                assert!(answer.status.is_client_error(), "{at}: {answer:?}")
                            }
                            Err(_) => connection = nobody.connect().await,
                        }
                    }
                }
            }
        }
    }
    assert!(ends > 500, "{ends}");
    assert_eq!(server.admin("/readyz").await.0, 200);
    admin.get(&format!("secret/{SECRET}?includeData=true")).await.ok();
    let headers = [("x-vault-token", token)];
    admin.send(Method::GET, &v1(admin, "auth/token/lookup-self"), &headers, "").await.ok();
    // The wrong passwords of nobody count for nobody.
    ask(admin, "PUT", &v1(admin, "auth/userpass/login/bob"), &user).await.ok();
    let unwrapped = json!({ "token": wrapping });
    ask(admin, "POST", &v1(admin, "sys/wrapping/unwrap"), &unwrapped).await.ok();
}

/// Bodies of those who had not said who they are were read into memory until there was none left.
#[tokio::test]
async fn cve_2024_8185_bodies_of_nobody_take_no_memory() {
    const STREAMS: u32 = 12;
    let (server, client) = server(|limits| limits.buffer_bytes = ByteSize(8 << 20)).await;
    let large = format!(r#"{{"x":"{}"}}"#, "v".repeat(500 << 10));
    let part = vec![b'x'; 16 << 10];
    let addresses = [
        v1(&client, "auth/userpass/login/ann"),
        v1(&client, "sys/storage/raft/join"),
        v1(&client, "secret/data/a"),
        client.url("secret"),
        "/v2/okms/resource".to_owned(),
        "/openapi.json".to_owned(),
    ];
    // Each begins far more than there is room for, and ends nothing.
    let mut strangers = Vec::new();
    for at in addresses.iter().cycle().take(24) {
        let mut wire = Wire::open(&server.anonymous().over(Http::Two)).await;
        wire.send(preface(&[])).await;
        for stream in (0..STREAMS).map(|n| 2 * n + 1) {
            wire.send(head(stream, 0, "POST", at)).await;
            // As much as a connection's window lets through.
            wire.send(if stream < 5 { frame(DATA, 0, stream, &part) } else { Vec::new() }).await;
        }
        strangers.push(wire);
    }
    for at in &addresses {
        let mut wire = Wire::open(&server.anonymous()).await;
        wire.send(format!(
            "POST {at} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            900 << 10
        ))
        .await;
        wire.send(&part).await;
        strangers.push(wire);
    }
    // All of them are told at once, whatever they have still to send.
    for wire in strangers.iter_mut().take(6) {
        let is_told = |bytes: &[u8]| {
            wire::frames(bytes).iter().any(|frame| frame.kind == HEADERS && frame.stream == 1)
        };
        assert!(wire.read_until(is_told).await);
    }
    for http in BOTH {
        let client = client.over(http);
        honest(&client).await;
        client.create(&format!("large-{http:?}"), &large).await.ok();
    }
    // A domain's share, whole, at once: none of it is taken.
    let writers = (0..3).map(|n| {
        let (client, large) = (client.clone(), large.clone());
        tokio::spawn(async move { client.create(&format!("one-of/{n}"), &large).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().ok();
    }
    drop(strangers);
    eventually("they are gone", async || server.metric("okmsd_connections ").await < 3.0).await;
}
