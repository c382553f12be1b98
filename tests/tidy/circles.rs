//! Which files of a room lean on which, and whether that goes round in a circle.
//!
//! A file leans on another where a path in its code (`super::…`, `self::…`, `crate::…`, or a
//! child's name) ends there. What a `mod.rs` only passes on (`pub use`) counts for the file that
//! has it, so that a signpost is no stop on the way.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;

type Path = Vec<String>;

/// The files that stand in a circle, each with those that it leans on in there.
pub(crate) fn circles(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let house = House::new(sources);
    let edges: BTreeMap<_, _> =
        house.files.iter().map(|(module, file)| (module, house.leans_on(module, file))).collect();
    let reach = |from: &Path| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = open.pop() {
            open.extend(edges[&module].iter().filter(|next| seen.insert((*next).clone())).cloned());
        }
        seen
    };
    let reached: BTreeMap<_, _> = edges.keys().map(|module| (*module, reach(module))).collect();
    let name = |module: &Path| house.files[module].name.clone();
    let in_circle =
        reached.iter().filter(|(module, seen)| seen.contains(**module)).map(|(module, _)| *module);
    let back = |module: &Path| {
        edges[module].iter().filter(|next| reached[*next].contains(module)).map(name).collect()
    };
    in_circle.map(|module| (name(module), back(module))).collect()
}

struct House<'a> {
    files: BTreeMap<Path, &'a Source>,
    /// What modules pass on: module and name, and the path that it stands for.
    signposts: BTreeMap<(Path, String), Path>,
}

impl<'a> House<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let files: BTreeMap<Path, &Source> = sources
            .iter()
            .filter(|source| !source.code.is_empty())
            .map(|source| (module(&source.name), source))
            .collect();
        let mut signposts = BTreeMap::new();
        for (module, source) in &files {
            for re_export in source.code.split(';').filter_map(re_export) {
                for path in paths(re_export) {
                    let path: Path =
                        path.into_iter().skip_while(|segment| segment == "self").collect();
                    let Some(name) = path.last().cloned() else { continue };
                    signposts.insert((module.clone(), name), path);
                }
            }
        }
        Self { files, signposts }
    }

    fn leans_on(&self, module: &Path, source: &Source) -> BTreeSet<Path> {
        let own: Vec<_> =
            source.code.split(';').filter(|statement| re_export(statement).is_none()).collect();
        let own = own.join(";");
        let is_child =
            |name: &str| self.files.contains_key(&[module.as_slice(), &[name.to_owned()]].concat());
        let starts = starts(&own)
            .filter(|(_, name)| ["crate", "self", "super"].contains(name) || is_child(name));
        let (mut found, mut read_to) = (Vec::new(), 0);
        for (at, _) in starts {
            // What is within a group begins where the group does.
            if at >= read_to {
                let rest = read(&own[at..], &[], &mut found);
                read_to = own.len() - rest.len();
            }
        }
        let ends = found.iter().filter_map(|path| self.end(module, path, 0));
        ends.filter(|end| end != module && end.first() == module.first()).collect()
    }

    /// The file in which a path ends that stands in `module`.
    fn end(&self, module: &Path, path: &[String], depth: usize) -> Option<Path> {
        let mut at = module.clone();
        let mut rest = path;
        while let [first, tail @ ..] = rest {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                name => {
                    let next = [at.as_slice(), &[name.to_owned()]].concat();
                    if self.files.contains_key(&next) {
                        at = next;
                    } else if let Some(path) =
                        self.signposts.get(&(at.clone(), name.to_owned())).filter(|_| depth < 8)
                    {
                        return self.end(&at, path, depth + 1);
                    } else {
                        break;
                    }
                }
            }
            rest = tail;
        }
        self.files.contains_key(&at).then_some(at)
    }
}

fn module(name: &str) -> Path {
    let name = name.strip_suffix(".rs").unwrap_or(name);
    name.strip_suffix("/mod").unwrap_or(name).split('/').map(str::to_owned).collect()
}

/// What a statement passes on, where it is a `pub use`.
fn re_export(statement: &str) -> Option<&str> {
    let at = statement.find("pub").filter(|at| {
        statement[..*at]
            .trim_end()
            .lines()
            .last()
            .is_none_or(|line| line.ends_with(['}', ']']) || line.is_empty())
    })?;
    let rest = &statement[at + 3..];
    let rest = if rest.starts_with('(') { rest.split_once(')')?.1 } else { rest };
    rest.trim_start().strip_prefix("use ")
}

/// Where paths begin in `code`, and with which name.
fn starts(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices("::").filter_map(|(colons, _)| {
        let before = &code[..colons];
        let at = before
            .rfind(|c: char| !is_word(c))
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let is_first = !before[..at].ends_with([':', '.']);
        (is_first && at < colons).then(|| (at, &code[at..colons]))
    })
}

/// The paths that begin with `code`: several where it is a group in braces.
fn paths(code: &str) -> Vec<Path> {
    let mut found = Vec::new();
    read(code, &[], &mut found);
    found
}

/// Reads one path of `code` below `prefix`; what follows it.
fn read<'a>(mut code: &'a str, prefix: &[String], found: &mut Vec<Path>) -> &'a str {
    let mut path = prefix.to_vec();
    loop {
        if let Some(mut group) = code.strip_prefix('{') {
            loop {
                group = group.trim_start_matches([' ', '\n', ',']);
                if let Some(rest) = group.strip_prefix('}') {
                    return rest;
                }
                let rest = read(group, &path, found);
                if rest.len() == group.len() {
                    return rest;
                }
                group = rest;
            }
        }
        let end = code.find(|c: char| !is_word(c)).unwrap_or(code.len());
        if end > 0 {
            path.push(code[..end].to_owned());
        }
        code = &code[end..];
        match code.strip_prefix("::") {
            Some(rest) if end > 0 => code = rest,
            _ => {
                found.push(path);
                return code.strip_prefix('*').unwrap_or(code);
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A circle through a signpost and a group is seen; what only goes down is none.
#[test]
fn the_scanner_sees_circles() {
    let source = |name: &str, code: &str| Source {
        name: name.to_owned(),
        room: "room".to_owned(),
        text: String::new(),
        code: code.to_owned(),
    };
    let mut house = vec![
        source(
            "room/mod.rs",
            "mod a;\nmod b;\nmod c;\npub use self::{a::A, b::B};\npub use c::C;\n",
        ),
        source("room/a.rs", "use super::{C, b::{self, X}};\npub struct A;"),
        source("room/b.rs", "use std::fmt;\nuse crate::room::C;\npub struct B;"),
        source("room/c.rs", "pub struct C;"),
    ];
    assert!(circles(&house).is_empty());
    house[3].code = "fn c(a: super::A) {}".to_owned();
    let found = circles(&house);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["room/a.rs", "room/b.rs", "room/c.rs"]);
    assert_eq!(found["room/c.rs"], ["room/a.rs"]);
    house[3].code = "use super::D;".to_owned();
    house[0].code.push_str("pub struct D;\nfn d() { c::d() }");
    assert_eq!(circles(&house).keys().collect::<Vec<_>>(), ["room/c.rs", "room/mod.rs"]);
}
