//! Lists by pages, as OVHcloud's KV v2 has them: in headers.

use serde_json::json;

use super::Vault;
use crate::harness::Answer;

/// Every page of the list at `path`.
async fn walk(vault: &Vault, method: &str, path: &str, size: &str) -> Vec<Vec<String>> {
    let sized = vault.with("x-pagination-size", size);
    let mut answer: Answer = sized.send(method, path, "").await;
    let mut pages = vec![answer.keys()];
    while let Some(cursor) = answer.next() {
        answer = sized.with("x-pagination-cursor", cursor).send(method, path, "").await;
        pages.push(answer.keys());
        assert!(pages.len() < 100, "it ends");
    }
    pages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_has_pages() {
    let (_server, vault) = Vault::start().await;
    let names: Vec<_> = (0..125).map(|n| format!("f/{n:03}")).collect();
    vault.client.create_all(&names).await;
    let inner: Vec<_> = (0..125).map(|n| format!("{n:03}")).collect();
    for (method, path) in [
        ("LIST", "metadata/f"),
        ("GET", "metadata/f?list=true"),
        ("GET", "metadata/f/?list=true"),
        ("LIST", "detailed-metadata/f"),
    ] {
        for (size, lengths) in [
            ("100", vec![100, 25]),
            ("1000", vec![100, 25]),
            ("50", vec![50, 50, 25]),
            ("1", {
                let mut lengths = vec![10; 12];
                lengths.push(5);
                lengths
            }),
        ] {
            let pages = walk(&vault, method, path, size).await;
            assert_eq!(
                pages.iter().map(Vec::len).collect::<Vec<_>>(),
                lengths,
                "{method} {path} {size}"
            );
            assert_eq!(pages.concat(), inner);
        }
    }
    assert_eq!(walk(&vault, "SCAN", "metadata", "100").await.concat(), names);
    // Who asks for no page gets all, as of Vault.
    assert_eq!(vault.keys("metadata/f").await, inner);
    assert_eq!(vault.list("metadata/f").await.next(), None);
}

/// OVHcloud's list of the root: a page, asked for without `list`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_is_a_page_without_being_asked() {
    let (_server, vault) = Vault::start().await;
    vault.get("metadata").await.absent();
    let names: Vec<_> = (0..120).map(|n| format!("{n:03}")).collect();
    vault.client.create_all(&names).await;
    vault.write("dir/inner", json!({})).await;
    let first = vault.get("metadata").await;
    assert_eq!(first.keys(), names[..100]);
    let rest = vault.with("x-pagination-cursor", first.next().unwrap()).get("metadata").await;
    assert_eq!(rest.keys(), [&names[100..], &["dir/".to_owned()][..]].concat());
    assert_eq!(rest.next(), None);
    assert_eq!(
        walk(&vault, "GET", "metadata", "60").await.iter().map(Vec::len).collect::<Vec<_>>(),
        [60, 60, 1]
    );
}

#[tokio::test]
async fn pages_that_are_refused() {
    let (_server, vault) = Vault::start().await;
    vault.write("a", json!({})).await;
    for wrong in ["", "-1", "ten", "1.5"] {
        for (method, path) in [("LIST", "metadata"), ("GET", "metadata")] {
            let refused = vault.with("x-pagination-size", wrong).send(method, path, "").await;
            refused.refused_with(400, "X-Pagination-Size");
        }
    }
    for wrong in ["!", "AAAA"] {
        let refused = vault.with("x-pagination-cursor", wrong).list("metadata").await;
        refused.refused_with(400, "");
    }
}

/// A cursor holds a place, not a page: what comes and goes meanwhile neither repeats nor hides
/// another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_among_changes() {
    let (_server, vault) = Vault::start().await;
    let names: Vec<_> = (0..25).map(|n| format!("s{n:02}")).collect();
    vault.client.create_all(&names).await;
    let sized = vault.with("x-pagination-size", "10");
    let first = sized.list("metadata").await;
    vault.delete("metadata/s09").await.nothing();
    vault.delete("metadata/s10").await.nothing();
    vault.write("a", json!({})).await;
    vault.write("s10a", json!({})).await;
    let second = sized.with("x-pagination-cursor", first.next().unwrap()).list("metadata").await;
    assert_eq!(first.keys(), names[..10]);
    assert_eq!(second.keys()[0], "s10a");
    assert_eq!(second.keys()[1..], names[11..20]);
}

/// More names than the server takes in one step, in a folder beside which there are others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_folder() {
    let (_server, vault) = Vault::start().await;
    vault.root().post("sys/mounts/f", json!({"type": "kv-v2"})).await.nothing();
    let inner: Vec<_> = (0..1_100).map(|n| format!("{n:04}/x")).collect();
    vault
        .client
        .create_all(&inner.iter().map(|name| format!("f/{name}")).collect::<Vec<_>>())
        .await;
    for path in ["a", "f", "z/1", "z/2"] {
        vault.write(path, json!({})).await;
    }
    assert_eq!(vault.keys("metadata").await, ["a", "f", "f/", "z/"]);
    assert_eq!(walk(&vault, "LIST", "metadata", "10").await, [["a", "f", "f/", "z/"]]);
    assert_eq!(vault.keys("metadata?after=f&limit=1").await, ["f/"]);
    let folders: Vec<_> = inner.iter().map(|name| name.trim_end_matches('x').to_owned()).collect();
    assert_eq!(vault.keys("metadata/f").await, folders);
    let mount = vault.mount("f");
    assert_eq!(mount.send("SCAN", "metadata", "").await.keys(), inner);
    vault.root().delete("sys/mounts/f?force=true").await.nothing();
    assert_eq!(vault.send("SCAN", "metadata", "").await.keys(), ["a", "f", "z/1", "z/2"]);
}
