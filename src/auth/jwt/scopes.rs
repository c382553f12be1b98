//! Scopes: what a token allows, by names that dialects have in common. `secrets.read` and `secrets:read` are
//! one scope.

/// Something that a token can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To read values.
    Read,
    /// To make secrets and versions.
    Write,
    /// To delete so that it can be taken back, and to take it back.
    Delete,
    /// To erase.
    Destroy,
    /// To put a new value in the place of one.
    Rotate,
    /// To see what is told of secrets, one by one and in lists.
    ReadMetadata,
    /// To say whose a secret is.
    SetOwner,
    /// To list secrets, and to see what is told of them.
    List,
    /// All of it, and what has no scope of its own.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Read,
        Self::Write,
        Self::Delete,
        Self::Destroy,
        Self::Rotate,
        Self::ReadMetadata,
        Self::SetOwner,
        Self::List,
        Self::Admin,
    ];

    /// Its name, with a point.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "secrets.read",
            Self::Write => "secrets.write",
            Self::Delete => "secrets.delete",
            Self::Destroy => "secrets.destroy",
            Self::Rotate => "secrets.rotate",
            Self::ReadMetadata => "secrets.read_metadata",
            Self::SetOwner => "secrets.set_owner",
            Self::List => "secrets.list",
            Self::Admin => "admin",
        }
    }

    fn is_called(self, word: &str) -> bool {
        let dotted = |byte: u8| if byte == b':' { b'.' } else { byte };
        word.bytes().map(dotted).eq(self.name().bytes())
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Some scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u16);

impl Scopes {
    /// Whether this one is among them, or stands for all.
    #[must_use]
    pub const fn give(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }
}

/// Words that are none are left out.
impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<I: IntoIterator<Item = &'a str>>(words: I) -> Self {
        let of = |word: &'a str| Scope::ALL.into_iter().find(|scope| scope.is_called(word));
        Self(words.into_iter().filter_map(of).fold(0, |all, scope| all | scope.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_two_spellings_and_admin_is_all() {
        let of = |text: &str| text.split(' ').collect::<Scopes>();
        for scope in Scope::ALL {
            for name in [scope.name().to_owned(), scope.name().replace('.', ":")] {
                let scopes = of(&format!("openid {name}  secrets"));
                for other in Scope::ALL {
                    let is_given = other == scope || scope == Scope::Admin;
                    assert_eq!(scopes.give(other), is_given, "{name} {other:?}");
                }
            }
        }
        for nothing in
            ["", "secrets", "Secrets.read", "secrets.read:", "xsecrets.read", "secrets_read"]
        {
            assert_eq!(of(nothing), Scopes::default(), "{nothing:?}");
        }
    }
}
