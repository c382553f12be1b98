//! Finds an address's route among a dialect's, and the parameters in it.
//!
//! An address is the first dialect's that says so. How it is spelled, and what of it is decoded
//! before it is matched, is that dialect's business.

use hyper::{Method, Uri};

use crate::api::{Address, Captures, Dialect, Operation, Route};

/// The compiled routes of all dialects, with something of the caller's beside each operation.
pub struct Router<T> {
    dialects: Vec<Routes<T>>,
}

/// The compiled routes of a dialect.
pub struct Routes<T> {
    /// Whose they are.
    pub dialect: &'static dyn Dialect,
    patterns: Vec<Pattern<T>>,
}

struct Pattern<T> {
    has_mount: bool,
    segments: Vec<Segment>,
    methods: Vec<(Method, &'static Operation, T)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    /// One or more segments.
    Tail,
    /// Digits.
    Version,
    /// Any one segment.
    Asset,
}

/// Where an address leads.
pub enum Match<'r, 'p, T> {
    /// To this operation.
    Operation(&'static Operation, &'r T, Captures<'p>),
    /// To a pattern that does not know the method, only these.
    Methods(&'r [(Method, &'static Operation, T)]),
    /// Nowhere.
    Nothing,
}

impl<T> Router<T> {
    /// Compiles the routes of `dialects`, of which the first whose address it is answers. `beside`
    /// makes what is kept with each operation.
    #[must_use]
    pub fn new(
        dialects: &[&'static dyn Dialect],
        beside: impl Fn(&'static Operation) -> T,
    ) -> Self {
        Self { dialects: dialects.iter().map(|dialect| Routes::new(*dialect, &beside)).collect() }
    }

    /// Whose address `uri` is, and how that dialect reads it.
    #[must_use]
    pub fn address<'u>(&self, method: &Method, uri: &'u Uri) -> Option<(&Routes<T>, Address<'u>)> {
        self.dialects.iter().find_map(|routes| Some((routes, routes.dialect.address(method, uri)?)))
    }
}

impl<T> Routes<T> {
    fn new(dialect: &'static dyn Dialect, beside: impl Fn(&'static Operation) -> T) -> Self {
        let mut patterns: Vec<Pattern<T>> = Vec::new();
        for Route { methods, pattern, operation } in dialect.routes() {
            let (has_mount, pattern) = match pattern.strip_prefix("/{mount}") {
                Some(rest) => (true, rest),
                None => (false, *pattern),
            };
            let segments: Vec<_> = pattern.split('/').skip(1).map(Segment::parse).collect();
            let methods = methods
                .iter()
                .filter_map(|name| Some((name.parse().ok()?, *operation, beside(operation))));
            match patterns
                .iter_mut()
                .find(|known| known.has_mount == has_mount && known.segments == segments)
            {
                Some(known) => known.methods.extend(methods),
                None => patterns.push(Pattern { has_mount, segments, methods: methods.collect() }),
            }
        }
        Self { dialect, patterns }
    }

    /// The operation that `address` asks for.
    #[must_use]
    pub fn find<'p>(&self, address: &'p Address<'_>) -> Match<'_, 'p, T> {
        let has_mount = address.mount > 0;
        for pattern in &self.patterns {
            let path = match (pattern.has_mount, has_mount) {
                (true, false) => continue,
                (true, true) => address.rest(),
                (false, _) => &address.path,
            };
            let Some(captures) = pattern.matches(path) else { continue };
            return match pattern.methods.iter().find(|(known, ..)| *known == address.method) {
                Some((_, operation, beside)) => Match::Operation(operation, beside, captures),
                None => Match::Methods(&pattern.methods),
            };
        }
        Match::Nothing
    }
}

impl Segment {
    fn parse(text: &'static str) -> Self {
        match text {
            "{path}" | "{key}" => Self::Tail,
            "{version}" => Self::Version,
            "{asset}" => Self::Asset,
            literal => Self::Literal(literal),
        }
    }

    fn capture<'p>(&self, segment: &'p str, captures: &mut Captures<'p>) -> bool {
        match self {
            Self::Literal(literal) => return *literal == segment,
            Self::Version
                if !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                captures.version = Some(segment);
            }
            Self::Asset => captures.asset = Some(segment),
            Self::Version | Self::Tail => return false,
        }
        true
    }
}

impl<T> Pattern<T> {
    /// The captures, if the whole of `path` fits. A collection's path may end in a slash.
    fn matches<'p>(&self, path: &'p str) -> Option<Captures<'p>> {
        let (mut captures, mut rest) = (Captures::default(), Some(path));
        let mut segments = self.segments.iter();
        for segment in segments.by_ref() {
            if *segment == Segment::Tail {
                captures.tail = Some(tail(segments.as_slice(), rest?, &mut captures)?);
                return Some(captures);
            }
            let (first, tail) = split_first(rest?);
            if !segment.capture(first, &mut captures) {
                return None;
            }
            rest = tail;
        }
        matches!(rest, None | Some("")).then_some(captures)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{DIALECTS, Params},
        model::VersionNumber,
    };

    /// What a request asks for, and the parameters in its path.
    fn find(method: &str, path: &str) -> Option<(&'static str, Params)> {
        let (router, uri) = (Router::new(DIALECTS, |_| ()), path.parse().unwrap());
        let (routes, address) = router.address(&method.parse().unwrap(), &uri)?;
        let Match::Operation(operation, (), captures) = routes.find(&address) else { return None };
        if address.fault.is_some() {
            return None;
        }
        Some((operation.id, routes.dialect.params(&address, &captures).ok()?))
    }

    #[test]
    fn paths_and_sub_resources() {
        let id = "1b4e28ba-2fa1-41d2-883f-0016d3cca427";
        for base in [format!("/api/{id}/v2/secret"), format!("/v2/okms/resource/{id}/secret")] {
            for (rest, operation, path, version) in [
                ("", "ListSecretV2", None, None),
                ("/", "ListSecretV2", None, None),
                ("/foo%2Fbar", "GetSecretV2", Some("foo/bar"), None),
                ("/foo/bar", "GetSecretV2", Some("foo/bar"), None),
                ("/foo%2Fversion", "GetSecretV2", Some("foo/version"), None),
                ("/foo%2fversion%2F3", "GetSecretV2", Some("foo/version/3"), None),
                ("/version", "GetSecretV2", Some("version"), None),
                ("/version/version", "ListSecretVersionV2", Some("version"), None),
                ("/foo/bar/version", "ListSecretVersionV2", Some("foo/bar"), None),
                ("/foo%2Fbar/version", "ListSecretVersionV2", Some("foo/bar"), None),
                ("/foo/bar/version/12", "GetSecretVersionV2", Some("foo/bar"), Some(12)),
                ("/foo/version/latest", "GetSecretV2", Some("foo/version/latest"), None),
                ("/version/3", "GetSecretV2", Some("version/3"), None),
                ("/a:b=c@d", "GetSecretV2", Some("a:b=c@d"), None),
            ] {
                let (id, params) = find("GET", &format!("{base}{rest}")).unwrap();
                let found = (
                    id,
                    params.path.map(|path| path.to_string()),
                    params.version.map(VersionNumber::get),
                );
                assert_eq!(found, (operation, path.map(str::to_owned), version), "{rest}");
            }
            assert_eq!(find("POST", &format!("{base}/")).unwrap().0, "PostSecretV2");
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
                assert!(find("GET", &format!("{base}{wrong}")).is_none(), "{wrong}");
            }
        }
    }

    #[test]
    fn the_bases_of_the_vault_dialect() {
        for base in ["/api/x/v1", "/v1/api/x", "/v1", "//v1//api/x/"] {
            for (method, rest, id, mount, name) in [
                ("GET", "/secret/data/a/b", "GetSecretRequest", "secret", "a/b"),
                ("GET", "/secret/data/a%2Fdata%2Fb", "GetSecretRequest", "secret", "a/data/b"),
                ("PUT", "/team/x/data/a/", "PostSecretRequest", "team/x", "a"),
                ("LIST", "/secret/metadata", "ListSecretsMetadata", "secret", ""),
                ("LIST", "/secret/metadata/", "ListSecretsMetadata", "secret", ""),
                ("LIST", "/secret/metadata/a/", "GetSecretsMetadata", "secret", "a"),
                ("SCAN", "/secret/detailed-metadata", "ListDetailedMetadata", "secret", ""),
                ("POST", "/secret/config", "PostSecretConfig", "secret", ""),
                ("GET", "/secret/config/x", "VaultUnrouted", "secret", "secret/config/x"),
                ("GET", "/secret/foo", "VaultUnrouted", "", "secret/foo"),
                ("GET", "/secret", "VaultUnrouted", "", "secret"),
                ("GET", "/sys/health", "VaultHealth", "", ""),
                ("GET", "/sys/mounts/", "VaultMounts", "", ""),
                ("POST", "/sys/mounts/a/b", "VaultEnable", "", "a/b"),
                ("POST", "/sys/mounts/a/b/tune", "VaultTune", "", "a/b"),
                (
                    "GET",
                    "/sys/internal/ui/mounts/secret/data/x",
                    "VaultUiMount",
                    "",
                    "secret/data/x",
                ),
                ("PUT", "/auth/cert/login", "VaultLogin", "", ""),
                ("PUT", "/auth/cert/certs/x", "VaultNotServed", "", "certs/x"),
                ("GET", "/sys/nothing", "VaultUnrouted", "", "sys/nothing"),
            ] {
                let (found, params) = find(method, &format!("{base}{rest}")).unwrap();
                let name_found = params.name.as_deref().unwrap_or_default();
                let tenant = params.address.tenant.is_some();
                assert_eq!(
                    (found, params.address.mount(), name_found),
                    (id, mount, name),
                    "{method} {base}{rest}"
                );
                assert_eq!(tenant, base != "/v1");
            }
            assert!(find("HEAD", &format!("{base}/secret/data/a")).is_none());
        }
    }

    #[test]
    fn methods_and_nothing() {
        let router = Router::new(DIALECTS, |_| ());
        let uri = "/api/x/v2/secret/foo/version/3".parse().unwrap();
        let (routes, address) = router.address(&Method::DELETE, &uri).unwrap();
        let Match::Methods(methods) = routes.find(&address) else {
            panic!("a version of a secret")
        };
        assert_eq!(
            methods.iter().map(|(method, ..)| method.as_str()).collect::<Vec<_>>(),
            ["GET", "PUT"]
        );
        for nowhere in
            ["/api", "/api/x/v3/secret", "/swaggerx", "/openapi.json/x", "/api/x/v2/secretconfig"]
        {
            assert!(find("GET", nowhere).is_none(), "{nowhere}");
        }
        for (path, id) in [
            ("/swagger", "Swagger"),
            ("/swagger/", "SwaggerAsset"),
            ("/swagger/init.js", "SwaggerAsset"),
        ] {
            assert_eq!(find("GET", path).unwrap().0, id, "{path}");
        }
    }
}
