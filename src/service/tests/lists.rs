//! What lists show, and all else that tells names, held against the names that the caller's policies
//! allow: each name is judged for itself, by deciders that were written for tests alone.

use std::{cell::Cell, collections::BTreeSet, sync::Arc};

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select, subsequence},
    test_runner::TestRunner,
};

use super::{NOW, all, holder, path, service_over};
use crate::{
    auth::{
        Across, Action, Denied, Permit, Principal, Resource,
        acl::{
            Addressed, Capability, Operation,
            naive::{Block, Blocks, Naive, Shown, WRAPPED, bounds, hcl},
        },
        directory,
    },
    model::{
        Bearer, CertRule, Circumstances, Condition, Header, IamPolicy, MountPath, OkmsId,
        ResourcePattern, Rotation, RotationEvent, RotationOutcome, RotationPolicyId, SettingsPatch,
        Tags, Timestamp, VersionNumber, When,
        condition::{Expression, Operator},
    },
    pki::CertificateAuthority,
    service::{
        Browse, ChangeName, DueSearch, Error, RotationHistory, Search, Service, secrets::index,
        settings::ConfigBasis, unit::Change,
    },
    store::engines::memory::MemoryEngine,
};

/// Whom the rule makes of the certificate; templates have it for `{{identity.entity.name}}`.
const IDENTITY: &str = "a";

/// The policy that gives what a history asks for beside its secrets. It is among all that the caller has.
const CONFIG: &str = "config";
/// The rotation policy that some secrets have.
const WEEKLY: &str = "rot_weekly";
const HOUR: u64 = 3_600;
/// More than a week, and the hours by which anchors differ.
const LONG_AGO: Timestamp = Timestamp::from_unix_seconds(1_800_000_000 - 40 * 86_400);

/// A domain, and what its caller has.
#[derive(Clone, Debug)]
struct World {
    paths: BTreeSet<String>,
    /// What is mounted by its own name, and the name that it has had since, if any.
    mounts: Vec<(&'static str, Option<&'static str>)>,
    in_vault: Blocks,
    in_iam: Vec<IamPolicy>,
    /// The policies that the caller's rule names.
    named: Vec<String>,
    /// Those to which a token narrows it, and those that it was made with.
    narrowed_to: Vec<Vec<String>>,
}

/// A list that is asked for.
#[derive(Clone, Debug)]
struct Asked {
    folder: String,
    is_recursive: bool,
    after: Option<String>,
    /// For how long the answer is to be wrapped, in Vault's dialect.
    wrapped_for: Option<u64>,
}

fn paths() -> impl Strategy<Value = BTreeSet<String>> {
    // Names that sort before a slash and behind it.
    let segment = select(vec!["a", "a", "a", "b", "b", "b", "ab", "a-b", "a0"]);
    let path = vec(segment, 1..5).prop_map(|segments| segments.join("/"));
    vec(path, 0..32).prop_map(|paths| paths.into_iter().collect())
}

/// Blocks about lists, more often than not.
fn in_vault() -> impl Strategy<Value = Blocks> {
    let mount = prop_oneof![
        5 => Just("secret"), 1 => Just("ibmcloud/kv"), 3 => Just("a"), 3 => Just("m"),
        2 => Just("b"), 2 => Just("+"),
    ];
    let word = prop_oneof![8 => Just("metadata"), 2 => Just("data"), 2 => Just("+")];
    let segment = prop_oneof![
        6 => Just("a"), 6 => Just("b"), 1 => Just("ab"), 1 => Just("a-b"), 4 => Just("+"),
        1 => Just("{{identity.entity.name}}"),
    ];
    let end = prop_oneof![2 => Just(""), 3 => Just("/*"), 2 => Just("/"), 1 => Just("*")];
    let long = (mount, word, vec(segment, 0..4), end).prop_map(|(mount, word, segments, end)| {
        let segments: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
        format!("{mount}/{word}{segments}{end}").replace("+*", "+/*")
    });
    let short = select(vec!["*", "secret/*", "+/metadata/*", "a/*", "m/*"]).prop_map(str::to_owned);
    let pattern = prop_oneof![20 => long, 1 => short];
    let capability = prop_oneof![
        6 => Just(Capability::List), 1 => Just(Capability::Scan), 4 => Just(Capability::Read),
        2 => Just(Capability::Deny), 2 => Just(Capability::Update),
    ];
    vec(vec((pattern, vec(capability, 1..3), bounds()), 1..8), 1..4)
}

fn in_iam() -> impl Strategy<Value = Vec<IamPolicy>> {
    let actions = select(vec![
        "okms:apikms:secret/get",
        "okms:apikms:secret/list",
        "okms:apiovh:secret/*",
        "okms:apikms:secret/delete",
        "okms:apikms:secret/version/create",
        "*",
    ]);
    let actions = |most: usize| vec(actions.clone().prop_map(str::to_owned), 0..most);
    let resources = [
        "a", "a/*", "*/a", "a/b", "*b", "a*/*a", "ab*", "b/*", "b/*/a*", "*-b", "a/b/*", "a/*/b",
        "b/a*", "*0", "*/a/*b", "a*", "*", "",
    ];
    let policy = (
        select(vec!["a", "*", "b", "a*"]),
        vec(select(resources.to_vec()), 1..3),
        actions(3),
        actions(2),
        option::weighted(0.4, actions(2)).prop_map(Option::unwrap_or_default),
        when(),
    );
    let policy = policy.prop_map(|(identity, resources, allow, except, deny, when)| IamPolicy {
        name: String::new(),
        description: String::new(),
        identities: vec![identity.to_owned()],
        resources: resources.iter().map(resource).collect(),
        // One of nothing there is not.
        allow: if deny.is_empty() && allow.is_empty() { vec!["*".to_owned()] } else { allow },
        except,
        deny,
        when,
        created_at: NOW,
        updated_at: NOW,
    });
    let numbered = |policies: Vec<IamPolicy>| {
        let number = |(n, policy)| IamPolicy { name: format!("iam-{n}"), ..policy };
        policies.into_iter().enumerate().map(number).collect()
    };
    vec(policy, 0..4).prop_map(numbered)
}

/// Always, never, and from an address, which is not known here.
fn when() -> impl Strategy<Value = When> {
    let end = |end| When { condition: None, expires_at: Some(end) };
    let values = vec![("request.IP".to_owned(), "192.0.2.1".to_owned())];
    let here = Expression { operator: Operator::Match, values, conditions: Vec::new() };
    let here = When { condition: Some(Condition::new(here).unwrap()), expires_at: None };
    let later = NOW.plus_seconds(1);
    select(vec![When::default(), When::default(), end(NOW), end(later), here])
}

fn resource(text: &&str) -> ResourcePattern {
    match *text {
        "" => ResourcePattern::Domain,
        path => ResourcePattern::Secrets(path.to_owned()),
    }
}

fn world() -> impl Strategy<Value = World> {
    let mounts =
        vec![("a", None), ("a", Some("m")), ("a/b", Some("m")), ("b", None), ("b", Some("a"))];
    let names = ["vault-0", "vault-1", "vault-2", "iam-0", "iam-1", "nothing", "none"];
    let some = subsequence(names.map(str::to_owned).to_vec(), 2..7);
    let all = option::weighted(0.1, Just("read-only".to_owned()));
    let named = || {
        (some.clone(), all.clone()).prop_map(|(some, all)| {
            [some, all.into_iter().collect(), vec![CONFIG.to_owned()]].concat()
        })
    };
    (
        paths(),
        subsequence(mounts, 0..3),
        in_vault(),
        in_iam(),
        named(),
        option::weighted(0.3, vec(named(), 1..3)).prop_map(Option::unwrap_or_default),
    )
        .prop_map(|(paths, mounts, in_vault, in_iam, named, narrowed_to)| World {
            paths,
            mounts,
            in_vault,
            in_iam,
            named,
            narrowed_to,
        })
}

/// Lists of a folder that is there, if the index finds one, or of one that is not.
fn asked() -> impl Strategy<Value = (Index, bool, Option<&'static str>, Option<u64>)> {
    let after = select(vec!["", "a", "a/", "a-b", "a/b", "a/a/zz", "ab/", "zz"]);
    (any::<Index>(), any::<bool>(), option::weighted(0.3, after), select(WRAPPED.to_vec()))
}

/// What is asked for in a world.
fn asked_in(
    world: &World,
    (at, is_recursive, after, wrapped_for): (Index, bool, Option<&str>, Option<u64>),
) -> Asked {
    let ends = |path: &String| {
        let folder = |(at, _)| path[..=at].to_owned();
        path.match_indices('/').map(folder).collect::<Vec<_>>()
    };
    let folders: BTreeSet<_> = world.paths.iter().flat_map(ends).collect();
    let mut folders: Vec<_> = folders.into_iter().collect();
    folders.extend(["", "", "", "", "a/", "b/", "none/"].map(str::to_owned));
    let (folder, after) = (at.get(&folders).clone(), after.map(str::to_owned));
    Asked { folder, is_recursive, after, wrapped_for }
}

/// Whether a pattern in which `*` stands for any text fits.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if fits(rest, text) => true,
        (Some((b'*', _)), Some((_, text))) => fits(pattern, text),
        (Some((one, pattern)), Some((other, text))) => one == other && fits(pattern, text),
        _ => false,
    }
}

fn is_any(patterns: &[String], names: &[&str]) -> bool {
    let fits =
        |pattern: &String| names.iter().any(|name| fits(pattern.as_bytes(), name.as_bytes()));
    patterns.iter().any(fits)
}

/// Somebody's policies, of both languages, to be asked one after the other.
struct Held<'a> {
    in_vault: Naive,
    in_iam: Vec<&'a IamPolicy>,
    /// Whether one is among them that shows all there is.
    sees_all: bool,
}

impl<'a> Held<'a> {
    /// Those of these names, and those about this identity.
    fn of(world: &'a World, names: &[String], identity: Option<&str>) -> Self {
        let has = |name: String| names.contains(&name);
        let named = world.in_vault.iter().enumerate().filter(|(n, _)| has(format!("vault-{n}")));
        let filled = |(path, given, bounds): &Block| {
            (path.replace("{{identity.entity.name}}", IDENTITY), given.clone(), *bounds)
        };
        let named: Blocks = named.map(|(_, blocks)| blocks.iter().map(filled).collect()).collect();
        let is_about = |policy: &&IamPolicy| {
            has(policy.name.clone())
                || identity.is_some_and(|identity| is_any(&policy.identities, &[identity]))
        };
        Self {
            in_vault: Naive::of(&named),
            in_iam: world.in_iam.iter().filter(is_about).collect(),
            sees_all: has("read-only".to_owned()),
        }
    }

    /// What any policy denies is denied; else what any allows, and does not except, is allowed.
    fn allows(&self, mounts: &Shown, action: Action, path: &str, wrapped_for: Option<u64>) -> bool {
        let names: &[&str] = match action {
            Action::SecretList => {
                &["okms:apikms:secret/list", "okms:apikms:secret/get", "okms:apiovh:secret/get"]
            }
            Action::VersionCreate => &["okms:apikms:secret/version/create"],
            _ => &["okms:apikms:secret/get", "okms:apiovh:secret/get"],
        };
        let is_about = |policy: &&&IamPolicy| {
            policy.resources.iter().any(|resource| match resource {
                ResourcePattern::Domain => true,
                ResourcePattern::Secrets(pattern) => fits(pattern.as_bytes(), path.as_bytes()),
            })
        };
        let about: Vec<_> = self.in_iam.iter().filter(is_about).collect();
        let in_vault = self.in_vault.says(mounts, action, path, wrapped_for);
        // An address is not known: under a condition on it all that is denied is, and nothing allowed.
        let is_over = |policy: &IamPolicy| policy.when.expires_at == Some(NOW);
        let denies = |policy: &IamPolicy| !is_over(policy) && is_any(&policy.deny, names);
        let is_allowing = |policy: &IamPolicy| !is_over(policy) && policy.when.condition.is_none();
        if in_vault == Some(false) || about.iter().any(|policy| denies(policy)) {
            return false;
        }
        in_vault == Some(true)
            || self.sees_all && action != Action::VersionCreate
            || about.iter().any(|policy| {
                is_allowing(policy)
                    && is_any(&policy.allow, names)
                    && !is_any(&policy.except, names)
            })
    }
}

/// What is said of the secret that comes nth: by all of it some are found.
fn header(n: usize) -> Header {
    let mut header = Header::new(NOW);
    let tags = [(2, "second"), (3, "third")];
    let tags = tags.into_iter().filter_map(|(by, tag)| n.is_multiple_of(by).then_some(tag));
    header.about.tags = Tags::new(tags).unwrap();
    header.about.description = is_said(n).then(|| "some WORDS of it".into());
    header.life.expires_at = ends(n);
    // The first comes last, as it does by its end.
    let anchor = if is_due(n) { LONG_AGO.plus_seconds(HOUR * (50 - n as u64)) } else { NOW };
    let policy = WEEKLY.into();
    header.life.rotation = (n % 3 != 1).then_some(Rotation { policy, anchor });
    header
}

const fn is_said(n: usize) -> bool {
    n % 3 == 1
}

const fn is_due(n: usize) -> bool {
    n % 3 == 2
}

fn ends(n: usize) -> Option<Timestamp> {
    (n % 2 == 1).then(|| NOW.plus_seconds(HOUR * (50 - n as u64)))
}

/// What has become of the rotation of a secret by its policy.
fn event(n: usize, at: &str) -> RotationEvent {
    let outcome = if is_due(n) {
        RotationOutcome::Rotated(VersionNumber::new(1).unwrap())
    } else {
        RotationOutcome::Failed("a reason".into())
    };
    let moment = NOW.plus_seconds(n as u64);
    RotationEvent { path: path(at), at: moment, old_version: 0, outcome, reason: None }
}

/// The names in a folder of secrets, and of the folders that they are in; or of all below it.
fn names_in(paths: &[&str], asked: &Asked) -> Vec<String> {
    let below = paths.iter().filter_map(|path| path.strip_prefix(&*asked.folder));
    let name = |rest: &str| match rest.split_once('/') {
        Some((folder, _)) if !asked.is_recursive => format!("{folder}/"),
        _ => rest.to_owned(),
    };
    let names: BTreeSet<_> = below.map(name).collect();
    let is_after = |name: &String| {
        asked.after.as_ref().is_none_or(|after| {
            // What is in a folder comes with the folder.
            let folder = after.split_once('/').filter(|_| !asked.is_recursive);
            name > after && folder.is_none_or(|(folder, _)| *name > format!("{folder}/"))
        })
    };
    names.into_iter().filter(is_after).collect()
}

/// Puts a world into a service, through its use cases. Gives back the mounts that came of it.
async fn fill(service: &Service, id: OkmsId, world: &World) -> Shown {
    let admin = all(id);
    let keys = service.scope.keys(&admin).await.unwrap();
    let change = Change { name: ChangeName::Test, turns: &[], by: None };
    let weekly: RotationPolicyId = WEEKLY.parse().unwrap();
    let secrets = service.scope.unit(change, &keys, ConfigBasis, |_, draft| {
        world.paths.iter().enumerate().try_for_each(|(n, at)| {
            let (header, event) = (header(n), event(n, at));
            draft.put(&path(at), &header)?;
            draft.extend(index::entries(&keys, &path(at), &header)?.into_iter().map(index::put));
            draft.put((&weekly, &event), &event)
        })
    });
    secrets.await.unwrap();
    let mut mounts: Shown =
        ["secret", "ibmcloud/kv"].map(|name| (name.to_owned(), String::new())).to_vec();
    for (below, moved) in &world.mounts {
        let (at, none): (MountPath, _) = (below.parse().unwrap(), SettingsPatch::default());
        // One that meets another there is not.
        if service.mounts.enable(&admin, &at, "", &none).await.is_err() {
            continue;
        }
        let mut name = *below;
        if let Some(to) = moved
            && service.mounts.rename(&admin, &at, &to.parse().unwrap()).await.is_ok()
        {
            name = to;
        }
        mounts.push((name.to_owned(), format!("{below}/")));
    }
    for (n, blocks) in world.in_vault.iter().enumerate() {
        let text = hcl(blocks);
        service.access.put_vault_policy(&admin, &format!("vault-{n}"), &text, NOW).await.unwrap();
    }
    let config = IamPolicy {
        name: CONFIG.to_owned(),
        description: String::new(),
        identities: vec![IDENTITY.to_owned()],
        resources: vec![ResourcePattern::Domain],
        allow: vec!["okms:apikms:secretConfig/get".to_owned()],
        except: Vec::new(),
        deny: Vec::new(),
        when: When::default(),
        created_at: NOW,
        updated_at: NOW,
    };
    for policy in world.in_iam.iter().chain([&config]) {
        service.access.create_policy(&admin, policy.clone(), NOW).await.unwrap();
    }
    let rule = CertRule {
        identity: IDENTITY.to_owned(),
        policies: world.named.clone(),
        ..CertRule::default()
    };
    service.access.put_rule(&admin, "rule", &rule).await.unwrap();
    mounts
}

/// A caller, with its certificate and perhaps a token.
struct Caller<'a> {
    service: &'a Service,
    principal: Principal,
    id: OkmsId,
    narrowed_to: Vec<Vec<String>>,
}

impl Caller<'_> {
    /// Its permit for these actions, as the edge makes it.
    fn permit(&self, actions: &[Action], at: Option<Addressed>) -> Result<Permit, Denied> {
        let Self { service, principal, id, narrowed_to } = self;
        let wrapped_for = at.as_ref().and_then(|at| at.wrapped_for);
        let access = service.access.directory();
        let brings_token = !narrowed_to.is_empty();
        let under = Circumstances::new(NOW, None);
        let permit = principal.authorize_at(
            (*id, Across::Nowhere),
            actions,
            access,
            under,
            brings_token,
            || at,
        )?;
        let bearer = Bearer { user: None, narrowed_to: narrowed_to.clone() };
        Ok(permit.settle(&bearer, access)?.into_owned().carrying(&[], wrapped_for))
    }

    /// What it is shown of a folder, `limit` at a time. Nothing where it may see nothing.
    async fn browses(
        &self,
        permit: &Result<Permit, Denied>,
        asked: &Asked,
        limit: Option<usize>,
    ) -> Vec<String> {
        let told = self.browses_in_detail(permit, asked, limit, false).await;
        told.into_iter().map(|(name, _)| name).collect()
    }

    /// The same, and of each name whether more is told.
    async fn browses_in_detail(
        &self,
        permit: &Result<Permit, Denied>,
        asked: &Asked,
        limit: Option<usize>,
        is_detailed: bool,
    ) -> Vec<(String, bool)> {
        let Ok(permit) = permit else { return Vec::new() };
        let (mut names, mut after) = (Vec::new(), asked.after.clone());
        loop {
            let browse = Browse {
                prefix: asked.folder.clone(),
                is_recursive: asked.is_recursive,
                after: after.clone(),
                limit,
                is_detailed,
                ..Browse::default()
            };
            let listed = match self.service.secrets.browse(permit, &browse, NOW).await {
                Err(Error::Denied(Denied::Forbidden)) if names.is_empty() => return names,
                listed => listed.unwrap(),
            };
            let told =
                listed.entries.into_iter().map(|entry| (entry.name, entry.history.is_some()));
            names.extend(told);
            if !listed.has_more {
                return names;
            }
            // A page that is followed by others is full, and they go on behind it.
            assert_eq!(Some(0), limit.map(|limit| names.len() % limit));
            let last = names.last().map(|(name, _)| name.clone());
            assert!(last > after, "{asked:?} by {limit:?} goes round at {last:?}");
            after = last;
        }
    }

    /// What it is shown of all there is, natively: the names, with metadata.
    async fn lists(&self, limit: usize) -> Vec<String> {
        let actions = [Action::SecretGet, Action::SecretList];
        let Ok(permit) = self.permit(&actions, None) else { return Vec::new() };
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let (secrets, next) = match self.service.secrets.list(&permit, cursor, limit, NOW).await
            {
                Err(Error::Denied(Denied::Forbidden)) if names.is_empty() => return names,
                listed => listed.unwrap(),
            };
            names.extend(secrets.iter().map(|(path, _)| path.to_string()));
            if next.is_none() {
                return names;
            }
            assert_eq!(names.len() % limit, 0, "a page that is followed by others is full");
            cursor = next;
        }
    }

    /// What it finds so, `limit` at a time. Nothing where it may see nothing.
    async fn finds(&self, permit: &Permit, search: &Search, limit: usize) -> Vec<String> {
        let mut total = None;
        let names = pages(limit, async |cursor| {
            let page = self.service.secrets.search(permit, search, cursor, limit, NOW).await?;
            assert_eq!((page.damaged, page.is_exact), (0, true));
            assert_eq!(*total.get_or_insert(page.total), page.total);
            Ok((page.found.iter().map(|(path, _)| path.to_string()).collect(), page.next))
        });
        let names = names.await;
        // What is hidden is not counted, either.
        assert_eq!(total.unwrap_or_default() as usize, names.len(), "{search:?}");
        names
    }

    async fn ending(&self, permit: &Permit, prefix: &str, limit: usize) -> Vec<String> {
        let until = (None, NOW.plus_seconds(47 * HOUR));
        pages(limit, async |cursor| {
            let page = self.service.secrets.ending(permit, until, prefix, cursor, limit).await?;
            Ok((page.found.iter().map(|(path, _)| path.to_string()).collect(), page.next))
        })
        .await
    }

    async fn due(&self, permit: &Permit, limit: usize) -> Vec<String> {
        let search = DueSearch { with_overdue: true, ..DueSearch::default() };
        pages(limit, async |cursor| {
            let policies = &self.service.rotation_policies;
            let (found, next) =
                policies.due(permit, &search, cursor.as_deref(), limit, NOW).await?;
            Ok((found.iter().map(|one| one.path.to_string()).collect(), next))
        })
        .await
    }

    async fn history(&self, permit: &Permit, of: RotationHistory, limit: usize) -> Vec<String> {
        let weekly = WEEKLY.parse().unwrap();
        pages(limit, async |cursor| {
            let rotations = &self.service.rotations;
            let (found, next) =
                rotations.history(permit, &weekly, of, cursor.as_deref(), limit).await?;
            Ok((found.iter().map(|event| event.path.to_string()).collect(), next))
        })
        .await
    }
}

/// All pages of so many names at most, one after the other; nothing where that is refused.
async fn pages(
    limit: usize,
    mut page: impl AsyncFnMut(Option<Vec<u8>>) -> Result<(Vec<String>, Option<Vec<u8>>), Error>,
) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), None);
    loop {
        let (found, next) = match page(cursor.take()).await {
            Err(Error::Denied(Denied::Forbidden)) if names.is_empty() => return names,
            page => page.unwrap(),
        };
        names.extend(found);
        if next.is_none() {
            return names;
        }
        assert_eq!(names.len() % limit, 0, "a page that is followed by others is full");
        cursor = next;
    }
}

/// How often it was seen that a list is worth the name.
#[derive(Default)]
struct Seen {
    /// Lists that show some of the folder and leave out some.
    parts: Cell<u32>,
    /// Those with a folder in which something is hidden.
    mixed: Cell<u32>,
    /// Lists that are refused at their address in Vault, and shown elsewhere.
    refused: Cell<u32>,
    /// Those that show more where they are wrapped.
    wrapped: Cell<u32>,
    /// Worlds in which something may be read that may not be listed.
    unlisted: Cell<u32>,
    /// Secrets that are in a list whose details may not be seen.
    bare: Cell<u32>,
    /// What is found, ends, is due or was rotated, some of it seen and some not.
    found: Cell<u32>,
    ending: Cell<u32>,
    due: Cell<u32>,
    rotated: Cell<u32>,
    /// What is due and may be seen, and not rotated, or the other way round.
    undone: Cell<u32>,
    unseen: Cell<u32>,
}

fn count(of: &Cell<u32>, is_one: bool) {
    of.set(of.get() + u32::from(is_one));
}

async fn holds(
    (folder, authority): (&std::path::Path, CertificateAuthority),
    (world, lists, door): (&World, &[Asked], Index),
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let validity = authority.validity();
    let (service, id, _) =
        service_over(Arc::new(MemoryEngine::default()), folder, Some(authority)).await;
    let (_, peer) = holder(&service, id, validity).await;
    let mounts = fill(&service, id, world).await;
    let principal = directory::principal(&peer, service.revocations.revoked(), NOW).unwrap();
    let caller =
        Caller { service: &service, principal, id, narrowed_to: world.narrowed_to.clone() };
    let mut held = vec![Held::of(world, &world.named, Some(IDENTITY))];
    held.extend(world.narrowed_to.iter().map(|names| Held::of(world, names, None)));
    let may_see = |action, wrapped_for| {
        let mut may = world.paths.clone();
        may.retain(|path| held.iter().all(|one| one.allows(&mounts, action, path, wrapped_for)));
        may
    };
    let (may_list, may_get) = (may_see(Action::SecretList, None), may_see(Action::SecretGet, None));
    let all: Vec<_> = may_list.intersection(&may_get).cloned().collect();
    count(&seen.unlisted, all.len() < may_get.len());
    for limit in 1..=all.len() + 1 {
        prop_assert_eq!(&caller.lists(limit).await, &all, "pages of {}", limit);
    }
    let sees = |path: &str| may_list.contains(path) && may_get.contains(path);
    let may_rotate = may_see(Action::VersionCreate, None);
    tells_only_what_is_seen(&caller, world, lists, (&sees, &may_rotate), seen).await?;
    let shown: Vec<_> = may_list.iter().map(String::as_str).collect();
    let there: Vec<_> = world.paths.iter().map(String::as_str).collect();
    let elsewhere = caller.permit(&[Action::SecretList], None);
    let in_detail = caller.permit(&[Action::SecretList, Action::SecretGet], None);
    for asked in lists {
        let (names, of_all) = (names_in(&shown, asked), names_in(&there, asked));
        count(&seen.parts, !names.is_empty() && names != of_all);
        let is_mixed = |name: &String| {
            let folder = format!("{}{name}", asked.folder);
            name.ends_with('/')
                && there.iter().any(|at| at.starts_with(&folder) && !may_list.contains(*at))
        };
        count(&seen.mixed, names.iter().any(is_mixed));
        let detail = |name: &String| {
            let path = format!("{}{name}", asked.folder);
            (name.clone(), !name.ends_with('/') && may_get.contains(&path))
        };
        let details: Vec<_> = names.iter().map(detail).collect();
        let is_bare = |(name, is_told): &(String, bool)| !is_told && !name.ends_with('/');
        count(&seen.bare, details.iter().any(is_bare));
        for limit in [Some(1), Some(2), None] {
            let told = caller.browses_in_detail(&in_detail, asked, limit, true).await;
            prop_assert_eq!(&told, &details, "{:?} by {:?}", asked, limit);
        }
        // In Vault's dialect through one of the mounts that show the folder.
        let showing: Vec<_> = mounts
            .iter()
            .filter_map(|(mount, shown)| Some((mount, asked.folder.strip_prefix(&**shown)?)))
            .collect();
        let (mount, rest) = door.get(&showing);
        let operation = if asked.is_recursive { Operation::Scan } else { Operation::List };
        let address = format!("{mount}/metadata/{rest}");
        let wrapped_for = asked.wrapped_for;
        let may_list_wrapped = may_see(Action::SecretList, wrapped_for);
        let shown_wrapped: Vec<_> = may_list_wrapped.iter().map(String::as_str).collect();
        let names_wrapped = names_in(&shown_wrapped, asked);
        count(&seen.wrapped, names_wrapped.len() > names.len());
        let (is_put, needs_sudo) = (false, false);
        let at = Addressed { path: address.clone(), operation, is_put, needs_sudo, wrapped_for };
        let in_vault = caller.permit(&[Action::SecretList], Some(at));
        let is_refused = held.iter().any(|held| held.in_vault.denies(&address, operation));
        count(&seen.refused, is_refused && !names.is_empty());
        let in_vault = (&in_vault, if is_refused { &[][..] } else { &names_wrapped[..] });
        for (permit, names) in [(&elsewhere, &names[..]), in_vault] {
            let limits = (1..=names.len() + 1).map(Some).chain([None]);
            for limit in limits {
                let listed = caller.browses(permit, asked, limit).await;
                prop_assert_eq!(&listed[..], names, "{:?} by {:?}, {}", asked, limit, address);
            }
        }
    }
    Ok(())
}

/// What is found by what is said of it, by its end and by its rotation is what may be seen, name by name; what is
/// due may be rotated as well.
async fn tells_only_what_is_seen(
    caller: &Caller<'_>,
    world: &World,
    lists: &[Asked],
    (sees, may_rotate): (&impl Fn(&str) -> bool, &BTreeSet<String>),
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let actions = [Action::SecretGet, Action::SecretList, Action::VersionCreate, Action::ConfigGet];
    let Ok(permit) = caller.permit(&actions, None) else {
        prop_assert!(!world.paths.iter().any(|path| sees(path)));
        return Ok(());
    };
    // All there are, in the order of their paths, and what of them may be told.
    let all = |is_wanted: &dyn Fn(usize, &str) -> bool| -> Vec<String> {
        let wanted = world.paths.iter().enumerate().filter(|(n, path)| is_wanted(*n, path));
        wanted.map(|(_, path)| path.clone()).collect()
    };
    let shown = |of: &Cell<u32>, all: Vec<String>| {
        let shown: Vec<_> = all.iter().filter(|path| sees(path)).cloned().collect();
        count(of, !shown.is_empty() && shown.len() < all.len());
        shown
    };
    for asked in lists {
        let prefix = asked.folder.trim_end_matches('/');
        let of = |tags: &[&str], text: Option<&str>| Search {
            prefix: prefix.to_owned(),
            tags: Tags::new(tags).unwrap(),
            text: text.map(str::to_owned),
            ..Search::default()
        };
        let below = |path: &str| path.starts_with(prefix);
        for (search, all) in [
            (of(&[], None), all(&|_, path| below(path))),
            (of(&["second"], None), all(&|n, path| below(path) && n % 2 == 0)),
            (of(&["third", "second"], None), all(&|n, path| below(path) && n % 6 == 0)),
            (of(&[], Some("words")), all(&|n, path| below(path) && is_said(n))),
            (
                of(&["second"], Some("b")),
                all(&|n, path| below(path) && n % 2 == 0 && path.contains('b')),
            ),
        ] {
            let shown = shown(&seen.found, all);
            for limit in [1, 2, shown.len() + 1] {
                let found = caller.finds(&permit, &search, limit).await;
                prop_assert_eq!(&found, &shown, "{:?} by {}", search, limit);
            }
        }
        let soon = NOW.plus_seconds(47 * HOUR);
        let ending = all(&|n, path| below(path) && ends(n).is_some_and(|end| end <= soon));
        let mut ending = shown(&seen.ending, ending);
        ending.reverse();
        for limit in [1, 2, ending.len() + 1] {
            let found = caller.ending(&permit, prefix, limit).await;
            prop_assert_eq!(&found, &ending, "what ends below {} by {}", prefix, limit);
        }
    }
    let all_due = all(&|n, _| is_due(n));
    count(&seen.undone, all_due.iter().any(|path| sees(path) && !may_rotate.contains(path)));
    count(&seen.unseen, all_due.iter().any(|path| !sees(path) && may_rotate.contains(path)));
    let mut due = shown(&seen.due, all_due);
    due.retain(|path| may_rotate.contains(path));
    due.reverse();
    for limit in [1, 2, due.len() + 1] {
        prop_assert_eq!(&caller.due(&permit, limit).await, &due, "what is due by {}", limit);
    }
    // Whether the domain's settings may be read is another question.
    let is_open = permit.allows(Action::ConfigGet, Resource::Tenant);
    for (of, all) in [
        (RotationHistory::Everything, all(&|_, _| true)),
        (RotationHistory::Rotated, all(&|n, _| is_due(n))),
        (RotationHistory::Failed, all(&|n, _| !is_due(n))),
    ] {
        let mut rotated = if is_open { shown(&seen.rotated, all) } else { Vec::new() };
        rotated.reverse();
        for limit in [1, 2, rotated.len() + 1] {
            let found = caller.history(&permit, of, limit).await;
            prop_assert_eq!(&found, &rotated, "{:?} by {}", of, limit);
        }
    }
    Ok(())
}

/// Lists, scans and pages show what the caller's policies allow, name by name, and a folder where
/// something below it may be seen: in whichever language these are, through whichever mount it asks.
#[test]
fn they_show_what_may_be_seen_and_nothing_else() {
    let (authority, key) = CertificateAuthority::create("region CA", NOW, 100).unwrap();
    let certificate = authority.certificate_pem().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = Seen::default();
    let Seen { parts, mixed, refused, wrapped, unlisted, bare, .. } = &seen;
    let Seen { found, ending, due, rotated, undone, unseen, .. } = &seen;
    let kinds = [
        ("parts", parts),
        ("mixed", mixed),
        ("refused", refused),
        ("wrapped", wrapped),
        ("unlisted", unlisted),
        ("bare", bare),
        ("found", found),
        ("ending", ending),
        ("due", due),
        ("rotated", rotated),
        ("undone", undone),
        ("unseen", unseen),
    ];
    let missing = || kinds.iter().find(|(_, times)| times.get() == 0).map(|(what, _)| *what);
    // Some are rare.
    for _ in 0..5 {
        let mut runner = TestRunner::new(ProptestConfig {
            cases: 400,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let worlds = (world(), vec(asked(), 2..6), any::<Index>());
        let outcome = runner.run(&worlds, |(world, lists, door)| {
            let folder = tempfile::tempdir().unwrap();
            let lists: Vec<_> = lists.into_iter().map(|asked| asked_in(&world, asked)).collect();
            let authority = CertificateAuthority::load(&certificate, &key).unwrap();
            runtime.block_on(holds((folder.path(), authority), (&world, &lists, door), &seen))
        });
        outcome.unwrap();
        if missing().is_none() {
            break;
        }
    }
    assert_eq!(missing(), None, "was never seen");
}
