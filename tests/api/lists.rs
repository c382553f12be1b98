//! Lists and their pages.

use hyper::Method;

use crate::harness::{Answer, Client, TestServer};

/// What each entry of a page goes by: `path` of secrets, `id` of versions.
fn names(page: &Answer) -> Vec<String> {
    let name = |entry: &serde_json::Value| match &entry["path"] {
        serde_json::Value::String(path) => path.clone(),
        _ => entry["id"].to_string(),
    };
    page.ok().as_array().unwrap().iter().map(name).collect()
}

/// Every page of the list at `rest`; `between` runs after each, with the pages so far.
async fn walk(
    client: &Client,
    rest: &str,
    size: &str,
    between: impl AsyncFn(&[Vec<String>]),
) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.page(rest, size, cursor.as_deref()).await;
        pages.push(names(&page));
        between(&pages).await;
        cursor = page.next();
        if cursor.is_none() {
            return pages;
        }
    }
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("folder{}/secret-{n:04}", n % 3)).collect()
}

#[tokio::test]
async fn an_empty_list_is_an_array() {
    let (_server, client) = TestServer::with_tenant().await;
    for rest in ["secret", "secret/"] {
        let list = client.get(rest).await;
        assert_eq!((list.ok(), list.text()), (serde_json::json!([]), "[]"));
        assert!(list.next().is_none());
        assert_eq!(list.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn entries_have_path_and_metadata() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create("b", r#"{"v":1}"#).await.ok();
    client.create("a/b", r#"{"v":1}"#).await.ok();
    let list = client.get("secret").await.ok();
    for (entry, path) in list.as_array().unwrap().iter().zip(["a/b", "b"]) {
        assert_eq!(entry["path"], path);
        assert_eq!(entry["metadata"], client.get(&format!("secret/{path}")).await.ok()["metadata"]);
        assert_eq!(entry.as_object().unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_meets_every_secret_once() {
    let (server, client) = TestServer::with_tenant().await;
    let mut all = numbered(250);
    client.create_all(&all).await;
    server.tenant().await.create("of/another", "{}").await.ok();
    all.sort();
    for (size, pages) in [
        ("100", vec![100, 100, 50]),
        ("125", vec![100, 100, 50]),
        ("50", vec![50; 5]),
        ("10", vec![10; 25]),
    ] {
        let walked = walk(&client, "secret", size, async |_| ()).await;
        assert_eq!(walked.iter().map(Vec::len).collect::<Vec<_>>(), pages, "{size}");
        assert_eq!(walked.concat(), all);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_size_of_a_page_is_clamped_to_10_and_100() {
    let (_server, client) = TestServer::with_tenant().await;
    client.create_all(&numbered(120)).await;
    client.post("secret", r#"{"path":"v","maxVersions":24000,"version":{"data":{}}}"#).await.ok();
    let mut connection = client.connect().await;
    for _ in 1..12 {
        connection
            .send(Method::POST, &client.url("secret/v/version"), &[], r#"{"data":{}}"#)
            .await
            .ok();
    }
    for (size, secrets, versions) in [
        ("0", 10, 10),
        ("1", 10, 10),
        ("9", 10, 10),
        ("10", 10, 10),
        ("11", 11, 11),
        ("99", 99, 12),
        ("100", 100, 12),
        ("101", 100, 12),
        ("500", 100, 12),
        ("99999999999999999999", 100, 12),
        ("007", 10, 10),
    ] {
        assert_eq!(names(&client.page("secret", size, None).await).len(), secrets, "{size}");
        assert_eq!(
            names(&client.page("secret/v/version", size, None).await).len(),
            versions,
            "{size}"
        );
    }
    assert_eq!(names(&client.get("secret").await).len(), 100);
    for wrong in ["", "-1", "+10", "ten", "10.0", "1e2", "0x10", "10 20", "10,10", "é"] {
        for rest in ["secret", "secret/v/version"] {
            let said = client.page(rest, wrong, None).await.error(400, 50_405_377);
            assert!(said.contains("X-Pagination-Size"), "{said}");
        }
    }
}

#[tokio::test]
async fn versions_are_listed_by_pages() {
    let (_server, client) = TestServer::with_tenant().await;
    client
        .post("secret", r#"{"path":"a/b","maxVersions":24000,"version":{"data":{"v":1}}}"#)
        .await
        .ok();
    let mut connection = client.connect().await;
    for _ in 1..25 {
        connection
            .send(Method::POST, &client.url("secret/a/b/version"), &[], r#"{"data":{}}"#)
            .await
            .ok();
    }
    let all: Vec<_> = (1..=25).map(|n| n.to_string()).collect();
    for rest in ["secret/a/b/version", "secret/a%2Fb/version"] {
        let pages = walk(&client, rest, "10", async |_| ()).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
        assert_eq!(pages.concat(), all);
        assert!(!client.get(rest).await.text().contains("data"));
    }
}

/// What was there all the time is met exactly once, whatever comes and goes meanwhile: also where
/// the entry that the cursor stands on is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_is_stable_while_others_write() {
    let (_server, client) = TestServer::with_tenant().await;
    let all: Vec<_> = (0..60).map(|n| format!("s/{n:03}")).collect();
    client.create_all(&all).await;
    let pages = walk(&client, "secret", "10", async |pages| {
        let (page, last) = (pages.len(), pages.concat().pop().unwrap());
        client.delete(&format!("secret/{last}")).await;
        client.create(&format!("r/before-{page}"), "{}").await.ok();
        client.create(&format!("s/{:03}x", page * 10 + 2), "{}").await.ok();
        client.post("secret/s/000/version", r#"{"data":{}}"#).await.ok();
    })
    .await;
    let met = pages.concat();
    let mut sorted = met.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted, met, "in order, and nothing twice");
    let missed: Vec<_> = all.iter().filter(|path| !met.contains(path)).collect();
    assert!(missed.is_empty(), "{missed:?}");
    assert!(!met.iter().any(|path| path.starts_with("r/")));
    assert!(met.contains(&"s/012x".to_owned()), "what comes ahead of the cursor is met as well");
}

/// While versions are pruned, a walk goes on with those that are left.
#[tokio::test]
async fn a_walk_of_versions_survives_pruning() {
    let (_server, client) = TestServer::with_tenant().await;
    client.post("secret", r#"{"path":"a","maxVersions":20,"version":{"data":{}}}"#).await.ok();
    let mut connection = client.connect().await;
    let mut add = async |count: usize| {
        for _ in 0..count {
            connection
                .send(Method::POST, &client.url("secret/a/version"), &[], r#"{"data":{}}"#)
                .await
                .ok();
        }
    };
    add(19).await;
    let first = client.page("secret/a/version", "10", None).await;
    add(15).await;
    let second = client.page("secret/a/version", "10", first.next().as_deref()).await;
    assert_eq!(names(&second), (16..=25).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_cursor_of_this_list_is_taken() {
    let (server, client) = TestServer::with_tenant().await;
    let other = server.tenant().await;
    let paths = numbered(12);
    for client in [&client, &other] {
        client.create_all(&paths).await;
        for path in ["v", "w"] {
            let body = format!(r#"{{"path":"{path}","maxVersions":50,"version":{{"data":{{}}}}}}"#);
            client.post("secret", &body).await.ok();
            let mut connection = client.connect().await;
            for _ in 0..12 {
                let url = client.url(&format!("secret/{path}/version"));
                connection.send(Method::POST, &url, &[], r#"{"data":{}}"#).await.ok();
            }
        }
    }
    let cursor =
        async |client: &Client, rest: &str| client.page(rest, "10", None).await.next().unwrap();
    let (secrets, versions) =
        (cursor(&client, "secret").await, cursor(&client, "secret/v/version").await);
    client.page("secret", "10", Some(&secrets)).await.ok();
    client.page("secret/v/version", "10", Some(&versions)).await.ok();
    client.page("secret", "10", Some("")).await.ok();

    assert!(
        secrets.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        "base64url"
    );
    let edited = |at: usize| {
        let mut bytes = secrets.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let mut wrong: Vec<_> = (0..secrets.len() - 1).map(edited).collect();
    wrong.extend([
        secrets[1..].to_owned(),
        secrets[..secrets.len() - 4].to_owned(),
        format!("{secrets}AAAA"),
        format!("{secrets}="),
        cursor(&other, "secret").await,
        cursor(&other, "secret/v/version").await,
        versions.clone(),
        "A".to_owned(),
        "AAAA".to_owned(),
        "Zm9sZGVyMC9zZWNyZXQ".to_owned(),
        "../v".to_owned(),
        "é".to_owned(),
        "x".repeat(4000),
    ]);
    let mut connection = client.connect().await;
    for cursor in &wrong {
        let headers = [("x-pagination-cursor", &**cursor)];
        let answer = connection.send(Method::GET, &client.url("secret"), &headers, "").await;
        assert!(answer.error(400, 50_405_377).contains("cursor"), "{cursor}");
    }
    for (rest, cursor) in [
        ("secret/w/version", versions.clone()),
        ("secret/v/version", secrets.clone()),
        ("secret/v/version", cursor(&other, "secret/v/version").await),
        ("secret/v/version", cursor(&client, "secret/w/version").await),
    ] {
        client.page(rest, "10", Some(&cursor)).await.error(400, 50_405_377);
    }
    // The operator may walk any domain, but no domain with another one's cursor.
    let operator = Client { id: other.id.clone(), ..server.operator() };
    operator.page("secret", "10", Some(&secrets)).await.error(400, 50_405_377);
    // Damage that a client made is not counted as damage of the store.
    assert_eq!(server.metric("okmsd_corrupt_records_total").await, 0.0);
}

/// A cursor tells nothing of the path that it stands for, and works after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_is_opaque_and_lasts() {
    let (mut server, client) = TestServer::with_tenant().await;
    client.create_all(&numbered(15)).await;
    let first = client.page("secret", "10", None).await;
    let cursor = first.next().unwrap();
    let mut padded = cursor.replace('-', "+").replace('_', "/");
    padded.extend(std::iter::repeat_n('=', (4 - padded.len() % 4) % 4));
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, padded).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
    server.restart().await;
    let client = server.client_of(&client.id, client.http);
    assert_eq!(names(&client.page("secret", "10", Some(&cursor)).await).len(), 5);
}
