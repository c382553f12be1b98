//! Finds an address's route among a dialect's, and the parameters in it.
//!
//! An address is the first dialect's that says so. How it is spelled, and what of it is decoded
//! before it is matched, is that dialect's business.

use hyper::{Method, Uri};

use crate::{
    api::{Address, Captures, Dialect, Operation, Route, thing},
    auth::Thing,
};

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
    /// What its parameter names.
    of: Option<Thing>,
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
    /// makes what is kept with each operation; one for which it makes nothing is not served, and as
    /// if it were not there.
    #[must_use]
    pub fn new(
        dialects: &[&'static dyn Dialect],
        beside: impl Fn(&'static dyn Dialect, &'static Operation) -> Option<T>,
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
    fn new(
        dialect: &'static dyn Dialect,
        beside: impl Fn(&'static dyn Dialect, &'static Operation) -> Option<T>,
    ) -> Self {
        let mut patterns: Vec<Pattern<T>> = Vec::new();
        for Route { methods, pattern, operation } in dialect.routes() {
            let of = thing(pattern);
            let (has_mount, pattern) = match pattern.strip_prefix("/{mount}") {
                Some(rest) => (true, rest),
                None => (false, *pattern),
            };
            let segments: Vec<_> = pattern.split('/').skip(1).map(Segment::parse).collect();
            let methods = methods.iter().filter_map(|name| {
                Some((name.parse().ok()?, *operation, beside(dialect, operation)?))
            });
            let methods: Vec<_> = methods.collect();
            if methods.is_empty() {
                continue;
            }
            match patterns
                .iter_mut()
                .find(|known| known.has_mount == has_mount && known.segments == segments)
            {
                Some(known) => known.methods.extend(methods),
                None => patterns.push(Pattern { has_mount, segments, of, methods }),
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
            let captures = Captures { of: pattern.of, ..captures };
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
            "{asset}" | "{id}" | "{name}" | "{credentialId}" | "{serial}" => Self::Asset,
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
    use std::future::ready;

    use super::*;
    use crate::api::{Effect, Handler, Problem, Rows};

    const fn toy(id: &'static str) -> Operation {
        let handler = Handler::Open(|_, _| Box::pin(ready(Err(Problem::NoRoute.into()))));
        Operation { id, effect: Effect::Read, actions: &[], handler }
    }

    static BOXES: Rows = Rows {
        name: "toys",
        bases: &["/toys/{okmsId}", "/all/toys"],
        routes: &[
            Route {
                methods: &["GET", "PUT"],
                pattern: "/box/{path}/lid/{version}",
                operation: &toy("Lid"),
            },
            Route { methods: &["GET"], pattern: "/box/{path}/lid", operation: &toy("Lids") },
            Route { methods: &["GET"], pattern: "/box/{path}", operation: &toy("Box") },
            Route { methods: &["DELETE"], pattern: "/box/{path}", operation: &toy("Throw") },
            Route { methods: &["GET"], pattern: "/box", operation: &toy("Boxes") },
            Route { methods: &["GET"], pattern: "/picture/{asset}", operation: &toy("Picture") },
            Route { methods: &["GET"], pattern: "/{mount}/box/{key}", operation: &toy("OnShelf") },
            Route { methods: &["GET"], pattern: "/{mount}/box", operation: &toy("Shelf") },
            Route { methods: &["GET"], pattern: "/{key}", operation: &toy("Rest") },
        ],
    };

    static BALLS: Rows = Rows {
        name: "toys",
        bases: &["/toys/{okmsId}"],
        routes: &[
            Route { methods: &["GET"], pattern: "/ball", operation: &toy("Balls") },
            Route { methods: &["GET"], pattern: "/box", operation: &toy("NotReached") },
        ],
    };

    /// The operation that an address leads to and what its pattern captured, or else the methods.
    fn outcome(routes: &Routes<()>, address: &Address<'_>) -> String {
        match routes.find(address) {
            Match::Operation(operation, (), Captures { tail, version, asset, .. }) => {
                let parts = [Some(operation.id), tail, version, asset];
                parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
            Match::Methods(methods) => {
                methods.iter().map(|(method, ..)| method.as_str()).collect::<Vec<_>>().join("|")
            }
            Match::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn what_follows_a_tail_binds_tighter() {
        let boxes = Routes::new(&BOXES, |_, _| Some(()));
        for (method, path, expected) in [
            ("GET", "box", "Boxes"),
            ("GET", "box/", "Boxes"),
            ("GET", "box/a", "Box a"),
            ("GET", "box/a/b%2Fc", "Box a/b%2Fc"),
            ("DELETE", "box/a/b", "Throw a/b"),
            ("GET", "box/a/b/lid", "Lids a/b"),
            ("GET", "box/lid", "Box lid"),
            ("GET", "box/lid/lid", "Lids lid"),
            ("GET", "box/a%2Flid", "Box a%2Flid"),
            ("PUT", "box/a/b/lid/12", "Lid a/b 12"),
            ("GET", "box/a/lid/last", "Box a/lid/last"),
            ("GET", "box/lid/3", "Box lid/3"),
            ("POST", "box/a/lid/3", "GET|PUT"),
            ("POST", "box/a", "GET|DELETE"),
            ("GET", "picture/x.png", "Picture x.png"),
            ("GET", "picture/", "Picture "),
            ("GET", "picture/x/y", "Rest picture/x/y"),
            ("PUT", "", "nothing"),
        ] {
            let method = method.parse().unwrap();
            let address = Address { method, path: path.into(), ..Address::default() };
            assert_eq!(outcome(&boxes, &address), expected, "{path}");
        }
    }

    /// What is not served is not there: it has no pattern, and names no method of one.
    #[test]
    fn what_is_not_served_is_nowhere() {
        let some = |id: &'static str| {
            move |_: &'static dyn Dialect, operation: &'static Operation| {
                (operation.id != id).then_some(())
            }
        };
        let get = |routes: &Routes<()>, path: &'static str| {
            outcome(
                routes,
                &Address { method: Method::GET, path: path.into(), ..Address::default() },
            )
        };
        let all = Routes::new(&BOXES, |_, _| Some(()));
        assert_eq!(get(&all, "box/a"), "Box a");
        let others = Routes::new(&BOXES, some("Box"));
        assert_eq!(get(&others, "box/a"), "DELETE");
        let none = Routes::new(&BOXES, |_, _| None::<()>);
        assert_eq!(get(&none, "box/a"), "nothing");
    }

    #[test]
    fn patterns_of_mounts_need_one() {
        let boxes = Routes::new(&BOXES, |_, _| Some(()));
        for (path, mount, expected) in [
            ("attic/left/box/a/lid", 10, "OnShelf a/lid"),
            ("attic/left/box", 10, "Shelf"),
            ("attic/left/box", 0, "Rest attic/left/box"),
            ("box/a", 3, "Box a"),
            ("box/box/a", 3, "Box box/a"),
        ] {
            let address = Address { path: path.into(), mount, ..Address::default() };
            assert_eq!(outcome(&boxes, &address), expected, "{path}");
        }
    }

    #[test]
    fn the_first_dialect_whose_address_it_is_answers() {
        let router = Router::new(&[&BOXES, &BALLS], |_, _| Some(()));
        for (url, expected) in [
            ("/toys/x/box", Some("Boxes")),
            ("/all/toys/box", Some("Boxes")),
            ("/toys/x/ball", Some("Balls")),
            ("/all/toys/ball", None),
            ("/toys/box", None),
            ("/toys", None),
        ] {
            let uri = url.parse().unwrap();
            let address = router.address(&Method::GET, &uri);
            let operation = address.map(|(routes, address)| outcome(routes, &address));
            assert_eq!(operation.as_deref(), expected, "{url}");
        }
    }
}
