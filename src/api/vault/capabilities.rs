//! What somebody may do at paths.

use std::collections::{BTreeSet, HashSet};

use super::{
    super::{Failed, Problem, Reply, json::ObjectWriter},
    address::{collapse, is_of_server},
    asked::Asked,
    auth::{self, Named},
    envelope,
    fields::{self, Fields},
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
/// certificate may with which it comes: that is known of the caller's own key alone.
pub(super) async fn of(asked: &Asked<'_>, named: Named) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let mut paths = fields.texts("paths")?;
    paths.extend(fields.texts("path")?);
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
            permit.tells_of(&known.token.bearer, context.service.access.directory())
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
        let parts = whose.parts().map(|part| at(&part, &config, &address));
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
fn at(permit: &Permit, config: &DomainConfig, address: &str) -> Vec<&'static str> {
    let in_vault = permit.tells_at(address);
    if in_vault.contains(Capability::Deny) {
        return Vec::new();
    }
    if is_of_server(address) {
        return of_server(permit, address, in_vault);
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
            action.is_some_and(|action| permit.tells(action, Resource::Tenant))
                || in_vault.words().contains(&word)
        }
        ("metadata" | "detailed-metadata", "list") => {
            permit.tells(Action::SecretList, Resource::Below(&folder))
        }
        (part, word) => action(part, word).is_some_and(|action| match &secret {
            Some(path) => permit.tells(action, Resource::Secret(path)),
            None => permit.tells(action, Resource::Below(&folder)),
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
        ("data", "read") => Action::VersionGetData,
        ("data", "update") => Action::VersionCreate,
        ("metadata", "create") => Action::SecretCreateEmpty,
        ("metadata", "delete") => Action::SecretDelete,
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

/// Mounts are the domain's config, policies and the accessors of all tokens rights of their own; the
/// rest is open to all who are in the domain, as far as it is their own.
fn of_server(permit: &Permit, address: &str, in_vault: Capabilities) -> Vec<&'static str> {
    let tells = |action| permit.tells(action, Resource::Tenant);
    let is_of_accessors = address.trim_end_matches('/') == "auth/token/accessors";
    let is_of_policies = ["sys/policies", "sys/policy", "auth/cert/certs"]
        .iter()
        .any(|above| address.starts_with(above));
    let is_of_mounts = ["sys/mounts", "sys/remount"].iter().any(|above| address.starts_with(above));
    let is_of_users = address.starts_with("auth/userpass/users");
    if !is_of_mounts && !is_of_policies && !is_of_accessors && !is_of_users {
        return vec!["create", "delete", "list", "patch", "read", "update"];
    }
    let (get, edit) = if is_of_policies {
        (Action::PolicyGet, Action::PolicyEdit)
    } else if is_of_users {
        (Action::UserGet, Action::UserEdit)
    } else {
        (Action::ConfigGet, Action::ConfigUpdate)
    };
    let (reads, changes) = (tells(get), tells(edit));
    let words = [
        ("create", changes),
        ("delete", changes),
        ("list", reads),
        ("patch", changes),
        ("read", reads),
        ("update", changes),
    ];
    let of_accessors = [("list", tells(Action::TokenGet))];
    let words = if is_of_accessors { of_accessors.as_slice() } else { words.as_slice() };
    let in_vault = Capability::ALL.iter().filter(|word| in_vault.contains(**word));
    let words = words.iter().filter_map(|(word, may)| may.then_some(*word));
    let words: BTreeSet<_> = words.chain(in_vault.map(|word| word.word())).collect();
    words.into_iter().collect()
}
