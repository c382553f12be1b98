//! Secrets that go with their history: all of it is there, or all of it is here.

use super::*;
use crate::{
    model::{AboutPatch, MountError, SettingsPatch, Tags, VersionAct, VersionNumber},
    service::{Expects, Include, Put, Relocated, Relocation, Search, Versions, Way},
};

const MOVES: Relocation<'_> = Relocation { moves: true, overwrites: false, through: &[] };
const COPIES: Relocation<'_> = Relocation { moves: false, overwrites: false, through: &[] };

async fn put(service: &Service, permit: &Permit, at: &str, value: &str) {
    let about = AboutPatch { tags: Some(Tags::new(["t"]).unwrap()), ..AboutPatch::default() };
    let put = Put {
        patch: MetadataPatch { about, ..MetadataPatch::default() },
        value: SecretValue::new(value.as_bytes().to_vec()),
        expects: Expects::Anything,
        creates: true,
    };
    service.secrets.put(permit, &path(at), &put, NOW).await.unwrap();
}

/// The values of a secret's versions; what cannot be read is nothing.
async fn values(
    service: &Service,
    permit: &Permit,
    at: &str,
) -> Result<Vec<Option<String>>, Error> {
    let (secrets, at) = (&service.secrets, path(at));
    let current = secrets.get(permit, &at, None, Include::Metadata, NOW).await?;
    let mut values = Vec::new();
    for number in 1..=current.header.current_number() {
        let number = VersionNumber::new(number).unwrap();
        let found = secrets.get(permit, &at, Some(number), Include::Value, NOW).await?;
        let value = found.version.unwrap().value;
        values.push(value.map(|value| String::from_utf8(value.expose().to_vec()).unwrap()));
    }
    Ok(values)
}

async fn tagged(service: &Service, permit: &Permit) -> Vec<String> {
    let search = Search { tags: Tags::new(["t"]).unwrap(), ..Search::default() };
    let page = service.secrets.search(permit, &search, None, 99, NOW).await.unwrap();
    page.found.iter().map(|(path, _)| path.as_str().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_goes() {
    let (_folder, service, id, _) = service().await;
    let (permit, secrets) = (all(id), &service.secrets);
    for value in ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"] {
        put(&service, &permit, "app/a", value).await;
    }
    put(&service, &permit, "app/b/c", "{}").await;
    put(&service, &permit, "apple", "{}").await;
    let (at, view) = (path("app/a"), "secret".parse::<MountPath>().unwrap().built_in().unwrap());
    let through = Through { path: &at, view: &view };
    let numbers = [VersionNumber::new(2).unwrap()];
    let which = Versions::Numbers(&numbers);
    secrets.act(&permit, through, which, VersionAct::Destroy, NOW).await.unwrap();
    let expected = [Some("{\"n\":1}".to_owned()), None, Some("{\"n\":3}".to_owned())];
    let usages = Arc::clone(&service.usages);
    let counting = tokio::spawn(async move { match usages.run().await {} });
    let counted = async || {
        let (scope, last) = (&service.scope, service.scope.engine().revision());
        while scope.counts().followed() < last {
            tokio::task::yield_now().await;
        }
        service.usages.get(&permit).await.unwrap().unwrap()
    };
    let usage = counted().await;

    let way = Way::between("app/", "shop/").unwrap();
    let gone = secrets.relocate(&permit, &way, MOVES, NOW).await.unwrap();
    assert_eq!(gone, Relocated { secrets: 2, versions: 4 });
    assert_eq!(values(&service, &permit, "shop/a").await.unwrap(), expected);
    assert!(matches!(values(&service, &permit, "app/a").await, Err(Error::SecretNotFound)));
    assert_eq!(tagged(&service, &permit).await, ["apple", "shop/a", "shop/b/c"], "nothing else");
    assert_eq!(counted().await, usage, "there is as much as before");

    let way = Way::between("shop/a", "copy").unwrap();
    secrets.relocate(&permit, &way, COPIES, NOW).await.unwrap();
    for at in ["shop/a", "copy"] {
        assert_eq!(values(&service, &permit, at).await.unwrap(), expected, "{at}");
    }
    assert_eq!(counted().await.secrets, usage.secrets + 1);
    // What is there stays, unless it is to give way.
    let again = secrets.relocate(&permit, &way, MOVES, NOW).await;
    assert!(matches!(again, Err(Error::SecretExists)));
    put(&service, &permit, "copy", "{\"n\":4}").await;
    let overwrites = Relocation { overwrites: true, ..MOVES };
    secrets.relocate(&permit, &way, overwrites, NOW).await.unwrap();
    assert_eq!(values(&service, &permit, "copy").await.unwrap(), expected);
    assert_eq!(tagged(&service, &permit).await, ["apple", "copy", "shop/b/c"]);
    let none = secrets.relocate(&permit, &way, MOVES, NOW).await;
    assert!(matches!(none, Err(Error::SecretNotFound)));
    // Whoever has followed the events knows as much.
    let replica = super::events::replica(&service, &permit).await;
    let known: Vec<_> = replica.iter().map(|(path, version)| (path.as_str(), *version)).collect();
    assert_eq!(known, [("apple", 1), ("copy", 3), ("shop/b/c", 1)]);
    counting.abort();
}

/// A mount can go, or be called otherwise, between the look at what a name in it means and the commit.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_mount_showed_goes_nowhere_once_it_is_gone() {
    let (_folder, service, id, _) = service().await;
    let (permit, mounts) = (all(id), &service.mounts);
    let [team, crew] = ["team", "crew"].map(|name| name.parse::<MountPath>().unwrap());
    mounts.enable(&permit, &team, "", &SettingsPatch::default()).await.unwrap();
    put(&service, &permit, "team/a", "{}").await;
    let view = mounts.view(&permit, &team).await.unwrap().unwrap();
    let way = Way::between("team/a", "team/b").unwrap();
    let how = Relocation { through: std::slice::from_ref(&view), ..COPIES };
    service.secrets.relocate(&permit, &way, how, NOW).await.unwrap();
    mounts.rename(&permit, &team, &crew).await.unwrap();
    let how = Relocation { overwrites: true, ..how };
    let refused = service.secrets.relocate(&permit, &way, how, NOW).await;
    assert!(matches!(refused, Err(Error::Mount(MountError::NotFound))), "{refused:?}");
}

#[test]
fn a_way_leads_from_one_place_to_another_of_its_kind() {
    for (from, to) in [
        ("a", "a"),
        ("a/", "a/"),
        ("a/", "a/b/"),
        ("a/b/", "a/"),
        ("a/", "b"),
        ("a", "b/"),
        ("", "b"),
        ("/", "b/"),
        ("a//", "b/"),
        ("../a", "b"),
    ] {
        assert!(Way::between(from, to).is_err(), "{from} {to}");
    }
    assert!(Way::between("a", "a/b").is_ok() && Way::between("a/", "ab/").is_ok());
}

fn is_in(resource: Resource<'_>, folder: &str) -> bool {
    match resource {
        Resource::Secret(path) => path.as_str().starts_with(folder),
        Resource::AllBelow(prefix) | Resource::Below(prefix) => prefix.starts_with(folder),
        Resource::Tenant => false,
    }
}

/// Each right is needed, and whoever lacks one has changed nothing.
#[tokio::test(flavor = "multi_thread")]
async fn it_takes_every_right() {
    let (_folder, service, id, _) = service().await;
    put(&service, &all(id), "app/a", "{}").await;
    let lacking: [fn(Action, Resource<'_>) -> bool; 6] = [
        |action, at| !(action == Action::SecretGet && is_in(at, "app/")),
        |action, at| !(action == Action::VersionGetData && is_in(at, "app/")),
        |action, at| !(action == Action::SecretDelete && is_in(at, "app/")),
        |action, at| !(action == Action::SecretCreate && is_in(at, "shop/")),
        |action, at| !(action == Action::VersionCreate && is_in(at, "shop/")),
        |action, at| !(action == Action::SecretUpdateMetadata && is_in(at, "shop/")),
    ];
    for (from, to) in [("app/", "shop/"), ("app/a", "shop/a")] {
        let way = Way::between(from, to).unwrap();
        for (number, allows) in lacking.into_iter().enumerate() {
            let permit = Permit::of_test(id, allows);
            let refused = service.secrets.relocate(&permit, &way, MOVES, NOW).await;
            assert!(matches!(refused, Err(Error::Denied(_))), "{number} {from}");
        }
    }
    assert_eq!(values(&service, &all(id), "app/a").await.unwrap().len(), 1);
}
