//! What a block of a policy can give.

use std::ops::{BitAnd, BitOr};

/// One word of a block's `capabilities`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Put something where nothing is.
    Create,
    /// Remove what is there.
    Delete,
    /// Nothing at all, whatever else the block or one of the same path says.
    Deny,
    /// See the names in a folder.
    List,
    /// Change a part of what is there.
    Patch,
    /// See what is there.
    Read,
    /// See the names in a folder and in those below it. `OpenBao`'s word.
    Scan,
    /// Do what paths of the server's own ask for beyond the capability.
    Sudo,
    /// Put something where something is.
    Update,
}

impl Capability {
    /// Every capability, in the order of their words.
    pub const ALL: &[Self] = &[
        Self::Create,
        Self::Delete,
        Self::Deny,
        Self::List,
        Self::Patch,
        Self::Read,
        Self::Scan,
        Self::Sudo,
        Self::Update,
    ];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Deny => "deny",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Scan => "scan",
            Self::Sudo => "sudo",
            Self::Update => "update",
        }
    }

    /// The capability of exactly this word.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|capability| capability.word() == word)
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u16);

impl Capabilities {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them: what every set is a part of.
    pub(super) const ALL: Self = Self(u16::MAX);

    /// Those.
    #[must_use]
    pub const fn of(capabilities: &[Capability]) -> Self {
        let (mut bits, mut rest) = (0, capabilities);
        while let [capability, tail @ ..] = rest {
            bits |= 1 << (*capability as u16);
            rest = tail;
        }
        Self(bits)
    }

    /// Whether `capability` is among them.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & 1 << (capability as u16) != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their words, sorted, as `sys/capabilities` tells them: `deny` alone where nothing is given.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        if self.is_empty() || self.contains(Capability::Deny) {
            return vec![Capability::Deny.word()];
        }
        let given = Capability::ALL.iter().filter(|capability| self.contains(**capability));
        given.map(|capability| capability.word()).collect()
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Capabilities {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What a request does at its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sees what is there.
    Read,
    /// Sees the names in a folder.
    List,
    /// Sees the names in a folder and in those below it.
    Scan,
    /// Puts something where nothing is.
    Create,
    /// Puts something where something is.
    Update,
    /// Changes a part of what is there.
    Patch,
    /// Removes what is there.
    Delete,
}

impl Operation {
    /// The capability that it takes.
    #[must_use]
    pub const fn capability(self) -> Capability {
        match self {
            Self::Read => Capability::Read,
            Self::List => Capability::List,
            Self::Scan => Capability::Scan,
            Self::Create => Capability::Create,
            Self::Update => Capability::Update,
            Self::Patch => Capability::Patch,
            Self::Delete => Capability::Delete,
        }
    }

    /// Whether it is about a folder, whose path blocks may name with or without the slash at its end.
    pub(super) const fn is_of_folders(self) -> bool {
        matches!(self, Self::List | Self::Scan)
    }

    /// Whether what it carries is held against a block's parameters.
    pub(super) const fn has_parameters(self) -> bool {
        matches!(self, Self::Read | Self::Create | Self::Update | Self::Patch)
    }
}
