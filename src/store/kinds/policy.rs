//! Policies of a domain: `okmsId, 0, id` is one in the words of IAM; `okmsId, 1, name`
//! one in Vault's language ([`super::vault_policy`]).

use minicbor::{Decode, Encode};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{
        Condition, IamPolicy, OkmsId, ResourcePattern, Timestamp, When,
        condition::{Expression, Operator},
    },
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("policy");

/// The range of a domain's policies in the words of IAM.
#[must_use]
pub fn iam(id: OkmsId) -> (Vec<u8>, Vec<u8>) {
    ([id.as_bytes().as_slice(), &[0]].concat(), [id.as_bytes().as_slice(), &[1]].concat())
}

/// The policy's id in a key.
#[must_use]
pub fn iam_id(key: &[u8]) -> Option<[u8; 16]> {
    key.get(17..)?.try_into().ok()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    description: &'a str,
    #[b(2)]
    identities: Vec<&'a str>,
    /// Patterns of paths; the domain as a whole is an empty one.
    #[b(3)]
    resources: Vec<&'a str>,
    #[b(4)]
    allow: Vec<&'a str>,
    #[b(5)]
    except: Vec<&'a str>,
    #[b(6)]
    deny: Vec<&'a str>,
    #[n(7)]
    created_at: i64,
    #[n(8)]
    updated_at: i64,
    #[b(9)]
    condition: Option<Written<'a>>,
    #[n(10)]
    expires_at: Option<i64>,
}

/// A condition: the operator's place among all, and its parts.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Written<'a> {
    #[n(0)]
    operator: u8,
    #[b(1)]
    values: Vec<(&'a str, &'a str)>,
    #[b(2)]
    conditions: Vec<Written<'a>>,
}

/// The form of a policy that does not always say what it says: whoever passed over that would take
/// its allows for wider, and its denies for more, than they are.
const CONDITIONAL: u8 = kind::FORM + 1;

impl<'a> Written<'a> {
    fn of(written: &'a Expression) -> Self {
        let places = (0..).zip(Operator::ALL);
        let mut places = places.filter(|(_, operator)| *operator == written.operator);
        Self {
            operator: places.next().map_or(u8::MAX, |(place, _)| place),
            values: written.values.iter().map(|(key, value)| (&**key, &**value)).collect(),
            conditions: written.conditions.iter().map(Self::of).collect(),
        }
    }

    fn read(&self) -> Result<Expression, Malformed> {
        let operator = Operator::ALL.get(usize::from(self.operator)).ok_or(Malformed)?;
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Ok(Expression {
            operator: *operator,
            values: self.values.iter().map(owned).collect(),
            conditions: self.conditions.iter().map(Self::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Kind for IamPolicy {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a [u8; 16];

    fn key(id: OkmsId, policy: &[u8; 16]) -> Vec<u8> {
        [id.as_bytes().as_slice(), &[0], policy].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let resources = self.resources.iter().map(|resource| match resource {
            ResourcePattern::Domain => "",
            ResourcePattern::Secrets(pattern) => pattern,
        });
        let When { condition, expires_at } = &self.when;
        let fields = Fields {
            name: &self.name,
            description: &self.description,
            identities: texts(&self.identities),
            resources: resources.collect(),
            allow: texts(&self.allow),
            except: texts(&self.except),
            deny: texts(&self.deny),
            created_at: self.created_at.unix_nanos(),
            updated_at: self.updated_at.unix_nanos(),
            condition: condition.as_ref().map(|condition| Written::of(condition.written())),
            expires_at: expires_at.map(Timestamp::unix_nanos),
        };
        kind::encode_as(if self.when.is_always() { kind::FORM } else { CONDITIONAL }, &fields)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode_up_to(CONDITIONAL, bytes)?;
        let condition = fields
            .condition
            .as_ref()
            .map(|condition| Ok::<_, Malformed>(Condition::new(condition.read()?)?));
        let condition = condition.transpose()?;
        let resource = |text: &str| match text {
            "" => ResourcePattern::Domain,
            pattern => ResourcePattern::Secrets(pattern.to_owned()),
        };
        Ok(Self {
            name: fields.name.to_owned(),
            description: fields.description.to_owned(),
            identities: owned(&fields.identities),
            resources: fields.resources.into_iter().map(resource).collect(),
            allow: owned(&fields.allow),
            except: owned(&fields.except),
            deny: owned(&fields.deny),
            when: When { condition, expires_at: fields.expires_at.map(Timestamp::from_unix_nanos) },
            created_at: Timestamp::from_unix_nanos(fields.created_at),
            updated_at: Timestamp::from_unix_nanos(fields.updated_at),
        })
    }
}

pub(super) fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

pub(super) fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
