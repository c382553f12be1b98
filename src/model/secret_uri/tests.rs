//! Cases by table, and the grammar held against the naive one.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

fn read(text: &str) -> SecretUri {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn steps(uri: &SecretUri) -> Vec<&str> {
    uri.fragment().map_or_else(Vec::new, |f| f.steps().iter().map(String::as_str).collect())
}

#[test]
fn canonical_forms() {
    for (text, canonical) in [
        ("OPENBAO+KV2://secret/a#t", "openbao+kv2://secret/a#t"),
        ("Hashicorp+kv2://secret/a", "hashicorp+kv2://secret/a"),
        ("vault+kv2://ibmcloud/kv/a/", "vault+kv2://ibmcloud/kv/a"),
        ("okms+kv2://secret/a/#t?version=007", "okms+kv2://secret/a#t?version=7"),
        ("yaml://secret/env#K", "yaml://secret/env#K"),
        ("openbao+kv2://secret/a%2Db%5f%7e", "openbao+kv2://secret/a-b_~"),
        ("openbao+kv2://secret/my%20app/%c3%bc", "openbao+kv2://secret/my%20app/%C3%BC"),
        ("openbao+kv2://secret/a..b/...", "openbao+kv2://secret/a..b/..."),
        ("openbao+kv2://secret/a:b=c@d", "openbao+kv2://secret/a:b=c@d"),
        ("openbao+kv2://secret/%2A%23%3f%25%2b", "openbao+kv2://secret/%2A%23%3F%25%2B"),
        ("openbao+kv2://secret/a#api.key", "openbao+kv2://secret/a#api.key"),
        ("openbao+kv2://secret/a#/t", "openbao+kv2://secret/a#t"),
        ("openbao+kv2://secret/a#%2Ft", "openbao+kv2://secret/a#t"),
        ("openbao+kv2://secret/a#/db/password", "openbao+kv2://secret/a#/db/password"),
        ("openbao+kv2://secret/a#/", "openbao+kv2://secret/a#/"),
        ("openbao+kv2://secret/a#/~1t", "openbao+kv2://secret/a#/~1t"),
        ("openbao+kv2://secret/a#/t~1u", "openbao+kv2://secret/a#t/u"),
        ("openbao+kv2://secret/a#/t~0u", "openbao+kv2://secret/a#t~u"),
        ("openbao+kv2://secret/a#%2a%23%3F%20", "openbao+kv2://secret/a#*%23%3F%20"),
        ("openbao+kv2://secret/a#%C3%BC", "openbao+kv2://secret/a#%C3%BC"),
    ] {
        assert_eq!(read(text).canonical(), canonical, "{text}");
        assert_eq!(read(canonical).canonical(), canonical);
        assert!(read(canonical) == read(text), "{text}");
    }
}

#[test]
fn fragments_are_members_or_pointers() {
    for (fragment, names) in [
        ("api.key", &["api.key"][..]),
        ("a/b", &["a/b"]),
        ("a~1b", &["a~1b"]),
        ("a~", &["a~"]),
        ("*", &["*"]),
        ("/a.b", &["a.b"]),
        ("/a/b", &["a", "b"]),
        ("%2fa%2Fb", &["a", "b"]),
        ("/", &[""]),
        ("//", &["", ""]),
        ("/a~1b/~0~01", &["a/b", "~~1"]),
        ("/l/0/-/01", &["l", "0", "-", "01"]),
        ("%25", &["%"]),
        ("%2525", &["%25"]),
    ] {
        let uri = read(&format!("openbao+kv2://secret/a#{fragment}"));
        assert_eq!(steps(&uri), names, "{fragment}");
        assert_eq!(uri.fragment().unwrap().last(), *names.last().unwrap());
    }
}

#[test]
fn refusals_by_their_codes() {
    use UriError::{
        AmbiguousQuery, DoubleMountSource, InvalidVersion, InvalidWildcard, ProviderNotSupported,
        UnknownField, UnsupportedEngine,
    };
    for (text, error) in [
        ("openbao+kv2://secret/jira/*/token", InvalidWildcard),
        ("openbao+kv2://secret/jira/*", InvalidWildcard),
        ("openbao+kv2://s*/a", InvalidWildcard),
        ("openbao://secret/a", UnsupportedEngine),
        ("openbao+kv1://secret/a", UnsupportedEngine),
        ("openbao+kv2+x://secret/a", UnsupportedEngine),
        ("yaml+kv2://secret/a", UnsupportedEngine),
        ("ftp://x/a", UnsupportedEngine),
        ("db+cred://credentials/x", ProviderNotSupported),
        ("File://x/y", ProviderNotSupported),
        ("azure://v/s", ProviderNotSupported),
        ("bootstrap://v/s", ProviderNotSupported),
        ("openbao+kv2://secret/a#t?version=1&version=2", AmbiguousQuery),
        ("openbao+kv2://secret/a?version=1&version=1", AmbiguousQuery),
        ("openbao+kv2://secret/a?x=1&x=2", AmbiguousQuery),
        ("openbao+kv2://secret/a?mount=x", DoubleMountSource),
        ("openbao+kv2://secret/a?version=1&mount", DoubleMountSource),
        ("openbao+kv2://secret/a?x=1", UnknownField),
        ("openbao+kv2://secret/a?version=1&x=1", UnknownField),
        ("openbao+kv2://secret/a?Version=1", UnknownField),
        ("openbao+kv2://secret/a?%76ersion=1", UnknownField),
        ("openbao+kv2://secret/a?version=1&", UnknownField),
        ("openbao+kv2://secret/a?", UnknownField),
        ("openbao+kv2://secret/a??version=1", UnknownField),
        ("openbao+kv2://secret/a?version", InvalidVersion),
        ("openbao+kv2://secret/a?version=", InvalidVersion),
        ("openbao+kv2://secret/a?version=0", InvalidVersion),
        ("openbao+kv2://secret/a?version=-1", InvalidVersion),
        ("openbao+kv2://secret/a?version=+1", InvalidVersion),
        ("openbao+kv2://secret/a?version=%31", InvalidVersion),
        ("openbao+kv2://secret/a?version=24001", InvalidVersion),
        ("openbao+kv2://secret/a?version=99999999999999999999", InvalidVersion),
        ("openbao+kv2://secret/a?version=1.0", InvalidVersion),
        ("openbao+kv2://secret/a?version=1=1", InvalidVersion),
    ] {
        assert_eq!(text.parse::<SecretUri>().err(), Some(error), "{text}");
    }
}

#[test]
fn what_is_not_of_the_grammar() {
    for text in [
        "",
        "secret/a",
        "://secret/a",
        "openbao+kv2:/secret/a",
        "/openbao+kv2://secret/a",
        " openbao+kv2://secret/a",
        "op%65nbao+kv2://secret/a",
        "openbao+kv2\0://secret/a",
    ] {
        assert!(matches!(text.parse::<SecretUri>(), Err(UriError::IllegalSegment(_))), "{text:?}");
    }
    for path in [
        "",
        "/",
        "secret",
        "secret/",
        "secret#t",
        "/secret/a",
        "secret//a",
        "secret/a//",
        "secret/../a",
        "secret/%2e%2E/a",
        "secret/.%2e/a",
        "secret/./a",
        "secret/a/.",
        "../a",
        "secret/a%2Fb",
        "secret/a%2fb",
        "secret/%2F",
        "secret/a%2F",
        "secret/a b",
        "secret/a ",
        "secret/a\n",
        "secret/a\0",
        "secret/a%00",
        "secret/a%0A",
        "secret/a%7F",
        "secret/a%C2%A0",
        "secret/%E2%80%8B",
        "secret/ü",
        "secret/a\\b",
        "secret/a+b",
        "secret/a;b",
        "secret/a%",
        "secret/a%2",
        "secret/a%zz",
        "secret/a%+1",
        // A slash and a dot in more bytes than they need; half of a pair; no UTF-8.
        "secret/a%C0%AFb",
        "secret/%C0%AE%C0%AE/a",
        "secret/%E0%80%AF",
        "secret/%ED%A0%80",
        "secret/%FF",
        "secret/a#",
        "secret/a#?version=1",
        "secret/a#x#y",
        "secret/a##",
        "secret/a?version=1#t",
        "secret/a#t?version=1#u",
        "secret/a#a b",
        "secret/a#ü",
        "secret/a#%00",
        "secret/a#%C0%AF",
        "secret/a#/~",
        "secret/a#/~2",
        "secret/a#/a~/b",
        "secret/a#[",
    ] {
        let parsed = format!("openbao+kv2://{path}").parse::<SecretUri>();
        assert!(matches!(parsed, Err(UriError::IllegalSegment(_))), "{path:?}");
    }
    let long = |bytes: usize| format!("openbao+kv2://secret/{}", "a".repeat(bytes - 21));
    assert!(long(2048).parse::<SecretUri>().is_ok());
    assert_eq!(long(2049).parse::<SecretUri>().err(), Some(TOO_LONG));
}

#[test]
fn versions_inside_and_beside() {
    let number = |number| VersionNumber::new(number).ok();
    let (plain, pinned) =
        (read("openbao+kv2://secret/a"), read("openbao+kv2://secret/a?version=24000"));
    assert_eq!(pinned.version(), number(24_000));
    assert_eq!(plain.version_with(None), Ok(None));
    assert_eq!(plain.version_with(number(1)), Ok(number(1)));
    assert_eq!(pinned.version_with(None), Ok(number(24_000)));
    assert_eq!(pinned.version_with(number(24_000)), Ok(number(24_000)));
    assert_eq!(pinned.version_with(number(1)), Err(UriError::AmbiguousQuery));
}

#[test]
fn prefixes() {
    for (text, path, canonical) in [
        ("openbao+kv2://secret", "secret", "openbao+kv2://secret"),
        ("YAML://secret/", "secret/", "yaml://secret/"),
        ("openbao+kv2://secret/app/", "secret/app/", "openbao+kv2://secret/app/"),
        ("openbao+kv2://secret/%61p", "secret/ap", "openbao+kv2://secret/ap"),
        ("openbao+kv2://secret/my%20a", "secret/my a", "openbao+kv2://secret/my%20a"),
    ] {
        let prefix: SecretUriPrefix = text.parse().unwrap();
        assert_eq!((prefix.path(), &*prefix.canonical()), (path, canonical));
        assert!(canonical.parse() == Ok(prefix));
    }
    for (text, error) in [
        ("openbao+kv2://secret/a#t", UriError::FragmentNotAllowed),
        ("openbao+kv2://secret/a#", UriError::FragmentNotAllowed),
        ("openbao+kv2://secret/a?version=1", UriError::VersionPinNotAllowed),
        ("openbao+kv2://secret/a?version=0", UriError::InvalidVersion),
        ("openbao+kv2://secret/a*", UriError::InvalidWildcard),
        ("ftp://secret/a", UriError::UnsupportedEngine),
        ("openbao+kv2://", EMPTY),
        ("openbao+kv2:///", EMPTY),
        ("openbao+kv2://secret//", EMPTY),
        ("openbao+kv2://secret//a", EMPTY),
        ("openbao+kv2://secret/..", DOTS),
        ("openbao+kv2://secret/a%2F", SLASH),
    ] {
        assert_eq!(text.parse::<SecretUriPrefix>().err(), Some(error), "{text}");
    }
}

#[test]
fn one_resource_for_all_spellings() {
    let path = |path: &str| path.parse::<SecretPath>().unwrap();
    for uri in ["secret/a#t", "secret/a/#/t", "secret/%61#%2F%74", "secret/a#t?version=2"] {
        let uri = read(&format!("okms+kv2://{uri}"));
        assert_eq!(resource(&path("a"), uri.fragment()), "openbao+kv2://secret/a#t");
    }
    assert_eq!(resource(&path("my app/ü*"), None), "openbao+kv2://secret/my%20app/%C3%BC%2A");
    let secret = MountPath::whole_trees().next().unwrap();
    for name in ["a", "my app/ü*", "a%2Fb", "é".repeat(512).as_str()] {
        let of = SecretUri::of(Scheme::OpenBao, &secret, &path(name));
        assert_eq!(of.canonical(), resource(&path(name), None));
    }
}

#[test]
fn debug_and_errors_do_not_tell_names() {
    let uri = read("openbao+kv2://secret/canary#canary");
    assert!(!format!("{uri:?} {:?}", uri.fragment()).contains("canary"));
    let prefix: SecretUriPrefix = "openbao+kv2://canary".parse().unwrap();
    assert!(!format!("{prefix:?}").contains("canary"));
    for wrong in [
        "canary",
        "canary://canary/a",
        "openbao+kv2://secret/a#/canary~",
        "openbao+kv2://secret/a?canary",
    ] {
        assert!(!wrong.parse::<SecretUri>().unwrap_err().to_string().contains("canary"));
    }
}

const WORDS: &[&str] = &[
    "a",
    "b",
    "secret",
    "/",
    "/",
    "/",
    "//",
    ".",
    "..",
    "...",
    "%2e",
    "%2E",
    "%2F",
    "%2f",
    "%41",
    "%61",
    "A",
    "é",
    "%C3%A9",
    "%c3%a9",
    "%C0%AF",
    "%00",
    "\0",
    "%0a",
    "%",
    "%2",
    "%zz",
    "*",
    "%2A",
    "%2a",
    " ",
    "%20",
    "+",
    "%2B",
    "&",
    "#",
    "#",
    "#/",
    "%23",
    "?",
    "%3F",
    "?version=1",
    "?version=2",
    "&version=1",
    "?mount=x",
    "~",
    "~0",
    "~1",
    "%7E",
    "%7e0",
    "=",
    ":",
    "@",
    "-",
    "_",
    "0",
    "01",
    "%25",
    "%252F",
    "\u{200b}",
    "%E2%80%8B",
    "://",
];

fn any_uri() -> impl Strategy<Value = String> {
    let scheme =
        select(&["openbao+kv2", "OpenBao+KV2", "vault+kv2", "yaml", "openbao", "file", ""][..]);
    let start = select(&["://secret/", "://", ":/"][..]);
    (scheme, start, vec(select(WORDS), 0..9))
        .prop_map(|(scheme, start, words)| format!("{scheme}{start}{}", words.concat()))
}

/// A URI that is one, and another spelling of it, by bits that say what is written how.
fn spelt_twice() -> impl Strategy<Value = (String, String)> {
    let name = || {
        "[a-bA./:é *#?%~+&-]{1,3}"
            .prop_filter("a segment", |name| !name.contains('/') && name != "." && name != "..")
    };
    let names = || "[a-bA./:é *#?%~+&-]{0,3}";
    let fragment =
        prop::option::of(prop_oneof![vec(names(), 1..4), names().prop_map(|name| vec![name]),]);
    (vec(name(), 2..4), fragment, prop::option::of(1u32..=24_000), any::<[u64; 2]>()).prop_map(
        |(path, fragment, version, bits)| {
            let spell = |choices: u64| {
                let mut bits = choices.rotate_left(8);
                let mut bit = || {
                    bits = bits.rotate_right(1);
                    bits & 1 == 1
                };
                let mut text = if bit() { "openbao+kv2://" } else { "OpenBao+KV2://" }.to_owned();
                let mut escaped = |text: &mut String, name: &str, is_raw: fn(u8) -> bool| {
                    for byte in name.bytes() {
                        match (is_raw(byte) && bit(), bit()) {
                            (true, _) => text.push(char::from(byte)),
                            (false, true) => write!(text, "%{byte:02x}").unwrap(),
                            (false, false) => write!(text, "%{byte:02X}").unwrap(),
                        }
                    }
                };
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-~:=@".contains(&byte);
                for (at, name) in path.iter().enumerate() {
                    text.push_str(if at == 0 { "" } else { "/" });
                    escaped(&mut text, name, plain);
                }
                if choices & 2 == 2 {
                    text.push('/');
                }
                if let Some(steps) = &fragment {
                    text.push('#');
                    let in_fragment =
                        |byte: u8| byte.is_ascii_alphanumeric() || b"._-~:=@*&+/".contains(&byte);
                    let may_be_member =
                        steps.len() == 1 && !steps[0].is_empty() && !steps[0].starts_with('/');
                    if may_be_member && choices & 4 == 4 {
                        escaped(&mut text, &steps[0], in_fragment);
                    } else {
                        for step in steps {
                            escaped(&mut text, "/", in_fragment);
                            escaped(
                                &mut text,
                                &step.replace('~', "~0").replace('/', "~1"),
                                in_fragment,
                            );
                        }
                    }
                }
                if let Some(version) = version {
                    text.push_str(if choices & 8 == 8 { "?version=0" } else { "?version=" });
                    text.push_str(&version.to_string());
                }
                text
            };
            (spell(bits[0]), spell(bits[1]))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_the_naive_grammar_reads(text in any_uri()) {
        check_uri(&text);
    }

    #[test]
    fn never_panics(text in "\\PC{0,20}", tail in "[a-z%/#?.=&\0é]{0,20}") {
        check_uri(&text);
        check_uri(&format!("openbao+kv2://s/{tail}"));
        let _ = text.parse::<SecretUriPrefix>();
    }

    /// Two spellings are one URI, with one canonical form and one resource.
    #[test]
    fn spellings_of_one_are_one((one, other) in spelt_twice()) {
        check_uri(&one);
        let (one, other) = (read(&one), read(&other));
        prop_assert!(one == other);
        prop_assert_eq!(one.canonical(), other.canonical());
        let path: SecretPath = one.path().parse().unwrap();
        prop_assert_eq!(resource(&path, one.fragment()), resource(&path, other.fragment()));
    }

    /// What means something else has another canonical form, and another resource.
    #[test]
    fn different_ones_are_told_apart(one in any_uri(), other in any_uri(), (third, _) in spelt_twice(), (fourth, _) in spelt_twice()) {
        for (one, other) in [(&one, &other), (&third, &fourth)] {
            let (Ok(one), Ok(other)) = (one.parse::<SecretUri>(), other.parse::<SecretUri>()) else { continue };
            prop_assert_eq!(one == other, one.canonical() == other.canonical());
            let path = |uri: &SecretUri| uri.path().parse::<SecretPath>().unwrap();
            let is_one = one.path() == other.path() && one.fragment() == other.fragment();
            prop_assert_eq!(
                is_one,
                resource(&path(&one), one.fragment()) == resource(&path(&other), other.fragment())
            );
        }
    }

    /// A prefix is what the URIs of what it covers begin with.
    #[test]
    fn uris_begin_with_their_prefixes((text, _) in spelt_twice(), cut: prop::sample::Index) {
        let uri = read(&text);
        let path = uri.path();
        let cut = (0..=cut.index(path.len())).rev().find(|at| path.is_char_boundary(*at)).unwrap();
        let mut prefix = "openbao+kv2://".to_owned();
        spelling::write_path(&mut prefix, &path[..cut]);
        match prefix.parse::<SecretUriPrefix>() {
            Ok(read) => {
                prop_assert_eq!(read.path(), &path[..cut]);
                prop_assert!(uri.canonical().starts_with(&read.canonical()));
            }
            Err(_) => prop_assert!(cut == 0 || path[..cut].ends_with('.'), "{}", prefix),
        }
    }
}
