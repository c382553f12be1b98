//! Policies of rotation and of generated values: those from the start, what is refused, and who may.

use std::collections::HashSet;

use super::{NOW, all, service};
use crate::{
    auth::{Action, Permit},
    model::{
        Faults, OkmsId, Recipe, RotationPatch, RotationPolicyId, SecretPolicyId, SecretPolicyPatch,
        recipe::{FieldSaid, Setting},
    },
    service::{Error, Made, Service},
    store::{
        engine::{Batch, Op},
        kinds::{Kind, rotation_policy},
    },
};

fn rotation(name: &str, interval: &str) -> RotationPatch {
    RotationPatch {
        name: Some(name.to_owned()),
        interval: Some(interval.parse().unwrap()),
        ..RotationPatch::default()
    }
}

fn naming(id: &str) -> RotationPatch {
    RotationPatch { secret_policy: Some(Some(id.parse().unwrap())), ..RotationPatch::default() }
}

fn random(name: &str, config: &[(&str, Setting)]) -> SecretPolicyPatch {
    let config = config.iter().map(|(name, setting)| ((*name).to_owned(), setting.clone()));
    let field = FieldSaid {
        name: "password".to_owned(),
        generator: "random".to_owned(),
        config: config.collect(),
    };
    SecretPolicyPatch {
        name: Some(name.to_owned()),
        recipe: Some(Recipe::new(vec![field]).unwrap()),
        ..SecretPolicyPatch::default()
    }
}

async fn ids(service: &Service, id: OkmsId) -> Vec<String> {
    let (found, next) = service.rotation_policies.list(&all(id), false, None, 200).await.unwrap();
    assert!(next.is_none());
    found.iter().map(|one| one.id.to_string()).collect()
}

fn named(faults: &Faults) -> Vec<&str> {
    faults.iter().map(|(field, _)| field).collect()
}

/// Four are there from the start, can be made one's own, and come back.
#[tokio::test(flavor = "multi_thread")]
async fn four_are_there_from_the_start() {
    const START: [&str; 4] = ["rot_monthly", "rot_quarterly", "rot_weekly", "rot_yearly"];
    let (_folder, service, id, _) = service().await;
    let (permit, policies) = (all(id), &service.rotation_policies);
    assert_eq!(ids(&service, id).await, START);
    let quarterly: RotationPolicyId = "rot_quarterly".parse().unwrap();
    let given = policies.get(&permit, &quarterly).await.unwrap();
    let fields = given.policy.fields();
    assert_eq!((fields.interval.as_typed(), fields.created_at), ("90d", NOW));

    let later = NOW.plus_seconds(60);
    let own = policies.create(&permit, rotation("Quarterly", "80d"), later).await.unwrap();
    assert_eq!((&own.id, own.policy.fields().created_at), (&quarterly, later));
    assert_eq!(policies.get(&permit, &quarterly).await.unwrap(), own);
    let again = policies.create(&permit, rotation("quarterly", "90d"), later).await;
    assert!(matches!(again, Err(Error::PolicyExists)), "{again:?}");
    assert_eq!(ids(&service, id).await, START);
    assert_eq!(policies.delete(&permit, &quarterly, later).await.unwrap(), 0);
    assert_eq!(policies.get(&permit, &quarterly).await.unwrap(), given);
    // What was never changed can be removed, and is there.
    assert_eq!(policies.delete(&permit, &quarterly, later).await.unwrap(), 0);

    let off = RotationPatch { is_active: Some(false), ..RotationPatch::default() };
    let weekly = "rot_weekly".parse().unwrap();
    let paused = policies.update(&permit, &weekly, &off, later).await.unwrap();
    let fields = paused.policy.fields();
    assert_eq!((fields.created_at, fields.updated_at), (NOW, later));
    let (active, _) = policies.list(&permit, true, None, 200).await.unwrap();
    assert!(active.len() == 3 && active.iter().all(|one| one.id != weekly));
    // A change that changes nothing is no write.
    let same = policies.update(&permit, &weekly, &off, later.plus_seconds(9)).await.unwrap();
    assert_eq!(same, paused);

    let none = "rot_none".parse().unwrap();
    for outcome in [
        policies.get(&permit, &none).await.map(drop),
        policies.update(&permit, &none, &off, NOW).await.map(drop),
        policies.delete(&permit, &none, NOW).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::RotationPolicyNotFound)), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_policies_are_paged_and_bounded() {
    let (_folder, service, id, _) = service().await;
    let (permit, policies) = (all(id), &service.rotation_policies);
    // What is there from the start does not count.
    policies.create(&permit, rotation("weekly", "7d"), NOW).await.unwrap();
    for number in 0..100 {
        let name = format!("p{number:03}");
        policies.create(&permit, rotation(&name, "30d"), NOW).await.unwrap();
    }
    let full = policies.create(&permit, rotation("one more", "30d"), NOW).await;
    assert!(matches!(full, Err(Error::Invalid(_))), "{full:?}");
    policies.create(&permit, rotation("yearly", "300d"), NOW).await.unwrap();
    let (mut seen, mut cursor) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let page = policies.list(&permit, false, cursor.as_deref(), 33).await.unwrap();
        seen.extend(page.0.into_iter().map(|one| one.id));
        cursor = page.1;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 104);
    assert!(seen.is_sorted() && seen.iter().collect::<HashSet<_>>().len() == 104);
    let forged = policies.list(&permit, false, Some(b"x"), 33).await;
    assert!(matches!(forged, Err(Error::Invalid(_))));

    // One that is damaged hides no other, and can be removed.
    let damaged: RotationPolicyId = "rot_p050".parse().unwrap();
    let key = crate::model::RotationPolicy::key(id, &damaged);
    let keys = service.scope.keys(&permit).await.unwrap();
    let other = crate::service::records::bind(rotation_policy::SPACE, b"elsewhere");
    let op = Op::Put(rotation_policy::SPACE, key, keys.seal(&other, b"x").unwrap());
    service.scope.engine().commit(Batch::of(vec![op])).await.unwrap();
    assert_eq!(ids(&service, id).await.len(), 103);
    let read = policies.get(&permit, &damaged).await;
    assert!(matches!(read, Err(Error::Corrupt(_))), "{read:?}");
    policies.delete(&permit, &damaged, NOW).await.unwrap();
    policies.create(&permit, rotation("p050", "30d"), NOW).await.unwrap();
}

/// A policy of rotation names a secret policy that is there; that is then removed by force alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_is_there_and_stays() {
    let (_folder, service, id, _) = service().await;
    let (permit, rotations, secrets) =
        (all(id), &service.rotation_policies, &service.secret_policies);
    let weekly = "rot_weekly".parse().unwrap();
    let refused = |outcome: Result<(), Error>| match outcome {
        Err(Error::Fields(faults)) => assert_eq!(named(&faults), ["secret_policy_id"]),
        other => panic!("{other:?}"),
    };
    refused(rotations.update(&permit, &weekly, &naming("sp_db"), NOW).await.map(drop));
    let with =
        RotationPatch { secret_policy: naming("sp_db").secret_policy, ..rotation("a", "7d") };
    refused(rotations.create(&permit, with.clone(), NOW).await.map(drop));

    let (db, _) = secrets.create(&permit, random("DB", &[]), NOW).await.unwrap();
    let again = secrets.create(&permit, random("db", &[]), NOW).await;
    assert!(matches!(again, Err(Error::PolicyExists)), "{again:?}");
    rotations.create(&permit, with, NOW).await.unwrap();
    let used = secrets.delete(&permit, &db, false).await;
    assert!(matches!(used, Err(Error::PolicyInUse)), "{used:?}");
    let made = RotationPolicyId::of_name("a");
    let none = RotationPatch { secret_policy: Some(None), ..RotationPatch::default() };
    rotations.update(&permit, &made, &none, NOW).await.unwrap();
    secrets.delete(&permit, &db, false).await.unwrap();
    let gone = secrets.delete(&permit, &db, false).await;
    assert!(matches!(gone, Err(Error::SecretPolicyNotFound)), "{gone:?}");

    secrets.create(&permit, random("DB", &[]), NOW).await.unwrap();
    rotations.update(&permit, &weekly, &naming("sp_db"), NOW).await.unwrap();
    secrets.delete(&permit, &db, true).await.unwrap();
    // What names it can be changed all the same.
    let off = RotationPatch { is_active: Some(false), ..RotationPatch::default() };
    let left = rotations.update(&permit, &weekly, &off, NOW).await.unwrap();
    assert_eq!(left.policy.fields().secret_policy, Some(db));
}

/// Of a thousand values each has what the policy asks for, and none is stored.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_out_is_stored_nowhere() {
    let (_folder, service, id, ends) = service().await;
    let (permit, policies) = (all(id), &service.secret_policies);
    let required = ["require_upper", "require_lower", "require_digit", "require_symbol"];
    let mut config = vec![("length", Setting::Number(16))];
    config.extend(required.map(|name| (name, Setting::Truth(true))));
    let (of, policy) = policies.create(&permit, random("p", &config), NOW).await.unwrap();
    assert_eq!(policies.get(&permit, &of).await.unwrap(), policy);
    let before = service.scope.engine().revision();
    ends.lock().unwrap().clear();
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        let made: Made = policies.preview(&permit, &of, NOW).await.unwrap();
        let [(name, value)] = made.as_slice() else { panic!("one member") };
        let text = String::from_utf8(value.expose().to_vec()).unwrap();
        assert_eq!((name.as_str(), text.len()), ("password", 16));
        for has in [
            char::is_ascii_uppercase as fn(&char) -> bool,
            char::is_ascii_lowercase,
            char::is_ascii_digit,
            char::is_ascii_punctuation,
        ] {
            assert!(text.chars().any(|c| has(&c)), "{text}");
        }
        seen.insert(text);
    }
    assert_eq!(seen.len(), 1000);
    assert_eq!(service.scope.engine().revision(), before);
    assert!(ends.lock().unwrap().is_empty());
    let none: SecretPolicyId = "sp_none".parse().unwrap();
    let missing = policies.preview(&permit, &none, NOW).await;
    assert!(matches!(missing, Err(Error::SecretPolicyNotFound)));
    let off = SecretPolicyPatch { is_active: Some(false), ..SecretPolicyPatch::default() };
    let changed = policies.update(&permit, &of, &off, NOW.plus_seconds(1)).await.unwrap();
    assert_eq!(policies.list(&permit, None, 9).await.unwrap(), (vec![(of, changed)], None));
}

/// Whoever may look at policies changes none, and tries none out; a tenant has none of another's.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_look_changes_nothing() {
    let (_folder, service, id, _) = service().await;
    let (looking, nothing) = (
        Permit::of_test(id, |action, _| action == Action::ConfigGet),
        Permit::of_test(id, |_, _| false),
    );
    let (rotations, secrets) = (&service.rotation_policies, &service.secret_policies);
    let (weekly, any) = ("rot_weekly".parse().unwrap(), "sp_a".parse().unwrap());
    let off = RotationPatch::default();
    assert!(rotations.get(&looking, &weekly).await.is_ok());
    assert!(secrets.list(&looking, None, 9).await.is_ok());
    let changes = async |permit: &Permit| {
        [
            rotations.create(permit, rotation("a", "7d"), NOW).await.map(drop),
            rotations.update(permit, &weekly, &off, NOW).await.map(drop),
            rotations.delete(permit, &weekly, NOW).await.map(drop),
            secrets.create(permit, random("a", &[]), NOW).await.map(drop),
            secrets.update(permit, &any, &SecretPolicyPatch::default(), NOW).await.map(drop),
            secrets.delete(permit, &any, true).await,
            secrets.preview(permit, &any, NOW).await.map(drop),
        ]
    };
    let reads = [
        rotations.list(&nothing, false, None, 9).await.map(drop),
        rotations.get(&nothing, &weekly).await.map(drop),
        secrets.list(&nothing, None, 9).await.map(drop),
        secrets.get(&nothing, &any).await.map(drop),
    ];
    let refused = changes(&looking).await.into_iter().chain(changes(&nothing).await).chain(reads);
    for outcome in refused {
        assert!(matches!(outcome, Err(Error::Denied(_))), "{outcome:?}");
    }
}
