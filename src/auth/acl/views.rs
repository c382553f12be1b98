//! What Vault's policies say of a tenant's tree, whichever door a request comes through.
//!
//! A secret has an address in each mount that shows it, and what is done to it has a place there:
//! to read its value is `read` of `data/…`, in every dialect. Always holds: what one address of a
//! secret denies is denied, whatever is said of its others; a block that asks something of a
//! request beyond its path gives nothing to one that does not come through Vault's door, where that
//! can be looked at; what has no address in Vault no block gives, and one for `*` that denies denies it.

use std::sync::Arc;

use super::{
    super::{
        action::{Action, Resource},
        patterns::{Extent, Verdict},
    },
    Acl, Capabilities, Capability, Carried, Decision, Given, Nobody, Operation, Policy,
};
use crate::model::{DomainConfig, MountPath};

/// Where Vault's dialect shows the tree of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    /// Those that show all of it.
    whole: Vec<Box<str>>,
    /// What the paths of all that a mount shows begin with, and its name. In order; none begins with
    /// another one.
    made: Vec<(Box<str>, Box<str>)>,
}

impl Mounts {
    /// Those that `config` has.
    #[must_use]
    pub fn of(config: &DomainConfig) -> Self {
        let mut made: Vec<_> = config
            .mounts()
            .iter()
            .map(|mount| (format!("{}/", mount.below).into(), mount.path.as_str().into()))
            .collect();
        made.sort();
        Self { whole: MountPath::whole_trees().map(|path| path.as_str().into()).collect(), made }
    }

    /// What the paths of all begin with that a mount shows which somebody made.
    pub(in super::super) fn below(&self, name: &str) -> Option<&str> {
        let mut made = self.made.iter();
        made.find(|(_, path)| &**path == name).map(|(shown, _)| &**shown)
    }

    /// The mounts that show all that begins with `path`, and what it begins with there.
    fn showing<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let at = self.made.partition_point(|(shown, _)| &**shown <= path);
        let made = at.checked_sub(1).and_then(|at| self.made.get(at));
        let made = made.and_then(|(shown, name)| Some((&**name, path.strip_prefix(&**shown)?)));
        self.whole.iter().map(move |name| (&**name, path)).chain(made)
    }

    /// The mounts that show a part of what begins with `prefix`, and nothing else.
    fn within<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.made.partition_point(|(shown, _)| &**shown <= prefix);
        let after = self.made.iter().skip(from);
        after.take_while(move |(shown, _)| shown.starts_with(prefix)).map(|(_, name)| &**name)
    }
}

/// What is done to a secret, in Vault's words: below which word of a mount, and by which of its
/// operations. `None` for what is done to no secret.
const fn place(action: Action) -> Option<(&'static str, &'static [Operation])> {
    Some(match action {
        // Of the folder that it is in.
        Action::SecretList => ("metadata", &[Operation::List, Operation::Scan]),
        Action::SecretGet => ("metadata", &[Operation::Read]),
        Action::SecretCreateEmpty => ("metadata", &[Operation::Create]),
        Action::SecretUpdateMetadata => ("metadata", &[Operation::Update]),
        Action::SecretPatchMetadata => ("metadata", &[Operation::Patch]),
        Action::SecretDelete => ("metadata", &[Operation::Delete]),
        Action::VersionGetData => ("data", &[Operation::Read]),
        Action::SecretCreate => ("data", &[Operation::Create]),
        Action::VersionCreate => ("data", &[Operation::Update]),
        Action::VersionPatch => ("data", &[Operation::Patch]),
        Action::VersionDeactivateCurrent => ("data", &[Operation::Delete]),
        Action::SubkeysGet => ("subkeys", &[Operation::Read]),
        Action::VersionDeactivate => ("delete", &[Operation::Update]),
        Action::VersionActivate => ("undelete", &[Operation::Update]),
        Action::VersionDelete => ("destroy", &[Operation::Update]),
        _ => return None,
    })
}

/// Whether it is done to secrets.
pub(in super::super) const fn is_of_secrets(action: Action) -> bool {
    place(action).is_some()
}

/// Whether it is done at an address of Vault.
pub(in super::super) const fn has_address(action: Action) -> bool {
    is_of_secrets(action) || !tenant_places(action).is_empty()
}

/// Where what is done to the tenant itself is in Vault: all that begins so, or that alone.
const fn tenant_places(action: Action) -> &'static [(&'static str, Operation)] {
    match action {
        Action::ConfigGet => &[("secret/config", Operation::Read)],
        Action::ConfigUpdate => &[("secret/config", Operation::Update)],
        // Whoever says what policies say and who has them.
        Action::PolicyGet => {
            &[("sys/policies/acl/", Operation::Read), ("auth/cert/certs/", Operation::Read)]
        }
        Action::PolicyEdit => {
            &[("sys/policies/acl/", Operation::Update), ("auth/cert/certs/", Operation::Update)]
        }
        // Of any user, as who asks natively names them by a question of another kind.
        Action::UserGet => &[("auth/userpass/users/", Operation::Read)],
        Action::UserEdit => &[("auth/userpass/users/", Operation::Update)],
        _ => &[],
    }
}

/// A request through Vault's door: its path below `v1/`, and what it does there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// The path, with a slash at its end where a folder is listed, and nowhere else.
    pub path: String,
    /// What it does there. An update creates, too, where `is_put` is set.
    pub operation: Operation,
    /// Whether what is there decides if it creates or updates.
    pub is_put: bool,
    /// Whether the path asks for `sudo` as well.
    pub needs_sudo: bool,
    /// For how many seconds the answer is to be wrapped, if it is, once that is known.
    pub wrapped_for: Option<u64>,
}

/// Through which door a question comes.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Door<'a> {
    /// Another than Vault's: nothing is known of what a block may ask beyond the path.
    Other,
    /// Vault's. `is_fit`: the request has what the block at its address asks. Whether lists may be seen
    /// at other addresses, wrapping alone decides beside the path, and so it is known.
    Vault { asked: &'a Addressed, is_fit: bool },
    /// Nobody does anything: what the best of all requests could do.
    Best,
}

impl Door<'_> {
    /// What is known of a request, at whatever address.
    fn carried(self, operation: Operation) -> Carried {
        match self {
            Self::Vault { asked, .. } if operation.is_of_folders() => {
                asked.wrapped_for.map_or(Carried::Nothing, Carried::Wrapping)
            }
            Self::Other | Self::Vault { .. } => Carried::Nothing,
            Self::Best => Carried::Anything,
        }
    }
}

/// Vault's policies of one holder, and the mounts through which they speak of the tree.
#[derive(Clone, Debug)]
pub(in super::super) struct InVault {
    acl: Acl,
    mounts: Arc<Mounts>,
}

impl InVault {
    pub(in super::super) const fn new(acl: Acl, mounts: Arc<Mounts>) -> Self {
        Self { acl, mounts }
    }

    /// One that denies everything: for who has more policies than can be asked.
    pub(in super::super) fn closed(mounts: Arc<Mounts>) -> Self {
        Self { acl: Acl::of([("", &Policy::denying_all(), &Nobody)]), mounts }
    }

    /// What they say of `action` on a secret or on the tenant; of folders see [`InVault::extents`].
    pub(in super::super) fn says(
        &self,
        action: Action,
        resource: Resource<'_>,
        door: Door<'_>,
    ) -> Verdict {
        match (resource, door) {
            (Resource::Tenant, Door::Vault { asked, is_fit }) => self.says_at(asked, is_fit),
            (Resource::Tenant, Door::Other | Door::Best) => self.says_of_tenant(action, door),
            (Resource::Secret(path), _) => self.says_of_secret(action, path.as_str(), door),
            (Resource::Below(_) | Resource::AllBelow(_), _) => Verdict::Silent,
        }
    }

    fn says_of_secret(&self, action: Action, path: &str, door: Door<'_>) -> Verdict {
        let at = self.places_of_secret(action, path);
        at.map(|(address, operation)| self.decide(&address, operation, door))
            .max()
            .unwrap_or_default()
    }

    /// What is done to a secret by `action`, at each address that it has.
    fn places_of_secret<'a>(
        &'a self,
        action: Action,
        path: &'a str,
    ) -> impl Iterator<Item = (String, Operation)> {
        let shown = if action == Action::SecretList { folder(path) } else { path };
        place(action).into_iter().flat_map(move |(word, operations)| {
            self.mounts.showing(shown).flat_map(move |(mount, rest)| {
                let at = move |operation: &Operation| {
                    ([mount, "/", word, "/", rest].concat(), *operation)
                };
                operations.iter().map(at)
            })
        })
    }

    fn says_of_tenant(&self, action: Action, door: Door<'_>) -> Verdict {
        let at = |(path, operation): &(&str, Operation)| {
            if !path.ends_with('/') {
                let denies = |path: String| self.acl.decide(&path, *operation).denies_explicitly();
                let is_denied = twin(path).is_some_and(denies);
                return if is_denied {
                    Verdict::Denied
                } else {
                    self.decide(path, *operation, door)
                };
            }
            let carried = door.carried(*operation);
            let extent = |capability| self.acl.below(path, capability, carried);
            let of_twin = twin(path).map(|path| self.acl.below(&path, Capability::Deny, carried));
            let denied = extent(Capability::Deny).or(of_twin.unwrap_or(Extent::Nothing));
            match (extent(operation.capability()), denied) {
                (_, Extent::Some | Extent::Everything) => Verdict::Denied,
                (Extent::Everything, _) => Verdict::Allowed,
                _ => Verdict::Silent,
            }
        };
        let places = tenant_places(action);
        if places.is_empty() {
            let is_denied = self.acl.of_all(Operation::Read).denies_explicitly();
            return if is_denied { Verdict::Denied } else { Verdict::Silent };
        }
        let verdicts = || places.iter().map(at);
        if verdicts().any(|verdict| verdict == Verdict::Denied) {
            return Verdict::Denied;
        }
        verdicts().min().unwrap_or_default()
    }

    /// What they say of a request through Vault's door, whatever it is about. `is_fit`: it has what
    /// the block asks.
    pub(in super::super) fn says_at(&self, asked: &Addressed, is_fit: bool) -> Verdict {
        let decision = self.acl.decide(&asked.path, asked.operation);
        let gives = decision.is_allowed() || asked.is_put && decision.allows(Capability::Create);
        let is_enough = !asked.needs_sudo || decision.allows(Capability::Sudo);
        let twin = twin(&asked.path);
        let denies = |path: &String| self.acl.decide(path, asked.operation).denies_explicitly();
        if decision.denies_explicitly() || twin.as_ref().is_some_and(denies) {
            Verdict::Denied
        } else if gives && is_enough && (is_fit || !decision.has_conditions()) {
            Verdict::Allowed
        } else {
            Verdict::Silent
        }
    }

    /// Whether the block at an address asks anything of a request beyond its path.
    pub(in super::super) fn asks(&self, asked: &Addressed) -> bool {
        self.acl.decide(&asked.path, asked.operation).has_conditions()
    }

    /// Whether a request with these parameters has what the block at its address asks.
    pub(in super::super) fn fits(&self, asked: &Addressed, given: &[(&str, Given<'_>)]) -> bool {
        let decision = self.acl.decide(&asked.path, asked.operation);
        decision.check(given, asked.wrapped_for).is_ok()
    }

    /// To how much of what lies below `prefix` they allow `action`, asked for through `door`, and for
    /// how much they deny it.
    pub(in super::super) fn extents(
        &self,
        action: Action,
        prefix: &str,
        door: Door<'_>,
    ) -> (Extent, Extent) {
        let (mut allowed, mut denied) = (Extent::Nothing, Extent::Nothing);
        let Some((word, operations)) = place(action) else { return (allowed, denied) };
        // What a name is in decides whether it is listed.
        let prefix = if action == Action::SecretList { folder(prefix) } else { prefix };
        let below = |mount: &str, rest: &str, capability, carried| {
            self.acl.below(&[mount, "/", word, "/", rest].concat(), capability, carried)
        };
        let gives = |mount: &str, rest: &str, operation: &Operation| {
            below(mount, rest, operation.capability(), door.carried(*operation))
        };
        let denies =
            |mount: &str, rest: &str| below(mount, rest, Capability::Deny, Carried::Nothing);
        for (mount, rest) in self.mounts.showing(prefix) {
            for operation in operations {
                allowed = allowed.or(gives(mount, rest, operation));
            }
            denied = denied.or(denies(mount, rest));
        }
        for mount in self.mounts.within(prefix) {
            for operation in operations {
                allowed = allowed.or(gives(mount, "", operation).as_part());
            }
            denied = denied.or(denies(mount, "").as_part());
        }
        (allowed, denied)
    }

    /// Which policies decide about `action` on a secret or on the tenant, asked for through `door`, at
    /// which of its addresses, by which block. Those are told as silent that would allow it, but that
    /// the block asks for more than the request has.
    pub(in super::super) fn told(
        &self,
        action: Action,
        resource: Resource<'_>,
        door: Door<'_>,
    ) -> Vec<(String, String, Verdict)> {
        // At its other spelling nothing is given, and all is denied that is denied there.
        let spelt = |(at, one): &(&str, Operation)| {
            let other = twin(at).map(|other| (other, *one, true));
            std::iter::once(((*at).to_owned(), *one, false)).chain(other)
        };
        let addresses: Vec<_> = match resource {
            Resource::Secret(path) => {
                let at = self.places_of_secret(action, path.as_str());
                at.map(|(at, one)| (at, one, false)).collect()
            }
            _ => tenant_places(action).iter().flat_map(spelt).collect(),
        };
        let at = |(address, operation, is_other): (String, _, _)| {
            let decision = self.acl.decide(&address, operation);
            (address, operation, is_other, decision)
        };
        let mut decisions: Vec<_> = addresses.into_iter().map(at).collect();
        if decisions.is_empty() && resource == Resource::Tenant {
            decisions.push((
                String::new(),
                Operation::Read,
                true,
                self.acl.of_all(Operation::Read),
            ));
        }
        let mut told = Vec::new();
        for (address, operation, is_other, decision) in decisions {
            let Some(ruling) = decision.ruling() else { continue };
            if is_other && !decision.denies_explicitly() {
                continue;
            }
            let capability = if decision.denies_explicitly() {
                Capability::Deny
            } else if decision.is_allowed() {
                operation.capability()
            } else {
                continue;
            };
            let verdict = verdict(&decision, &address, operation, door);
            let policies = ruling.policies_with(capability);
            told.extend(policies.map(|name| (name.to_owned(), ruling.path(), verdict)));
        }
        told
    }

    fn decide(&self, address: &str, operation: Operation, door: Door<'_>) -> Verdict {
        verdict(&self.acl.decide(address, operation), address, operation, door)
    }

    /// What is given at an address, to be told.
    pub(in super::super) fn capabilities(&self, address: &str) -> Capabilities {
        self.acl.decide(address, Operation::List).capabilities()
    }
}

/// What a decision about an operation at an address says of a request through `door`.
fn verdict(
    decision: &Decision<'_>,
    address: &str,
    operation: Operation,
    door: Door<'_>,
) -> Verdict {
    let is_at_its_own = || match door {
        Door::Vault { asked, is_fit } => is_fit && asked.path == address,
        Door::Other | Door::Best => false,
    };
    if decision.denies_explicitly() {
        Verdict::Denied
    } else if decision.gives_to(door.carried(operation)) || decision.is_allowed() && is_at_its_own()
    {
        Verdict::Allowed
    } else {
        Verdict::Silent
    }
}

/// The other address of what is at a path: what is denied at one of them is denied at both.
fn twin(path: &str) -> Option<String> {
    const TWINS: [(&str, &str); 2] =
        [("sys/policy", "sys/policies/acl"), ("secret/config", "ibmcloud/kv/config")];
    let below = |at: &str, other: &str| {
        let rest = path.strip_prefix(at)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| [other, rest].concat())
    };
    TWINS.into_iter().find_map(|(one, other)| below(one, other).or_else(|| below(other, one)))
}

/// What a path is in: all up to its last slash, or nothing.
fn folder(path: &str) -> &str {
    path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or_default()
}
