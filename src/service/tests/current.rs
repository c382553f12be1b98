//! What requests are judged by, kept as the store is: of a change only what was written is read anew.

use std::collections::BTreeSet;

use super::{NOW, Service, all, service};
use crate::{
    auth::{Action, Explanation, Permit, Whom},
    crypto::Password,
    model::{
        BuiltIn, CertRule, Circumstances, IamPolicy, MountPath, ResourcePattern, SecretPath,
        SettingsPatch, Timestamp, When,
    },
    service::{Error, UserPatch, access::AccessControl},
};

const NAMES: [&str; 2] = ["one", "two"];
const PATHS: [&str; 2] = ["a/x", "b/x"];
/// Everything is made, replaced and removed several times.
const STEPS: u64 = 120;

/// Numbers that look like random ones, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end).unwrap()
    }

    fn of<T: Copy, const N: usize>(&mut self, some: [T; N]) -> T {
        some[self.below(N as u64)]
    }
}

/// Makes, replaces or removes one thing.
async fn step(service: &Service, permit: &Permit, numbers: &mut Numbers, now: Timestamp) {
    let access = &service.access;
    let (name, path) = (numbers.of(NAMES), numbers.of(PATHS));
    let policies = ["iam-one", "iam-two", "vault-one", "vault-two"];
    let policies = [numbers.of(policies), numbers.of(policies)].map(str::to_owned).to_vec();
    let is_removed = numbers.below(3) == 0;
    let pattern = path.replace('x', "*");
    let gone = |outcome: Result<(), Error>| match outcome {
        Ok(()) | Err(Error::RuleNotFound | Error::PolicyNotFound | Error::UserNotFound) => {}
        Err(error) => panic!("{error:?}"),
    };
    match numbers.below(4) {
        0 if is_removed => gone(access.delete_rule(permit, name).await),
        0 => {
            let rule =
                CertRule { policies, common_names: vec![name.to_owned()], ..CertRule::default() };
            access.put_rule(permit, name, &rule).await.unwrap();
        }
        1 if is_removed => gone(service.users.delete(permit, name).await),
        1 => {
            let patch = UserPatch {
                policies: Some(policies),
                password: Some(Password::new("right".to_owned()).unwrap()),
                ..UserPatch::default()
            };
            service.users.put(permit, name, patch, now).await.unwrap();
        }
        2 => {
            let name = format!("iam-{name}");
            let (found, _) = access.policies(permit, None, 9).await.unwrap();
            let mut found = found.into_iter().filter_map(|(id, policy)| Some((id, policy?)));
            let found = found.find(|(_, policy)| policy.name == name);
            let [allow, deny] =
                numbers.of([["okms:apikms:secret/*", ""], ["", "okms:apikms:secret/*"]]);
            let list =
                |text: &str| (!text.is_empty()).then(|| text.to_owned()).into_iter().collect();
            let policy = IamPolicy {
                name,
                description: String::new(),
                identities: vec!["nobody".to_owned()],
                resources: vec![ResourcePattern::Secrets(pattern)],
                allow: list(allow),
                except: Vec::new(),
                deny: list(deny),
                when: When::default(),
                created_at: now,
                updated_at: now,
            };
            match found {
                Some((id, _)) if is_removed => gone(access.delete_policy(permit, &id).await),
                Some((id, _)) => {
                    drop(access.update_policy(permit, &id, policy, now).await.unwrap());
                }
                None => drop(access.create_policy(permit, policy, now).await.unwrap()),
            }
        }
        _ => {
            let name = format!("vault-{name}");
            if is_removed {
                gone(access.delete_vault_policy(permit, &name).await);
            } else {
                let capability = numbers.of(["read", "deny"]);
                let text = format!(
                    r#"path "secret/data/{pattern}" {{ capabilities = ["{capability}"] }}"#
                );
                access.put_vault_policy(permit, &name, &text, now).await.unwrap();
            }
        }
    }
}

async fn told(access: &AccessControl, permit: &Permit) -> Vec<Option<Explanation>> {
    let mut told = Vec::new();
    for name in NAMES {
        for whom in [Whom::Rule(name), Whom::User(name)] {
            for path in PATHS {
                let path: SecretPath = path.parse().unwrap();
                let asked = (Action::VersionGetData, Some(&path));
                let said =
                    access.explain(permit, &whom, asked, Circumstances::new(NOW, None)).await;
                told.push(said.ok());
            }
        }
    }
    told
}

/// What was read change by change says what is said by whoever reads all of it at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_change_by_change_is_what_there_is() {
    let (_folder, service, id, _) = service().await;
    let (permit, mut numbers, mut seen) = (all(id), Numbers(7), BTreeSet::new());
    for now in 0..STEPS {
        let now = NOW.plus_seconds(now);
        step(&service, &permit, &mut numbers, now).await;
        let anew = AccessControl::open(service.scope.clone(), BuiltIn::Admin).await.unwrap();
        let known = told(&service.access, &permit).await;
        assert_eq!(known, told(&anew, &permit).await);
        seen.insert(format!("{known:?}"));
    }
    assert!(seen.len() > 30, "{} states are few", seen.len());
}

/// After a start nobody knew the mounts of a tenant that had neither a policy nor a rule nor a user. Of the
/// many that have a config without mounts nothing is made.
#[tokio::test(flavor = "multi_thread")]
async fn mounts_are_known_from_the_start() {
    let (_folder, service, id, _) = service().await;
    let (permit, none) = (all(id), SettingsPatch::default());
    let [team, crew] = ["team", "crew"].map(|name| name.parse::<MountPath>().unwrap());
    let anew = async || {
        let access = AccessControl::open(service.scope.clone(), BuiltIn::Admin).await.unwrap();
        (access.is_built(id), access.directory().below(id, "crew"))
    };
    assert_eq!(anew().await, (false, None));
    let patch = SettingsPatch { cas_required: Some(true), ..none.clone() };
    service.defaults.update(&permit, &patch).await.unwrap();
    assert_eq!(anew().await, (false, None));
    service.mounts.enable(&permit, &team, "", &none).await.unwrap();
    service.mounts.rename(&permit, &team, &crew).await.unwrap();
    assert_eq!(anew().await, (true, Some("team/".to_owned())));
    service.mounts.disable(&permit, &crew, true, (60, NOW)).await.unwrap();
    assert_eq!(anew().await, (false, None));
}
