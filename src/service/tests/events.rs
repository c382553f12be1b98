//! What has happened is told, all of it, once, in order, and to those alone who may know.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::*;
use crate::{
    model::{AboutPatch, Happening, VersionAct, VersionNumber, VersionState},
    service::{EventsSince, Versions},
};

/// All events that are kept, in pages of three.
async fn told(service: &Service, permit: &Permit, prefix: &str) -> Vec<(Happening, String, u32)> {
    let (mut since, mut told) = (EventsSince::First, Vec::new());
    loop {
        let page = service.events.page(permit, &since, prefix, 3).await.unwrap();
        let ids: Vec<_> = page.events.iter().map(|event| event.id.clone()).collect();
        for (event, id) in page.events.into_iter().zip(ids) {
            told.push((event.event.happening, event.event.path.into(), event.event.version));
            since = EventsSince::Behind(id);
        }
        if !page.has_more {
            return told;
        }
    }
}

/// The secrets and their versions, as whoever has followed the events has them.
pub(super) async fn replica(service: &Service, permit: &Permit) -> BTreeMap<String, u32> {
    let mut replica = BTreeMap::new();
    for (happening, path, version) in told(service, permit, "").await {
        match happening {
            Happening::Destroyed => {
                replica.remove(&path);
            }
            Happening::FolderDestroyed => {
                replica.retain(|known: &String, _| !known.starts_with(&path));
            }
            _ => {
                replica.insert(path, version);
            }
        }
    }
    replica
}

async fn write(service: &Service, permit: &Permit, at: &str) {
    let (path, view) = (path(at), "secret".parse::<MountPath>().unwrap().built_in().unwrap());
    let value = SecretValue::new(b"{}".to_vec());
    let through = Through { path: &path, view: &view };
    service.secrets.write(permit, through, &value, None, NOW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_told_as_what_it_is() {
    use Happening::{
        Created, Deleted, Described, Destroyed, FolderDestroyed, Undeleted, Updated,
        VersionsDestroyed,
    };
    let (_folder, service, id, _) = service().await;
    let (permit, at) = (all(id), path("a"));
    let view = "secret".parse::<MountPath>().unwrap().built_in().unwrap();
    let through = Through { path: &at, view: &view };
    let secrets = &service.secrets;
    write(&service, &permit, "a").await;
    write(&service, &permit, "a").await;
    let act = async |which: Versions<'_>, act| {
        secrets.act(&permit, through, which, act, NOW.plus_seconds(1)).await.unwrap();
    };
    act(Versions::Current, VersionAct::Delete).await;
    // What changes nothing has not happened.
    act(Versions::Current, VersionAct::Delete).await;
    let numbers = [VersionNumber::new(2).unwrap()];
    act(Versions::Numbers(&numbers), VersionAct::Undelete).await;
    act(Versions::Numbers(&numbers), VersionAct::Destroy).await;
    let about = AboutPatch { owner: Some(Some("o".into())), ..AboutPatch::default() };
    let patch = MetadataPatch { about, ..MetadataPatch::default() };
    secrets.amend(&permit, &at, &patch, NOW.plus_seconds(2)).await.unwrap();
    secrets.remove(&permit, &at, 60, NOW.plus_seconds(3)).await.unwrap();
    secrets.restore(&permit, &at, NOW.plus_seconds(4)).await.unwrap();
    let first = VersionNumber::new(1).unwrap();
    let to = VersionState::Deactivated;
    secrets.set_state(&permit, &at, first, to, NOW.plus_seconds(5)).await.unwrap();
    // One that fails has not happened.
    assert!(create(&service, &permit, "a").await.is_err());
    secrets.delete(&permit, &at, NOW.plus_seconds(6)).await.unwrap();
    create(&service, &permit, "team/b").await.unwrap();
    let mount: MountPath = "team".parse().unwrap();
    service.mounts.enable(&permit, &mount, "", &SettingsPatch::default()).await.unwrap();
    service.mounts.disable(&permit, &mount, true, (60, NOW)).await.unwrap();
    let expected = [
        (Created, "a", 1),
        (Updated, "a", 2),
        (Deleted, "a", 2),
        (Undeleted, "a", 2),
        (VersionsDestroyed, "a", 2),
        (Described, "a", 2),
        (Deleted, "a", 2),
        (Undeleted, "a", 2),
        (Deleted, "a", 2),
        (Destroyed, "a", 0),
        (Created, "team/b", 1),
        (FolderDestroyed, "team/", 0),
    ];
    let expected = expected.map(|(happening, path, version)| (happening, path.to_owned(), version));
    assert_eq!(told(&service, &permit, "").await, expected);
    assert_eq!(told(&service, &permit, "team/").await, expected[10..]);
}

/// Of what somebody may not see nothing is told, and whoever goes on misses nothing by that.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_is_not_told() {
    let (_folder, service, id, _) = service().await;
    let permit = all(id);
    let seeing = Permit::of_test(id, |_, resource| match resource {
        Resource::Secret(path) => path.as_str().starts_with("mine/"),
        _ => true,
    });
    for at in ["mine/a", "other/a", "other/b", "mine/b", "other/c"] {
        write(&service, &permit, at).await;
    }
    let told = told(&service, &seeing, "").await;
    assert_eq!(
        told.iter().map(|(_, path, _)| path.as_str()).collect::<Vec<_>>(),
        ["mine/a", "mine/b"]
    );
    let page = service.events.page(&seeing, &EventsSince::First, "", 1).await.unwrap();
    assert!(page.has_more && page.events.len() == 1 && page.next == page.events[0].id);
    // It ends behind what it may not tell, too.
    let page = service.events.page(&seeing, &EventsSince::Behind(page.next), "", 9).await.unwrap();
    assert!(!page.has_more && page.events.len() == 1 && page.next != page.events[0].id);
    write(&service, &permit, "mine/c").await;
    let since = EventsSince::Behind(page.next);
    let page = service.events.page(&seeing, &since, "", 9).await.unwrap();
    assert_eq!(&*page.events[0].event.path, "mine/c");
    let none = Permit::of_test(id, |_, _| false);
    assert!(service.events.page(&none, &EventsSince::First, "", 9).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_is_forgotten_and_whoever_needs_it_is_told() {
    let (_folder, service, id, _) = service().await;
    let permit = all(id);
    for at in ["a", "b"] {
        write(&service, &permit, at).await;
    }
    let first = service.events.page(&permit, &EventsSince::First, "", 1).await.unwrap().next;
    let both = service.events.page(&permit, &EventsSince::First, "", 2).await.unwrap().next;
    service.events.sweep(NOW).await.unwrap();
    assert_eq!(told(&service, &permit, "").await.len(), 2, "they are not older");
    let view = "secret".parse::<MountPath>().unwrap().built_in().unwrap();
    let (at, value) = (path("c"), SecretValue::new(b"{}".to_vec()));
    let through = Through { path: &at, view: &view };
    let later = NOW.plus_seconds(10);
    service.secrets.write(&permit, through, &value, None, later).await.unwrap();
    service.events.sweep(later).await.unwrap();
    service.events.sweep(later).await.unwrap();
    let left = told(&service, &permit, "").await;
    assert_eq!(left, [(Happening::Created, "c".to_owned(), 1)]);
    let behind = |id: &[u8]| EventsSince::Behind(id.to_vec());
    let gone = service.events.page(&permit, &behind(&first), "", 9).await;
    assert!(matches!(gone, Err(Error::EventsGone)));
    let page = service.events.page(&permit, &behind(&both), "", 9).await.unwrap();
    assert_eq!(page.events.len(), 1, "nothing that came behind it is missing");
    // All may go.
    service.events.sweep(later.plus_seconds(1)).await.unwrap();
    assert_eq!(told(&service, &permit, "").await.len(), 0);
    let page = service.events.page(&permit, &behind(&page.next), "", 9).await.unwrap();
    assert!(page.events.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_of_their_domain_and_their_store() {
    let (_folder, service, id, _) = service().await;
    let other = service.tenants.create(&operator(), "other", NOW).await.unwrap().id;
    write(&service, &all(id), "a").await;
    let page = service.events.page(&all(id), &EventsSince::First, "", 9).await.unwrap();
    for forged in [page.next.clone(), b"x".to_vec(), Vec::new()] {
        let since = EventsSince::Behind(forged);
        let refused = service.events.page(&all(other), &since, "", 9).await;
        assert!(matches!(refused, Err(Error::Invalid(_))));
    }
    assert_eq!(told(&service, &all(other), "").await.len(), 0, "each has its own");
}

/// Whoever waits is woken by what comes, and told of what came while nobody looked.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_woken() {
    let (_folder, service, id, _) = service().await;
    let (service, permit) = (Arc::new(service), all(id));
    let following = tokio::spawn({
        let events = Arc::clone(&service.events);
        async move { events.follow_store().await }
    });
    let mut feed = service.events.follow(&permit, &EventsSince::Now, String::new()).await.unwrap();
    assert!(service.events.next(&permit, &mut feed, 9).await.unwrap().events.is_empty());
    assert!(
        tokio::time::timeout(Duration::from_millis(50), feed.grows()).await.is_err(),
        "nothing has come"
    );
    for round in 0..20 {
        let (writer, at) = (Arc::clone(&service), format!("s/{round}"));
        let writing = tokio::spawn(async move { write(&writer, &all(id), &at).await });
        tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let page = service.events.next(&permit, &mut feed, 9).await.unwrap();
                if let Some(event) = page.events.first() {
                    assert_eq!(*event.event.path, *format!("s/{round}"));
                    assert_eq!(page.events.len(), 1);
                    return;
                }
                feed.grows().await;
            }
        })
        .await
        .unwrap();
        writing.await.unwrap();
    }
    following.abort();
}
