//! What must hold of any input, whoever made it: a function for each reader of what strangers send
//! or a disk returns.
//!
//! Each is called by a fuzz target (`fuzz/`) with bytes that look for new ways through the code,
//! and by a test below with bytes of the right alphabet. Always holds: it is in no server, only in
//! tests and under the feature `fuzzing`.
#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "a function here is a test: it panics where something does not hold"
)]

use std::{collections::BTreeMap, fmt::Debug, sync::LazyLock};

use hyper::{Method, Uri};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    api::{self, DIALECTS, outline},
    auth::identity::{CertIdentity, subject_text},
    http::{Match, Router},
    model::{
        self, Credential, DeactivateAfter, DomainConfig, Header, SecretUri, SecretUriPrefix, Token,
        User, VersionRecord, Wrapped,
    },
    service::SecretValue,
    store::{
        kinds::{
            Kind, Malformed,
            tenant::{DomainInfo, DomainRecord},
            version::Version,
            wrapped::WrappedResponse,
        },
        past::Past as _,
    },
};

/// The first byte is the method, the rest a URL.
pub fn address(data: &[u8]) {
    static ROUTER: LazyLock<Router<()>> = LazyLock::new(|| Router::new(DIALECTS, |_, _| Some(())));
    const METHODS: [Method; 5] =
        [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let Some((first, url)) = data.split_first() else { return };
    let Some(method) = METHODS.get(usize::from(*first) % METHODS.len()) else { return };
    let Ok(uri) = Uri::try_from(url) else { return };
    let Some((routes, address)) = ROUTER.address(method, &uri) else { return };
    assert!(address.path.is_char_boundary(address.mount), "a mount is a part of its path");
    if let Match::Operation(_, (), captures) = routes.find(&address)
        && let Ok(params) = routes.dialect.params(&address, &captures)
        && let Some(path) = params.path
    {
        assert_eq!(path.to_string().parse(), Ok(path), "a path is one when it is read again");
    }
    // In the Vault dialect several slashes are one. Others have addresses below /v1 too.
    if routes.dialect.name() == "vault" && uri.path().starts_with("/v1/") {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let more: Option<Uri> = format!("{}{query}", uri.path().replace('/', "//")).parse().ok();
        let again = more
            .as_ref()
            .and_then(|uri| ROUTER.address(method, uri))
            .map(|(_, again)| (again.path, again.mount));
        assert_eq!(again, Some((address.path, address.mount)));
    }
}

/// A value and a patch of it, with a line between them.
pub fn outline(data: &[u8]) {
    const BYTES_MAX: usize = 1 << 20;
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (before, patch) = text.split_once('\n').unwrap_or((text, "{}"));
    let merged = outline::merge(&SecretValue::new(before.as_bytes().to_vec()), patch);
    let names = outline::subkeys(&SecretValue::new(before.as_bytes().to_vec()), None);
    let tree = |text| {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        api::value::value_of(raw.get(), BYTES_MAX).ok()?;
        serde_json::from_str::<Value>(raw.get()).ok()
    };
    // Beyond that nothing is promised but to come to an end.
    let (Some(before), Some(patch), Ok(merged)) = (tree(before), tree(patch), merged) else {
        return;
    };
    assert_eq!(
        serde_json::from_slice::<Value>(merged.expose()).ok(),
        Some(apply_patch(before.clone(), &patch))
    );
    assert_eq!(serde_json::from_slice::<Value>(&names).ok(), Some(names_of(&before, true)));
}

/// RFC 7396, as it is written there.
fn apply_patch(target: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut members = if let Value::Object(members) = target { members } else { Map::new() };
    for (name, change) in changes {
        let before = members.remove(name).unwrap_or_default();
        if !change.is_null() {
            members.insert(name.clone(), apply_patch(before, change));
        }
    }
    members.into()
}

fn names_of(value: &Value, is_top: bool) -> Value {
    match value {
        Value::Object(members) if is_top || !members.is_empty() => {
            members.iter().map(|(name, member)| (name.clone(), names_of(member, false))).collect()
        }
        _ => Value::Null,
    }
}

/// What stands behind `#` in a URI, a value, and a part of one, with lines between them.
pub fn member(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let Ok(uri) = format!("openbao+kv2://secret/a#{}", line()).parse::<SecretUri>() else { return };
    let (value, part) = (line(), line());
    let is_json = |text| {
        let raw = serde_json::from_str::<&RawValue>(text).ok()?;
        (raw.get() == text && api::value::check_shape(text).is_ok()).then_some(())
    };
    if let (Some(fragment), Some(()), Some(())) = (uri.fragment(), is_json(value), is_json(part)) {
        outline::check_member(value, fragment, part);
    }
}

/// A URI of a secret, and what such URIs begin with.
pub fn uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    model::check_uri(text);
    if let Ok(prefix) = text.parse::<SecretUriPrefix>() {
        let again = prefix.canonical().parse::<SecretUriPrefix>();
        assert!(again == Ok(prefix), "{text:?} is read again as the same");
    }
}

/// A request's body.
pub fn body(data: &[u8]) {
    if let Ok(object) = api::json::Object::from_body(data) {
        let names: Vec<_> = object.into_members().into_iter().map(|(name, _)| name).collect();
        let other: BTreeMap<String, &RawValue> = serde_json::from_slice(data).unwrap_or_default();
        assert!(
            names.len() == other.len() && names.iter().all(|name| other.contains_key(name)),
            "all members are there"
        );
    }
}

/// A certificate in DER.
pub fn identity(data: &[u8]) {
    let _ = subject_text(data);
    if let Ok(identity) = CertIdentity::from_der(data) {
        assert!(identity.serial().to_decimal().bytes().all(|byte| byte.is_ascii_digit()));
        let _ = (identity.names(), identity.okms_domain(), identity.validity());
    }
}

/// The text of a span of time.
pub fn duration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(span) = text.parse::<DeactivateAfter>() {
        assert_eq!(span.as_typed(), text);
        assert_eq!(DeactivateAfter::from_stored(text).as_ref(), Ok(&span));
        let again = DeactivateAfter::cut(&span.in_hours()).map(|again| again.limit_seconds());
        assert_eq!(again, Ok(span.limit_seconds()), "Go's spelling means the same");
    }
    if let Ok(seconds) = DeactivateAfter::seconds_rounded_up(text) {
        let cut = DeactivateAfter::cut(text).map(|span| span.limit_seconds().unwrap_or_default());
        assert!(
            cut.is_ok_and(|cut| cut == seconds || cut + 1 == seconds),
            "what is below a second is cut, or rounded up"
        );
    }
}

/// A record, as it is opened: the first byte is its kind.
pub fn record(data: &[u8]) {
    const KINDS: &[fn(&[u8])] = &[
        |bytes| read_again(bytes, DomainRecord::decode, DomainRecord::encode),
        |bytes| read_again(bytes, DomainInfo::decode, DomainInfo::encode),
        record_again::<DomainConfig>,
        record_again::<Header>,
        record_again::<Version>,
        record_again::<Token>,
        record_again::<WrappedResponse>,
        record_again::<Credential>,
        |bytes| drop(Header::decode_past(bytes)),
        |bytes| drop(VersionRecord::decode_past(bytes)),
        |bytes| drop(DomainConfig::decode_past(bytes)),
        |bytes| drop(DomainRecord::decode_past(bytes)),
        |bytes| drop(Token::decode_past(bytes)),
        |bytes| drop(Wrapped::decode_past(bytes)),
        record_again::<User>,
    ];
    let Some((first, bytes)) = data.split_first() else { return };
    if let Some(kind) = KINDS.get(usize::from(*first) % KINDS.len()) {
        kind(bytes);
    }
}

/// What can be read is written so that it can be read again, as the same.
fn read_again<T: Debug + PartialEq, E: AsRef<[u8]>>(
    bytes: &[u8],
    decode: fn(&[u8]) -> Result<T, Malformed>,
    encode: fn(&T) -> Result<E, Malformed>,
) {
    if let Ok(record) = decode(bytes) {
        assert_eq!(encode(&record).and_then(|bytes| decode(bytes.as_ref())).as_ref(), Ok(&record));
    }
}

fn record_again<K: Kind + Debug + PartialEq>(bytes: &[u8]) {
    read_again(bytes, K::decode, K::encode);
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;
    use crate::{
        model::Timestamp,
        pki::{CertificateAuthority, KeyKind, KeySource, Subject},
    };

    /// A certificate of the kind that is read.
    static LEAF: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let (ca, _) = CertificateAuthority::create("region CA", now, 100).unwrap();
        let subject = Subject::Domain("0f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d".parse().unwrap());
        ca.issue_access(&subject, "billing", KeySource::Fresh(KeyKind::P256), now, 10)
            .unwrap()
            .certificate_der
            .clone()
    });

    /// Words in any order: the alphabet of a language, so that more than its first letter is
    /// understood.
    fn text(words: &'static [&'static str], max: usize) -> impl Strategy<Value = Vec<u8>> {
        vec(select(words), 0..max).prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_address_is_read_once(
            method: u8,
            base in select(&["/", "/v1/", "/api/0f8b6c1e-4a55-4a7e-9d43-1c2f6a7b8c9d/v1/", "/api/x/v2/secret/", "/v2/okms/resource/x/"][..]),
            url in text(&["/", "//", "a", "secret", "data", "metadata", "version", "1", "%2F", "%2f", "%252F", ".", "..", "%2e", "%ff",
                "%e2%80%8b", "%", "?", "list=true", "scan=1", "&", "=", "sys", "auth", "mounts", "v1", "api", "config", "secrets",
                "rotation", "policies", "t", "partner"], 12),
        ) {
            address(&[&[method], base.as_bytes(), &url].concat());
        }

        #[test]
        fn any_value_is_merged_as_a_tree(
            data in text(&["{", "}", "{", "}", "[", "]", ",", ":", "\"a\":", "\"b\":", "\"\\u0061\":", "\"a\"", "null", "1", "-0.0", "1e400",
                "true", " ", "\n", "\"\\\"\"", "\"\\ud800\"", "é", "\\"], 24),
        ) {
            outline(&data);
            body(&data);
        }

        #[test]
        fn any_objects_are_merged_as_trees(
            values in vec(text(&["\"a\":1,", "\"b\":null,", "\"c\":{\"a\":1},", "\"c\":{\"a\":null,\"b\":[1]},", "\"d\":[{\"a\":null}],", "\"e\":{},"], 4), 2),
        ) {
            let objects = values.iter().map(|members| [b"{", members.strip_suffix(b",").unwrap_or(members), b"}"].concat());
            outline(&objects.collect::<Vec<_>>().join(&b'\n'));
        }

        #[test]
        fn any_part_is_found_as_in_a_tree(
            fragment in text(&["a", "b", "/", "/", "~0", "~1", "0", "1", "%22", "%C3%A9"], 6),
            members in text(&["\"a\":1,", "\"b\":[1, {\"a\":2}],", "\"a\" : {\"b\":{\"a\":null}} ,", "\"a\":{\"\":1},", "\"\\u0061\":[],"], 5),
            part in text(&["1", "{\"a\":1}", "null", "[{}]"], 2),
        ) {
            let members = members.strip_suffix(b",").unwrap_or(&members);
            member(&[&*fragment, b"\n{", members, b"}\n", &part].concat());
        }

        #[test]
        fn any_uri_is_read_as_the_grammar_says(
            data in text(&["openbao+kv2", "YAML", "okms+kv2", "://", "://", "secret", "a", "/", "//", ".", "..", "%2e", "%2F", "%C3%BC", "%00",
                "%61", "*", "%2a", "#", "?", "version=1", "version=0", "&", "mount=x", "~0", "~1", "~", "é", " ", "+"], 12),
        ) {
            uri(&data);
            uri(&[b"openbao+kv2://secret/", &*data].concat());
        }

        #[test]
        fn any_certificate_is_read_or_refused(edits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>(), is_cut: bool) {
            let mut der = LEAF.clone();
            for (at, byte) in edits {
                let at = at.index(der.len());
                der[at] = byte;
            }
            der.truncate(if is_cut { cut.index(der.len()) } else { der.len() });
            identity(&der);
        }

        #[test]
        fn any_span_of_time_is_read_or_refused(
            data in text(&["0", "1", "9", "59", "106751", "9223372036854775807", ".", "-", "+", "d", "h", "m", "s", "ms", "us", "µs", "ns", " ", "_", "e"], 8),
        ) {
            duration(&data);
        }

        #[test]
        fn any_record_is_read_again(kind: u8, format in 0u8..5, bytes in vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..96)) {
            record(&[&[kind, format], &*bytes].concat());
        }
    }
}
