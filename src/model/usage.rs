//! What a tenant has in the store, and what a change adds to it.

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Secrets.
    pub secrets: u64,
    /// What the values of their versions take, in bytes.
    pub bytes: u64,
}

/// What a change adds to a [`Usage`], or takes from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Secrets.
    pub secrets: i64,
    /// Bytes of values.
    pub bytes: i64,
}

impl Usage {
    /// The usage after a change.
    #[must_use]
    pub const fn after(self, growth: Growth) -> Self {
        Self {
            secrets: self.secrets.saturating_add_signed(growth.secrets),
            bytes: self.bytes.saturating_add_signed(growth.bytes),
        }
    }
}

impl Growth {
    /// From so many bytes of a secret, if there was one, to so many of the same, if there is one.
    #[must_use]
    pub fn between(before: Option<u64>, after: Option<u64>) -> Self {
        let signed = |bytes: Option<u64>| i64::try_from(bytes.unwrap_or(0)).unwrap_or(i64::MAX);
        Self {
            secrets: i64::from(after.is_some()) - i64::from(before.is_some()),
            bytes: signed(after) - signed(before),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            secrets: self.secrets.saturating_add(other.secrets),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// Whether nothing is added or taken.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.secrets == 0 && self.bytes == 0
    }
}
