//! What policies say and decide, case by case. That the order of precedence is Vault's is held by
//! `naive` as well, for random ones.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{
    Acl, Capability, Carried, Decision, Door, Given, InVault, Mounts, Nobody, Operation, Policy,
    Ruling, Unfit,
};
use crate::{
    auth::{Action, Extent, Resource, WrittenUser, acls::Holder, cert_rule, patterns::Verdict},
    model::CertRule,
};

fn acl(text: &str) -> Acl {
    Acl::of([("p", &Policy::parse(text).unwrap(), &Nobody)])
}

fn fault(text: &str) -> String {
    Policy::parse(text).unwrap_err().to_string()
}

fn path_that_decides(decision: Decision<'_>) -> String {
    decision.ruling().map(Ruling::path).unwrap_or_default()
}

#[test]
fn a_text_is_read_as_vault_reads_it() {
    let hcl = r#"
        # who may what
        name = "dev" // not used
        path "*" { policy = "deny" }
        /* several
           lines */
        path "stage/*" { policy = "sudo" } path "prod/version" { policy = "read", comment = "x" }
        "path" "/foo/bar" {
            "policy" = "read"
            min_wrapping_ttl = 300 max_wrapping_ttl = "1h"
        }
        path "foo/bar" {
            capabilities = ["create", "sudo",]
            allowed_parameters { "zip" = [] "Zap" = [1, true, {"good" = "one"}] }
        }
        path pär-a.b = {}
        path "esc\"aped\\\u00e9\x41\101" { capabilities = "read" }
    "#
    .replace("path pär-a.b = {}", "path pär-a.b {}");
    let json = r#" {
        "name": "dev",
        "path": {
            "*": {"policy": "deny"},
            "stage/*": {"policy": "sudo"},
            "prod/version": {"policy": "read", "comment": "x"},
            "/foo/bar": {"policy": "read", "min_wrapping_ttl": "300s", "max_wrapping_ttl": 3600},
            "foo/bar": [{
                "capabilities": ["create", "sudo"],
                "allowed_parameters": {"zip": [], "zap": [1, true, {"good": "one"}]}
            }],
            "pär-a.b": {},
            "esc\"aped\\éAA": {"capabilities": ["read"]}
        }
    }"#;
    let policy = Policy::parse(&hcl).unwrap();
    assert_eq!(policy, Policy::parse(json).unwrap());
    let in_a_list = format!("{{\"path\": [{}]}}", "{\"a\": {\"policy\": \"read\"}}, {\"b\": {}}");
    assert_eq!(Policy::parse(&in_a_list).unwrap().rules().len(), 2);
    let said: Vec<_> = policy
        .rules()
        .iter()
        .map(|rule| (rule.path(), rule.resolve(&Nobody).unwrap(), rule.capabilities().words()))
        .collect();
    let sudo = ["create", "delete", "list", "read", "sudo", "update"];
    for (said, (path, resolved, words)) in said.iter().zip([
        ("*", "*", &["deny"][..]),
        ("stage/*", "stage/*", &sudo),
        ("prod/version", "prod/version", &["list", "read"]),
        ("/foo/bar", "foo/bar", &["list", "read"]),
        ("foo/bar", "foo/bar", &["create", "sudo"]),
        ("pär-a.b", "pär-a.b", &["deny"]),
        ("esc\"aped\\éAA", "esc\"aped\\éAA", &["read"]),
    ]) {
        assert_eq!(*said, (path, resolved.to_owned(), words.to_vec()));
    }
    for empty in ["", "\n# nothing\n", "{}", "path \"a\" {}"] {
        assert!(acl(empty).decide("a", Operation::Read).capabilities().is_empty(), "{empty:?}");
    }
}

#[test]
fn what_is_wrong_is_told_by_its_name() {
    for (text, words) in [
        ("name = \"x\"\nbad = \"foo\"", "invalid key \"bad\" on line 2"),
        ("name {}", "invalid key \"name\" on line 1"),
        ("Path \"a\" {}", "invalid key \"Path\" on line 1"),
        ("{\"bad\": 1}", "invalid key \"bad\""),
        (
            "path \"p\" {\n policy = \"read\"\n capabilites = []\n}",
            "path \"p\": invalid key \"capabilites\" on line 3",
        ),
        ("path \"p\" { capabilities = [\"read\", \"x\"] }", "path \"p\": invalid capability \"x\""),
        ("path \"p\" { capabilities = [\"Read\"] }", "path \"p\": invalid capability \"Read\""),
        ("path \"p\" { capabilities = [\"root\"] }", "path \"p\": invalid capability \"root\""),
        ("path \"p\" { capabilities = [\"deny\", \"x\"] }", "path \"p\": invalid capability \"x\""),
        ("path \"p\" { capabilities = [1] }", "path \"p\": capabilities is a list of texts"),
        ("path \"p\" { policy = \"banana\" }", "path \"p\": invalid policy \"banana\""),
        (
            "path \"p\" { min_wrapping_ttl = 400, max_wrapping_ttl = \"200s\" }",
            "path \"p\": max_wrapping_ttl cannot be less than min_wrapping_ttl",
        ),
        (
            "path \"p\" { max_wrapping_ttl = \"1500ms\" }",
            "path \"p\": max_wrapping_ttl is a number of seconds, or text such as 90s, 5m or 1h",
        ),
        (
            "path \"p\" { min_wrapping_ttl = -1 }",
            "path \"p\": min_wrapping_ttl is a number of seconds, or text such as 90s, 5m or 1h",
        ),
        (
            "path \"foo/+*\" { policy = \"read\" }",
            "path \"foo/+*\": invalid use of wildcards ('+*' is forbidden)",
        ),
        (
            "path \"p\" { policy = \"read\" policy = \"write\" }",
            "path \"p\": the key \"policy\" is there twice",
        ),
        (
            "{\"path\": {\"p\": {\"policy\": \"read\", \"policy\": \"write\"}}}",
            "path \"p\": the key \"policy\" is there twice",
        ),
        (
            "path \"p\" { denied_parameters = { \"a\" = [] \"A\" = [1] } }",
            "path \"p\": denied_parameters has \"A\" twice",
        ),
        (
            "path \"p\" { denied_parameters = { \"a\" = 1 } }",
            "path \"p\": denied_parameters is an object that has a list of values for each parameter",
        ),
        ("path {}", "line 1: path takes one path and a block in { }"),
        ("path { policy = \"read\" }", "line 1: path takes one path and a block in { }"),
        ("path \"a\" \"b\" {}", "line 1: path takes one path and a block in { }"),
        ("path \"a\" = {}", "line 1: a block with a name has no = before its {"),
        ("path \"a\" {\n", "line 2: the text ends within a block or after a key"),
        ("path \"a\" {}\n}", "line 2: a key is expected, or = or { after one"),
        ("path \"a${b}\" {}", "line 1: ${ in a text is not read here"),
        (
            "path \"a\" { comment = <<E\nx\nE\n}",
            "line 1: heredocs are not read here; put the text in quotes",
        ),
        (
            "path \"a\" { pagination_limit = 010 }",
            "line 1: a number is written in decimal, without zeros in front",
        ),
        (
            "path \"a\" { capabilities = [\"read\" \"list\"] }",
            "line 1: a comma or ] is expected in a list",
        ),
        ("path \"a\nb\" {}", "line 2: the text in quotes does not end"),
        ("path \"\\q\" {}", "line 1: the text has a wrong \\ in it"),
        ("path \"\\xe9\" {}", "line 1: the text has a wrong \\ in it"),
        ("/* no end", "line 1: a comment does not end"),
        ("{\"path\":\n {\"secret-value\"}}", "line 2: this is not valid JSON"),
        ("path \"a\0\" {}", "the policy contains a NUL character"),
    ] {
        assert_eq!(fault(text), words, "{text}");
    }
    let long = format!("path \"p\" {{ capabilities = [\"{}\"] }}", "x".repeat(1000));
    assert!(fault(&long).len() < 200);
}

/// Policies of newer Vaults were refused for words of what there is not here.
#[test]
fn words_of_what_there_is_not_here_give_nothing() {
    let acl = acl(r#"
        path "a/*" { capabilities = ["read", "list"] }
        path "a/b" { capabilities = ["read", "subscribe", "recover"] }
        path "a/c" { capabilities = ["subscribe"] }
        path "a/d" { capabilities = ["recover", "deny"] }
    "#);
    assert_eq!(acl.capabilities("a/b"), ["read"]);
    // A block that gives nothing else is one all the same.
    assert_eq!(acl.capabilities("a/c"), ["deny"]);
    assert!(!acl.decide("a/c", Operation::Read).denies_explicitly());
    assert!(acl.decide("a/d", Operation::Read).denies_explicitly());
}

/// A policy that asks for a second factor, or ends by itself, would give more here than its author
/// thinks: it is taken only where that changes nothing.
#[test]
fn what_would_have_narrowed_a_block_is_refused() {
    for (key, empty, set) in [
        ("mfa_methods", "[]", "[\"totp\"]"),
        ("pagination_limit", "0", "10"),
        ("list_scan_response_keys_filter_path", "\"\"", "\"a/{{ .key }}\""),
    ] {
        let block = |capability: &str, value: &str| {
            format!("path \"p\" {{ capabilities = [\"{capability}\"] {key} = {value} }}")
        };
        assert!(Policy::parse(&block("list", empty)).is_ok(), "{key}");
        assert!(Policy::parse(&block("deny", set)).is_ok(), "{key}");
        let told = format!("path \"p\": {key} is not supported");
        assert!(fault(&block("list", set)).starts_with(&told), "{key}");
        // Another policy may give something at the same path.
        let nothing = format!("path \"p\" {{ {key} = {set} }}");
        assert!(fault(&nothing).starts_with(&told), "{key}");
    }
    let group = |rest: &str| {
        format!(
            "path \"p\" {{ {rest} control_group {{ factor \"a\" {{ identity {{ approvals = 1 }} }} }} }}"
        )
    };
    assert!(fault(&group("policy = \"read\"")).starts_with("path \"p\": control_group is not"));
    assert!(Policy::parse(&group("policy = \"deny\"")).is_ok());
    for capability in ["read", "deny"] {
        let ends = |at: &str| {
            format!("path \"p\" {{ capabilities = [\"{capability}\"] expiration = \"{at}\" }}")
        };
        assert!(fault(&ends("2006-01-02T15:04:05Z")).starts_with("path \"p\": expiration is not"));
        assert!(Policy::parse(&ends("")).is_ok());
    }
}

/// Whoever can choose a name or metadata must not choose the policy: a wildcard, or a slash, or
/// nothing in the place of a name would have opened the folders of others.
#[test]
fn values_of_an_identity_are_one_piece_of_a_path() {
    // As there are: of a rule, of a user, and nobody.
    let path = |template: &str, name: &str| {
        let policy =
            Policy::parse(&format!("path \"{template}\" {{ policy = \"read\" }}")).unwrap();
        let metadata: BTreeMap<_, _> = [("a.b".to_owned(), "x y".to_owned())].into();
        let rule = CertRule { metadata: metadata.clone(), ..CertRule::default() };
        let rule = cert_rule::Rule::new(name, &rule);
        let user = WrittenUser { metadata, ..WrittenUser::default() };
        let resolve = |holder: Holder<'_>| policy.rules()[0].resolve(&holder);
        assert_eq!(resolve(Holder::default()), None, "{template}");
        let of_user = resolve(Holder::of_user(name, Some(&user)));
        assert_eq!(of_user, resolve(Holder::of_rule(&rule)), "{template}");
        if template.contains("metadata") {
            assert_eq!(resolve(Holder::of_user(name, None)), None, "{template}");
        }
        of_user
    };
    let resolved = |template: &str| path(template, "ann");
    assert_eq!(resolved("/a/{{identity.entity.name}}/*").as_deref(), Some("a/ann/*"));
    assert_eq!(
        resolved("{{ identity.entity.name }}{{identity.entity.metadata.a.b}}-").as_deref(),
        Some("annx y-")
    );
    assert_eq!(resolved("a/{{identity.entity.metadata.c}}"), None);
    // A deny with an id was taken, and denied nobody.
    for capability in ["read", "deny"] {
        let text = format!(
            "path \"a/{{{{identity.entity.id}}}}\" {{ capabilities = [\"{capability}\"] }}"
        );
        assert_eq!(
            fault(&text),
            "path \"a/{{identity.entity.id}}\": identities here have no id; use identity.entity.name or \
             identity.entity.metadata.<key>"
        );
        // One that is stored shuts nobody out.
        assert_eq!(Policy::kept(&text).unwrap().rules()[0].resolve(&Nobody), None);
    }
    for never in [
        "identity.entity.aliases.auth_cert_1.name",
        "identity.groups.names.x.id",
        "identity.groups.ids.x.metadata.y",
        "time.now",
        "time.now.plus.1h",
    ] {
        assert_eq!(resolved(&format!("a/{{{{{never}}}}}")), None, "{never}");
        let deny = format!("path \"a/{{{{{never}}}}}\" {{ policy = \"deny\" }}");
        assert!(fault(&deny).ends_with("this would deny nothing"), "{never}");
    }
    for value in ["", "*", "a*", "+", "a/b", "/"] {
        let user = Holder::of_user(value, None);
        let text = "path \"a/{{identity.entity.name}}/*\" { policy = \"read\" }";
        assert_eq!(Policy::parse(text).unwrap().rules()[0].resolve(&user), None, "{value:?}");
    }
    for (template, words) in [
        ("a{{b", "unbalanced"),
        ("a}}b", "unbalanced"),
        ("{{identity.entity.name}}}}", "unbalanced"),
        ("{{a{{identity.entity.name}}", "unbalanced"),
        ("{{identity.entity.nam}}", "unknown template"),
        ("{{}}", "unknown template"),
    ] {
        let told = fault(&format!("path \"{template}\" {{}}"));
        assert!(told.contains(words), "{template}: {told}");
    }
    // The other blocks stand.
    let both = "path \"a/{{identity.entity.name}}\" { policy = \"deny\" }\npath \"b\" { policy = \"read\" }";
    assert!(acl(both).decide("b", Operation::Read).is_allowed());
}

/// Each case has a block that reads and one that updates; the second is the more specific.
#[test]
fn the_more_specific_block_decides() {
    for (reads, updates, path) in [
        // The first wildcard is further to the right.
        ("+/*", "foo/+/*", "foo/bar/bar/baz"),
        ("foo/+/(ar/baz", "foo/(ar/+/baz", "foo/(ar/(ar/baz"),
        ("foo/+", "foo/b*", "foo/bar"),
        ("+/a", "*", "/a/b"),
        ("foo/*", "foo/bar/*", "foo/bar/"),
        // No * at the end.
        ("foo/bar/+/baz*", "foo/bar/+/baz", "foo/bar/bar/baz"),
        ("foo/*", "foo/+", "foo/bar"),
        // Fewer + in it.
        ("foo/+/+/baz", "foo/+/bar/baz", "foo/bar/bar/baz"),
        ("foo/+/+/*", "foo/+/bar/ba*", "foo/bar/bar/baz"),
        ("+/*", "*", "foo/bar"),
        // Longer.
        ("foo/bar/+/b*", "foo/bar/+/ba*", "foo/bar/bar/baz"),
        ("+/a/+", "+/+/bb", "x/a/bb"),
        ("+/a/+/*", "+/+/a/b*", "x/a/a/b"),
        // Greater.
        ("+/+/a/+", "+/a/+/+", "a/a/a/a"),
        // One path alone.
        ("foo/b*", "foo/bar", "foo/bar"),
        ("foo/+", "foo/bar", "foo/bar"),
        ("foo/bar*", "foo/bar", "/foo/bar"),
    ] {
        let text = format!(
            "path \"{reads}\" {{ capabilities = [\"read\"] }}\npath \"{updates}\" {{ capabilities = [\"update\"] }}"
        );
        let (acl, expected) =
            (acl(&text), if updates == "*" && path == "/a/b" { "*" } else { updates });
        let decision = acl.decide(path, Operation::Update);
        assert_eq!(path_that_decides(decision), expected, "{reads} {path}");
        assert!(decision.is_allowed() && !acl.decide(path, Operation::Read).is_allowed());
    }
}

#[test]
fn wildcards_stand_for_what_vault_has_them_stand_for() {
    for (pattern, fits, others) in [
        ("a/*", &["a/", "a/b", "a/b/c", "//a/b"][..], &["a", "ab", "b/a/"][..]),
        ("a*", &["a", "ab", "a/b"], &["", "b"]),
        ("*", &["", "a", "a/b"], &[]),
        ("a*b", &["a*b"], &["axb", "a*bc"]),
        ("a**", &["a*", "a*x"], &["a"]),
        ("+", &["a", ""], &["a/", "a/b"]),
        ("a/+/c", &["a/b/c", "a//c"], &["a/c", "a/b/c/", "a/b/b/c"]),
        ("a/+/", &["a/b/"], &["a/b", "a/b/c"]),
        ("+/+", &["a/b", "a/"], &["a", "a/b/c"]),
        ("a/+/b*", &["a/x/b", "a/x/bc/d"], &["a/x/c", "a/x", "a/b"]),
        ("a/+/*", &["a/x/", "a/x/y/z"], &["a/x", "a/"]),
        ("foo+/b", &["foo+/b"], &["foox/b"]),
        ("a/+foo", &["a/+foo"], &["a/xfoo"]),
    ] {
        let acl = acl(&format!("path \"{pattern}\" {{ policy = \"read\" }}"));
        for path in fits {
            assert!(acl.decide(path, Operation::Read).is_allowed(), "{pattern} {path}");
        }
        for path in others {
            assert!(!acl.decide(path, Operation::Read).is_allowed(), "{pattern} {path}");
        }
    }
}

/// A folder is listed with a slash at its end, which many policies leave out.
#[test]
fn folders_are_found_without_their_slash() {
    let lists = |text: &str, path: &str| acl(text).decide(path, Operation::List).is_allowed();
    assert!(lists("path \"a/b\" { policy = \"read\" }", "a/b/"));
    assert!(lists("path \"a/+\" { policy = \"read\" }", "a/b/"));
    assert!(!lists("path \"a/b/\" { policy = \"read\" }", "a/b"));
    let one = acl("path \"a/b\" { policy = \"read\" }");
    let read = one.decide("a/b/", Operation::Read).is_allowed();
    assert!(!read, "for lists only");
    // What fits with the slash comes first, even where it is less specific.
    assert!(!lists("path \"a/+\" { policy = \"read\" }\npath \"*\" { policy = \"deny\" }", "a/b/"));
    // But for one path alone.
    assert!(lists(
        "path \"a/b\" { policy = \"read\" }\npath \"a/b/*\" { policy = \"deny\" }",
        "a/b/"
    ));
    let nested = "path \"m/*\" { capabilities = [\"list\", \"scan\"] }
        path \"m/private/*\" { policy = \"deny\" }
        path \"m/private/granted/*\" { capabilities = [\"list\", \"scan\"] }";
    for (path, expected) in [
        ("x/", false),
        ("m/", true),
        ("m/t/", true),
        ("m/private/", false),
        ("m/private/x/", false),
        ("m/private/granted/", true),
        ("m/private/granted/t/", true),
    ] {
        for operation in [Operation::List, Operation::Scan] {
            assert_eq!(acl(nested).decide(path, operation).is_allowed(), expected, "{path}");
        }
    }
}

#[test]
fn blocks_of_one_path_are_made_one() {
    let one = Policy::parse(
        "path \"a\" { capabilities = [\"read\"] } path \"b/*\" { policy = \"deny\" }
         path \"c/+\" { policy = \"read\" allowed_parameters = { \"x\" = [] } }",
    );
    let other = Policy::parse(
        "path \"/a\" { capabilities = [\"list\"] } path \"b/*\" { policy = \"sudo\" } path \"a*\" { policy = \"sudo\" }
         path \"c/+\" { policy = \"deny\" }",
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    for policies in [[("One", &one), ("one", &other)], [("one", &other), ("One", &one)]] {
        let acl = Acl::of(policies.map(|(name, policy)| (name, policy, &Nobody)));
        assert_eq!(acl.capabilities("a"), ["list", "read"]);
        assert_eq!(acl.capabilities("b/x"), ["deny"]);
        assert_eq!(acl.capabilities("zz"), ["deny"]);
        assert_eq!(acl.capabilities("ab"), ["create", "delete", "list", "read", "sudo", "update"]);
        let decision = acl.decide("a", Operation::List);
        let ruling = decision.ruling().unwrap();
        let names = |of: [&str; 2]| policies.map(|(name, _)| name) == of;
        assert!(names(["One", "one"]) || names(["one", "One"]));
        assert_eq!(ruling.policies().collect::<Vec<_>>(), policies.map(|(name, _)| name));
        assert_eq!(ruling.policies_with(Capability::List).collect::<Vec<_>>(), ["one"]);
        assert!(acl.decide("b/x", Operation::Read).denies_explicitly());
        assert!(!acl.decide("zz", Operation::Read).denies_explicitly());
        assert!(acl.decide("c/x", Operation::Read).denies_explicitly());
        assert!(!acl.decide("c/x", Operation::Read).has_conditions(), "deny clears them");
        assert!(acl.decide("ab", Operation::Update).allows(Capability::Sudo));
    }
}

fn check(
    acl: &Acl,
    path: &str,
    given: &[(&str, Given<'_>)],
    wrapped: Option<u64>,
) -> Result<(), Unfit> {
    let decision = acl.decide(path, Operation::Update);
    assert!(decision.is_allowed(), "{path}");
    assert_eq!(
        acl.decide(path, Operation::Create).check(given, wrapped),
        decision.check(given, wrapped)
    );
    decision.check(given, wrapped)
}

#[test]
fn parameters_are_held_against_the_block() {
    const POLICY: &str = r#"
        path "zip" { policy = "write" allowed_parameters = { "zip" = [] } }
        path "both" { policy = "write" allowed_parameters = { "x" = [] } denied_parameters = { "x" = [] } }
        path "none" { policy = "write" allowed_parameters = { "*" = [] } denied_parameters = { "*" = [] } }
        path "but" { policy = "write" allowed_parameters = { "*" = [] } denied_parameters = { "foo" = [] } }
        path "free" { policy = "write" allowed_parameters = {} denied_parameters = {} }
        path "needs" { policy = "write" required_parameters = ["Foo", "bar"] }
        path "deny" { policy = "write" denied_parameters = { "deny" = ["bad*", 1, true, null_] } }
        path "allow" { policy = "write" allowed_parameters = { "ALLOW" = ["good", "*end", "*mid*", "*"] } denied_parameters = { "dEny" = ["bad"] } }
        path "kinds" { policy = "write" allowed_parameters = { "map" = [{"good" = "one"}] "int" = [1, 2] "bool" = [false] "list" = ["a,b", ["c", "d"]] } }
        path "star" { policy = "write" allowed_parameters = { "*" = [] "foo" = [] "bar" = [false] } }
    "#;
    let acl = acl(&POLICY.replace(", null_", ""));
    for (path, given, expected) in [
        ("zip", &[("zip", "1")][..], Ok(())),
        ("zip", &[("ZIP", "1")], Ok(())),
        ("zip", &[], Ok(())),
        ("zip", &[("zip", "1"), ("zap", "1")], Err(Unfit::NotAllowed)),
        ("both", &[("x", "1")], Err(Unfit::Denied)),
        ("none", &[("x", "1")], Err(Unfit::Denied)),
        ("none", &[], Ok(())),
        ("but", &[("x", "1")], Ok(())),
        ("but", &[("x", "1"), ("FOO", "1")], Err(Unfit::Denied)),
        ("free", &[("x", "1")], Ok(())),
        ("needs", &[("foo", "1"), ("bar", "1"), ("x", "1")], Ok(())),
        ("needs", &[("foo", "1")], Err(Unfit::Required)),
        ("needs", &[("Foo", "1"), ("bar", "1")], Err(Unfit::Required)),
        ("needs", &[], Err(Unfit::Required)),
        ("deny", &[("deny", "\"bad\"")], Err(Unfit::Denied)),
        ("deny", &[("Deny", "\"bad glob\"")], Err(Unfit::Denied)),
        ("deny", &[("deny", "\"good\"")], Ok(())),
        ("deny", &[("deny", "null")], Ok(())),
        ("deny", &[("deny", "1")], Err(Unfit::Denied)),
        ("deny", &[("deny", "1.0")], Err(Unfit::Denied)),
        ("deny", &[("deny", "\"1\"")], Err(Unfit::Denied)),
        ("deny", &[("deny", "\"true\"")], Err(Unfit::Denied)),
        ("deny", &[("deny", "2")], Ok(())),
        ("deny", &[("deny", "no JSON")], Err(Unfit::Denied)),
        ("allow", &[("aLLow", "\"good\"")], Ok(())),
        ("allow", &[("allow", "\"goods\"")], Err(Unfit::NotAllowed)),
        ("allow", &[("allow", "\"the end\"")], Ok(())),
        ("allow", &[("allow", "\"a mid b\"")], Ok(())),
        ("allow", &[("allow", "\"*\"")], Ok(())),
        ("allow", &[("allow", "null")], Err(Unfit::NotAllowed)),
        ("allow", &[("allow", "\"good\""), ("deny", "\"good\"")], Err(Unfit::NotAllowed)),
        ("allow", &[("allow", "\"good\""), ("deNy", "\"bad\"")], Err(Unfit::Denied)),
        ("kinds", &[("map", "{\"good\": \"one\"}")], Ok(())),
        ("kinds", &[("map", "{\"bad\": \"one\"}")], Err(Unfit::NotAllowed)),
        ("kinds", &[("int", "2")], Ok(())),
        ("kinds", &[("int", "3")], Err(Unfit::NotAllowed)),
        ("kinds", &[("int", "\"2\"")], Err(Unfit::NotAllowed)),
        ("kinds", &[("bool", "true")], Err(Unfit::NotAllowed)),
        ("kinds", &[("bool", "false")], Ok(())),
        ("star", &[("any", "true"), ("foo", "true"), ("bar", "false")], Ok(())),
        ("star", &[("bar", "true")], Err(Unfit::NotAllowed)),
    ] {
        let json: Vec<_> = given.iter().map(|(name, value)| (*name, Given::Json(value))).collect();
        assert_eq!(check(&acl, path, &json, None), expected, "{path} {given:?}");
    }
    assert_eq!(check(&acl, "deny", &[("deny", Given::Text("1"))], None), Err(Unfit::Denied));
    assert_eq!(check(&acl, "allow", &[("allow", Given::Text("good"))], None), Ok(()));
    for (path, name, json, parts, expected) in [
        ("deny", "deny", "\" bad\"", &["bad"][..], Err(Unfit::Denied)),
        ("deny", "deny", "\"good, badly\"", &["good", "badly"], Err(Unfit::Denied)),
        ("deny", "deny", "[\"good\",\"bad\"]", &["good", "bad"], Err(Unfit::Denied)),
        ("deny", "deny", "[\"good\",\" bad\"]", &["good", " bad"], Ok(())),
        ("deny", "deny", "true", &["1"], Err(Unfit::Denied)),
        ("allow", "allow", "\"good\"", &["good"], Ok(())),
        ("allow", "allow", "\" good\"", &["good"], Err(Unfit::NotAllowed)),
        ("allow", "allow", "\"other,the end\"", &["other", "the end"], Err(Unfit::NotAllowed)),
        ("allow", "allow", "\"good,the end\"", &["good", "the end"], Ok(())),
        ("allow", "allow", "[\"good\"]", &["good"], Err(Unfit::NotAllowed)),
        ("kinds", "list", "\"a,b\"", &["a", "b"], Ok(())),
        ("kinds", "list", "[\"c\",\"d\"]", &["c", "d"], Ok(())),
        ("kinds", "list", "[\"c\"]", &["c"], Err(Unfit::NotAllowed)),
    ] {
        let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
        let given = [(name, Given::List { json, parts: &parts })];
        assert_eq!(check(&acl, path, &given, None), expected, "{path} {json}");
    }
    let deletes = acl.decide("needs", Operation::Delete);
    assert_eq!(deletes.check(&[("x", Given::Text(""))], None), Ok(()), "it carries none");
}

#[test]
fn either_bound_makes_wrapping_mandatory() {
    let acl = acl(r#"
        path "both" { policy = "write" min_wrapping_ttl = 300 max_wrapping_ttl = "400s" }
        path "min" { policy = "write" min_wrapping_ttl = "5m" }
        path "max" { policy = "write" max_wrapping_ttl = 400 }
        path "zero" { policy = "write" min_wrapping_ttl = 0 max_wrapping_ttl = "" }
        path "merged" { policy = "write" min_wrapping_ttl = 300 max_wrapping_ttl = 300 }
        path "merged" { policy = "write" min_wrapping_ttl = 400 max_wrapping_ttl = 500 }
        path "torn" { policy = "write" min_wrapping_ttl = 300 }
        path "torn" { policy = "write" max_wrapping_ttl = 200 }
    "#);
    for (path, wrapped, fits) in [
        ("both", None, false),
        ("both", Some(299), false),
        ("both", Some(300), true),
        ("both", Some(400), true),
        ("both", Some(401), false),
        ("min", None, false),
        ("min", Some(299), false),
        ("min", Some(900), true),
        ("max", None, false),
        ("max", Some(401), false),
        ("max", Some(1), true),
        ("zero", None, true),
        ("zero", Some(1), true),
        ("merged", Some(300), true),
        ("merged", Some(301), false),
        ("merged", Some(299), false),
        ("torn", Some(250), false),
        ("torn", Some(200), false),
        ("torn", None, false),
    ] {
        let expected = if fits { Ok(()) } else { Err(Unfit::Wrapping) };
        assert_eq!(check(&acl, path, &[], wrapped), expected, "{path} {wrapped:?}");
        let deletes = acl.decide(path, Operation::Delete);
        assert_eq!(deletes.check(&[], wrapped), expected, "whatever it does: {path}");
    }
}

#[test]
fn conditions_of_one_path_are_made_one() {
    let one = r#"
        path "deny" { policy = "write" denied_parameters = { "baz" = [] } required_parameters = ["baz2"] }
        path "allow" { policy = "write" allowed_parameters = { "foo" = [] } required_parameters = ["foo"] }
        path "any" { policy = "write" allowed_parameters = { "test" = [] "test1" = ["foo"] } }
        path "none" { policy = "write" denied_parameters = { "test" = [] } }
        path "values" { policy = "write" allowed_parameters = { "test" = [1, 2] } }
        path "empty" { policy = "write" allowed_parameters = { "x" = [] } denied_parameters = { "y" = [1] } }
    "#;
    let other = r#"
        path "deny" { policy = "write" denied_parameters = { "zip" = [] } }
        path "allow" { policy = "write" allowed_parameters = { "bar" = [] } required_parameters = ["bar"] }
        path "any" { policy = "write" allowed_parameters = { "*" = [] } }
        path "none" { policy = "write" denied_parameters = { "*" = [] } }
        path "values" { policy = "write" allowed_parameters = { "test" = [3, 4] } }
        path "empty" { policy = "write" allowed_parameters = { "x" = [1] "y" = [] } denied_parameters = { "y" = [] } }
    "#;
    let (one, other) = (Policy::parse(one).unwrap(), Policy::parse(other).unwrap());
    for policies in [[("a", &one), ("b", &other)], [("b", &other), ("a", &one)]] {
        let acl = Acl::of(policies.map(|(name, policy)| (name, policy, &Nobody)));
        for (path, given, expected) in [
            ("deny", &["baz2", "baz"][..], Err(Unfit::Denied)),
            ("deny", &["baz2", "zip"], Err(Unfit::Denied)),
            ("deny", &["zip"], Err(Unfit::Required)),
            ("deny", &["baz2", "x"], Ok(())),
            ("allow", &["foo", "bar"], Ok(())),
            ("allow", &["foo"], Err(Unfit::Required)),
            ("allow", &["foo", "bar", "x"], Err(Unfit::NotAllowed)),
            ("any", &["test", "x"], Ok(())),
            ("any", &["test1"], Err(Unfit::NotAllowed)),
            ("none", &["x"], Err(Unfit::Denied)),
            ("values", &["test"], Ok(())),
            ("empty", &["x"], Ok(())),
            ("empty", &["y"], Err(Unfit::Denied)),
        ] {
            let given: Vec<_> = given.iter().map(|name| (*name, Given::Json("4"))).collect();
            assert_eq!(check(&acl, path, &given, None), expected, "{path}");
        }
        let five = [("test", Given::Json("5"))];
        assert_eq!(check(&acl, "values", &five, None), Err(Unfit::NotAllowed));
    }
}

/// What a list can skip and what it can take whole, where that is plain to see.
#[test]
fn whole_folders_are_told() {
    use Extent::{Everything, Nothing, Some};
    let acl = acl(r#"
        path "a/*" { policy = "read" }
        path "a/x/*" { policy = "deny" }
        path "a/y/one" { capabilities = ["update"] }
        path "b" { policy = "read" }
        path "c/+/d" { policy = "read" }
        path "e/+/*" { policy = "read" }
        path "+/never" { capabilities = ["update"] }
        path "g/*" { policy = "read" }
    "#);
    for (prefix, capability, expected) in [
        ("", Capability::Read, Some),
        ("", Capability::Delete, Nothing),
        ("a/", Capability::Read, Some),
        ("/a/", Capability::Read, Some),
        ("a", Capability::Read, Some),
        ("a/z/", Capability::Read, Everything),
        ("a/z", Capability::Read, Everything),
        ("a/x/", Capability::Read, Nothing),
        ("a/x/", Capability::Deny, Everything),
        ("a/x", Capability::Read, Some),
        ("a/y/", Capability::Read, Some),
        ("a/y/one/", Capability::Read, Everything),
        ("a/y/one/", Capability::List, Some),
        ("b", Capability::List, Some),
        ("b/", Capability::Read, Nothing),
        ("b/", Capability::List, Some),
        ("b/c", Capability::List, Nothing),
        ("c/x/", Capability::Read, Some),
        ("c/x/e", Capability::Read, Nothing),
        ("e/x/", Capability::Read, Everything),
        ("e/x", Capability::Read, Some),
        ("z/", Capability::Read, Nothing),
        ("z/", Capability::Update, Some),
        ("g/", Capability::Read, Everything),
    ] {
        assert_eq!(
            acl.below(prefix, capability, Carried::Nothing),
            expected,
            "{prefix:?} {capability:?}"
        );
    }
}

/// CVE-2025-6203 was a text, of a size that was allowed, which took memory and time out of all
/// proportion. Here depth is bounded, and time follows length.
#[test]
fn cve_2025_6203_no_text_costs_more_than_its_length() {
    const MOST: usize = 64 * 1024;
    // Of what is done in milliseconds, where a square of it would take minutes.
    const PATIENCE: Duration = Duration::from_secs(20);
    let fill = |start: &str, piece: &str| {
        let times = (MOST - start.len()) / piece.len();
        format!("{start}{}", piece.repeat(times))
    };
    for text in [
        fill("", "a{"),
        fill("", "path "),
        fill("a=", "["),
        fill("", "{\"path\":"),
        fill("{\"path\":", "["),
        fill("path \"a\" { capabilities = [", "\"read\","),
        fill("path \"a\" { allowed_parameters ", "{ x = [ "),
        fill("/*", "*"),
        fill("#", "#"),
        fill("\"", "\\u0041"),
        fill("", "path \"a\" {}"),
        fill("", "path\"/////////////\"{}"),
        fill("path \"", "/"),
        fill("path \"", "{{"),
        fill("path \"", "+/"),
        "x".repeat(MOST + 1),
    ] {
        let start = Instant::now();
        let _ = Policy::parse(&text);
        assert!(start.elapsed() < PATIENCE, "{}", text.get(..40).unwrap());
    }
    for path in ["/", "+/", "a/+/"].map(|piece| fill("", piece)) {
        let text = format!("path \"{}*\" {{ policy = \"read\" }}", path.get(..MOST - 100).unwrap());
        let (start, acl) = (Instant::now(), acl(&text.replace("+*", "*")));
        let _ = acl.decide(&path, Operation::List);
        assert_eq!(acl.below("zz", Capability::Update, Carried::Nothing), Extent::Nothing);
        drop(acl);
        assert!(start.elapsed() < PATIENCE);
    }
    assert!(fault(&"x".repeat(MOST + 1)).contains("64 KiB"));
    assert!(fault(&fill("a=", "[")).contains("nested too deeply"));
}

/// CVE-2025-5999: a name that was made lower case stood for another policy.
#[test]
fn cve_2025_5999_names_compare_byte_for_byte() {
    let policy = Policy::parse("path \"a\" { policy = \"read\" }").unwrap();
    let acl = Acl::of([("Root ", &policy, &Nobody), ("root", &policy, &Nobody)]);
    let decision = acl.decide("a", Operation::Read);
    assert_eq!(decision.ruling().unwrap().policies().collect::<Vec<_>>(), ["Root ", "root"]);
    assert!(!acl.decide("A", Operation::Read).is_allowed(), "as do paths");
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Policy::parse(&text);
    }

    #[test]
    fn no_text_of_the_language_panics(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "path ", "\"a/+\"", "\"{{identity.entity.id}}\"", "name", "{", "}", "[", "]", "=", ":", ",",
                "policy", "\"read\"", "capabilities", "1", "-1", "1e9", "true", "null", "\n", "#", "//",
                "/*", "*/", "\"", "\\", "${", "<<E\n", "allowed_parameters", "min_wrapping_ttl", "\"1h\"",
            ]),
            0..40,
        ),
    ) {
        let _ = Policy::parse(&words.concat());
    }
}

/// Of what a policy denies at the other spelling of an address, it was told that nobody says so.
#[test]
fn words_of_both_spellings_are_told() {
    let text = r#"
        path "sys/policies/acl/*" { capabilities = ["read", "update"] }
        path "auth/cert/certs/*" { capabilities = ["read", "update"] }
        path "sys/policy/*" { capabilities = ["deny"] }
        path "ibmcloud/kv/config" { capabilities = ["deny"] }
    "#;
    let in_vault = InVault::new(acl(text), Arc::new(Mounts::default()));
    for (action, block) in
        [(Action::PolicyEdit, "sys/policy/*"), (Action::ConfigGet, "ibmcloud/kv/config")]
    {
        let said = in_vault.says(action, Resource::Tenant, Door::Other);
        assert_eq!(said, Verdict::Denied, "{action:?}");
        let told = in_vault.told(action, Resource::Tenant, Door::Other);
        let denying = |word: &&(String, String, Verdict)| word.2 == Verdict::Denied;
        let denying: Vec<_> = told.iter().filter(denying).map(|(_, block, _)| &**block).collect();
        assert_eq!(denying, [block], "{action:?}");
    }
    // What it gives there counts for nothing here.
    let acl = acl(r#"path "sys/policy/*" { capabilities = ["read", "update"] }"#);
    let in_vault = InVault::new(acl, Arc::new(Mounts::default()));
    assert_eq!(in_vault.told(Action::PolicyEdit, Resource::Tenant, Door::Other), []);
}
