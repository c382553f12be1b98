//! Lists and batches: cases 44 to 58, 141.

use serde_json::{Value, json};

use super::{Paths, faulty, members, refused};

/// The paths in a list.
fn names(list: &Value) -> Vec<&str> {
    list["secrets"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_have_what_is_asked_for() {
    let (server, paths) = Paths::start().await;
    let put = async |path: &str, body: Value| {
        let answer = paths.put(path, body).await;
        assert!(answer.status.is_success(), "{answer:?}");
    };
    put("/environments/production/a", json!({"data": {}, "metadata": {"tags": ["x", "y"]}})).await;
    put(
        "/environments/staging/b",
        json!({"data": {}, "secret_type": "json", "metadata": {"tags": ["x"]}}),
    )
    .await;
    server.clock.advance(60);
    put("/c", json!({"data": {}, "options": {"expires_in": "1h"}})).await;
    put("/d", json!({"data": {}})).await;
    // 44
    let all = paths.get("").await.ok();
    assert_eq!(members(&all), ["cursor", "has_more", "secrets", "total_count"]);
    assert_eq!(names(&all), ["c", "d", "environments/production/a", "environments/staging/b"]);
    assert_eq!(
        (&all["cursor"], &all["has_more"], &all["total_count"]),
        (&json!(null), &json!(false), &json!(4))
    );
    for one in all["secrets"].as_array().unwrap() {
        assert_eq!(
            members(one),
            ["expires_at", "path", "secret_type", "tags", "updated_at", "version"]
        );
    }
    let listed = async |query: &str| {
        let list = paths.get(query).await.ok();
        assert_eq!(list["total_count"], names(&list).len(), "{query}");
        names(&list).join(" ")
    };
    let (a, b) = ("environments/production/a", "environments/staging/b");
    for (query, expected) in [
        // 47, 48
        ("/", format!("c d {a} {b}")),
        ("?prefix=environments/prod", a.to_owned()),
        ("?prefix=nothing", String::new()),
        // 49
        ("?tag=x", format!("{a} {b}")),
        ("?tag=x&tag=y", a.to_owned()),
        ("?tag=y&tag=x&prefix=environments/s", String::new()),
        ("?tag=none", String::new()),
        // 50
        ("?secret_type=json", b.to_owned()),
        // 51
        ("?expires_before=2025-01-02T05:00:00Z", "c".to_owned()),
        ("?expires_before=2025-01-02T04:05:05Z", String::new()),
        ("?updated_after=2025-01-02T03:04:05Z", "c d".to_owned()),
    ] {
        assert_eq!(listed(query).await, expected, "{query}");
    }
    refused(&paths.get("?secret_type=nonsense").await, 400, "invalid_secret_type");
    refused(&paths.get("?expires_before=soon").await, 400, "invalid_request");
    for limit in ["0", "201", "x"] {
        assert_eq!(faulty(&paths.get(&format!("?limit={limit}")).await), ["limit"]);
    }
    // 52
    server.clock.advance(3_600);
    assert_eq!(listed("?prefix=c").await, "");
    assert_eq!(listed("?prefix=c&include_expired=true").await, "c");
    // 53
    let full = paths.get("?prefix=d&include_metadata=true").await.ok()["secrets"][0].clone();
    let described = paths.get("/metadata/d").await.ok();
    for whole in [&paths.get("?prefix=d").await.ok()["secrets"][0], &described] {
        for (member, told) in whole.as_object().unwrap() {
            assert_eq!(full.get(member), Some(told), "{member}");
        }
    }
    // 54
    paths.delete("/d").await.ok();
    assert_eq!(listed("?prefix=d").await, "");
    let removed = paths.get("?prefix=d&include_deleted=true").await.ok();
    assert!(removed["secrets"][0].get("recoverable_until").is_some());
    // Tags go with what they were of.
    let prefix = "?tag=x&include_deleted=true&include_expired=true";
    paths.put(&format!("/{a}"), json!({"data": {}, "metadata": {"tags": ["z"]}})).await.ok();
    assert_eq!(listed(prefix).await, b);
    paths.delete(&format!("/{b}?permanent=true")).await.ok();
    assert_eq!(listed(prefix).await, "");
    // 132
    let other = Paths { client: server.tenant().await };
    other.put("/mine", json!({"data": {}, "metadata": {"tags": ["z"]}})).await;
    assert_eq!(names(&other.get("?tag=z").await.ok()), ["mine"]);
    assert_eq!(names(&other.get("").await.ok()), ["mine"]);
}

#[tokio::test]
async fn lists_go_on_where_they_were() {
    let (mut server, paths) = Paths::start().await;
    let made: Vec<_> = (0..127).map(|n| format!("environments/production/{n:03}")).collect();
    paths.client.create_all(&made).await;
    paths.client.create("other", "{}").await.ok();
    // 45
    let first = paths.get("?prefix=environments/production/&limit=50").await.ok();
    assert_eq!(
        (names(&first).len(), &first["has_more"], &first["total_count"]),
        (50, &json!(true), &json!(127))
    );
    let cursor = first["cursor"].as_str().unwrap();
    // 57
    server.restart().await;
    let paths = Paths { client: server.at(&paths.client) };
    // 55
    for late in ["environments/production/0000", "environments/production/zzz"] {
        paths.client.create(late, "{}").await.ok();
    }
    let second = paths.get(&format!("?prefix=environments/production/&cursor={cursor}")).await.ok();
    assert_eq!((names(&second).len(), &second["total_count"]), (50, &json!(127)));
    let next = second["cursor"].as_str().unwrap();
    let last =
        paths.get(&format!("?prefix=environments/production/&cursor={next}&limit=200")).await.ok();
    assert_eq!(
        (names(&last).len(), &last["has_more"], &last["cursor"]),
        (28, &json!(false), &json!(null))
    );
    let mut seen: Vec<_> =
        [&first, &second, &last].into_iter().flat_map(|page| names(page)).collect();
    assert_eq!(seen.pop(), Some("environments/production/zzz"));
    assert_eq!(seen, made);
    // 46
    let (begin, end) = cursor.split_at(20);
    let flipped = format!("{begin}{}{}", if end.starts_with('A') { 'B' } else { 'A' }, &end[1..]);
    for query in [
        format!("?prefix=environments/&cursor={cursor}"),
        format!("?prefix=environments/production/&tag=x&cursor={cursor}"),
        format!("?prefix=environments/production/&cursor={flipped}"),
        "?cursor=*".to_owned(),
    ] {
        refused(&paths.get(&query).await, 400, "invalid_cursor");
    }
    let other = Paths { client: server.tenant().await };
    let theirs = other.get(&format!("?prefix=environments/production/&cursor={cursor}")).await;
    refused(&theirs, 400, "invalid_cursor");
}

#[tokio::test]
async fn a_batch_tells_of_each() {
    let (server, paths) = Paths::start().await;
    paths.put("/a", json!({"data": {"n": 1}, "metadata": {"tags": ["t"]}})).await;
    paths.put("/b", json!({"data": {}, "options": {"expires_in": "1h"}})).await;
    server.clock.advance(3_600);
    let batch =
        async |body: Value| paths.call(hyper::Method::POST, "/batch", &body.to_string()).await;
    // 141
    let told = batch(json!({"paths": ["a", "b", "none"]})).await.ok();
    assert_eq!(
        told["secrets"],
        json!({"a": {"data": {"n": 1}, "version": 1, "secret_type": "kv"}})
    );
    assert_eq!(told["errors"]["b"]["code"], "secret_expired");
    assert_eq!(told["errors"]["none"]["code"], "secret_not_found");
    let told = batch(json!({"paths": ["a"], "options": {"include_metadata": true}})).await.ok();
    assert_eq!(told["secrets"]["a"]["metadata"]["tags"], json!(["t"]));
    let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
    for wrong in [json!([]), json!(many), json!("a"), json!(["a", "a"])] {
        assert_eq!(faulty(&batch(json!({"paths": wrong})).await), ["paths"]);
    }
    let fast = batch(json!({"paths": ["none", "a"], "options": {"fail_fast": true}})).await;
    refused(&fast, 404, "secret_not_found");
}

/// Users of peers ask for nothing as much as for this: what is below, of which something is said.
#[tokio::test]
async fn the_native_list_finds_what_is_said_of_secrets() {
    let (_server, paths) = Paths::start().await;
    paths.put("/a/x", json!({"data": {}, "metadata": {"tags": ["t"], "owner": "team:x", "description": "The Shop"}})).await;
    paths
        .put("/a/y", json!({"data": {}, "secret_type": "json", "metadata": {"env": "Production"}}))
        .await;
    paths.client.create("b", "{}").await.ok();
    let names = async |query: &str| {
        let listed = paths.client.get(&format!("secret{query}")).await.ok();
        let names = listed.as_array().unwrap().iter();
        names.map(|one| one["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    for (query, expected) in [
        ("", "a/x a/y b"),
        ("?prefix=a/", "a/x a/y"),
        ("?tag=t", "a/x"),
        ("?type=json", "a/y"),
        ("?type=kv", "a/x b"),
        ("?owner=team:x", "a/x"),
        ("?text=SHOP", "a/x"),
        ("?text=production", "a/y"),
        ("?text=A/&type=kv", "a/x"),
        ("?text=nothing", ""),
    ] {
        assert_eq!(names(query).await, expected, "{query}");
    }
    paths.client.get("secret?type=x").await.error(400, 50_405_377);
}

/// Each secret that was looked at was held against each tag that was asked for, however many those were.
#[tokio::test]
async fn no_more_tags_are_looked_for_than_a_secret_has() {
    let (_server, paths) = Paths::start().await;
    let tags: Vec<_> = (0..32).map(|n| format!("t{n}")).collect();
    paths.put("/a", json!({"data": {}, "metadata": {"tags": tags}})).await;
    let mut query: String = tags.iter().map(|tag| format!("&tag={tag}")).collect();
    query.push_str(&"&tag=t1".repeat(100));
    assert_eq!(names(&paths.get(&format!("?limit=9{query}")).await.ok()), ["a"]);
    let native = paths.client.get(&format!("secret?pageSize=9{query}")).await.ok();
    assert_eq!(native.as_array().unwrap().len(), 1);
    query.push_str("&tag=t32");
    assert_eq!(faulty(&paths.get(&format!("?limit=9{query}")).await), ["tag"]);
    paths.client.get(&format!("secret?pageSize=9{query}")).await.error(400, 50_405_377);
}

/// 59 to 61: reads through every dialect are counted, and nothing else.
#[tokio::test]
async fn reads_of_all_dialects_are_counted() {
    let (mut server, paths) = Paths::start().await;
    paths.put("/a", json!({"data": {}, "metadata": {"description": "d", "tags": ["t"]}})).await;
    for _ in 0..3 {
        paths.get("/a").await.ok();
        paths.get("/a/versions").await.ok();
        paths.get("/metadata/a").await.ok();
        paths.get("").await.ok();
        paths.get("/none").await;
        paths.get("/a?version=9").await;
    }
    for _ in 0..2 {
        paths.kv(hyper::Method::GET, "data/a", "").await.ok();
        paths.kv(hyper::Method::GET, "subkeys/a", "").await.ok();
    }
    paths.client.get("secret/a?includeData=true").await.ok();
    paths.client.get("secret/a").await.ok();
    let batch = json!({"paths": ["a"]}).to_string();
    paths.call(hyper::Method::POST, "/batch", &batch).await.ok();
    // Whoever has the value already, or asks for the head alone, is told none.
    let read = paths.call(hyper::Method::HEAD, "/a", "").await;
    assert_eq!(read.status, 200);
    let known = [("if-none-match", read.headers["etag"].to_str().unwrap())];
    let again = paths.client.send(hyper::Method::GET, "/v1/secrets/a", &known, "").await;
    assert_eq!(again.status, 304);
    let metadata = paths.get("/metadata/a").await.ok();
    assert_eq!((&metadata["access_count_30d"], &metadata["version_count"]), (&json!(7), &json!(1)));
    assert_eq!(metadata["last_accessed_at"], "2025-01-02T03:04:05Z");
    // 145: what is counted when the server stops is there when it starts.
    server.restart().await;
    let paths = Paths { client: server.at(&paths.client) };
    assert_eq!(paths.get("/metadata/a").await.ok()["access_count_30d"], 7);
    // 62
    server.clock.advance(29 * 86_400);
    assert_eq!(paths.get("/metadata/a").await.ok()["access_count_30d"], 7);
    server.clock.advance(86_400);
    assert_eq!(paths.get("/metadata/a").await.ok()["access_count_30d"], 0);
}
