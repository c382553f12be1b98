//! What was sent and what was answered is told nowhere else: in no error, no line of the log, no page.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use hyper::Method;
use serde_json::{Value, json};
use tracing::Level;

use super::{CANARY, ask, central, login, v1};
use crate::{
    access::Domain,
    harness::{Answer, BOTH, Client, Lines},
    isolation::{SECRET, routes, url},
};

/// Whatever a careless line makes of these bytes: as text, in base64 from whichever of three bytes
/// on, in hexadecimal, or number by number, as Debug has it.
fn forms(bytes: &[u8]) -> Vec<String> {
    let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        String::from_utf8_lossy(bytes).into_owned(),
        numbers.join(", "),
        numbers.join(","),
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
    ];
    forms.extend((0..3).map(|skipped| {
        let whole = (bytes.len() - skipped) / 3 * 3;
        STANDARD_NO_PAD.encode(&bytes[skipped..skipped + whole])
    }));
    forms
}

#[track_caller]
fn assert_hidden(log: &Lines, what: &str, secret: &[u8]) {
    let all = log.all();
    for form in forms(secret) {
        assert!(!all.contains(&form), "{what} is in the log as {form}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The forms that are searched for are found where they are.
#[test]
fn what_is_in_a_log_is_found_in_it() {
    let bytes = [b"\xff\x00".as_slice(), CANARY.as_bytes(), b"\xfe"].concat();
    for shown in [
        format!("{:?}", CANARY.as_bytes()),
        format!("{bytes:?}"),
        STANDARD_NO_PAD.encode(&bytes),
        STANDARD_NO_PAD.encode(&bytes[1..]),
        STANDARD_NO_PAD.encode(&bytes[2..]),
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        String::from_utf8_lossy(&bytes).into_owned(),
    ] {
        let found = forms(CANARY.as_bytes()).iter().any(|form| shown.contains(form));
        assert!(found, "{shown}");
    }
}

/// Values in payloads that could not be read were told in the log of the server, and of who audits it.
#[tokio::test]
async fn cve_2025_4166_a_payload_that_cannot_be_read_is_told_nowhere() {
    let domain = Domain::new().await;
    let admin = &domain.admin;
    admin.create("app/a", r#"{"v":1}"#).await.ok();
    let (log, _listening) = Lines::listen(Level::DEBUG);
    let mut refused = 0;
    for text in [
        format!("\"{CANARY}\""),
        format!("[\"{CANARY}\"]"),
        format!("{{\"v\":\"{CANARY}\""),
        format!("{{\"v\":\"{CANARY}\",\"v\":\"{CANARY}\"}}"),
        format!("{{\"{CANARY}\":\"{CANARY}\",}}"),
        format!("{{\"v\":\"{CANARY}\\ud800\"}}"),
        format!("{{\"v\":{}\"{CANARY}\"{}}}", "[".repeat(200), "]".repeat(200)),
        format!("{{\"v\":1e{CANARY}}}"),
    ] {
        let kv = [
            format!(r#"{{"data":{text}}}"#),
            format!(r#"{{"data":{{"v":"{CANARY}"}},"options":{text}}}"#),
            format!(r#"{{"data":{{"v":"{CANARY}"}},"options":{{"cas":{text}}}}}"#),
            format!(r#"{{"data":{{"v":"{CANARY}"}},"data":{text}}}"#),
            text.clone(),
        ];
        let metadata = [
            format!(r#"{{"custom_metadata":{text}}}"#),
            format!(r#"{{"custom_metadata":{{"k":{text}}}}}"#),
            format!(r#"{{"max_versions":{text},"custom_metadata":{{"k":"{CANARY}"}}}}"#),
        ];
        let native = [
            format!(r#"{{"version":{{"data":{text}}}}}"#),
            format!(r#"{{"metadata":{text},"version":{{"data":{{"v":"{CANARY}"}}}}}}"#),
        ];
        let merge = [("content-type", "application/merge-patch+json")];
        for (at, methods, bodies) in [
            (v1(admin, "secret/data/app/a"), &["PUT", "POST", "PATCH"][..], &kv[..]),
            (v1(admin, "secret/metadata/app/a"), &["PUT", "PATCH"], &metadata),
            (admin.url("secret/app/a"), &["PUT"], &native),
            (central(admin, "secret/app/a"), &["PUT"], &native),
        ] {
            for (method, body) in
                methods.iter().flat_map(|one| bodies.iter().map(move |b| (one, b)))
            {
                let headers = if *method == "PATCH" { &merge[..] } else { &[] };
                let answer = admin.send(method.parse().unwrap(), &at, headers, body.clone()).await;
                assert!(!answer.status.is_server_error(), "{method} {at} {body}: {answer:?}");
                if answer.status.is_client_error() {
                    assert!(!answer.text().contains(CANARY), "{method} {at} {body}: {answer:?}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 130, "{refused} were refused");
    assert!(log.with(&["PostSecretRequest"]) > 20, "the log is at work: {}", log.all());
    assert_hidden(&log, "a payload", CANARY.as_bytes());
}

/// Bodies that are no text went into the audit log as they came, since what hides secrets there knew
/// texts alone.
#[tokio::test]
async fn cve_2025_62513_bytes_that_are_no_text_are_in_no_log() {
    let domain = Domain::new().await;
    let admin = &domain.admin;
    let operator = Client { id: admin.id.clone(), ..domain.server.operator() };
    let (log, _listening) = Lines::listen(Level::DEBUG);
    let raw = [b"\xff\x00\x1f\x8b".as_slice(), CANARY.as_bytes(), b"\xfe\n"].concat();
    let mut asked = 0;
    for http in BOTH {
        let mut connection = operator.over(http).connect().await;
        for route in routes().iter().filter(|one| ["PUT", "POST", "PATCH"].contains(&one.method)) {
            for media in ["application/json", "application/octet-stream"] {
                let at = url(route, &admin.id, SECRET);
                let method: Method = route.method.parse().unwrap();
                let headers = [("content-type", media)];
                let sent = connection.try_send(method, &at, &headers, raw.clone()).await;
                let Ok(answer) = sent else {
                    connection = operator.over(http).connect().await;
                    continue;
                };
                for form in forms(CANARY.as_bytes()) {
                    let told = String::from_utf8_lossy(&answer.body);
                    assert!(!told.contains(&form), "{} {at}: {answer:?}", route.method);
                }
                asked += 1;
                if answer.headers.get("connection").is_some_and(|value| value == "close") {
                    connection = operator.over(http).connect().await;
                }
            }
        }
    }
    assert!(asked > 150, "{asked} were answered");
    assert!(log.with(&["PostSecretV2"]) > 0, "the log is at work");
    assert_hidden(&log, "a body", CANARY.as_bytes());
}

/// What was answered in bytes went into the audit log as it was, since what hides secrets there knew
/// texts alone.
#[tokio::test]
async fn cve_2025_62705_what_is_answered_is_in_no_log() {
    let domain = Domain::new().await;
    let admin = &domain.admin;
    let operator = Client { id: admin.id.clone(), ..domain.server.operator() };
    let (log, _listening) = Lines::listen(Level::DEBUG);
    admin.create("app/a", &json!({"word": CANARY}).to_string()).await.ok();
    let mut secrets = vec![("a value", CANARY.to_owned())];
    for at in [admin.url("secret/app/a?includeData=true"), v1(admin, "secret/data/app/a")] {
        let answer = ask(admin, "GET", &at, &Value::Null).await;
        assert!(answer.text().contains(CANARY), "{answer:?}");
    }
    let issued = json!({"name": "svc", "validity": 30});
    let issued = ask(&operator, "POST", &central(admin, "credential"), &issued).await.ok();
    let key = text(&issued["privateKeyPEM"]);
    secrets.extend(
        key.lines().filter(|line| !line.contains("---")).map(|line| ("a key", line.to_owned())),
    );
    assert!(secrets.len() > 3);
    secrets.push(("a token", text(&login(admin).await["client_token"])));
    let narrowed = json!({"policies": ["default"]});
    let made = ask(admin, "PUT", &v1(admin, "auth/token/create"), &narrowed).await.ok();
    secrets.push(("a token", text(&made["auth"]["client_token"])));
    let user = json!({"password": "correct horse 5d41"});
    let at = v1(admin, "auth/userpass/users/ann");
    assert_eq!(ask(admin, "PUT", &at, &user).await.status, 204);
    let user = ask(admin, "PUT", &v1(admin, "auth/userpass/login/ann"), &user).await.ok();
    secrets.push(("a user's token", text(&user["auth"]["client_token"])));
    secrets.push(("a password", "correct horse 5d41".to_owned()));
    let headers = [("x-vault-wrap-ttl", "1h")];
    let at = v1(admin, "secret/data/app/a");
    let wrapped = admin.send(Method::GET, &at, &headers, "").await.ok();
    let wrapping = text(&wrapped["wrap_info"]["token"]);
    let body = json!({ "token": wrapping });
    let unwrapped = ask(admin, "POST", &v1(admin, "sys/wrapping/unwrap"), &body).await;
    assert!(unwrapped.text().contains(CANARY), "{unwrapped:?}");
    secrets.push(("a wrapping token", wrapping));
    let random = ask(admin, "POST", &v1(admin, "sys/tools/random/32"), &Value::Null).await.ok();
    secrets.push(("what was drawn", text(&random["data"]["random_bytes"])));
    assert!(log.with(&["VaultLoginCert"]) + log.with(&["VaultUserLogin"]) > 0, "{}", log.all());
    let (_, metrics) = domain.server.admin("/metrics").await;
    for (what, secret) in &secrets {
        assert_hidden(&log, what, secret.as_bytes());
        assert!(!metrics.contains(secret.as_str()), "{what} is in the metrics");
    }
}

/// A page showed the text of a parameter, and ran it.
#[tokio::test]
async fn cve_2026_33758_no_page_shows_what_an_address_says() {
    let domain = Domain::new().await;
    let visitor = domain.server.anonymous();
    let script = "%22%3E%3Cscript%3Ealert(%27canary7f3a%27)%3C%2Fscript%3E";
    let parameters =
        ["error", "error_description", "url", "configUrl", "redirect", "state", "lang", "x"];
    let mut pages = 0;
    let as_it_is = |answer: &Answer| {
        let of_page = ["content-type", "location", "content-security-policy", "x-frame-options"];
        let headers = of_page.map(|name| answer.headers.get(name).cloned());
        (answer.status, headers, answer.body.clone())
    };
    for http in BOTH {
        let visitor = visitor.over(http);
        for at in [
            "/",
            "/swagger",
            "/swagger/",
            "/swagger/index.html",
            "/swagger/init.js",
            "/openapi.json",
        ] {
            let plain = visitor.call(Method::GET, at, "").await;
            let is_page = |answer: &Answer| {
                let media = answer.headers.get("content-type");
                media.is_some_and(|media| media.to_str().unwrap().starts_with("text/html"))
            };
            if is_page(&plain) {
                let policy = plain.headers["content-security-policy"].to_str().unwrap();
                let scripts = policy.split(';').find(|part| part.contains("script-src")).unwrap();
                assert_eq!(scripts.trim(), "script-src 'self'", "{at}");
                assert!(policy.contains("default-src 'none'"), "{at}");
                pages += 1;
            }
            for name in parameters {
                let with = visitor.call(Method::GET, &format!("{at}?{name}={script}"), "").await;
                assert_eq!(as_it_is(&with), as_it_is(&plain), "{at}?{name}");
            }
        }
        // What is wrong is told in JSON, which no browser takes for a page, whatever is in it.
        for at in [
            format!("/{script}"),
            format!("/swagger/{script}"),
            format!("/v1/{script}"),
            format!("/ui/vault/auth?with=oidc&error={script}"),
            format!("/v2/okms/resource/{script}"),
            format!("/v2/okms/revocation/{script}"),
            format!("{}?error={script}", v1(&domain.admin, "sys/health")),
            format!("{}?version={script}", domain.admin.url("secret/a")),
        ] {
            for client in [&visitor, &domain.admin.over(http)] {
                let answer = client.call(Method::GET, &at, "").await;
                assert_eq!(answer.headers["content-type"], "application/json", "{at}");
                assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{at}");
                assert!(answer.status.is_client_error() || answer.json().is_object(), "{at}");
            }
        }
    }
    assert_eq!(pages, 4);
}
