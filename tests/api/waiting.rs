//! A request that waits for its body is judged by what counts when the body is there: whoever loses meanwhile
//! what it had is refused.

use std::fmt::Write as _;

use hyper::Method;
use okmsd::pki::Subject;
use serde_json::json;

use super::{
    access::Domain,
    credentials::{holder, revoke},
    customer_cas::{self, certificate, put, remove},
    harness::{BOTH, Client, Http, Pair, TestServer},
    proxies,
    trust::{Signer, ca, leaf},
    wire::*,
};

/// A request whose head was admitted, and whose body the server waits for.
struct Waiting {
    wire: Wire,
    http: Http,
    body: String,
}

impl Waiting {
    async fn begin(
        client: &Client,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> Self {
        let (mut wire, body) = (Wire::open(client).await, body.into());
        let length = body.len().to_string();
        let headers = [headers, &[("content-length", &length)]].concat();
        match client.http {
            Http::One => {
                let mut head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n");
                for (name, value) in headers {
                    write!(head, "{name}: {value}\r\n").unwrap();
                }
                // It asks for the body once it has admitted the head.
                wire.send(format!("{head}expect: 100-continue\r\nconnection: close\r\n\r\n")).await;
                assert!(wire.read_until(|bytes| bytes.ends_with(b"\r\n\r\n")).await);
                assert_eq!(statuses(&wire.text()), [100], "{}", wire.text());
            }
            Http::Two => {
                let fields = fields("POST", path, &headers);
                wire.send(preface(&[])).await;
                wire.send(frame(HEADERS, END_HEADERS, 1, &fields)).await;
                wire.send(head(3, END_STREAM, "GET", "/")).await;
                // What has come later is answered.
                assert!(wire.read_until(|bytes| self::body(bytes, 3).is_some()).await);
                assert!(wire.frames().iter().all(|frame| frame.stream != 1));
            }
        }
        Self { wire, http: client.http, body }
    }

    /// What is answered once the body is there.
    async fn ends(mut self) -> String {
        match self.http {
            Http::One => {
                self.wire.send(&self.body).await;
                self.wire.until_closed().await;
                self.wire.text().rsplit_once("\r\n\r\n").unwrap().1.to_owned()
            }
            Http::Two => {
                self.wire.send(frame(DATA, END_STREAM, 1, self.body.as_bytes())).await;
                assert!(self.wire.read_until(|bytes| body(bytes, 1).is_some()).await);
                body(self.wire.received(), 1).unwrap()
            }
        }
    }
}

fn secret(path: &str) -> String {
    json!({"path": path, "version": {"data": {}}}).to_string()
}

/// For as long as a body may take, whoever was shut out could still write with a request that had begun before.
#[tokio::test]
async fn who_is_shut_out_meanwhile_writes_nothing() {
    let domain = Domain::new().await;
    let (server, id) = (&domain.server, &domain.admin.id);
    let operator = server.operator();
    let url = domain.admin.url("secret");
    for (name, http) in [("one", Http::One), ("two", Http::Two)] {
        let begin = async |client: &Client| {
            Waiting::begin(&client.over(http), &url, &[], secret(name)).await
        };
        // A certificate that is revoked.
        let (thief, issued) = holder(server, id, 30).await;
        let waiting = begin(&thief).await;
        assert_eq!(revoke(server, &issued, id, "").await.status, 204);
        let said = waiting.ends().await;
        assert!(said.contains("the client certificate was revoked"), "{said}");
        // A policy that denies.
        let svc = domain.client("svc", http);
        domain.rule("svc", &["admin"]).await;
        let waiting = begin(&svc).await;
        let denies = domain.policy("svc", &["*"], json!({"deny": ["secret/create"]})).await;
        let said = waiting.ends().await;
        assert!(said.contains("your certificate does not permit this action"), "{said}");
        let denies = domain.at(&format!("policy/{denies}"));
        domain.admin.call(Method::DELETE, &denies, "").await;
        // A rule that gives less.
        let waiting = begin(&svc).await;
        domain.rule("svc", &["read-only"]).await;
        let said = waiting.ends().await;
        assert!(said.contains("your certificate does not permit this action"), "{said}");
        // An authority that is taken away.
        let customer = Signer::root(ca("customer CA"));
        put(&operator, id, "shop", &certificate(&customer)).await.ok();
        let waiting = begin(&customer_cas::client(server, id, &customer.pair(&leaf(), &[]))).await;
        assert_eq!(remove(&operator, id, "shop").await.status, 204);
        let said = waiting.ends().await;
        assert!(said.contains("not trusted any more"), "{said}");
        // Whoever keeps what it had writes.
        let waiting = begin(&domain.admin).await;
        domain.rule("svc", &["nothing"]).await;
        let said = waiting.ends().await;
        assert!(said.contains("currentVersion"), "{said}");
    }
    // A certificate that has expired.
    for http in BOTH {
        let (late, _) = holder(server, id, 2).await;
        let waiting = Waiting::begin(&late.over(http), &url, &[], secret("late")).await;
        server.clock.advance(3 * 86_400);
        let said = waiting.ends().await;
        assert!(said.contains("the client certificate has expired"), "{said}");
    }
}

/// The same of operators, and of who comes through a proxy that is shut out.
#[tokio::test]
async fn so_are_operators_and_proxies() {
    let mut server = TestServer::start().await;
    let tenant = server.tenant().await;
    let operator = server.operator();
    let revoke = async |serial: String| {
        let body = json!({ "serial": serial }).to_string();
        operator.call(Method::POST, "/v2/okms/revocation", &body).await.ok();
    };
    for http in BOTH {
        let lost = server.issue(&Subject::Operator, 30);
        let client = server.client(Some(&lost), None, http);
        let waiting = Waiting::begin(&client, "/v2/okms/resource", &[], r#"{"name":"late"}"#).await;
        revoke(proxies::serial(&lost)).await;
        let said = waiting.ends().await;
        assert!(said.contains("the client certificate was revoked"), "{said}");
    }
    let proxy = proxies::forwards(&mut server, None);
    let subject = Subject::Domain(tenant.id.parse().unwrap());
    let [member, other] = [server.issue(&subject, 30), server.issue(&subject, 30)];
    let through = server.client(Some(&proxy), Some(&tenant.id), Http::One);
    let begin = async |of: &Pair, path: &str| {
        let headers = proxies::forwarding(proxies::RFC, &of.certificate);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        Waiting::begin(&through, &through.url("secret"), &headers, secret(path)).await
    };
    assert!(begin(&member, "kept").await.ends().await.contains("currentVersion"));
    for (of, lost, why) in [
        (&member, &member, "the client certificate was revoked"),
        (
            &other,
            &proxy,
            "the proxy's own certificate is refused: the client certificate was revoked",
        ),
    ] {
        let waiting = begin(of, "lost").await;
        revoke(proxies::serial(lost)).await;
        let said = waiting.ends().await;
        assert!(said.contains(why), "{said}");
    }
}
