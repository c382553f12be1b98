//! Where a request of this dialect goes: the one place that knows what a slash is.
//!
//! `//` and an escaped slash are `/`, as most clients have it already; one at the end tells a
//! folder. Paths are decoded before they are matched. A GET with `?list=true` asks for LIST, and
//! one with `?scan=true` for SCAN, so that a route that lists nothing never takes it for a read.

use std::borrow::Cow;

use hyper::{Method, Uri};

use super::super::{Address, Captures, Params, TenantName, below, query};
use crate::{
    auth::{
        Thing,
        acl::{Addressed, Operation},
    },
    model::{Invalid, MountPath, text},
};

/// What the addresses begin with: with the domain, as vaultrs makes it of that, and in the caller's
/// own.
pub(super) const BASES: [&str; 3] = ["/api/{okmsId}/v1", "/v1/api/{okmsId}", "/v1"];

/// What no mount's path begins with: other things are there, or will be.
const NO_MOUNTS: [&str; 9] =
    ["api", "auth", "cubbyhole", "database", "identity", "partner", "secrets", "sys", "t"];
/// What no new mount's path begins with; older ones are served where nothing else is.
const NO_NEW_MOUNTS: [&str; 2] = ["rotation", "secret-policies"];
/// What can follow a mount in an address. None of it can be in a mount's path after its
/// beginning, so that where the mount ends can be read off any path.
const AFTER_MOUNTS: [&str; 8] =
    ["config", "data", "delete", "destroy", "detailed-metadata", "metadata", "subkeys", "undelete"];

/// Our own words behind a mount, where nothing follows them: a mount's path may have them elsewhere.
const AT_THE_END: [&str; 2] = ["copy", "move"];

const RESERVED: Invalid =
    Invalid("a mount's path cannot begin with this word, which has a meaning of its own");

/// The address that `uri` is in this dialect.
pub(super) fn parse<'u>(method: &Method, uri: &'u Uri) -> Option<Address<'u>> {
    let raw = uri.path();
    if !is_at(raw) {
        return None;
    }
    let (path, undecodable) = match query::decode(raw) {
        Ok(path) => (path, None),
        Err(fault) => (Cow::Borrowed(raw), Some(fault)),
    };
    let is_folder = path.ends_with('/');
    let path = single_slashes(path);
    let (tenant, length) = BASES.iter().find_map(|base| {
        let (tenant, rest) = below(base, &path)?;
        Some((tenant.map(TenantName::into_owned), rest.len()))
    })?;
    let path = end_of(path, length);
    let (method, unclear) = intent(method, uri.query().unwrap_or_default());
    let unfit = if raw.contains("/.") || raw.contains('%') { check(&path).err() } else { None };
    let is_folder = is_folder && !path.is_empty();
    Some(Address {
        method,
        tenant,
        mount: mount(&path),
        is_folder,
        fault: undecodable.or(unfit).or(unclear),
        path,
    })
}

/// What is asked for in the words of policies: the path below `v1/`, and what its method does there.
pub(super) fn addressed(address: &Address<'_>) -> Option<Addressed> {
    addressed_at(address.method.as_str(), &address.path)
}

/// The same of a method at a path.
pub(super) fn addressed_at(method: &str, path: &str) -> Option<Addressed> {
    let operation = match method {
        "GET" | "HEAD" => Operation::Read,
        "LIST" => Operation::List,
        "SCAN" => Operation::Scan,
        "POST" | "PUT" => Operation::Update,
        "PATCH" => Operation::Patch,
        "DELETE" => Operation::Delete,
        _ => return None,
    };
    let is_of_folder = matches!(operation, Operation::List | Operation::Scan);
    // The router passes over a slash at the end, and so does who may: a block for the path without
    // it is about both. Folders have one.
    let slash = if is_of_folder { "/" } else { "" };
    Some(Addressed {
        path: format!("{path}{slash}"),
        operation,
        is_put: operation == Operation::Update && !is_of_server(path),
        needs_sudo: is_protected(path),
        wrapped_for: None,
    })
}

/// What is named, and how: the mount before the secret, but where a mount shows the whole tree.
pub(super) fn named<'p>(
    address: &'p Address<'_>,
    captures: &Captures<'p>,
) -> Option<(Thing, Cow<'p, str>)> {
    let (thing, mount) = (captures.of?, address.mount());
    let Some(key) = captures.tail else {
        // Its defaults.
        return (thing == Thing::Mount).then_some((thing, Cow::Borrowed(mount)));
    };
    if thing != Thing::Secret {
        return Some((thing, Cow::Borrowed(key)));
    }
    let is_folder = ["LIST", "SCAN"].contains(&address.method.as_str());
    let thing = if is_folder { Thing::Folder } else { Thing::Secret };
    let end = if is_folder { "/" } else { "" };
    let is_whole = mount.parse().is_ok_and(|mount: MountPath| mount.built_in().is_some());
    Some(match (is_whole, is_folder) {
        (true, false) => (thing, Cow::Borrowed(key)),
        (true, true) => (thing, Cow::Owned(format!("{key}{end}"))),
        (false, _) => (thing, Cow::Owned(format!("{mount}/{key}{end}"))),
    })
}

/// Whether Vault asks for `sudo` there, too.
fn is_protected(path: &str) -> bool {
    const PATHS: [&str; 4] =
        ["auth/token/accessors", "auth/token/revoke-orphan", "sys/remount", "sys/seal"];
    PATHS.contains(&path) || path.starts_with("sys/auth/") || path.starts_with("sys/audit")
}

/// Keeps the address: it is told in hints, and where an answer that is wrapped came from.
pub(super) fn params(address: &Address<'_>, captures: &Captures<'_>) -> Params {
    Params {
        name: captures.tail.map(str::to_owned),
        address: address.clone().into_owned(),
        ..Params::default()
    }
}

/// Whether a path, as sent, is one of this dialect's.
fn is_at(path: &str) -> bool {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    match segments.next() {
        Some("v1") => true,
        Some("api") => segments.nth(1) == Some("v1"),
        _ => false,
    }
}

/// `path` with one slash where there were several, and none at its end.
fn single_slashes(path: Cow<'_, str>) -> Cow<'_, str> {
    if path.contains("//") {
        return Cow::Owned(path.split('/').filter(|segment| !segment.is_empty()).fold(
            String::new(),
            |mut path, next| {
                path.extend(["/", next]);
                path
            },
        ));
    }
    let length = path.trim_end_matches('/').len();
    match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.get(..length).unwrap_or_default()),
        Cow::Owned(mut path) => {
            path.truncate(length);
            Cow::Owned(path)
        }
    }
}

/// The last `length` bytes.
fn end_of(path: Cow<'_, str>, length: usize) -> Cow<'_, str> {
    let start = path.len() - length;
    match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.get(start..).unwrap_or_default()),
        Cow::Owned(mut path) => {
            path.drain(..start);
            Cow::Owned(path)
        }
    }
}

/// What is asked for, and what of the query does not tell it.
fn intent(method: &Method, query: &str) -> (Method, Option<Invalid>) {
    const BOTH: Invalid = Invalid("list and scan cannot be asked for together");
    // Vault says nothing of a flag that is none.
    const SILENT: Invalid = Invalid("");
    if *method != Method::GET || query.is_empty() {
        return (method.clone(), None);
    }
    let name = match (query::flag(query, "list"), query::flag(query, "scan")) {
        (Ok(true), Ok(true)) => return (Method::GET, Some(BOTH)),
        (Ok(true), Ok(false)) => "LIST",
        (Ok(false), Ok(true)) => "SCAN",
        (Ok(false), Ok(false)) => return (Method::GET, None),
        (Err(_), _) | (_, Err(_)) => return (Method::GET, Some(SILENT)),
    };
    (name.parse().unwrap_or(Method::GET), None)
}

/// How much of `path` is before the first word of KV2, or before one of ours at its end. What the server
/// itself answers under is no mount.
fn mount(path: &str) -> usize {
    let mut end = 0;
    for (at, segment) in path.split('/').enumerate() {
        if at == 0 && NO_MOUNTS.contains(&segment) {
            return 0;
        }
        let is_last = end + segment.len() == path.len();
        let follows = AFTER_MOUNTS.contains(&segment) || is_last && AT_THE_END.contains(&segment);
        if at > 0 && follows {
            return end - 1;
        }
        end += segment.len() + 1;
    }
    0
}

/// Whether the server itself answers at `path`, and no mount.
pub(super) fn is_of_server(path: &str) -> bool {
    matches!(path.split('/').next(), Some("sys" | "auth"))
}

/// The path of a mount that a client names.
///
/// # Errors
/// Where it is no mount's path, or an address below it could be read in two ways.
pub(super) fn mount_path(text: &str) -> Result<MountPath, Invalid> {
    let path = text.parse()?;
    let mut segments = text.split('/');
    if segments.next().is_some_and(|first| NO_MOUNTS.contains(&first)) {
        return Err(RESERVED);
    }
    if segments.any(|segment| AFTER_MOUNTS.contains(&segment)) {
        return Err(Invalid(
            "a mount's path cannot have one of the words of KV2 (data, metadata, config and so on) after its \
             first segment",
        ));
    }
    Ok(path)
}

/// The path of a mount that a client wants to make.
///
/// # Errors
/// As [`mount_path`]; and where other things are to be there.
pub(super) fn new_mount_path(text: &str) -> Result<MountPath, Invalid> {
    match text.split('/').next() {
        Some(first) if NO_NEW_MOUNTS.contains(&first) => Err(RESERVED),
        _ => mount_path(text),
    }
}

/// Whether a word can follow a mount in an address.
pub(in crate::api) fn follows_a_mount(word: &str) -> bool {
    AFTER_MOUNTS.contains(&word)
}

/// A path that a client names elsewhere than in the URL, with single slashes between its segments
/// alone.
///
/// # Errors
/// What Vault says to a segment that is `.` or `..`, or that cannot be printed.
pub(super) fn collapse(path: &str) -> Result<String, Invalid> {
    check(path)?;
    Ok(single_slashes(Cow::Borrowed(path)).trim_start_matches('/').to_owned())
}

fn check(path: &str) -> Result<(), Invalid> {
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Invalid("relative paths not supported"));
    }
    if !text::is_printable(path) {
        return Err(Invalid("the path has a character that cannot be printed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, url: &str) -> Option<Address<'static>> {
        parse(&method.parse().unwrap(), &url.parse().unwrap()).map(Address::into_owned)
    }

    #[test]
    fn mounts_end_before_the_first_word_of_kv2() {
        for (path, expected) in [
            ("secret/data/foo/data/bar", ("secret", "data/foo/data/bar")),
            ("ibmcloud/kv/metadata", ("ibmcloud/kv", "metadata")),
            ("data/data/x", ("data", "data/x")),
            ("config/config", ("config", "config")),
            ("a/b/c", ("", "a/b/c")),
            ("sys/mounts/config", ("", "sys/mounts/config")),
            ("auth/data/x", ("", "auth/data/x")),
            ("database/config", ("", "database/config")),
            ("secret", ("", "secret")),
            ("secret/move", ("secret", "move")),
            ("team/copy/move", ("team/copy", "move")),
            ("team/move/data/copy", ("team/move", "data/copy")),
            ("move", ("", "move")),
            ("move/copy/x", ("", "move/copy/x")),
            ("sys/mounts/copy", ("", "sys/mounts/copy")),
        ] {
            let address = of("GET", &format!("/v1/{path}")).unwrap();
            assert_eq!((address.mount(), address.rest()), expected, "{path}");
        }
    }

    #[test]
    fn words_that_mounts_cannot_have() {
        for right in ["secret", "team/a", "data", "config/x", "ibmcloud/kv", "team/move"] {
            assert_eq!(mount_path(right).unwrap().as_str(), right);
        }
        for wrong in ["sys", "sys/x", "auth/x", "api/x", "a/data", "a/b/metadata", "cubbyhole"] {
            assert!(mount_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn slashes_and_bases() {
        let id = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
        for (url, tenant, path, is_folder) in [
            ("/v1/secret/data/a".to_owned(), false, "secret/data/a", false),
            ("/v1//secret///data/a//".to_owned(), false, "secret/data/a", true),
            ("//v1/secret%2Fdata%2fa%252Fb".to_owned(), false, "secret/data/a%2Fb", false),
            (format!("/v1//api//{id}///secret"), true, "secret", false),
            (format!("/api/{id}/v1/"), true, "", false),
            (format!("/api//{id}/v1/a/b/"), true, "a/b", true),
            ("/v1".to_owned(), false, "", false),
        ] {
            let address = of("GET", &url).unwrap();
            let is_named = matches!(address.tenant, Some(TenantName::Id(Ok(_))));
            assert_eq!(is_named, tenant, "{url}");
            assert_eq!(
                (&*address.path, address.is_folder, address.fault),
                (path, is_folder, None),
                "{url}"
            );
        }
        for foreign in ["/api/x/v2/secret//foo", "/v2//okms", "/api", "/v11/secret", "/v1%2Fsecret"]
        {
            assert!(of("GET", foreign).is_none(), "{foreign}");
        }
        for (url, fault) in [
            ("/v1/secret/data/a/../b", "relative paths not supported"),
            ("/v1/secret/data/%2e", "relative paths not supported"),
            ("/v1/secret/data/a%e2%80%8b", "the path has a character that cannot be printed"),
        ] {
            assert_eq!(of("GET", url).unwrap().fault, Some(Invalid(fault)), "{url}");
        }
        assert!(of("GET", "/v1/secret/data/%ff").unwrap().fault.is_some());
        assert!(of("GET", "/v1/secret/data/a...b").unwrap().fault.is_none());
    }

    #[test]
    fn a_list_is_asked_for_by_method_or_query() {
        for (method, url, expected) in [
            ("GET", "/v1/secret/data/a?list=true", Some("LIST")),
            ("GET", "/api/x/v1/secret/data/a?scan=T", Some("SCAN")),
            ("GET", "/v1/secret/data/a?l%69st=1", Some("LIST")),
            ("GET", "/v1/secret/data/a?list=false&scan=", Some("GET")),
            ("GET", "/v1/secret/data/a?list", Some("GET")),
            ("GET", "/v1/secret/data/a?list=yes", None),
            ("GET", "/v1/secret/data/a?list=1&scan=1", None),
            ("LIST", "/v1/secret/data/a?list=yes", Some("LIST")),
            ("POST", "/v1/secret/data/a?list=true", Some("POST")),
        ] {
            let address = of(method, url).unwrap();
            let found = if address.fault.is_some() { None } else { Some(address.method.as_str()) };
            assert_eq!(found, expected, "{method} {url}");
        }
    }

    #[test]
    fn paths_are_collapsed() {
        assert_eq!(collapse("/a//b/").unwrap(), "a/b");
        assert!(
            collapse("a/../b").is_err() && collapse("a\u{200b}").is_err() && collapse(".").is_err()
        );
    }
}
