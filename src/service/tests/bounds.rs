//! Many secrets: how much one look takes in, and what it says of what is left.

use super::*;
use crate::{
    model::{About, Life, Rotation, RotationPatch, RotationPolicyId, Tags},
    service::{DueSearch, Search, Within, secrets::LOOKED_AT, secrets::index},
};

/// Secrets without versions, as a store has them.
async fn fill(service: &Service, id: OkmsId, names: impl Iterator<Item = String>, life: &Life) {
    let keys = service.scope.keys(&all(id)).await.unwrap();
    let about = About { tags: Tags::new(["t"]).unwrap(), ..About::default() };
    let header = Header { about, life: life.clone(), ..Header::new(NOW) };
    let mut ops = Vec::new();
    for name in names {
        let at = path(&name);
        ops.push(records::put(&keys, &at, &header).unwrap());
        ops.extend(index::entries(&keys, &at, &header).unwrap().into_iter().map(index::put));
    }
    let batch = Batch::of(ops);
    service.scope.engine().commit(batch).await.unwrap();
}

fn numbered(folder: &str, number: usize) -> impl Iterator<Item = String> {
    (0..number).map(move |n| format!("{folder}{n:05}"))
}

fn with(policy: &str) -> Life {
    let rotation = Some(Rotation { policy: policy.into(), anchor: NOW });
    Life { rotation, ..Life::default() }
}

fn hourly(name: &str) -> RotationPatch {
    RotationPatch {
        name: Some(name.to_owned()),
        interval: Some("1h".parse().unwrap()),
        ..RotationPatch::default()
    }
}

/// Case 56: what is counted was bounded by batches, so that there were some more than is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_looks_at_a_bounded_number() {
    let (_folder, service, id, _) = service().await;
    let permit = all(id);
    let whole = 2 * LOOKED_AT + 300;
    fill(&service, id, numbered("", whole), &Life::default()).await;
    for tags in [Tags::default(), Tags::new(["t"]).unwrap()] {
        let search = Search { tags, ..Search::default() };
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = service.secrets.search(&permit, &search, cursor, 200, NOW).await.unwrap();
            assert_eq!((page.total as usize, page.is_exact), (LOOKED_AT, false));
            seen.extend(page.found.into_iter().map(|(path, _)| path.to_string()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, numbered("", whole).collect::<Vec<_>>());
    }
    // The only one that is looked for is the last one of all: pages without any lead there.
    let last = numbered("", whole).last().unwrap();
    let search = Search { text: Some(last.clone()), within: Within::Path, ..Search::default() };
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = service.secrets.search(&permit, &search, cursor, 200, NOW).await.unwrap();
        pages.push(page.found.into_iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![], vec![], vec![last]]);
}

/// Whoever had looked at as many as is allowed said that there were more, though there were none.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_looked_at_to_the_end_is_said_to_have_ended() {
    let (_folder, service, id, _) = service().await;
    let permit = all(id);
    let ends = |seconds| Life { expires_at: Some(NOW.plus_seconds(seconds)), ..Life::default() };
    fill(&service, id, numbered("a/", LOOKED_AT), &ends(60)).await;
    fill(&service, id, numbered("b/", LOOKED_AT + 1), &ends(600)).await;
    for (prefix, has_more) in [("a/", false), ("b/", true)] {
        let text = Some("nothing".to_owned());
        let search = Search { prefix: prefix.to_owned(), text, ..Search::default() };
        let page = service.secrets.search(&permit, &search, None, 200, NOW).await.unwrap();
        let told = (page.found.len(), page.next.is_some(), page.is_exact);
        assert_eq!(told, (0, has_more, !has_more), "{prefix}");
    }
    for (until, has_more) in [(120, false), (700, true)] {
        let range = (Some(NOW), NOW.plus_seconds(until));
        let page = service.secrets.ending(&permit, range, "c/", None, 200).await.unwrap();
        assert_eq!((page.found.len(), page.next.is_some()), (0, has_more), "{until}");
    }
}

fn hides(_: Action, resource: Resource<'_>) -> bool {
    !matches!(resource, Resource::Secret(_))
}

/// A page that was full said that there was more, and the next one had nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_ends_with_the_last() {
    let (_folder, service, id, _) = service().await;
    let (permit, policies) = (all(id), &service.rotation_policies);
    for name in ["a", "b"] {
        policies.create(&permit, hourly(name), NOW).await.unwrap();
        fill(&service, id, numbered(&format!("{name}/"), 3), &with(&format!("rot_{name}"))).await;
    }
    let (later, search) =
        (NOW.plus_seconds(7_200), DueSearch { with_overdue: true, ..DueSearch::default() });
    for (limit, pages) in
        [(7, vec![6]), (6, vec![6]), (3, vec![3, 3]), (4, vec![4, 2]), (1, vec![1; 6])]
    {
        let (mut seen, mut cursor) = (Vec::new(), None::<Vec<u8>>);
        let mut told = Vec::new();
        loop {
            let page =
                policies.due(&permit, &search, cursor.as_deref(), limit, later).await.unwrap();
            told.push(page.0.len());
            seen.extend(page.0.into_iter().map(|one| one.path.to_string()));
            cursor = page.1;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(told, pages, "{limit}");
        assert_eq!(seen, numbered("a/", 3).chain(numbered("b/", 3)).collect::<Vec<_>>());
    }
    // Nor does one that has looked at as many as it may.
    let blind = Permit::of_test(id, hides);
    for (more, has_more) in [(294, false), (1, true)] {
        fill(&service, id, numbered(&format!("c{more}/"), more), &with("rot_b")).await;
        let page = policies.due(&blind, &search, None, 9, later).await.unwrap();
        assert_eq!((page.0.len(), page.1.is_some()), (0, has_more), "{more}");
    }
}

/// Case 122, with 500 attached.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_interval_counts_for_all_at_once() {
    let (_folder, service, id, _) = service().await;
    let (permit, policies) = (all(id), &service.rotation_policies);
    let every =
        |interval: &str| RotationPatch { interval: Some(interval.parse().unwrap()), ..hourly("a") };
    let made = policies.create(&permit, every("90d"), NOW).await.unwrap();
    fill(&service, id, numbered("", 500), &with("rot_a")).await;
    for days in [90, 30] {
        let found = policies.get(&permit, &made.id).await.unwrap();
        assert_eq!((found.secrets, found.policy.schedule(NOW).next()), (500, next(days)));
        let (mut cursor, mut seen) = (None, 0);
        loop {
            let page = service
                .secrets
                .search(&permit, &Search::default(), cursor, 200, NOW)
                .await
                .unwrap();
            for told in service.secrets.describe(&permit, page.found, NOW).await.unwrap() {
                assert_eq!(told.rotation.unwrap().0, next(days));
                seen += 1;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, 500);
        let before = service.scope.engine().revision();
        let patch = RotationPatch { name: None, ..every("30d") };
        policies.update(&permit, &made.id, &patch, NOW).await.unwrap();
        // One write, and only where something changes.
        assert_eq!(service.scope.engine().revision().0, before.0 + u64::from(days == 90));
    }
}

/// The midnight after so many days.
fn next(days: i64) -> Timestamp {
    Timestamp::from_unix_seconds((NOW.unix_seconds() / 86_400 + days + 1) * 86_400)
}

/// Secrets that a deletion had not come to when it was cut off had the next policy of that name, which made them new
/// values.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_deletion_has_left_is_nobodys() {
    let (_folder, service, id, ends) = service().await;
    let (permit, policies) = (all(id), &service.rotation_policies);
    let own: RotationPolicyId = "rot_own".parse().unwrap();
    let attached = async || {
        let page = service.secrets.search(&permit, &Search::default(), None, 9, NOW).await.unwrap();
        let of = |header: &Header| header.life.rotation.is_some();
        page.found.iter().filter(|(_, header)| of(header)).count()
    };
    fill(&service, id, numbered("", 3), &with("rot_own")).await;
    assert_eq!(attached().await, 3);
    let made = policies.create(&permit, hourly("own"), NOW).await.unwrap();
    assert_eq!((made.id, made.secrets, attached().await), (own.clone(), 0, 0));
    // One that is there loses none.
    policies.attach(&permit, &own, &path("00001"), NOW).await.unwrap();
    let again = policies.create(&permit, hourly("own"), NOW).await;
    assert!(matches!(again, Err(Error::PolicyExists)), "{again:?}");
    assert_eq!(attached().await, 1);
    assert_eq!(policies.delete(&permit, &own, NOW).await.unwrap(), 1);
    // A deletion that is repeated does the rest.
    fill(&service, id, numbered("", 3), &with("rot_own")).await;
    assert_eq!(policies.delete(&permit, &own, NOW).await.unwrap(), 3);
    // What there never was is no change.
    ends.lock().unwrap().clear();
    let gone = policies.delete(&permit, &own, NOW).await;
    assert!(matches!(gone, Err(Error::RotationPolicyNotFound)), "{gone:?}");
    assert!(ends.lock().unwrap().is_empty());
}

/// All policies are listed at once, with how many secrets each has: as far as that is cheap.
#[tokio::test(flavor = "multi_thread")]
async fn attached_secrets_are_counted_up_to_a_thousand() {
    let (_folder, service, id, _) = service().await;
    let policies = &service.rotation_policies;
    for (more, counted) in [(999, 999), (1, 1_000), (50, 1_000)] {
        fill(&service, id, numbered(&format!("{more}/"), more), &with("rot_weekly")).await;
        let weekly = "rot_weekly".parse().unwrap();
        let found = policies.get(&all(id), &weekly).await.unwrap();
        assert_eq!(found.secrets, counted);
    }
}
