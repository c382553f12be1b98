//! What somebody may do at paths.

use std::collections::{BTreeSet, HashSet};

use super::{
    super::{Failed, Handler, Operation, Problem, Reply, Route, json::ObjectWriter},
    address::{addressed_at, collapse, is_of_server},
    asked::Asked,
    auth::{self, Named},
    envelope,
    fields::{self, Fields, ListField},
};
use crate::{
    auth::{
        Action, Permit, Resource,
        acl::{Capabilities, Capability},
        identity::CertIdentity,
    },
    model::{DomainConfig, Invalid},
};

/// The longest of them, in bytes: no secret has a longer one.
const PATH_MAX: usize = 2_048;
const TOO_LONG: Invalid = Invalid("a path to ask about has at most 2048 bytes");
/// The most paths of one question about capabilities.
const PATHS_MAX: usize = 1000;

/// What somebody may do at paths; nothing where nothing is. Who has a token may do what the
/// certificate may with which it comes: that is known of the caller's own key alone. `routes`: what the
/// server itself does at addresses of its own.
pub(super) async fn of(
    asked: &Asked<'_>,
    named: Named,
    routes: impl Iterator<Item = &'static Route> + Clone + Send,
) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let mut paths = fields.texts(ListField::PATHS)?;
    paths.extend(fields.texts(ListField::PATH)?);
    if paths.is_empty() || paths.len() > PATHS_MAX {
        return Err(Problem::NoPaths.into());
    }
    let whose = match auth::named(asked, named, &mut fields).await {
        // The certificate asks about itself.
        Err(Failed { problem: Problem::PermissionDenied, .. }) if named == Named::Own => {
            permit.clone()
        }
        Err(Failed { problem: Problem::BadToken, .. }) => return Err(Problem::InvalidToken.into()),
        Err(failed) => return Err(failed),
        Ok(known) => {
            let own = permit.subject().certificate().map(CertIdentity::public_key_sha256);
            // What is bound to none is a user's, of whom everything is known.
            if known.token.key_sha256.as_ref().is_some_and(|bound| own != Some(bound)) {
                return Err(Problem::HolderUnknown.into());
            }
            permit.tells_of(&known.token.bearer, context.service.access.directory())?
        }
    };
    let config = context.service.mounts.config(permit).await?;
    let (mut answers, mut known): (Vec<(&str, Vec<&str>)>, _) = (Vec::new(), HashSet::new());
    for path in paths.iter().filter(|path| known.insert(path.as_str())) {
        if path.len() > PATH_MAX {
            return Err(TOO_LONG.into());
        }
        // Each may take a while.
        tokio::task::yield_now().await;
        let address = collapse(path)?;
        // What is narrowed may be done where each part of it allows it.
        let parts = whose.parts().map(|part| at(&part, routes.clone(), &config, &address));
        let mut may = parts
            .reduce(|one, other| one.into_iter().filter(|word| other.contains(word)).collect())
            .unwrap_or_default();
        if may.is_empty() {
            may.push("deny");
        }
        answers.push((path, may));
    }
    let write = |out: &mut ObjectWriter<'_>, taken: &[&str]| {
        for (path, may) in
            answers.iter().filter(|(path, _)| *path != "capabilities" && !taken.contains(path))
        {
            out.texts(path, may.iter().copied());
        }
        if let [(_, may)] = answers.as_slice() {
            out.texts("capabilities", may.iter().copied());
        }
    };
    // A path may be named like a member of the envelope.
    Ok(envelope::beside_top_level(
        call,
        |out| write(out, &[]),
        |out| write(out, &envelope::MEMBERS),
    ))
}

/// The capabilities at an address, in their order.
fn at(
    permit: &Permit,
    routes: impl Iterator<Item = &'static Route> + Clone,
    config: &DomainConfig,
    address: &str,
) -> Vec<&'static str> {
    let in_vault = permit.tells_at(address);
    if in_vault.contains(Capability::Deny) {
        return Vec::new();
    }
    if is_of_server(address) {
        return of_server(permit, routes, address, in_vault);
    }
    let Some(view) = config.mount_above(address).and_then(|mount| {
        let below = mount.name_below(address).unwrap_or_default();
        Some((config.view(&mount)?, below))
    }) else {
        return Vec::new();
    };
    let (view, below) = view;
    let (part, name) = below.split_once('/').unwrap_or((below, ""));
    let folder = view.folder(name.trim_end_matches('/'));
    let secret = view.secret(name).ok();
    let words = ["create", "delete", "list", "patch", "read", "update"];
    let may = |word: &&str| match (part, *word) {
        // A mount itself, and what is no address of a secret: whatever may be done to something
        // in it.
        ("" | "config", word) => {
            let action = action("config", word);
            action.is_some_and(|action| permit.tells_at_best(action, Resource::Tenant))
                || in_vault.words().contains(&word)
        }
        ("metadata" | "detailed-metadata", "list") => {
            permit.tells_at_best(Action::SecretList, Resource::Below(&folder))
        }
        (part, word) => action(part, word).is_some_and(|action| match &secret {
            Some(path) => permit.tells_at_best(action, Resource::Secret(path)),
            None => permit.tells_at_best(action, Resource::Below(&folder)),
        }),
    };
    let beyond = [Capability::Scan, Capability::Sudo].into_iter();
    let beyond = beyond.filter(|word| in_vault.contains(*word)).map(Capability::word);
    let mut words: Vec<_> = words.into_iter().filter(may).chain(beyond).collect();
    words.sort_unstable();
    words
}

/// What a capability is, at one of a mount's addresses.
fn action(part: &str, word: &str) -> Option<Action> {
    Some(match (part, word) {
        ("data", "create") => Action::SecretCreate,
        ("data", "delete") => Action::VersionDeactivateCurrent,
        ("data", "patch") => Action::VersionPatch,
        ("data", "read") | ("copy", "update") => Action::VersionGetData,
        ("data", "update") => Action::VersionCreate,
        ("metadata", "create") => Action::SecretCreateEmpty,
        ("metadata", "delete") | ("move", "update") => Action::SecretDelete,
        ("metadata", "patch") => Action::SecretPatchMetadata,
        ("metadata" | "detailed-metadata", "read") => Action::SecretGet,
        ("metadata", "update") => Action::SecretUpdateMetadata,
        ("subkeys", "read") => Action::SubkeysGet,
        ("delete", "update") => Action::VersionDeactivate,
        ("undelete", "update") => Action::VersionActivate,
        ("destroy", "update") => Action::VersionDelete,
        ("config", "read") => Action::ConfigGet,
        ("config", "create" | "update") => Action::ConfigUpdate,
        _ => return None,
    })
}

/// What may be done at an address of the server's own: what its rows are for, by the rights that
/// each asks for, and what policies in Vault's language give there.
fn of_server(
    permit: &Permit,
    routes: impl Iterator<Item = &'static Route> + Clone,
    address: &str,
    in_vault: Capabilities,
) -> Vec<&'static str> {
    let address = address.trim_end_matches('/');
    let pattern = routes.clone().map(|route| route.pattern).find(|one| is_at(one, address));
    let there = routes.filter(|route| Some(route.pattern) == pattern);
    let (open, closed): (Vec<_>, Vec<_>) =
        there.partition(|route| is_open(permit, route.operation));
    // The first one it always takes; others are for a part of what it does.
    let may = |operation: &Operation, method: &str| match operation.actions.first() {
        Some(action) if matches!(operation.handler, Handler::Tenant(_)) => {
            let asked = addressed_at(method, address);
            asked.is_some_and(|asked| permit.tells_there(*action, &asked))
        }
        _ => true,
    };
    let methods = open.iter().flat_map(|route| route.methods.iter().map(move |one| (route, *one)));
    let allowed = methods.filter(|(route, method)| may(route.operation, method));
    let allowed = allowed.flat_map(|(_, method)| words_of(method)).copied();
    // A block at the address gives what is open there, and what nothing there is for.
    let is_given = |word: &&str| {
        closed.is_empty() || is_for(&open, word) || !open.is_empty() && !is_for(&closed, word)
    };
    let in_vault = Capability::ALL.iter().filter(|word| in_vault.contains(**word));
    let in_vault = in_vault.map(|word| word.word()).filter(is_given);
    let words: BTreeSet<_> = allowed.chain(in_vault).collect();
    words.into_iter().collect()
}

/// Whether who has the right that an operation always takes may do it: what is the operators' own no
/// policy gives, whatever it says of the address, and the right to edit policies is asked for beside
/// the one that the address stands for.
fn is_open(permit: &Permit, operation: &Operation) -> bool {
    let beside = |action: &&Action| {
        action.is_operators()
            || **action == Action::PolicyEdit && operation.actions.first() != Some(*action)
    };
    match operation.handler {
        Handler::Open(_) => true,
        Handler::Region(_) => permit.is_unbound(),
        Handler::Tenant(_) => {
            let mut beside = operation.actions.iter().filter(beside);
            beside.all(|action| permit.tells(*action, Resource::Tenant))
        }
    }
}

/// Whether a capability is one that the methods of some routes stand for.
fn is_for(routes: &[&Route], word: &str) -> bool {
    let mut methods = routes.iter().flat_map(|route| route.methods);
    methods.any(|method| words_of(method).contains(&word))
}

/// The capabilities that a method stands for.
fn words_of(method: &str) -> &'static [&'static str] {
    match method {
        "GET" => &["read"],
        "LIST" => &["list"],
        "POST" | "PUT" => &["create", "update"],
        "PATCH" => &["patch"],
        "DELETE" => &["delete"],
        _ => &[],
    }
}

/// Whether an address is one of a pattern's.
fn is_at(pattern: &str, address: &str) -> bool {
    let pattern = pattern.trim_start_matches('/');
    match pattern.split_once("{key}") {
        None => pattern == address,
        Some((before, after)) => {
            let rest = address.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            rest.is_some_and(|key| !key.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_at;

    #[test]
    fn patterns_of_the_servers_own() {
        for (pattern, address, fits) in [
            ("/sys/mounts", "sys/mounts", true),
            ("/sys/mounts", "sys/mounts/x", false),
            ("/sys/mounts/{key}", "sys/mounts", false),
            ("/sys/mounts/{key}", "sys/mounts/a/b", true),
            ("/sys/mounts/{key}/tune", "sys/mounts/a/b/tune", true),
            ("/sys/mounts/{key}/tune", "sys/mounts/tune", false),
            ("/{key}", "sys", true),
        ] {
            assert_eq!(is_at(pattern, address), fits, "{pattern} {address}");
        }
    }
}
