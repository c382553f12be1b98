//! Finds a path's route in the table, and the parameters in the path.
//!
//! Matching is done on the path as sent: `foo%2Fversion` is a secret's name, `foo/version` the versions of `foo`.
//! Each parameter is decoded once, after matching. Patterns with the same stem, which is what goes before the dialects
//! differ, are tried together: a path looks at its own stem's patterns alone.

use std::borrow::Cow;

use hyper::Method;

use crate::{
    api::{Access, Params, Route, query, vault},
    domain::{Invalid, KV_WORDS, MountPath, OkmsId, SecretPath},
};

/// The compiled route table.
pub struct Router {
    /// Stems, each with the patterns that go on from it.
    stems: Vec<(Vec<Segment>, Vec<Pattern>)>,
}

/// What follows a stem.
struct Pattern {
    segments: Vec<Segment>,
    methods: Vec<(Method, Access)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    OkmsId,
    Path,
    Version,
    Asset,
    /// All segments before the first word of KV2, and at least one.
    Mount,
    /// As [`Segment::Path`], and not a secret's path alone.
    Key,
}

/// Where a path leads.
pub enum Found<'r, 'p> {
    /// To this route.
    Route(Access, Captures<'p>),
    /// To a pattern that does not know the method, only these.
    Methods(&'r [(Method, Access)]),
    /// Nowhere.
    Nothing,
}

/// The parameters of a path, as sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures<'p> {
    okms_id: Option<&'p str>,
    path: Option<&'p str>,
    version: Option<&'p str>,
    asset: Option<&'p str>,
    mount: Option<&'p str>,
    key: Option<&'p str>,
}

impl Router {
    /// Compiles a route table.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        let mut stems: Vec<(Vec<Segment>, Vec<Pattern>)> = Vec::new();
        for route in routes {
            let mut stem: Vec<_> = route.pattern.split('/').skip(1).map(Segment::parse).collect();
            let domain = stem.iter().position(|segment| *segment == Segment::OkmsId);
            let segments = stem.split_off(domain.map_or(1, |at| at + 1).min(stem.len()));
            if !stems.iter().any(|(known, _)| *known == stem) {
                stems.push((stem.clone(), Vec::new()));
            }
            let Some((_, patterns)) = stems.iter_mut().find(|(known, _)| *known == stem) else { continue };
            let method = (route.method.clone(), route.access);
            match patterns.iter_mut().find(|pattern| pattern.segments == segments) {
                Some(pattern) => pattern.methods.push(method),
                None => patterns.push(Pattern { segments, methods: vec![method] }),
            }
        }
        Self { stems }
    }

    /// Finds the route of `method` on `path`, which is as sent, without its query.
    #[must_use]
    pub fn find<'p>(&self, method: &Method, path: &'p str) -> Found<'_, 'p> {
        let path = path.strip_prefix('/').unwrap_or(path);
        for (stem, patterns) in &self.stems {
            let Some((captures, rest)) = begin(stem, path) else { continue };
            for pattern in patterns {
                let Some(captures) = pattern.matches(captures, rest) else { continue };
                return match pattern.methods.iter().find(|(known, _)| known == method) {
                    Some((_, access)) => Found::Route(*access, captures),
                    None => Found::Methods(&pattern.methods),
                };
            }
        }
        Found::Nothing
    }
}

/// `path` as the Vault dialect takes it: `//` and an escaped slash are a slash. Natively each means something else, so that
/// all other paths stay as they are.
#[must_use]
pub(super) fn normalized(path: &str) -> Cow<'_, str> {
    let is_escaped = path.as_bytes().windows(3).any(|window| window.eq_ignore_ascii_case(b"%2f"));
    if !is_escaped && !path.contains("//") {
        return Cow::Borrowed(path);
    }
    if !vault::is_at(path) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    for c in path.replace("%2F", "/").replace("%2f", "/").chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The captures of a stem, and what follows it.
fn begin<'p>(stem: &[Segment], path: &'p str) -> Option<(Captures<'p>, Option<&'p str>)> {
    let (mut captures, mut rest) = (Captures::default(), Some(path));
    for segment in stem {
        let (first, tail) = split_first(rest?);
        if !segment.capture(first, &mut captures) {
            return None;
        }
        rest = tail;
    }
    Some((captures, rest))
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text {
            "{okmsId}" => Self::OkmsId,
            "{path}" => Self::Path,
            "{version}" => Self::Version,
            "{asset}" => Self::Asset,
            "{mount}" => Self::Mount,
            "{key}" => Self::Key,
            literal => Self::Literal(literal.to_owned()),
        }
    }

    fn capture<'p>(&self, segment: &'p str, captures: &mut Captures<'p>) -> bool {
        match self {
            Self::Literal(literal) => return literal == segment,
            Self::OkmsId if !segment.is_empty() => captures.okms_id = Some(segment),
            Self::Version if !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()) => {
                captures.version = Some(segment);
            }
            Self::Asset => captures.asset = Some(segment),
            Self::OkmsId | Self::Version | Self::Path | Self::Mount | Self::Key => return false,
        }
        true
    }
}

impl Pattern {
    /// The captures, if the whole of what follows the stem fits. A collection's path may end in a slash.
    fn matches<'p>(&self, mut captures: Captures<'p>, mut rest: Option<&'p str>) -> Option<Captures<'p>> {
        let mut segments = self.segments.iter();
        for segment in segments.by_ref() {
            match segment {
                Segment::Path => {
                    captures.path = Some(tail(segments.as_slice(), rest?, &mut captures)?);
                    return Some(captures);
                }
                Segment::Key => {
                    captures.key = Some(tail(segments.as_slice(), rest?, &mut captures)?);
                    return Some(captures);
                }
                Segment::Mount => {
                    let (mount, tail) = split_mount(rest?)?;
                    captures.mount = Some(mount);
                    rest = Some(tail);
                }
                segment => {
                    let (first, tail) = split_first(rest?);
                    if !segment.capture(first, &mut captures) {
                        return None;
                    }
                    rest = tail;
                }
            }
        }
        matches!(rest, None | Some("")).then_some(captures)
    }
}

/// What is before the first word of KV2 in `path`, and the rest from that word on. What the server itself answers under
/// is no mount.
fn split_mount(path: &str) -> Option<(&str, &str)> {
    let (first, mut rest) = path.split_once('/')?;
    if first.is_empty() || MountPath::is_reserved(first) {
        return None;
    }
    loop {
        let (segment, tail) = split_first(rest);
        if KV_WORDS.contains(&segment) {
            let end = path.len() - rest.len() - 1;
            return Some((path.get(..end)?, rest));
        }
        rest = tail?;
    }
}

/// What is left for `{path}` once the segments behind it have taken theirs from the end.
fn tail<'p>(behind: &[Segment], mut rest: &'p str, captures: &mut Captures<'p>) -> Option<&'p str> {
    for segment in behind.iter().rev() {
        let (front, last) = rest.rsplit_once('/')?;
        if !segment.capture(last, captures) {
            return None;
        }
        rest = front;
    }
    (!rest.is_empty()).then_some(rest)
}

fn split_first(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

impl Captures<'_> {
    /// The domain that the path names.
    ///
    /// # Errors
    /// `Invalid` where it is not an id.
    pub fn okms_id(&self) -> Result<OkmsId, Invalid> {
        self.okms_id.unwrap_or_default().parse()
    }

    /// Whether the path names a domain at all.
    #[must_use]
    pub const fn has_okms_id(&self) -> bool {
        self.okms_id.is_some()
    }

    /// The other parameters, decoded and parsed.
    ///
    /// # Errors
    /// `Invalid` where one is not what its name says.
    pub fn params(&self) -> Result<Params, Invalid> {
        let decoded = |text: Option<&str>| text.map(|text| query::decode(text).map(Cow::into_owned)).transpose();
        Ok(Params {
            mount: decoded(self.mount)?,
            key: decoded(self.key)?,
            path: self.path.map(secret_path).transpose()?,
            version: self.version.map(str::parse).transpose()?,
            asset: self.asset.map(str::to_owned),
        })
    }
}

fn secret_path(raw: &str) -> Result<SecretPath, Invalid> {
    // Nobody escapes a dot but to hide it.
    if raw.as_bytes().windows(3).any(|window| window.eq_ignore_ascii_case(b"%2e")) {
        return Err(Invalid("the secret path has an escaped dot; write dots as they are"));
    }
    query::decode(raw)?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{docs::Page, okms::DomainOp, routes, vault::VaultOp},
        domain::VersionNumber,
    };

    fn find(method: &Method, path: &str) -> Option<(Access, Option<String>, Option<u32>)> {
        let router = Router::new(&routes());
        let Found::Route(access, captures) = router.find(method, path) else { return None };
        let params = captures.params().ok()?;
        Some((access, params.path.map(|path| path.to_string()), params.version.map(VersionNumber::get)))
    }

    #[test]
    fn paths_and_sub_resources() {
        use DomainOp::{CreateSecret, GetSecret, GetVersion, ListSecrets, ListVersions};
        let id = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
        for base in [format!("/api/{id}/v2/secret"), format!("/v2/okms/resource/{id}/secret")] {
            for (rest, op, path, version) in [
                ("", ListSecrets, None, None),
                ("/", ListSecrets, None, None),
                ("/foo%2Fbar", GetSecret, Some("foo/bar"), None),
                ("/foo/bar", GetSecret, Some("foo/bar"), None),
                ("/foo%2Fversion", GetSecret, Some("foo/version"), None),
                ("/foo%2fversion%2F3", GetSecret, Some("foo/version/3"), None),
                ("/version", GetSecret, Some("version"), None),
                ("/version/version", ListVersions, Some("version"), None),
                ("/foo/bar/version", ListVersions, Some("foo/bar"), None),
                ("/foo%2Fbar/version", ListVersions, Some("foo/bar"), None),
                ("/foo/bar/version/12", GetVersion, Some("foo/bar"), Some(12)),
                ("/foo/version/latest", GetSecret, Some("foo/version/latest"), None),
                ("/version/3", GetSecret, Some("version/3"), None),
                ("/a:b=c@d", GetSecret, Some("a:b=c@d"), None),
            ] {
                let expected = Some((Access::Domain(op), path.map(str::to_owned), version));
                assert_eq!(find(&Method::GET, &format!("{base}{rest}")), expected, "{rest}");
            }
            assert_eq!(find(&Method::POST, &format!("{base}/")).unwrap().0, Access::Domain(CreateSecret));
            for wrong in [
                "/foo/",
                "//foo",
                "/foo//bar",
                "/..",
                "/a/%2e%2e/b",
                "/%",
                "/a%00",
                "/a%2E",
                "/.",
                "/foo/version/0",
                "/foo/version/24001",
                "/foo/version/99999999999",
            ] {
                assert_eq!(find(&Method::GET, &format!("{base}{wrong}")), None, "{wrong}");
            }
        }
    }

    #[test]
    fn mounts_end_before_the_first_word_of_kv2() {
        for (path, expected) in [
            ("secret/data/foo/data/bar", Some(("secret", "data/foo/data/bar"))),
            ("ibmcloud/kv/metadata", Some(("ibmcloud/kv", "metadata"))),
            ("data/data/x", Some(("data", "data/x"))),
            ("config/config", Some(("config", "config"))),
            ("a/b/c", None),
            ("sys/mounts/config", None),
            ("auth/data/x", None),
            ("database/config", None),
            ("secret", None),
        ] {
            assert_eq!(split_mount(path), expected, "{path}");
        }
    }

    #[test]
    fn the_bases_of_the_vault_dialect() {
        use VaultOp as Op;
        let router = Router::new(&routes());
        let find = |method: &str, path: &str| {
            let path = normalized(path).into_owned();
            match router.find(&method.parse().unwrap(), &path) {
                Found::Route(Access::Vault(op), captures) => {
                    let has_id = captures.has_okms_id();
                    let params = captures.params().unwrap();
                    Some((op, has_id, params.mount.unwrap_or_default(), params.key.unwrap_or_default()))
                }
                _ => None,
            }
        };
        for (base, has_id) in [("/api/x/v1", true), ("/v1/api/x", true), ("/v1", false), ("/v1/api/x/", true)] {
            for (method, rest, op, mount, key) in [
                ("GET", "/secret/data/a/b", Op::ReadData, "secret", "a/b"),
                ("GET", "/secret/data/a%2Fdata%2Fb", Op::ReadData, "secret", "a/data/b"),
                ("PUT", "/team/x/data/a/", Op::WriteData, "team/x", "a/"),
                ("LIST", "/secret/metadata", Op::ListRoot, "secret", ""),
                ("LIST", "/secret/metadata/", Op::ListRoot, "secret", ""),
                ("LIST", "/secret/metadata/a/", Op::ReadMetadata, "secret", "a/"),
                ("SCAN", "/secret/detailed-metadata", Op::ListDetailed, "secret", ""),
                ("POST", "/secret/config", Op::WriteConfig, "secret", ""),
                ("GET", "/secret/config/x", Op::Unrouted, "", "secret/config/x"),
                ("GET", "/secret/foo", Op::Unrouted, "", "secret/foo"),
                ("GET", "/secret", Op::Unrouted, "", "secret"),
                ("GET", "/sys/health", Op::Health, "", ""),
                ("GET", "/sys/mounts/", Op::Mounts, "", ""),
                ("POST", "/sys/mounts/a/b", Op::Enable, "", "a/b"),
                ("POST", "/sys/mounts/a/b/tune", Op::Tune, "", "a/b"),
                ("GET", "/sys/internal/ui/mounts/secret/data/x", Op::UiMount, "", "secret/data/x"),
                ("PUT", "/auth/cert/login", Op::Login, "", ""),
                ("PUT", "/auth/cert/certs/x", Op::NotServed, "", "certs/x"),
                ("GET", "/sys/nothing", Op::Unrouted, "", "sys/nothing"),
            ] {
                let expected = Some((op, has_id, mount.to_owned(), key.to_owned()));
                assert_eq!(find(method, &format!("{base}{rest}")), expected, "{method} {base}{rest}");
            }
            assert_eq!(find("HEAD", &format!("{base}/secret/data/a")), None);
        }
        assert_eq!(normalized("/v1//api//x///secret"), "/v1/api/x/secret");
        assert_eq!(normalized("/v1/ibmcloud%2Fkv%2fdata/a%252Fb"), "/v1/ibmcloud/kv/data/a%252Fb");
        assert_eq!(normalized("/api/x/v2/secret/a%2Fb"), "/api/x/v2/secret/a%2Fb");
        assert_eq!(normalized("/api/x/v2/secret//foo"), "/api/x/v2/secret//foo");
        assert_eq!(normalized("/v2//okms"), "/v2//okms");
    }

    #[test]
    fn methods_and_nothing() {
        let router = Router::new(&routes());
        let path = "/api/x/v2/secret/foo/version/3";
        let Found::Methods(methods) = router.find(&Method::DELETE, path) else { panic!("a secret's name") };
        assert_eq!(methods.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>(), ["GET", "PUT"]);
        for nowhere in ["/api", "/api/x/v3/secret", "/swaggerx", "/openapi.json/x", "/api/x/v2/secretconfig"] {
            assert!(matches!(router.find(&Method::GET, nowhere), Found::Nothing), "{nowhere}");
        }
        for (path, page) in
            [("/swagger", Page::Swagger), ("/swagger/", Page::SwaggerAsset), ("/swagger/init.js", Page::SwaggerAsset)]
        {
            assert_eq!(find(&Method::GET, path).unwrap().0, Access::Public(page), "{path}");
        }
    }
}
