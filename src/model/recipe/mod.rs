//! Secret policies: how values of secrets are made.
//!
//! Always holds: a recipe can be made, whatever is drawn: what it requires is possible, and no two of its
//! members have one name. Never does: draw anything.

mod charset;
mod generator;
mod setting;
mod template;

use std::collections::HashSet;

pub use self::{
    charset::{Charset, Class, RandomText},
    generator::{Curve, FixedText, Generator, RsaBits, SelfSigned, SshKind, UuidVersion},
    setting::{Setting, Settings as GeneratorSettings},
    template::{Part, Template},
};
use super::{Faults, Invalid, SecretPolicyId, SecretType, Timestamp, policy_id, text};

/// The most fields of a recipe.
const FIELDS_MAX: usize = 16;
/// The longest name of a field, in bytes.
const NAME_MAX: usize = 128;
/// Members that hold the secret itself, as people call them.
const USUAL: [&str; 6] = ["password", "secret", "client_secret", "token", "key", "api_key"];

/// A field as it is said.
#[derive(Clone, Debug)]
pub struct FieldSaid {
    /// Its name.
    pub name: String,
    /// The name of its generator.
    pub generator: String,
    /// The config of that.
    pub config: GeneratorSettings,
}

/// A field of a value, and what makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: String,
    generator: Generator,
}

impl Field {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What makes it.
    #[must_use]
    pub const fn generator(&self) -> &Generator {
        &self.generator
    }
}

/// How many fields may take long to make: a processor works for seconds on one.
const COSTLY_MAX: usize = 4;

/// Fields that are made together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe(Vec<Field>);

impl Recipe {
    /// The recipe of these fields.
    ///
    /// # Errors
    /// `Faults` names what is wrong with them, as `fields[2].config.length`.
    pub fn new(said: Vec<FieldSaid>) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        if !(1..=FIELDS_MAX).contains(&said.len()) {
            return Err(Faults::one("fields", "an array of 1 to 16 fields"));
        }
        let mut fields = Vec::with_capacity(said.len());
        for (number, FieldSaid { name, generator, config }) in said.into_iter().enumerate() {
            let at = format!("fields[{number}]");
            if name.is_empty() || name.len() > NAME_MAX || !text::is_printable(&name) {
                faults.add(format!("{at}.name"), "a text of 1 to 128 printable bytes");
            }
            let generator = Generator::read(&generator, config, &at, &mut faults);
            fields.extend(generator.map(|generator| Field { name, generator }));
        }
        let recipe = faults.check(Self(fields))?;
        if recipe.0.iter().filter(|field| field.generator.is_costly()).count() > COSTLY_MAX {
            let rule = "at most four that take long to make: rsa_keypair and bcrypt_hash";
            return Err(Faults::one("fields", rule));
        }
        let mut faults = Faults::default();
        let mut names = HashSet::new();
        for (number, (_, members)) in recipe.plan().enumerate() {
            // Each is looked at, so that a later one is held against all of them.
            let fresh = members.into_iter().filter(|name| names.insert(name.clone())).count();
            if fresh < recipe.member_count(number) {
                faults.add(
                    format!("fields[{number}].name"),
                    "a name under which no other field makes a member",
                );
            }
        }
        faults.check(recipe)
    }

    /// An SSH key pair, as it is made for whoever says nothing of how.
    #[must_use]
    pub fn ssh_pair() -> Self {
        let generator = Generator::SshPair(SshKind::Ed25519, String::new());
        Self(vec![Field { name: "ssh".to_owned(), generator }])
    }

    /// What is made anew of a secret of which no policy says how: by its type, and the names of its value's members.
    ///
    /// # Errors
    /// `Invalid` where that cannot be told.
    pub fn of_type<'n>(
        kind: SecretType,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<Self, Invalid> {
        match kind {
            SecretType::SshKey => Ok(Self::ssh_pair()),
            SecretType::Kv | SecretType::Json | SecretType::ApiKey => Self::for_one_of(names),
            SecretType::Certificate => Err(Invalid(
                "what is in a certificate cannot be told: attach a secret policy, or give the new value",
            )),
        }
    }

    /// Random text in the one member of a value that is meant: the only one, or the only one with a name
    /// that such a member usually has.
    ///
    /// # Errors
    /// `Invalid` where it cannot be told which one is meant.
    pub fn for_one_of<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, Invalid> {
        let names: Vec<_> = names.into_iter().collect();
        let mut usual = names.iter().filter(|name| USUAL.contains(name));
        let meant = match (names.as_slice(), usual.next(), usual.next()) {
            ([only], ..) | (_, Some(only), None) => *only,
            _ => {
                return Err(Invalid(
                    "it cannot be told which member of the value is to be made anew: attach a secret policy, or give the \
                     new value",
                ));
            }
        };
        let generator = Generator::Random(RandomText::SAFE);
        Ok(Self(vec![Field { name: meant.to_owned(), generator }]))
    }

    /// Its fields.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.0
    }

    /// What makes each field, and the names of the members that this makes, in the order in which it makes
    /// them.
    pub fn plan(&self) -> impl Iterator<Item = (&Generator, Vec<String>)> {
        let pairs = self.0.iter().filter(|field| field.generator.makes_pair()).count();
        self.0.iter().map(move |Field { name, generator }| {
            let prefixed = |member: &str| match pairs {
                0 | 1 => member.to_owned(),
                _ => format!("{name}_{member}"),
            };
            let members = match generator {
                Generator::RsaPair(_) | Generator::EcPair(_) | Generator::SshPair(..) => {
                    vec![prefixed("private_key"), prefixed("public_key")]
                }
                Generator::Certificate(_) => vec![prefixed("cert_pem"), prefixed("key_pem")],
                Generator::BcryptHash { .. } => vec![name.clone(), format!("{name}_hash")],
                _ => vec![name.clone()],
            };
            (generator, members)
        })
    }

    fn member_count(&self, number: usize) -> usize {
        self.plan().nth(number).map_or(0, |(_, members)| members.len())
    }
}

/// What a policy's values are for: a hint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyType {
    /// Passwords.
    Password,
    /// Keys of an API.
    ApiKey,
    /// Clients of `OAuth`.
    OauthClient,
    /// SSH keys.
    SshKey,
    /// Anything.
    #[default]
    Custom,
}

impl PolicyType {
    /// Each of them.
    pub const ALL: [Self; 5] =
        [Self::Password, Self::ApiKey, Self::OauthClient, Self::SshKey, Self::Custom];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::ApiKey => "api_key",
            Self::OauthClient => "oauth_client",
            Self::SshKey => "ssh_key",
            Self::Custom => "custom",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// The parts of a secret policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPolicyFields {
    /// Its name.
    pub name: String,
    /// What its values are for.
    pub policy_type: PolicyType,
    /// How they are made.
    pub recipe: Recipe,
    /// What people say of it.
    pub description: String,
    /// Whether values may be made by it.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A secret policy whose parts are within their bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPolicy(SecretPolicyFields);

impl SecretPolicy {
    /// A policy of these parts.
    ///
    /// # Errors
    /// `Faults` names each that is out of its bounds.
    pub fn new(fields: SecretPolicyFields) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        policy_id::check(&fields.name, &fields.description, &mut faults);
        faults.check(Self(fields))
    }

    /// Its parts.
    #[must_use]
    pub const fn fields(&self) -> &SecretPolicyFields {
        &self.0
    }
}

/// What of a secret policy is said, of one that is made or changed; what is `None` is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretPolicyPatch {
    /// Its name. The id stays.
    pub name: Option<String>,
    /// What its values are for.
    pub policy_type: Option<PolicyType>,
    /// How they are made.
    pub recipe: Option<Recipe>,
    /// What people say of it.
    pub description: Option<String>,
    /// Whether values may be made by it.
    pub is_active: Option<bool>,
}

impl SecretPolicyPatch {
    /// The policy that is so, and its id.
    ///
    /// # Errors
    /// `Faults` names what is missing, or out of its bounds.
    pub fn create(self, now: Timestamp) -> Result<(SecretPolicyId, SecretPolicy), Faults> {
        let Some(recipe) = self.recipe else {
            let mut faults = Faults::one("fields", "an array of 1 to 16 fields; it is missing");
            policy_id::check(
                self.name.as_deref().unwrap_or_default(),
                self.description.as_deref().unwrap_or_default(),
                &mut faults,
            );
            return Err(faults);
        };
        let policy = SecretPolicy::new(SecretPolicyFields {
            name: self.name.unwrap_or_default(),
            policy_type: self.policy_type.unwrap_or_default(),
            recipe,
            description: self.description.unwrap_or_default(),
            is_active: self.is_active.unwrap_or(true),
            created_at: now,
            updated_at: now,
        })?;
        Ok((SecretPolicyId::of_name(&policy.0.name), policy))
    }

    /// What it makes of a policy.
    ///
    /// # Errors
    /// `Faults` names what would be out of its bounds.
    pub fn apply(self, before: &SecretPolicy, now: Timestamp) -> Result<SecretPolicy, Faults> {
        let SecretPolicy(before) = before.clone();
        let fields = SecretPolicyFields {
            name: self.name.unwrap_or_else(|| before.name.clone()),
            policy_type: self.policy_type.unwrap_or(before.policy_type),
            recipe: self.recipe.unwrap_or_else(|| before.recipe.clone()),
            description: self.description.unwrap_or_else(|| before.description.clone()),
            is_active: self.is_active.unwrap_or(before.is_active),
            ..before
        };
        let updated_at = if fields == before { before.updated_at } else { now };
        SecretPolicy::new(SecretPolicyFields { updated_at, ..fields })
    }
}

#[cfg(test)]
mod tests;
