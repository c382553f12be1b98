//! Finds a path's route in the table, and the parameters in the path.
//!
//! Matching is done on the path as sent: `foo%2Fversion` is a secret's name, `foo/version` the versions of `foo`.
//! Each parameter is decoded once, after matching.

use hyper::Method;

use crate::{
    api::{Access, Params, Route, query},
    domain::{Invalid, OkmsId, SecretPath},
};

/// The compiled route table.
pub struct Router {
    patterns: Vec<Pattern>,
}

struct Pattern {
    segments: Vec<Segment>,
    methods: Vec<(Method, Access)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    OkmsId,
    Path,
    Version,
    Asset,
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
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Captures<'p> {
    okms_id: Option<&'p str>,
    path: Option<&'p str>,
    version: Option<&'p str>,
    asset: Option<&'p str>,
}

impl Router {
    /// Compiles a route table.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        let mut patterns: Vec<Pattern> = Vec::new();
        for route in routes {
            let segments: Vec<_> = route.pattern.split('/').skip(1).map(Segment::parse).collect();
            let method = (route.method.clone(), route.access);
            match patterns.iter_mut().find(|pattern| pattern.segments == segments) {
                Some(pattern) => pattern.methods.push(method),
                None => patterns.push(Pattern { segments, methods: vec![method] }),
            }
        }
        Self { patterns }
    }

    /// Finds the route of `method` on `path`, which is as sent, without its query.
    #[must_use]
    pub fn find<'p>(&self, method: &Method, path: &'p str) -> Found<'_, 'p> {
        let path = path.strip_prefix('/').unwrap_or(path);
        for pattern in &self.patterns {
            let Some(captures) = pattern.matches(path) else { continue };
            return match pattern.methods.iter().find(|(known, _)| known == method) {
                Some((_, access)) => Found::Route(*access, captures),
                None => Found::Methods(&pattern.methods),
            };
        }
        Found::Nothing
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text {
            "{okmsId}" => Self::OkmsId,
            "{path}" => Self::Path,
            "{version}" => Self::Version,
            "{asset}" => Self::Asset,
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
            Self::OkmsId | Self::Version | Self::Path => return false,
        }
        true
    }
}

impl Pattern {
    /// The captures, if the whole path fits. A collection's path may end in a slash.
    fn matches<'p>(&self, path: &'p str) -> Option<Captures<'p>> {
        let mut captures = Captures::default();
        let mut rest = Some(path);
        let mut segments = self.segments.iter();
        for segment in segments.by_ref() {
            if *segment == Segment::Path {
                captures.path = Some(tail(segments.as_slice(), rest?, &mut captures)?);
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

impl Captures<'_> {
    /// The domain that the path names.
    ///
    /// # Errors
    /// `Invalid` where it is not an id.
    pub fn okms_id(&self) -> Result<OkmsId, Invalid> {
        self.okms_id.unwrap_or_default().parse()
    }

    /// The other parameters, decoded and parsed.
    ///
    /// # Errors
    /// `Invalid` where one is not what its name says.
    pub fn params(&self) -> Result<Params, Invalid> {
        Ok(Params {
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
        api::{docs::Page, okms::DomainOp, routes},
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
                "/a%252Fb",
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
