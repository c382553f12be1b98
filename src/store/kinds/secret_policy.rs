//! Secret policies of a domain: how values are made. The key is the domain's id and the policy's.
//!
//! A generator's config is kept as it is said, by names, so that reading one back judges it as if it came anew.

use minicbor::{Decode, Encode};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{
        OkmsId, PolicyType, Recipe, SecretPolicy, SecretPolicyFields, SecretPolicyId, Timestamp,
        recipe::{FieldSaid, Setting},
    },
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("secret-policy");

/// The range of a domain's policies.
#[must_use]
pub fn all(id: OkmsId) -> (Vec<u8>, Vec<u8>) {
    (id.as_bytes().to_vec(), [id.as_bytes().as_slice(), &[0xff]].concat())
}

/// The policy's id in a key.
#[must_use]
pub fn id(key: &[u8]) -> Option<SecretPolicyId> {
    std::str::from_utf8(key.get(16..)?).ok()?.parse().ok()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    policy_type: &'a str,
    #[b(2)]
    recipe: Vec<Written<'a>>,
    #[b(3)]
    description: &'a str,
    #[n(4)]
    is_active: bool,
    #[n(5)]
    created_at: i64,
    #[n(6)]
    updated_at: i64,
}

/// A field of a value, and what makes it.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Written<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    generator: &'a str,
    #[b(2)]
    config: Vec<WrittenSetting>,
}

/// A setting: its name, and the one value that it has.
#[derive(Encode, Decode)]
#[cbor(map)]
struct WrittenSetting {
    #[n(0)]
    name: String,
    #[n(1)]
    number: Option<u64>,
    #[n(2)]
    text: Option<String>,
    #[n(3)]
    truth: Option<bool>,
    #[n(4)]
    texts: Option<Vec<String>>,
}

impl WrittenSetting {
    fn of(name: &str, setting: Setting) -> Self {
        let empty =
            Self { name: name.to_owned(), number: None, text: None, truth: None, texts: None };
        match setting {
            Setting::Number(number) => Self { number: Some(number), ..empty },
            Setting::Text(text) => Self { text: Some(text), ..empty },
            Setting::Truth(truth) => Self { truth: Some(truth), ..empty },
            Setting::Texts(texts) => Self { texts: Some(texts), ..empty },
            Setting::Other => empty,
        }
    }

    fn read(self) -> (String, Setting) {
        let Self { name, number, text, truth, texts } = self;
        let setting = number.map(Setting::Number).or(text.map(Setting::Text));
        let setting = setting.or(truth.map(Setting::Truth)).or(texts.map(Setting::Texts));
        (name, setting.unwrap_or(Setting::Other))
    }
}

impl Kind for SecretPolicy {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a SecretPolicyId;

    fn key(id: OkmsId, policy: &SecretPolicyId) -> Vec<u8> {
        [id.as_bytes().as_slice(), policy.as_str().as_bytes()].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let policy = self.fields();
        let recipe = policy.recipe.fields().iter().map(|field| {
            let config = field.generator().config().into_iter();
            Written {
                name: field.name(),
                generator: field.generator().name(),
                config: config.map(|(name, setting)| WrittenSetting::of(name, setting)).collect(),
            }
        });
        kind::encode(&Fields {
            name: &policy.name,
            policy_type: policy.policy_type.name(),
            recipe: recipe.collect(),
            description: &policy.description,
            is_active: policy.is_active,
            created_at: policy.created_at.unix_nanos(),
            updated_at: policy.updated_at.unix_nanos(),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        let said = fields.recipe.into_iter().map(|Written { name, generator, config }| FieldSaid {
            name: name.to_owned(),
            generator: generator.to_owned(),
            config: config.into_iter().map(WrittenSetting::read).collect(),
        });
        Ok(Self::new(SecretPolicyFields {
            name: fields.name.to_owned(),
            policy_type: PolicyType::named(fields.policy_type).ok_or(Malformed)?,
            recipe: Recipe::new(said.collect())?,
            description: fields.description.to_owned(),
            is_active: fields.is_active,
            created_at: Timestamp::from_unix_nanos(fields.created_at),
            updated_at: Timestamp::from_unix_nanos(fields.updated_at),
        })?)
    }
}
