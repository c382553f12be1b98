//! What is told of a secret beside its custom metadata: of which type it is, what it is for, whose.

use super::{Invalid, text};

/// The most tags of a secret.
const TAGS_MAX: usize = 32;
/// The longest tag, description and owner, in bytes.
const TAG_MAX: usize = 64;
const DESCRIPTION_MAX: usize = 1024;
const OWNER_MAX: usize = 255;

/// What kind of thing a secret is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretType {
    /// Names and values of any kind.
    #[default]
    Kv,
    /// The same, nested.
    Json,
    /// A certificate, with or without its key and its chain.
    Certificate,
    /// A key for SSH.
    SshKey,
    /// A key for somebody's API.
    ApiKey,
}

impl SecretType {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Kv, Self::Json, Self::Certificate, Self::SshKey, Self::ApiKey];

    /// Its published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Json => "json",
            Self::Certificate => "certificate",
            Self::SshKey => "ssh_key",
            Self::ApiKey => "api_key",
        }
    }

    /// The type of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// What is told of a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its type.
    pub secret_type: SecretType,
    /// What people say of it.
    pub description: Option<Box<str>>,
    /// The words by which it is found, in the order in which they were given, none twice.
    pub tags: Tags,
    /// Whom to ask about it.
    pub owner: Option<Box<str>>,
}

/// A secret's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<Box<str>>);

impl Tags {
    /// These tags; one that comes again is left out.
    ///
    /// # Errors
    /// `Invalid` where there are more than 32, or one is no printable text of 1 to 64 bytes.
    pub fn new<T: AsRef<str>>(tags: impl IntoIterator<Item = T>) -> Result<Self, Invalid> {
        let mut kept: Vec<Box<str>> = Vec::new();
        for tag in tags {
            let tag = tag.as_ref();
            if tag.is_empty() || tag.len() > TAG_MAX || !text::is_printable(tag) {
                return Err(Invalid("a tag has 1 to 64 bytes of printable text"));
            }
            if kept.iter().any(|other| **other == *tag) {
                continue;
            }
            if kept.len() == TAGS_MAX {
                return Err(Invalid("a secret has at most 32 tags"));
            }
            kept.push(tag.into());
        }
        Ok(Self(kept))
    }

    /// The tags, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|other| **other == *tag)
    }
}

/// Changes to what is told of a secret; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AboutPatch {
    /// Its type.
    pub secret_type: Option<SecretType>,
    /// The description, or none.
    pub description: Option<Option<Box<str>>>,
    /// All tags.
    pub tags: Option<Tags>,
    /// The owner, or none.
    pub owner: Option<Option<Box<str>>>,
}

impl AboutPatch {
    /// Whether nothing would change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self { secret_type, description, tags, owner } = self;
        secret_type.is_none() && description.is_none() && tags.is_none() && owner.is_none()
    }

    /// What is told after these changes.
    #[must_use]
    pub fn apply(&self, before: &About) -> About {
        About {
            secret_type: self.secret_type.unwrap_or(before.secret_type),
            description: self.description.as_ref().unwrap_or(&before.description).clone(),
            tags: self.tags.as_ref().unwrap_or(&before.tags).clone(),
            owner: self.owner.as_ref().unwrap_or(&before.owner).clone(),
        }
    }
}

/// A description that can be kept.
///
/// # Errors
/// `Invalid` for one that is too long, or has what cannot be printed.
pub fn description(text: &str) -> Result<Box<str>, Invalid> {
    let is_one = text.len() <= DESCRIPTION_MAX && text.lines().all(text::is_printable);
    if is_one { Ok(text.into()) } else { Err(Invalid("at most 1024 bytes of printable text")) }
}

/// An owner that can be kept.
///
/// # Errors
/// `Invalid` for none, one that is too long, or has what cannot be printed.
pub fn owner(text: &str) -> Result<Box<str>, Invalid> {
    let is_one = !text.is_empty() && text.len() <= OWNER_MAX && text::is_printable(text);
    if is_one { Ok(text.into()) } else { Err(Invalid("1 to 255 bytes of printable text")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_their_order_and_come_once() {
        let tags = Tags::new(["b", "a", "b"]).unwrap();
        assert_eq!(tags.iter().collect::<Vec<_>>(), ["b", "a"]);
        assert!(tags.has("a") && !tags.has("c"));
        let many: Vec<_> = (0..33).map(|n| n.to_string()).collect();
        assert!(Tags::new(&many).is_err() && Tags::new(&many[1..]).is_ok());
        assert!(Tags::new(std::iter::repeat_n("same", 100)).is_ok());
        let long = "x".repeat(65);
        for wrong in ["", "a\tb", &long] {
            assert!(Tags::new([wrong]).is_err(), "{wrong}");
        }
        assert!(Tags::new([&long[1..]]).is_ok());
    }

    #[test]
    fn texts_are_bounded() {
        let long = "x".repeat(1025);
        assert!(description(&long).is_err() && description(&long[1..]).is_ok());
        assert!(description("two\nlines").is_ok() && description("a\u{7}").is_err());
        assert!(description("").is_ok() && owner("").is_err());
        assert!(owner(&long[..256]).is_err() && owner("team:x").is_ok());
    }

    #[test]
    fn what_is_not_named_stays() {
        let before = AboutPatch {
            secret_type: Some(SecretType::Json),
            description: Some(Some("x".into())),
            tags: Some(Tags::new(["a"]).unwrap()),
            owner: Some(Some("o".into())),
        }
        .apply(&About::default());
        assert_eq!(AboutPatch::default().apply(&before), before);
        let patch = AboutPatch { description: Some(None), ..AboutPatch::default() };
        assert_eq!(patch.apply(&before), About { description: None, ..before });
        for kind in SecretType::ALL {
            assert_eq!(SecretType::of(kind.name()), Some(kind));
        }
        assert_eq!(SecretType::of("password"), None);
    }
}
