//! What a policy's text says: blocks of a path, what they give, and what they ask.
//!
//! Always holds: a policy is taken whole or not at all; a key that this program does not act on is
//! refused wherever acting on it would have made a difference. Never does: keep the text, or know
//! the policy's name.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Capabilities, Capability, Facts, PolicyFault,
    hcl::{self, Entry, Tree},
    parameters::{Conditions, Listed},
    patterns::Pattern,
    template::Template,
};
use crate::model::DeactivateAfter;

/// A policy, read.
///
/// Of the keys of a block, `comment` is read over. `capabilities` and the older `policy`,
/// `allowed_parameters`, `denied_parameters`, `required_parameters`, `min_wrapping_ttl` and
/// `max_wrapping_ttl` mean what Vault says. The others narrow in ways that this program does not, so
/// that a policy with them would give more than its author thinks. They are taken where they change
/// nothing, and refused elsewhere:
///
/// * `mfa_methods` (a second factor is asked for), `control_group` (others have to approve),
///   `pagination_limit` (pages of a list are bounded) and `list_scan_response_keys_filter_path`
///   (names are left out of lists): where they are empty or zero, and in a block that denies.
/// * `expiration` (the block ends by itself): where it is empty. In a block that denies it would
///   make a difference, too: the denial would not end.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// One block of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    path: Template,
    capabilities: Capabilities,
    conditions: Conditions,
}

impl Policy {
    /// Reads what somebody writes: as [`Policy::kept`], but for what would be of nobody and was taken
    /// once.
    ///
    /// # Errors
    /// `PolicyFault` for a text that is not a policy through and through.
    pub fn parse(text: &str) -> Result<Self, PolicyFault> {
        let policy = Self::kept(text)?;
        match policy.rules.iter().find(|rule| rule.path.asks_for_id()) {
            None => Ok(policy),
            Some(rule) => Err(PolicyFault::new(format!(
                "path {}: identities here have no id; use identity.entity.name or identity.entity.metadata.<key>",
                quoted(rule.path())
            ))),
        }
    }

    /// Reads HCL, or JSON where the text begins with `{`, of a policy that was taken when it was written.
    ///
    /// # Errors
    /// `PolicyFault` for a text that is not a policy through and through.
    pub fn kept(text: &str) -> Result<Self, PolicyFault> {
        let (entries, mut rules, mut is_named) = (hcl::read(text)?, Vec::new(), false);
        for entry in &entries {
            match entry.keys.first().map(String::as_str) {
                Some("name") if !is_named && matches!(entry.value, Tree::Text(_)) => {
                    is_named = true;
                }
                Some("path") => read_paths(entry, &mut rules)?,
                _ => return Err(invalid_key(entry)),
            }
        }
        Ok(Self { rules })
    }

    /// One that denies everything.
    pub(super) fn denying_all() -> Self {
        let capabilities = Capabilities::of(&[Capability::Deny]);
        let path = Template::literal("*");
        Self { rules: vec![Rule { path, capabilities, conditions: Conditions::default() }] }
    }

    /// How many segments its paths have in all, and its blocks: what it takes of memory where it is
    /// asked.
    #[must_use]
    pub fn segments(&self) -> usize {
        let of = |rule: &Rule| rule.path().bytes().filter(|byte| *byte == b'/').count() + 2;
        self.rules.iter().map(of).sum()
    }

    /// Whether it says something else to one than to another.
    #[must_use]
    pub fn has_templates(&self) -> bool {
        self.rules.iter().any(|rule| rule.path.is_of_somebody())
    }

    /// Its blocks, in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl Rule {
    /// The path as it is written, with templates.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.written()
    }

    /// What it gives: nothing but `deny` where that is among it.
    #[must_use]
    pub const fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The path for whoever `facts` are about, without a slash at its beginning; `None` where the
    /// block is not for them, since a value is missing, or has a `*`, `+` or `/` in it.
    #[must_use]
    pub fn resolve(&self, facts: &impl Facts) -> Option<String> {
        let path = self.path.resolve(facts)?;
        Some(path.strip_prefix('/').map(str::to_owned).unwrap_or(path))
    }

    pub(super) const fn conditions(&self) -> &Conditions {
        &self.conditions
    }
}

/// The blocks of an entry `path "…" { }`, or of JSON's `"path": {"…": { }}`.
fn read_paths(entry: &Entry, rules: &mut Vec<Rule>) -> Result<(), PolicyFault> {
    let keys: Vec<_> = entry.keys.iter().map(String::as_str).collect();
    match (keys.as_slice(), &entry.value) {
        ([_, path], block) => {
            for block in objects(block).ok_or_else(|| not_a_block(entry))? {
                let rule = read_rule(path, block);
                let words = |fault| PolicyFault::new(format!("path {}: {fault}", quoted(path)));
                rules.push(rule.map_err(words)?);
            }
        }
        // In HCL it would be a block for the path "path", to Vault.
        ([_], paths) if entry.line.is_none() => {
            for paths in objects(paths).ok_or_else(|| not_a_block(entry))? {
                for inner in paths {
                    let [path] = inner.keys.as_slice() else { return Err(not_a_block(entry)) };
                    let keys = vec!["path".to_owned(), path.clone()];
                    // One level down, and no further: it has both keys.
                    read_paths(&Entry { keys, ..inner.clone() }, rules)?;
                }
            }
        }
        _ => return Err(not_a_block(entry)),
    }
    Ok(())
}

/// The entries of an object, or of each object of a list, which is how JSON repeats a key.
fn objects(value: &Tree) -> Option<Vec<&[Entry]>> {
    fn object(value: &Tree) -> Option<&[Entry]> {
        if let Tree::Object(entries) = value { Some(entries) } else { None }
    }
    match value {
        Tree::List(values) => values.iter().map(object).collect(),
        value => Some(vec![object(value)?]),
    }
}

fn read_rule(path: &str, block: &[Entry]) -> Result<Rule, PolicyFault> {
    let mut keys = BTreeMap::new();
    for entry in block {
        let key = match entry.keys.as_slice() {
            [key] if KEYS.contains(&key.as_str()) => key.as_str(),
            _ => return Err(invalid_key(entry)),
        };
        if keys.insert(key, &entry.value).is_some() {
            return Err(PolicyFault::new(format!("the key {} is there twice", quoted(key))));
        }
    }
    let path = Template::parse(path)?;
    if Pattern::is_forbidden(path.written()) {
        return Err(PolicyFault::new("invalid use of wildcards ('+*' is forbidden)"));
    }
    let capabilities = read_capabilities(&keys)?;
    let denies = capabilities.contains(Capability::Deny);
    if denies && path.is_nobodys() {
        return Err(PolicyFault::new(
            "identities here have no aliases, groups or time, so that this would deny nothing",
        ));
    }
    refuse_what_is_not_done(&keys, denies)?;
    let conditions = read_conditions(&keys)?;
    let conditions = if denies { Conditions::default() } else { conditions };
    Ok(Rule { path, capabilities, conditions })
}

/// The keys of a block.
const KEYS: &[&str] = &[
    "allowed_parameters",
    "capabilities",
    "comment",
    "control_group",
    "denied_parameters",
    "expiration",
    "list_scan_response_keys_filter_path",
    "max_wrapping_ttl",
    "mfa_methods",
    "min_wrapping_ttl",
    "pagination_limit",
    "policy",
    "required_parameters",
];

type Keys<'a> = BTreeMap<&'a str, &'a Tree>;

/// What newer Vaults have words for, and there is not here: nobody is given it.
const NOT_HERE: [&str; 2] = ["recover", "subscribe"];

fn read_capabilities(keys: &Keys<'_>) -> Result<Capabilities, PolicyFault> {
    const READ: Capabilities = Capabilities::of(&[Capability::Read, Capability::List]);
    const WRITE: Capabilities = Capabilities::of(&[
        Capability::Create,
        Capability::Read,
        Capability::Update,
        Capability::Delete,
        Capability::List,
    ]);
    let mut capabilities = match keys.get("policy") {
        None => Capabilities::NONE,
        Some(Tree::Text(word)) => match word.as_str() {
            "" => Capabilities::NONE,
            "deny" => Capabilities::of(&[Capability::Deny]),
            "read" => READ,
            "write" => WRITE,
            "sudo" => WRITE | Capabilities::of(&[Capability::Sudo]),
            word => return Err(PolicyFault::new(format!("invalid policy {}", quoted(word)))),
        },
        Some(_) => return Err(wrong("policy", "a text")),
    };
    for word in texts(keys, "capabilities")?.into_iter().filter(|word| !NOT_HERE.contains(word)) {
        let Some(capability) = Capability::of_word(word) else {
            return Err(PolicyFault::new(format!("invalid capability {}", quoted(word))));
        };
        capabilities = capabilities | Capabilities::of(&[capability]);
    }
    let deny = Capabilities::of(&[Capability::Deny]);
    Ok(if capabilities.contains(Capability::Deny) { deny } else { capabilities })
}

fn read_conditions(keys: &Keys<'_>) -> Result<Conditions, PolicyFault> {
    let required = texts(keys, "required_parameters")?;
    let conditions = Conditions {
        allowed: read_listed(keys, "allowed_parameters")?,
        denied: read_listed(keys, "denied_parameters")?,
        required: required.into_iter().map(str::to_lowercase).collect::<BTreeSet<_>>(),
        min_wrapping: read_seconds(keys, "min_wrapping_ttl")?,
        max_wrapping: read_seconds(keys, "max_wrapping_ttl")?,
    };
    match (conditions.min_wrapping, conditions.max_wrapping) {
        (Some(min), Some(max)) if max < min => {
            Err(PolicyFault::new("max_wrapping_ttl cannot be less than min_wrapping_ttl"))
        }
        _ => Ok(conditions),
    }
}

/// Refuses what would narrow the block, if it were done.
fn refuse_what_is_not_done(keys: &Keys<'_>, denies: bool) -> Result<(), PolicyFault> {
    const NOT_DONE: &[(&str, &str)] = &[
        ("mfa_methods", "no second factor is asked for here"),
        ("control_group", "nobody is asked to approve here"),
        ("pagination_limit", "lists are not bounded by policies here"),
        ("list_scan_response_keys_filter_path", "lists are not filtered by templates here"),
        ("expiration", "blocks do not end by themselves here"),
    ];
    for (key, why) in NOT_DONE {
        let changes = match keys.get(key) {
            None | Some(Tree::Null) => false,
            Some(Tree::Text(text)) => !text.is_empty(),
            Some(Tree::List(values)) => !values.is_empty(),
            Some(Tree::Number(number)) => number.as_i64() != Some(0),
            Some(Tree::Object(_) | Tree::Bool(_)) => true,
        };
        if changes && (!denies || *key == "expiration") {
            return Err(PolicyFault::new(format!(
                "{key} is not supported: {why}, and without it the policy would give more than it says"
            )));
        }
    }
    Ok(())
}

/// The texts of a list; one text stands for a list of it.
fn texts<'a>(keys: &Keys<'a>, key: &str) -> Result<Vec<&'a str>, PolicyFault> {
    let text = |value: &'a Tree| if let Tree::Text(text) = value { Some(&**text) } else { None };
    let texts = match keys.get(key) {
        None | Some(Tree::Null) => Some(Vec::new()),
        Some(Tree::List(values)) => values.iter().map(text).collect(),
        Some(value) => text(value).map(|text| vec![text]),
    };
    texts.ok_or_else(|| wrong(key, "a list of texts"))
}

fn read_listed(keys: &Keys<'_>, key: &str) -> Result<Listed, PolicyFault> {
    let fault = || wrong(key, "an object that has a list of values for each parameter");
    let mut listed = Listed::new();
    let entries = match keys.get(key) {
        None | Some(Tree::Null) => return Ok(listed),
        Some(Tree::Object(entries)) => entries,
        Some(_) => return Err(fault()),
    };
    for entry in entries {
        let ([name], Tree::List(values)) = (entry.keys.as_slice(), &entry.value) else {
            return Err(fault());
        };
        let values = values.iter().map(to_json).collect::<Result<_, _>>()?;
        if listed.insert(name.to_lowercase(), values).is_some() {
            return Err(PolicyFault::new(format!("{key} has {} twice", quoted(name))));
        }
    }
    Ok(listed)
}

fn to_json(value: &Tree) -> Result<serde_json::Value, PolicyFault> {
    Ok(match value {
        Tree::Text(text) => text.as_str().into(),
        Tree::Number(number) => number.clone().into(),
        Tree::Bool(is) => (*is).into(),
        Tree::Null => serde_json::Value::Null,
        Tree::List(values) => values.iter().map(to_json).collect::<Result<Vec<_>, _>>()?.into(),
        Tree::Object(entries) => {
            let mut object = serde_json::Map::new();
            for entry in entries {
                let [name] = entry.keys.as_slice() else { return Err(invalid_key(entry)) };
                if object.insert(name.clone(), to_json(&entry.value)?).is_some() {
                    return Err(PolicyFault::new(format!("a value has {} twice", quoted(name))));
                }
            }
            object.into()
        }
    })
}

/// A number of seconds, or a duration's text; zero bounds nothing. A part of a second would have to
/// be rounded, one way for the least time and the other for the most, so that there is none.
fn read_seconds(keys: &Keys<'_>, key: &str) -> Result<Option<u64>, PolicyFault> {
    let fault = || wrong(key, "a number of seconds, or text such as 90s, 5m or 1h");
    let text = match keys.get(key) {
        None | Some(Tree::Null) => return Ok(None),
        Some(Tree::Text(text)) if text.is_empty() => return Ok(None),
        Some(Tree::Text(text)) => text.clone(),
        Some(Tree::Number(number)) => number.to_string(),
        Some(_) => return Err(fault()),
    };
    let seconds = text.parse::<DeactivateAfter>().map_err(|_| fault())?.limit_seconds();
    if DeactivateAfter::seconds_rounded_up(&text) != Ok(seconds.unwrap_or_default()) {
        return Err(fault());
    }
    Ok(seconds)
}

fn invalid_key(entry: &Entry) -> PolicyFault {
    let key = quoted(entry.keys.first().map_or("", String::as_str));
    let line = entry.line.map(|line| format!(" on line {line}")).unwrap_or_default();
    PolicyFault::new(format!("invalid key {key}{line}"))
}

fn not_a_block(entry: &Entry) -> PolicyFault {
    let line = entry.line.map(|line| format!("line {line}: ")).unwrap_or_default();
    PolicyFault::new(format!("{line}path takes one path and a block in {{ }}"))
}

fn wrong(key: &str, expected: &str) -> PolicyFault {
    PolicyFault::new(format!("{key} is {expected}"))
}

/// A word of the text in quotes, of a length that is fit for a message.
fn quoted(word: &str) -> String {
    const SHOWN: usize = 128;
    match word.char_indices().nth(SHOWN) {
        None => format!("{word:?}"),
        Some((end, _)) => format!("{:?}…", word.get(..end).unwrap_or_default()),
    }
}
