//! The house's own rules: who may import whom, which foreign crate belongs to which room, that every
//! use case asks its permit, and that every module says what it is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[path = "tidy/circles.rs"]
mod circles;

/// Each room, and the rooms that it may import. `app` and `cli` may import all.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("seldom", &[]),
    ("durable", &[]),
    ("fair", &[]),
    ("live", &[]),
    ("watch", &[]),
    ("clock", &["model", "seldom"]),
    ("metrics", &["model"]),
    ("telemetry", &["config"]),
    ("config", &["model", "files"]),
    ("files", &[]),
    ("crypto", &["model", "files"]),
    ("store", &["crypto", "durable", "fair", "model", "seldom"]),
    ("auth", &["model", "pki"]),
    ("pki", &["model"]),
    ("audit", &["auth", "clock", "crypto", "durable", "model"]),
    ("material", &["files", "pki"]),
    ("service", &["auth", "crypto", "fair", "model", "pki", "store"]),
    ("api", &["auth", "fair", "model", "service"]),
    ("http", &["api", "audit", "auth", "clock", "fair", "model", "metrics", "seldom", "service"]),
    (
        "server",
        &[
            "audit", "auth", "clock", "config", "model", "files", "http", "live", "material",
            "metrics", "pki", "seldom", "service",
        ],
    ),
];

/// Foreign crates with an owner, and the files or folders that may name them.
const OWNERS: &[(&str, &[&str])] = &[
    ("redb", &["store/engines"]),
    ("tokio_postgres", &["store/engines/postgres"]),
    ("futures_util", &["store/engines/postgres"]),
    ("twox_hash", &["store/engines", "store/export.rs"]),
    ("minicbor", &["store/kinds"]),
    ("rustls", &["server", "cli/client.rs", "audit/link.rs", "store/engines"]),
    ("tokio_rustls", &["server", "cli/client.rs", "store/engines/postgres"]),
    ("webpki", &["server/refused.rs"]),
    ("rustls_pki_types", &["pki", "material.rs"]),
    ("rcgen", &["pki"]),
    ("yasna", &["pki"]),
    ("x509_parser", &["auth/facets.rs", "auth/identity.rs", "auth/names.rs", "pki"]),
    ("argon2", &["crypto"]),
    ("bcrypt", &["crypto/making"]),
    ("aws_lc_rs", &["crypto", "pki", "auth/identity.rs", "auth/jwt", "auth/pdp"]),
    ("prometheus", &["metrics"]),
    ("toml", &["config"]),
    ("serde_saphyr", &["app/yaml.rs"]),
    ("flate2", &["audit/packed.rs"]),
    ("clap", &["cli"]),
    ("hyper", &["server", "http", "api", "cli"]),
    ("hyper_util", &["server", "cli/client.rs"]),
    ("serde_json", &["api", "audit", "auth/acl", "auth/jwt", "auth/object.rs", "auth/pdp", "cli"]),
];

/// What the pure rooms never do, beside what they may not import.
const PURE: &[(&str, &[&str])] = &[
    ("model", &["tokio", "std::fs", "std::net", "std::env", "std::process", "SystemTime", "serde"]),
    ("auth", &["tokio", "std::fs", "std::net", "std::env", "SystemTime"]),
    ("pki", &["tokio", "std::fs", "std::env", "SystemTime"]),
];

#[test]
fn rooms_import_what_they_may() {
    let mut faults = Vec::new();
    for file in sources() {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| file.room == *room) else {
            continue;
        };
        for import in imports(&file.code) {
            if import != file.room && !allowed.contains(&import.as_str()) {
                faults.push(format!("{}: {} may not import {import}", file.name, file.room));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What must not be named but in these files: the one way around the cipher, and the one around
/// certificates. Each use is a place for a reviewer to look at.
#[test]
fn ways_around_are_few() {
    let ways = [
        (
            "Sealed::public(",
            &[
                "service/announced.rs",
                "service/audit_devices.rs",
                "service/endings.rs",
                "service/issued.rs",
                "service/lines.rs",
                "service/names.rs",
                "service/region.rs",
                "service/revocations.rs",
                "service/secrets/index.rs",
                "service/tokens.rs",
                "service/trails.rs",
                "store/engines/redb/frame.rs",
                "store/kinds/event.rs",
                "store/kinds/leaving.rs",
                "store/kinds/tenant.rs",
                "store/past.rs",
            ][..],
        ),
        ("of_process(", &["auth/directory.rs", "cli/dev.rs"]),
        ("directory::visitor(", &["http/edge.rs"]),
        ("directory::bearer(", &["http/edge.rs"]),
    ];
    for (way, allowed) in ways {
        let files = sources();
        let users = files.iter().filter(|file| {
            let code = file.code.split("#[cfg(test)]").next().unwrap_or_default();
            code.contains(way)
        });
        let users: BTreeSet<_> = users.map(|file| &*file.name).collect();
        assert_eq!(users, allowed.iter().copied().collect(), "{way}");
    }
}

/// The store knows few things of the cipher: what is sealed, and what a wrapped key looks like.
#[test]
fn the_store_does_not_seal() {
    let mut named = 0;
    for file in sources().iter().filter(|file| file.room == "store") {
        let code =
            file.code.split("#[cfg(test)]").next().unwrap_or_default().replace(['\n', ' '], "");
        // That of TLS is another one.
        let code = code.replace("rustls::crypto::", "");
        for (at, word) in code.match_indices("crypto::") {
            let rest = &code[at + word.len()..];
            let items = rest
                .strip_prefix('{')
                .map_or(rest, |items| items.split('}').next().unwrap_or_default());
            for item in items.split(',').take(if rest.starts_with('{') { usize::MAX } else { 1 }) {
                let item: String = item.chars().take_while(|c| c.is_alphanumeric()).collect();
                assert!(
                    ["Sealed", "WrappedDataKey", "WrappedKey", ""].contains(&&*item),
                    "{}: crypto::{item}",
                    file.name
                );
                named += 1;
            }
        }
    }
    assert!(named > 2, "it is looked at");
}

#[test]
fn foreign_crates_have_owners() {
    let mut faults = Vec::new();
    for file in sources() {
        for (name, owners) in OWNERS {
            let is_owner = owners.iter().any(|owner| file.name.starts_with(owner));
            if !is_owner && names_crate(&file.code, name) {
                faults.push(format!("{}: {name} belongs to {owners:?}", file.name));
            }
        }
        for (room, words) in PURE {
            for word in words.iter().filter(|word| file.room == *room && file.code.contains(**word))
            {
                faults.push(format!("{}: {room} never touches {word}", file.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Within a room, too, arrows point one way, so that each file can be read, tested and moved with
/// what is below it alone.
#[test]
fn no_circles_within_a_room() {
    let found = circles::circles(&sources());
    assert!(found.is_empty(), "files in a circle, and whom they lean on in it: {found:#?}");
}

/// A permit that nobody asks lets everybody do everything: `Mounts::view` took one and never did.
/// Each use case asks, or hands the permit on to another of its file that does, and does so before
/// it waits for anything. What it asks for, no scanner can tell.
#[test]
fn every_use_case_asks_its_permit() {
    let (mut asking, mut silent) = (0, Vec::new());
    for file in sources().iter().filter(|file| file.room == "service") {
        let cases = use_cases(&file.code);
        for case in &cases {
            if asks(case, &cases) {
                asking += 1;
            } else {
                silent.push(format!("{}: {}", file.name, case.name));
            }
        }
    }
    assert!(silent.is_empty(), "they ask no permit: {silent:#?}");
    assert!(asking > 30, "the scanner finds the use cases");
}

/// A public function that is given a permit.
struct UseCase<'a> {
    name: &'a str,
    /// What it does before it first waits.
    beginning: &'a str,
}

/// The use cases of a file that is formatted as `cargo fmt` does.
fn use_cases(code: &str) -> Vec<UseCase<'_>> {
    let functions = code.split("\n    pub async fn ").skip(1);
    let functions = functions.filter_map(|rest| {
        let (head, body) = rest.split("\n    }").next()?.split_once(" {\n")?;
        let name = head.split(['(', '<']).next()?;
        let beginning = body.split(".await").next()?;
        ["&Permit", "&RegionPermit"]
            .iter()
            .any(|kind| head.contains(kind))
            .then_some(UseCase { name, beginning })
    });
    functions.collect()
}

fn asks(case: &UseCase<'_>, others: &[UseCase<'_>]) -> bool {
    let hands_on_to = |other: &&UseCase<'_>| {
        other.name != case.name && case.beginning.contains(&format!("self.{}(permit", other.name))
    };
    let ways = ["check", "check_beside", "check_here", "allows", "tells"];
    ways.iter().any(|way| case.beginning.contains(&format!("permit.{way}(")))
        || others.iter().filter(hands_on_to).any(|other| asks(other, others))
}

/// The pipeline and the router know the trait of dialects, and none of them; neither do their tests
/// and comments.
#[test]
fn http_names_no_dialect() {
    for file in sources().iter().filter(|file| ["http", "server"].contains(&&*file.room)) {
        for word in [
            "vault",
            "okms::",
            "control::",
            "namespace",
            "RESERVED_SEGMENTS",
            "\"v1\"",
            "/v2",
            "/v1",
        ] {
            assert!(
                !file.text.to_lowercase().contains(&word.to_lowercase()),
                "{} names {word}",
                file.name
            );
        }
    }
}

#[test]
fn every_room_is_in_the_plan() {
    for file in sources() {
        let known = ROOMS.iter().any(|(room, _)| *room == file.room)
            || ["app", "cli", "fuzzing", "lib", "main"].contains(&&*file.room);
        assert!(known, "{}: the room {} is not in the plan", file.name, file.room);
    }
}

#[test]
fn every_module_says_what_it_is() {
    for file in sources() {
        assert!(file.text.starts_with("//! "), "{} has no module doc", file.name);
    }
}

#[test]
fn no_key_is_in_the_repository() {
    for folder in ["src", "tests", "certs", "scripts", "helm", "docs", "benches", "fuzz/targets"] {
        for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
            let text = fs::read(&path).unwrap();
            let extension =
                path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            assert!(
                !holds_key(&String::from_utf8_lossy(&text)),
                "{} holds a private key",
                path.display()
            );
            assert!(
                !["key", "p12", "pfx"].contains(&extension),
                "{} is key material",
                path.display()
            );
        }
    }
}

/// Each test that the table of compatibility names is there, under that name.
#[test]
fn the_table_of_compatibility_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/COMPATIBILITY.md")).unwrap();
    let named: Vec<_> = table.split('`').filter_map(|word| word.split_once("::")).collect();
    assert!(named.len() > 60, "the table names its tests");
    for (module, name) in named {
        let file = root.join(format!("tests/api/vault/{module}.rs"));
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            text.contains(&format!("async fn {name}()")),
            "{module}::{name} is in the table and not in the tests"
        );
    }
}

/// So are those of the threat model, which names them with their module, or alone where no other has
/// such a name.
#[test]
fn the_threat_model_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/THREAT_MODEL.md")).unwrap();
    let read = |path: PathBuf| {
        let module = path.strip_prefix(root).unwrap().with_extension("");
        let module = module.iter().map(|part| part.to_str().unwrap().to_owned());
        (module.collect::<Vec<_>>(), fs::read_to_string(&path).unwrap_or_default())
    };
    let all: Vec<_> =
        ["src", "tests"].iter().flat_map(|folder| files(&root.join(folder))).map(read).collect();
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        let (module, name) = word.rsplit_once("::").unwrap_or(("", word));
        let is_word =
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        // Metrics and settings have shorter names than tests that stand alone.
        let is_test = !module.is_empty() || name.matches('_').count() > 2;
        if !is_word || !is_test || name.starts_with("okmsd_") {
            continue;
        }
        let is_in = |path: &[String]| {
            module.split("::").all(|part| part.is_empty() || path.iter().any(|known| known == part))
        };
        let is_there = |(path, text): &&(Vec<String>, String)| {
            is_in(path) && text.contains(&format!("fn {name}()"))
        };
        assert!(all.iter().any(|file| is_there(&file)), "{word} is in the threat model alone");
        named += 1;
    }
    assert!(named > 80, "the threat model names its tests: {named}");
}

/// Whether the marker of a private key is followed by more than a placeholder.
fn holds_key(text: &str) -> bool {
    text.split("PRIVATE KEY-----").skip(1).any(|rest| {
        let is_key = |c: &char| c.is_ascii_alphanumeric() || "+/=".contains(*c);
        rest.trim_start_matches(['\n', '\r', ' ']).chars().take_while(is_key).count() >= 48
    })
}

/// The scanner itself can fail: it sees what it must see.
#[test]
fn the_scanner_sees() {
    let code = "use crate::{\n    auth::{Action, Permit},\n    store::engine::{Engine, Space},\n};\nuse crate::model::X;\nlet y = crate::pki::Z;";
    assert_eq!(imports(code), ["auth", "store", "model", "pki"]);
    assert!(
        names_crate("use redb::Database;", "redb") && names_crate("let x: redb::Error", "redb")
    );
    assert!(
        holds_key(&format!("-----BEGIN PRIVATE KEY-----\n{}", "A".repeat(64)))
            && !holds_key("PRIVATE KEY-----\n…")
    );
    assert!(
        !names_crate("use super::redb::RedbEngine;", "redb")
            && !names_crate("hyper_util::rt", "hyper")
    );
    let cases = "impl X {
    pub async fn asks(&self, permit: &Permit) -> Result<(), Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
    }

    pub async fn hands_on(
        &self,
        permit: &RegionPermit,
    ) -> Result<(), Error> {
        self.asks(permit).await
    }

    pub async fn asks_late(&self, permit: &Permit) -> Result<(), Error> {
        self.read().await?;
        permit.check(Action::DomainGet, Resource::Tenant)?;
    }

    pub async fn never_asks(&self, _: &Permit) -> Result<(), Error> {
        self.asks_late(permit).await
    }

    pub async fn has_none(&self) -> Result<(), Error> {
        Ok(())
    }
}";
    let cases = use_cases(cases);
    let asking = cases.iter().filter(|case| asks(case, &cases)).map(|case| case.name);
    assert_eq!(asking.collect::<Vec<_>>(), ["asks", "hands_on"]);
    assert_eq!(cases.len(), 4);
}

struct Source {
    /// Below `src`.
    name: String,
    room: String,
    text: String,
    /// Without tests and comments.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let is_test =
            name.ends_with("tests.rs") || name.ends_with("test_tools.rs") || name == "fuzzing.rs";
        let code = if is_test { "" } else { text.split("#[cfg(test)]\nmod tests").next().unwrap() };
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        let room = name.split(['/', '.']).next().unwrap().to_owned();
        Source { name, room, text, code }
    };
    let sources: Vec<_> = files(&root)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(read)
        .collect();
    assert!(sources.len() > 40, "the scanner finds the sources");
    sources
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The rooms that `crate::…` paths name, grouped imports included.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, marker) in code.match_indices("crate::") {
        let rest = &code[at + marker.len()..];
        let members = rest.strip_prefix('{').map_or_else(|| vec![rest], top_level);
        for member in members {
            let name: String =
                member.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.starts_with(char::is_lowercase) && !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

/// The members of a braced group, whose opening brace is gone.
fn top_level(group: &str) -> Vec<&str> {
    let (mut members, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                members.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members
}

fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let follows = code[at + name.len()..].starts_with("::");
        follows && !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '.')
    })
}
