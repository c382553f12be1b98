//! Paths with wildcards: which of many fit a path, and which of them comes first.
//!
//! A pattern ends in `*`, has segments that are `+`, or both. They are kept as a tree of segments,
//! so that finding those that fit follows the segments of the path, whatever their number. What is
//! below a node is summed up in it, for questions about whole folders.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    ops::Bound,
};

use super::{super::patterns::Extent, Capabilities, Capability};

/// The path of a block, without templates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    /// Without the `*` at its end, if that is a wildcard.
    text: Box<str>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    /// One path.
    Exact,
    /// All that begin so.
    Prefix,
    /// With `+` at the beginning of a segment; as in Vault, even where more follows it in there, so
    /// that it stands for itself.
    Segments { is_prefix: bool },
}

impl Pattern {
    /// Whether Vault has no pattern of that text.
    pub(super) fn is_forbidden(text: &str) -> bool {
        text.contains("+*")
    }

    /// Of a path without a slash at its beginning.
    pub(super) fn new(path: &str) -> Self {
        let prefix = path.strip_suffix('*');
        let shape = if path == "+" || path.starts_with("+/") || path.contains("/+") {
            Shape::Segments { is_prefix: prefix.is_some() }
        } else if prefix.is_some() {
            Shape::Prefix
        } else {
            Shape::Exact
        };
        Self { text: prefix.unwrap_or(path).into(), shape }
    }

    /// As it is written.
    pub(super) fn written(&self) -> String {
        format!("{}{}", self.text, if self.is_prefix() { "*" } else { "" })
    }

    /// The path, if it is one alone.
    pub(super) fn exact(&self) -> Option<&str> {
        (self.shape == Shape::Exact).then_some(&*self.text)
    }

    const fn is_prefix(&self) -> bool {
        matches!(self.shape, Shape::Prefix | Shape::Segments { is_prefix: true })
    }

    /// Orders patterns that fit the same path: the greater one decides. The first wildcard is as far
    /// to the right as can be; then no `*`; then few `+`; then the longer one; then the greater one.
    /// One path alone comes before all.
    pub(super) fn by_precedence(&self, other: &Self) -> Ordering {
        let key = |pattern: &Self| {
            let first = match pattern.shape {
                Shape::Exact => usize::MAX,
                Shape::Prefix => pattern.text.len(),
                Shape::Segments { .. } => pattern.text.find('+').unwrap_or(pattern.text.len()),
            };
            let pluses = pattern.text.split('/').filter(|segment| *segment == "+").count();
            (first, !pattern.is_prefix(), Reverse(pluses), pattern.text.len())
        };
        key(self).cmp(&key(other)).then_with(|| self.text.cmp(&other.text))
    }
}

/// The place of a block in the order of precedence: a greater one comes first.
pub(super) type Rank = usize;

/// All patterns, by segments.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// The nodes of the segments that may follow.
    children: BTreeMap<Box<[u8]>, usize>,
    /// That of any segment, `+`.
    plus: Option<usize>,
    /// Patterns that end after a beginning of a segment, with `*`.
    tails: BTreeMap<Box<[u8]>, Rank>,
    /// What ends here: the one path, and the pattern with `+`.
    exact: Option<Rank>,
    end: Option<Rank>,
    /// All that does not end here.
    beyond: Summary,
}

/// What some patterns have in common.
#[derive(Clone, Copy, Debug)]
struct Summary {
    best: Option<Rank>,
    /// What any of them gives, whatever a request carries.
    any: Capabilities,
    /// What any of them gives to a request that carries what it asks for.
    at_best: Capabilities,
    /// What all of them give, whatever a request carries.
    all: Capabilities,
}

impl Default for Summary {
    fn default() -> Self {
        let none = Capabilities::NONE;
        Self { best: None, any: none, at_best: none, all: Capabilities::ALL }
    }
}

impl Summary {
    fn add(&mut self, other: Self) {
        self.best = self.best.max(other.best);
        self.any = self.any | other.any;
        self.at_best = self.at_best | other.at_best;
        self.all = self.all & other.all;
    }

    const fn of(rank: Rank, sure: Capabilities, at_best: Capabilities) -> Self {
        Self { best: Some(rank), any: sure, at_best, all: sure }
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// Takes in a pattern whose block gives what is `sure` whatever a request carries, and all that is
    /// `at_best` to one that carries what it asks for.
    pub(super) fn insert(
        &mut self,
        pattern: &Pattern,
        rank: Rank,
        sure: Capabilities,
        at_best: Capabilities,
    ) {
        let (parents, last) = match pattern.text.rsplit_once('/') {
            Some((parents, last)) => (Some(parents), last),
            None => (None, &*pattern.text),
        };
        let mut at = 0;
        let summary = Summary::of(rank, sure, at_best);
        let segments = parents.into_iter().flat_map(|parents| parents.split('/'));
        for segment in segments {
            at = self.enter(at, segment, summary);
        }
        if !pattern.is_prefix() {
            at = self.enter(at, last, summary);
        }
        let Some(node) = self.nodes.get_mut(at) else { return };
        match pattern.shape {
            Shape::Exact => node.exact = Some(rank),
            Shape::Segments { is_prefix: false } => node.end = Some(rank),
            Shape::Prefix | Shape::Segments { is_prefix: true } => {
                node.tails.insert(last.as_bytes().into(), rank);
                node.beyond.add(summary);
            }
        }
    }

    /// The node of `segment` below that at `at`, of which `summary` goes beyond.
    fn enter(&mut self, at: usize, segment: &str, summary: Summary) -> usize {
        let next = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        node.beyond.add(summary);
        let child = if segment == "+" {
            *node.plus.get_or_insert(next)
        } else {
            *node.children.entry(segment.as_bytes().into()).or_insert(next)
        };
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }

    /// The pattern with wildcards that decides about `path`.
    pub(super) fn find(&self, path: &str) -> Option<Rank> {
        let mut best = None;
        self.walk(path.as_bytes(), |node, segment, is_last| {
            best = best.max(node.tail_of(segment));
            if is_last {
                let ends = self.children_of(node, segment).filter_map(|child| child.end);
                best = best.max(ends.max());
            }
        });
        best
    }

    /// How much of what begins with `prefix` has `capability`; `gives` tells what a block gives, which
    /// is no more than what is sure where `is_bare`.
    pub(super) fn below(
        &self,
        prefix: &str,
        capability: Capability,
        is_bare: bool,
        gives: impl Fn(Rank) -> Capabilities,
    ) -> Extent {
        // A folder may be named without its slash. Who is allowed what beside an operation of
        // folders is the same, but for that.
        let is_of_folders = !matches!(
            capability,
            Capability::Read
                | Capability::Create
                | Capability::Update
                | Capability::Patch
                | Capability::Delete
        );
        // What decides about all of it, unless something comes before that.
        let mut cover = None;
        let mut contenders = Vec::new();
        self.walk(prefix.as_bytes(), |node, segment, is_last| {
            cover = cover.max(node.tail_of(segment));
            if !is_last {
                return;
            }
            let one = |rank: Rank| Summary::of(rank, gives(rank), gives(rank));
            contenders.extend(within(&node.tails, segment).map(|rank| one(*rank)));
            if is_of_folders && segment.is_empty() {
                contenders.extend(node.exact.into_iter().chain(node.end).map(one));
            }
            let children = within(&node.children, segment).copied().chain(node.plus);
            for child in children.filter_map(|child| self.nodes.get(child)) {
                contenders.push(child.beyond);
                contenders.extend(child.exact.into_iter().chain(child.end).map(one));
            }
        });
        let mut summary = Summary::default();
        if let Some(rank) = cover {
            summary.add(Summary::of(rank, gives(rank), gives(rank)));
        }
        for contender in contenders {
            if contender.best > cover {
                summary.add(contender);
            }
        }
        let any = if is_bare { summary.any } else { summary.at_best };
        if !any.contains(capability) {
            Extent::Nothing
        } else if cover.is_some() && summary.all.contains(capability) {
            Extent::Everything
        } else {
            Extent::Some
        }
    }

    /// Tells `visit` each node that `path` leads to, with the segment that follows there, and
    /// whether that is its last. A stack of its own: paths may have any number of segments.
    fn walk<'a>(&'a self, path: &'a [u8], mut visit: impl FnMut(&'a Node, &'a [u8], bool)) {
        let mut stack = vec![(0, path)];
        while let Some((at, path)) = stack.pop() {
            let Some(node) = self.nodes.get(at) else { continue };
            let mut parts = path.splitn(2, |byte| *byte == b'/');
            let segment = parts.next().unwrap_or_default();
            let rest = parts.next();
            visit(node, segment, rest.is_none());
            if let Some(rest) = rest {
                let children = node.children.get(segment).copied().into_iter().chain(node.plus);
                stack.extend(children.map(|child| (child, rest)));
            }
        }
    }

    fn children_of<'a>(
        &'a self,
        node: &'a Node,
        segment: &[u8],
    ) -> impl Iterator<Item = &'a Node> + use<'a> {
        let children = node.children.get(segment).copied().into_iter().chain(node.plus);
        children.filter_map(|child| self.nodes.get(child))
    }
}

impl Node {
    /// The first in rank of the patterns that end in a beginning of `segment`.
    fn tail_of(&self, segment: &[u8]) -> Option<Rank> {
        let (mut best, mut bound) = (None, segment);
        loop {
            // Whatever else is a beginning of the segment is one of what they have in common.
            let upper: Bound<&[u8]> = Bound::Included(bound);
            let mut up_to = self.tails.range::<[u8], _>((Bound::Unbounded, upper));
            let Some((tail, rank)) = up_to.next_back() else { return best };
            let common = tail.iter().zip(bound).take_while(|(one, other)| one == other).count();
            let mut shorter = common;
            if common == tail.len() {
                best = best.max(Some(*rank));
                let Some(below) = common.checked_sub(1) else { return best };
                shorter = below;
            }
            bound = bound.get(..shorter).unwrap_or_default();
        }
    }
}

/// The values of the keys that begin with `prefix`.
fn within<'a, V>(map: &'a BTreeMap<Box<[u8]>, V>, prefix: &'a [u8]) -> impl Iterator<Item = &'a V> {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    let found = map.range::<[u8], _>(from).take_while(move |(key, _)| key.starts_with(prefix));
    found.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a decision visits follows from its path, whatever the number of rules.
    #[test]
    fn a_decision_costs_what_its_path_is_long() {
        let visited = |patterns: &[&str], path: &str| {
            let (mut tree, mut visited) = (Tree::new(), 0);
            for rank in 0..1000 {
                for pattern in patterns {
                    let pattern = Pattern::new(&pattern.replace('#', &rank.to_string()));
                    tree.insert(&pattern, rank, Capabilities::NONE, Capabilities::NONE);
                }
            }
            tree.walk(path.as_bytes(), |_, _, _| visited += 1);
            visited
        };
        let literal = ["kv/data/app#/*", "kv/data/app#", "kv/#", "app#/*"];
        assert_eq!(visited(&literal, "kv/data/app7/x/y"), 4);
        let plus = ["kv/+/app#/*", "+/#/x", "kv/data/#/+"];
        // kv, + and what follows each of them.
        assert_eq!(visited(&plus, "kv/data/app7/x/y"), 6);
    }
}
