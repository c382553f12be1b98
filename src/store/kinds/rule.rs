//! Mapping rules of a domain: which certificates stand for whom. The key is the domain's id and the
//! rule's name.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode, bytes::ByteArray};

use super::{
    kind::{self, Kind, Malformed},
    policy::{owned, texts},
};
use crate::{
    model::{CertRole, CertRule, OkmsId, RuleIssuer},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("rule");

/// The range of a domain's rules.
#[must_use]
pub fn all(id: OkmsId) -> (Vec<u8>, Vec<u8>) {
    (id.as_bytes().to_vec(), [id.as_bytes().as_slice(), &[0xff]].concat())
}

/// The rule's name in a key.
#[must_use]
pub fn name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(16..)?).ok()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    identity: &'a str,
    #[b(1)]
    policies: Vec<&'a str>,
    #[b(2)]
    common_names: Vec<&'a str>,
    #[b(3)]
    dns_names: Vec<&'a str>,
    #[b(4)]
    emails: Vec<&'a str>,
    #[b(5)]
    uris: Vec<&'a str>,
    #[b(6)]
    names: Vec<&'a str>,
    #[b(7)]
    upns: Vec<&'a str>,
    #[n(8)]
    keys: Vec<ByteArray<32>>,
    #[b(9)]
    #[cbor(default)]
    organizations: Vec<&'a str>,
    #[b(10)]
    #[cbor(default)]
    organizational_units: Vec<&'a str>,
    /// Each a key's; none stands for the region's own authority.
    #[n(11)]
    #[cbor(default)]
    issuers: Vec<Option<ByteArray<32>>>,
    #[b(12)]
    #[cbor(default)]
    metadata: Vec<(&'a str, &'a str)>,
    #[b(13)]
    role: Option<Role<'a>>,
    #[b(14)]
    #[cbor(default)]
    subject: Vec<(&'a str, Vec<&'a str>)>,
    #[b(15)]
    #[cbor(default)]
    other_names: Vec<(&'a str, Vec<&'a str>)>,
    #[b(16)]
    #[cbor(default)]
    required_extensions: Vec<&'a str>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Role<'a> {
    #[b(0)]
    certificate: &'a str,
    #[b(1)]
    display_name: &'a str,
    #[n(2)]
    ttl_seconds: u64,
    #[n(3)]
    max_ttl_seconds: u64,
}

/// The form of a rule with a list that the first form did not have: whoever passed over it would
/// take the rule for a wider one.
const NARROWER: u8 = kind::FORM + 1;
/// The form of a rule with a list that the second form did not have either.
const NARROWEST: u8 = kind::FORM + 2;

impl Kind for CertRule {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a str;

    fn key(id: OkmsId, rule: &str) -> Vec<u8> {
        [id.as_bytes().as_slice(), rule.as_bytes()].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let is_narrower = !self.organizations.is_empty()
            || !self.organizational_units.is_empty()
            || !self.issuers.is_empty();
        let is_narrowest = !self.subject.is_empty()
            || !self.other_names.is_empty()
            || !self.required_extensions.is_empty();
        let issuer = |issuer: &RuleIssuer| match issuer {
            RuleIssuer::Region => None,
            RuleIssuer::Key(key) => Some(ByteArray::from(*key)),
        };
        let fields = Fields {
            identity: &self.identity,
            policies: texts(&self.policies),
            common_names: texts(&self.common_names),
            dns_names: texts(&self.dns_names),
            emails: texts(&self.emails),
            uris: texts(&self.uris),
            names: texts(&self.names),
            upns: texts(&self.upns),
            keys: self.keys.iter().map(|key| ByteArray::from(*key)).collect(),
            organizations: texts(&self.organizations),
            organizational_units: texts(&self.organizational_units),
            issuers: self.issuers.iter().map(issuer).collect(),
            metadata: self.metadata.iter().map(|(name, text)| (&**name, &**text)).collect(),
            role: self.role.as_ref().map(|role| Role {
                certificate: &role.certificate,
                display_name: &role.display_name,
                ttl_seconds: role.ttl_seconds,
                max_ttl_seconds: role.max_ttl_seconds,
            }),
            subject: by_name(&self.subject),
            other_names: by_name(&self.other_names),
            required_extensions: texts(&self.required_extensions),
        };
        let form = match (is_narrowest, is_narrower) {
            (true, _) => NARROWEST,
            (false, true) => NARROWER,
            (false, false) => kind::FORM,
        };
        kind::encode_as(form, &fields)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode_up_to(NARROWEST, bytes)?;
        let issuer = |issuer: Option<ByteArray<32>>| {
            issuer.map_or(RuleIssuer::Region, |key| RuleIssuer::Key(key.into()))
        };
        let metadata = fields.metadata.iter();
        let rule = Self {
            identity: fields.identity.to_owned(),
            policies: owned(&fields.policies),
            common_names: owned(&fields.common_names),
            dns_names: owned(&fields.dns_names),
            emails: owned(&fields.emails),
            uris: owned(&fields.uris),
            names: owned(&fields.names),
            upns: owned(&fields.upns),
            keys: fields.keys.into_iter().map(Into::into).collect(),
            organizations: owned(&fields.organizations),
            organizational_units: owned(&fields.organizational_units),
            issuers: fields.issuers.into_iter().map(issuer).collect(),
            metadata: metadata
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
            role: fields.role.map(|role| CertRole {
                certificate: role.certificate.to_owned(),
                display_name: role.display_name.to_owned(),
                ttl_seconds: role.ttl_seconds,
                max_ttl_seconds: role.max_ttl_seconds,
            }),
            subject: owned_by_name(&fields.subject),
            other_names: owned_by_name(&fields.other_names),
            required_extensions: owned(&fields.required_extensions),
        };
        // One that nobody understands would be about nobody, whatever it denies.
        rule.facets()?;
        Ok(rule)
    }
}

fn by_name(lists: &BTreeMap<String, Vec<String>>) -> Vec<(&str, Vec<&str>)> {
    lists.iter().map(|(name, list)| (name.as_str(), texts(list))).collect()
}

fn owned_by_name(lists: &[(&str, Vec<&str>)]) -> BTreeMap<String, Vec<String>> {
    lists.iter().map(|(name, list)| ((*name).to_owned(), owned(list))).collect()
}
