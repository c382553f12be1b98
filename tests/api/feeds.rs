//! Feeds: a domain's part of the audit trail as it grows, over real connections.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, body::Incoming, http::response::Parts};
use okmsd::config::Span;
use serde_json::{Value, json};

use crate::{
    access::Domain,
    audit::trail,
    harness::{BOTH, Client, Connection, Http, PATIENCE, Sender, TestServer, eventually},
    wire::*,
};

const FORBIDDEN: u32 = 16_924_673;
const BUSY: u32 = 50_434_049;

/// A feed that is read as it comes.
pub struct Events {
    head: Parts,
    body: Incoming,
    text: String,
    _connection: Connection,
}

impl Events {
    pub async fn open(client: &Client, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut connection = client.connect().await;
        let request = Request::get(match client.http {
            Http::One => path.to_owned(),
            Http::Two => format!("https://localhost{path}"),
        });
        let request = match client.http {
            Http::One => request.header("host", "localhost"),
            Http::Two => request,
        };
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.header("accept", "text/event-stream").body(Full::default()).unwrap();
        let response = match &mut connection.0.sender {
            Sender::One(sender) => sender.send_request(request).await.unwrap(),
            Sender::Two(sender) => sender.send_request(request).await.unwrap(),
        };
        let (head, body) = response.into_parts();
        Self { head, body, text: String::new(), _connection: connection }
    }

    /// What was told until now, as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// The next bytes; none where it ends well.
    async fn more(&mut self) -> bool {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
        let frame = frame.unwrap_or_else(|_| panic!("nothing more than {}", self.text));
        let Some(frame) = frame else { return false };
        let data = frame.expect("it does not break off").into_data().unwrap();
        self.text.push_str(std::str::from_utf8(&data).unwrap());
        true
    }

    /// Reads until there are so many records; they, and the ids behind which a feed goes on.
    pub async fn records(&mut self, least: usize) -> Vec<(String, Value)> {
        // It shows that it lives, whether there is something to tell or not.
        let end = Instant::now() + PATIENCE;
        while events(&self.text).len() < least {
            assert!(Instant::now() < end, "nothing more than {}", self.text);
            assert!(self.more().await, "it ended: {}", self.text);
        }
        events(&self.text)
    }

    /// Everything, once it has ended well.
    pub async fn whole(mut self) -> String {
        while self.more().await {}
        self.text
    }
}

/// The events that are whole.
fn events(text: &str) -> Vec<(String, Value)> {
    let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    let of = |event: &str| {
        let of_kind = event.strip_prefix("event: ").and_then(|event| event.split_once('\n'));
        let event = of_kind.map_or(event, |(_, event)| event);
        let (id, data) = event.strip_prefix("id: ")?.split_once("\ndata: ")?;
        Some((id.to_owned(), serde_json::from_str(data).unwrap()))
    };
    whole.split("\n\n").filter_map(of).collect()
}

fn resources(records: &[(String, Value)]) -> Vec<&str> {
    records.iter().map(|(_, record)| record["resource"].as_str().unwrap_or_default()).collect()
}

fn names(of: impl IntoIterator<Item = u32>) -> Vec<String> {
    of.into_iter().map(|number| format!("feed/{number}")).collect()
}

#[tokio::test]
async fn a_feed_tells_what_happens_and_goes_on_where_it_was() {
    for http in BOTH {
        let domain = Domain::new().await;
        domain.rule("auditor", &["auditor"]).await;
        domain.rule("reader", &["read-only"]).await;
        let (admin, auditor) = (&domain.admin, domain.client("auditor", http));
        let at = |rest: &str| domain.at(&format!("audit{rest}"));
        let create = async |numbers: std::ops::Range<u32>| {
            for name in names(numbers) {
                admin.create(&name, r#"{"word":"canary-of-a-value"}"#).await.ok();
            }
        };
        create(0..1).await;
        eventually("what was before is stored", async || {
            let listed = auditor.call(Method::GET, &at("?resource=feed/"), "").await.ok();
            listed.as_array().unwrap().len() == 1
        })
        .await;
        let mut feed = Events::open(&auditor, &at("?resource=feed/"), &[]).await;
        assert_eq!(
            (feed.head.status.as_u16(), &feed.head.headers["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert!(feed.more().await && feed.text.starts_with("retry: "), "{}", feed.text);
        create(1..4).await;
        let told = feed.records(3).await;
        assert_eq!(resources(&told), names(1..4), "from now on, and in order");
        assert_eq!(
            (&told[0].1["operation"], &told[0].1["effect"]),
            (&json!("PostSecretV2"), &json!("permit"))
        );
        assert!(!feed.text.contains("canary"));
        // The same records as those of the list.
        let listed = auditor.call(Method::GET, &at("?resource=feed/"), "").await.ok();
        assert_eq!(listed[1], told[0].1);
        // Whoever comes back behind one misses none and is told none twice.
        drop(feed);
        create(4..6).await;
        let last = [("last-event-id", &*told[1].0)];
        let mut again = Events::open(&auditor, &at("?resource=feed/"), &last).await;
        create(6..8).await;
        assert_eq!(resources(&again.records(5).await), names(3..8));
        let mut from =
            Events::open(&auditor, &at("?resource=feed/&from=2020-01-01T00:00:00Z"), &[]).await;
        assert_eq!(resources(&from.records(8).await), names(0..8));
        let mut refused =
            Events::open(&auditor, &at("?effect=deny&from=2020-01-01T00:00:00Z"), &[]).await;
        domain.client("reader", http).call(Method::GET, &at(""), "").await.error(403, FORBIDDEN);
        assert_eq!(refused.records(1).await[0].1["common_name"], "reader");
        // Nobody else's.
        let asked = [("accept", "application/json;q=0.5, Text/Event-Stream")];
        let get = async |client: &Client, rest: &str, headers: &[(&str, &str)]| {
            client.send(Method::GET, &at(rest), headers, "").await
        };
        get(&domain.client("reader", http), "", &asked).await.error(403, FORBIDDEN);
        let stranger = domain.server.tenant().await.over(http);
        assert_eq!(get(&stranger, "", &asked).await.status, 404);
        for wrong in ["?effect=none", "?to=2030-01-01T00:00:00Z", "?from=now"] {
            assert_eq!(get(&auditor, wrong, &asked).await.status, 400, "{wrong}");
        }
        let forged = URL_SAFE_NO_PAD.encode([7; 31]);
        for forged in ["!", "AAAA", &*forged] {
            let headers = [asked[0], ("last-event-id", forged)];
            assert_eq!(get(&auditor, "", &headers).await.status, 400, "{forged}");
        }
        // Who does not want one gets the list.
        let none = [("accept", "text/event-stream;q=0, */*")];
        assert!(get(&auditor, "", &none).await.ok().is_array());
        // Each is one record, which says that it was allowed.
        let (records, _) = trail(&domain.server);
        let of = |id: &Parts| {
            let id = id.headers["x-request-id"].to_str().unwrap().to_owned();
            records.iter().filter(move |record| record["request_id"] == *id)
        };
        assert_eq!(of(&again.head).count(), 1);
        assert!(of(&again.head).all(|record| record["effect"] == "permit"));
    }
}

/// Whoever may not see it any more is told nothing more within a second.
#[tokio::test]
async fn a_feed_ends_with_the_right_to_it() {
    for http in BOTH {
        let domain = Domain::new().await;
        let at = domain.at("audit");
        let allowed = json!({"allow": ["okms:apiovh:resource/audit/get"]});
        let policy = domain.policy("granted", &["*"], allowed).await;
        domain.rule("ruled", &["auditor"]).await;
        domain.rule("granted", &[]).await;
        domain.rule("revoked", &["auditor"]).await;
        let feed = async |name: &str| Events::open(&domain.client(name, http), &at, &[]).await;
        let is_over = async |feed: Events, what: &str| {
            let since = Instant::now();
            let text = feed.whole().await;
            assert!(text.ends_with(": you may not see it any more\n\n"), "{what}: {text}");
            assert!(
                since.elapsed() < Duration::from_secs(5),
                "{what}: it was {:?}",
                since.elapsed()
            );
        };
        let (ruled, granted) = (feed("ruled").await, feed("granted").await);
        let revoked = domain.client("revoked", http);
        let of_revoked = Events::open(&revoked, &at, &[]).await;
        let mut stays = feed("ruled").await;
        domain.rule("ruled", &["auditor", "read-only"]).await;
        stays.records(1).await;
        domain.rule("ruled", &["read-only"]).await;
        is_over(ruled, "another rule").await;
        is_over(stays, "another rule").await;
        let gone =
            domain.admin.call(Method::DELETE, &domain.at(&format!("policy/{policy}")), "").await;
        assert_eq!(gone.status, 204);
        is_over(granted, "no policy").await;
        let serial = {
            let (records, _) = trail(&domain.server);
            let own = records.iter().find(|record| record["common_name"] == "revoked").unwrap();
            own["serial"].as_str().unwrap().to_owned()
        };
        let body = json!({"serial": serial, "reason": "keyCompromise"}).to_string();
        let taken_back =
            domain.server.operator().call(Method::POST, "/v2/okms/revocation", &body).await;
        assert!(taken_back.status.is_success(), "{}", taken_back.text());
        is_over(of_revoked, "revoked").await;
        assert_eq!(revoked.call(Method::GET, &at, "").await.status, 401);
    }
}

#[tokio::test]
async fn feeds_are_bounded() {
    let server = TestServer::start_with(|config| config.limits.feeds = 6).await;
    let [one, two, three] = [server.tenant().await, server.tenant().await, server.tenant().await];
    let at = |client: &Client| format!("/v2/okms/resource/{}/audit", client.id);
    for http in BOTH {
        let open = async |client: &Client| {
            let feed = Events::open(&client.over(http), &at(client), &[]).await;
            assert_eq!(feed.head.status, 200);
            feed
        };
        let refused = async |client: &Client| {
            let client = client.over(http);
            let refused = client
                .send(Method::GET, &at(&client), &[("accept", "text/event-stream")], "")
                .await;
            refused.error(429, BUSY);
            assert_eq!(refused.headers["retry-after"], "5");
        };
        let mut feeds = vec![open(&one).await, open(&one).await];
        refused(&one).await;
        assert!(
            server.metric(r#"okmsd_quota_refusals_total{domain="other",reason="feeds"}"#).await
                > 0.0
        );
        feeds.extend([open(&two).await, open(&two).await, open(&three).await, open(&three).await]);
        refused(&two).await;
        refused(&server.tenant().await).await;
        server.metric_reaches("okmsd_audit_feeds", 6.0).await;
        // The list is not one.
        two.over(http).call(Method::GET, &at(&two), "").await.ok();
        drop(feeds);
        eventually("the places are free again", async || {
            Events::open(&one.over(http), &at(&one), &[]).await.head.status == 200
        })
        .await;
    }
}

#[tokio::test]
async fn a_feed_shows_that_it_lives_and_has_its_time() {
    let server = TestServer::start_with(|config| {
        config.limits.feed_time = Span(Duration::from_secs(2));
        config.limits.request_time = Span(Duration::from_millis(300));
        config.limits.stall_time = Span(Duration::from_millis(300));
        config.limits.idle_time = Span(Duration::from_millis(300));
    })
    .await;
    let client = server.tenant().await;
    for http in BOTH {
        let at = format!("/v2/okms/resource/{}/audit", client.id);
        let begun = Instant::now();
        let text = Events::open(&client.over(http), &at, &[]).await.whole().await;
        assert!(text.contains("\n\n:\n\n"), "it shows that it lives: {text}");
        assert!(text.ends_with(": it has had its time; connect again\n\n"), "{text}");
        assert!(begun.elapsed() > Duration::from_millis(1900), "no other deadline ends it");
    }
}

/// Whoever takes nothing is cut off, and holds no place by that.
#[tokio::test]
async fn a_feed_that_nobody_takes_is_cut_off() {
    let server = TestServer::start_with(|config| {
        config.limits.feeds = 1;
        config.limits.stall_time = Span(Duration::from_millis(500));
    })
    .await;
    let client = server.tenant().await.over(Http::Two);
    let mut connection = client.connect().await;
    for number in 0..150 {
        let url = client.url(&format!("secret/none/{number}"));
        assert_eq!(connection.send(Method::GET, &url, &[], "").await.status, 404);
    }
    let at = format!("/v2/okms/resource/{}/audit?from=2020-01-01T00:00:00Z", client.id);
    let mut wire = Wire::open(&client).await;
    let fields = fields("GET", &at, &[("accept", "text/event-stream")]);
    // It takes what HTTP/2 lets it send, and gives nothing back.
    wire.send([preface(&[]), frame(HEADERS, END_STREAM | 4, 1, &fields)].concat()).await;
    let stalls = r#"okmsd_connections_closed_total{deadline="stall"}"#;
    server.metric_reaches(stalls, 1.0).await;
    wire.until_closed().await;
    assert!(wire.text().len() > 60_000, "it had something to take");
    eventually("its place is free again", async || {
        let mut feed = Events::open(&client, &at, &[]).await;
        feed.head.status == 200 && feed.records(150).await.len() >= 150
    })
    .await;
}

/// A stop does not wait for feeds, and each ends well.
#[tokio::test]
async fn feeds_end_with_the_server() {
    let mut server = TestServer::start().await;
    let client = server.tenant().await;
    let at = format!("/v2/okms/resource/{}/audit", client.id);
    let mut feeds = Vec::new();
    for http in BOTH {
        let mut feed = Events::open(&client.over(http), &at, &[]).await;
        assert!(feed.more().await);
        feeds.push(feed);
    }
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(10), "it waited {:?}", begun.elapsed());
    for feed in feeds {
        assert!(feed.whole().await.starts_with("retry: "));
    }
}
