//! Values of an identity in a block's path: `secret/data/{{identity.entity.name}}/*`.
//!
//! Always holds: what is put in is one piece of one segment, and never empty: a value with a
//! wildcard or a slash in it would let whoever chose it choose the policy as well. A block that
//! lacks a value is not there; the others stand.

use super::hcl::PolicyFault;

/// What is known of whoever asks.
pub trait Facts {
    /// `identity.entity.name`.
    fn name(&self) -> Option<&str>;

    /// `identity.entity.metadata.<key>`.
    fn metadata(&self, key: &str) -> Option<&str>;
}

/// Somebody of whom nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Facts for Nobody {
    fn name(&self) -> Option<&str> {
        None
    }

    fn metadata(&self, _: &str) -> Option<&str> {
        None
    }
}

/// The path of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    written: Box<str>,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Name,
    Metadata(Box<str>),
    /// `identity.entity.id`, which identities here do not have.
    Id,
    /// Aliases, groups and the time, which identities here do not have.
    Never,
}

impl Template {
    pub(super) fn parse(written: &str) -> Result<Self, PolicyFault> {
        let unbalanced =
            || PolicyFault::new("unbalanced templating characters: {{ and }} are pairs");
        let mut parts = written.split("{{");
        let first = parts.next().unwrap_or_default();
        if first.contains("}}") {
            return Err(unbalanced());
        }
        let mut pieces = vec![Piece::Literal(first.into())];
        for part in parts {
            let (name, literal) = part.split_once("}}").ok_or_else(unbalanced)?;
            if literal.contains("}}") {
                return Err(unbalanced());
            }
            pieces.push(Piece::named(name.trim())?);
            pieces.push(Piece::Literal(literal.into()));
        }
        Ok(Self { written: written.into(), pieces })
    }

    /// One without any value in it.
    pub(super) fn literal(path: &str) -> Self {
        Self { written: path.into(), pieces: vec![Piece::Literal(path.into())] }
    }

    /// Whether values are put in.
    pub(super) fn is_of_somebody(&self) -> bool {
        self.pieces.iter().any(|piece| !matches!(piece, Piece::Literal(_)))
    }

    /// As it is written.
    pub(super) fn written(&self) -> &str {
        &self.written
    }

    /// Whether there is nobody for whom it resolves.
    pub(super) fn is_nobodys(&self) -> bool {
        self.pieces.contains(&Piece::Never)
    }

    /// Whether it asks for an id: a policy that does was taken once, and is not written any more.
    pub(super) fn asks_for_id(&self) -> bool {
        self.pieces.contains(&Piece::Id)
    }

    /// The path for whoever `facts` are about; `None` where a value is missing or unfit.
    pub(super) fn resolve(&self, facts: &impl Facts) -> Option<String> {
        let mut path = String::with_capacity(self.written.len());
        for piece in &self.pieces {
            let value = match piece {
                Piece::Literal(literal) => {
                    path.push_str(literal);
                    continue;
                }
                Piece::Name => facts.name()?,
                Piece::Metadata(key) => facts.metadata(key)?,
                Piece::Id | Piece::Never => return None,
            };
            if value.is_empty() || value.contains(['*', '+', '/']) {
                return None;
            }
            path.push_str(value);
        }
        Some(path)
    }
}

impl Piece {
    fn named(name: &str) -> Result<Self, PolicyFault> {
        if let Some(of_entity) = name.strip_prefix("identity.entity.") {
            if let Some(key) = of_entity.strip_prefix("metadata.") {
                return Ok(Self::Metadata(key.into()));
            }
            match of_entity {
                "id" => return Ok(Self::Id),
                "name" => return Ok(Self::Name),
                _ if of_entity.starts_with("aliases.") => return Ok(Self::Never),
                _ => {}
            }
        }
        let is_known = name.starts_with("identity.groups.")
            || name == "time.now"
            || name.starts_with("time.now.plus.")
            || name.starts_with("time.now.minus.");
        if is_known {
            return Ok(Self::Never);
        }
        Err(PolicyFault::new(
            "unknown template; there are identity.entity.name and identity.entity.metadata.<key>",
        ))
    }
}
