//! What each kind of record writes it reads again, and nothing else; and how its keys lie.

use std::{collections::BTreeMap, fmt::Debug};

use proptest::prelude::*;

use minicbor::{Decode, Encode};

use super::{
    customer_ca_list::SignedList,
    ending, header,
    kind::FORM,
    region, revocation,
    tenant::{self, DomainInfo, DomainRecord},
    token,
    version::{self, Version},
    wrapped::{self, WrappedResponse},
    *,
};
use crate::{
    crypto::{Sealed, WrappedDataKey, WrappedKey},
    model::{
        About, AddedBy, AuditMark, Bearer, CertRule, Condition, Credential, CustomMetadata,
        CustomerCa, CustomerCaList, CustomerCas, DeactivateAfter, DeviceName, DomainConfig,
        EnabledDevice, Header, IamPolicy, Life, MaxVersions, Mount, MountPath, Moved, OkmsId,
        PasswordHash, Quota, Rate, Recipe, Removal, ResourcePattern, Revocation, RevocationReason,
        Rotation, RotationEvent, RotationOutcome, RotationPatch, RotationPolicy, RuleIssuer,
        SecretPath, SecretPolicy, SecretPolicyId, SecretPolicyPatch, SecretType, Settings, Tags,
        Timestamp, Token, TrailFileName, User, VersionNumber, VersionRecord, When, Wrapped,
        condition::{Expression, Operator},
        recipe::{FieldSaid, Setting},
    },
};

fn id(byte: u8) -> OkmsId {
    OkmsId::from_bytes([byte; 16]).unwrap()
}

fn path() -> impl Strategy<Value = SecretPath> {
    "[a-z0-9_.:=@ é-]{1,6}(/[a-z0-9_:=@ é-]{1,6}){0,3}"
        .prop_filter_map("a path", |text| text.parse().ok())
}

fn moment() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_unix_nanos)
}

fn settings() -> impl Strategy<Value = Settings> {
    let after = prop::option::of(prop_oneof!["[1-9][0-9]{0,5}[smhd]", "-1s"]);
    (any::<[bool; 2]>(), 0u32..=24_000, after).prop_map(|([cas, metadata_cas], max, after)| {
        Settings {
            cas_required: cas,
            max_versions: MaxVersions::new(max).unwrap(),
            deactivate_after: after.and_then(|text| DeactivateAfter::from_stored(&text).ok()),
            metadata_cas_required: metadata_cas,
        }
    })
}

fn about() -> impl Strategy<Value = About> {
    let text = || prop::option::of("[a-zA-Z0-9 é]{1,20}".prop_map(Into::into));
    let tags = prop::collection::vec("[a-z]{1,8}", 0..4);
    (prop::sample::select(SecretType::ALL.to_vec()), text(), tags, text()).prop_map(
        |(secret_type, description, tags, owner)| About {
            secret_type,
            description,
            tags: Tags::new(tags).unwrap(),
            owner,
        },
    )
}

fn life() -> impl Strategy<Value = Life> {
    let text = || "[a-z_]{1,20}".prop_map(Into::into);
    let maybe = || prop::option::of(moment());
    let removed = prop::option::of((moment(), moment()));
    let rotation = prop::option::of((text(), moment()));
    let policy = prop::option::of(text());
    (prop::option::of(any::<u64>()), maybe(), removed, rotation, policy).prop_map(
        |(span_seconds, expires_at, removed, rotation, secret_policy)| Life {
            span_seconds,
            expires_at,
            removed: removed.map(|(at, until)| Removal { at, until }),
            rotation: rotation.map(|(policy, anchor)| Rotation { policy, anchor }),
            secret_policy,
        },
    )
}

fn header() -> impl Strategy<Value = Header> {
    let text = prop::option::of("[a-z:]{1,20}".prop_map(Into::into));
    let late = (about(), text, life(), prop::option::of(moment()), prop::option::of(moment()));
    (plain_header(), late).prop_map(
        |(header, (about, created_by, life, written_at, current_deadline))| Header {
            about,
            created_by,
            life,
            written_at,
            current_deadline,
            ..header
        },
    )
}

fn plain_header() -> impl Strategy<Value = Header> {
    let custom = prop::collection::btree_map("[a-z]{1,8}", "[a-zA-Z0-9%/ é]{1,20}", 0..5);
    let numbers = (0u32..=24_000).prop_flat_map(|current| (Just(current), 0..=current));
    (moment(), moment(), numbers, settings(), custom, any::<u32>(), any::<u64>()).prop_map(
        |(created_at, updated_at, (current, oldest), settings, custom, metadata_version, bytes)| {
            Header {
                updated_at,
                current: VersionNumber::new(current).ok(),
                oldest,
                settings,
                custom: CustomMetadata::from_entries(custom).unwrap(),
                metadata_version,
                bytes,
                ..Header::new(created_at)
            }
        },
    )
}

/// Decodes to what was encoded; no shorter, longer or differently marked bytes are taken.
fn check<K: Kind + PartialEq + Debug>(record: &K) {
    check_with(record, K::encode, K::decode);
}

fn check_with<T: PartialEq + Debug, E: AsRef<[u8]>>(
    record: &T,
    encode: fn(&T) -> Result<E, Malformed>,
    decode: fn(&[u8]) -> Result<T, Malformed>,
) {
    let bytes = encode(record).unwrap();
    let bytes = bytes.as_ref();
    assert_eq!(decode(bytes).as_ref(), Ok(record));
    for end in 0..bytes.len() {
        assert_eq!(decode(&bytes[..end]), Err(Malformed));
    }
    assert_eq!(decode(&[bytes, &[0]].concat()), Err(Malformed));
    for form in [0, FORM + 1, 0xff] {
        assert_eq!(decode(&[&[form], &bytes[1..]].concat()), Err(Malformed));
    }
}

#[derive(Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct Toy {
    #[n(0)]
    colour: u32,
}

/// The same noun, some time later: it has a shape as well, and had a size for a while.
#[derive(Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct LaterToy {
    #[n(0)]
    colour: u32,
    #[n(2)]
    #[cbor(default)]
    shape: u32,
}

/// An older program passes over what it does not know, and a newer one does without.
#[test]
fn fields_can_come_and_go() {
    let (toy, later) = (Toy { colour: 5 }, LaterToy { colour: 5, shape: 7 });
    assert_eq!(decode(&encode(&later).unwrap()), Ok(Toy { colour: 5 }));
    assert_eq!(decode(&encode(&toy).unwrap()), Ok(LaterToy { colour: 5, shape: 0 }));
}

/// What is wrapped is counted by the records of its end, also by those from before there were shares;
/// a token's counts for nothing.
#[test]
fn what_is_wrapped_is_counted_by_its_end() {
    let load = wrapped::Load { bytes: 7, share: 9 };
    assert_eq!(wrapped::Load::from_bytes(&load.to_bytes()), load);
    let before = wrapped::Load { bytes: 7, share: 0 };
    assert_eq!(wrapped::Load::from_bytes(&[0, 0, 0, 7]), before);
    assert_eq!(wrapped::Load::from_bytes(&[]), wrapped::Load { bytes: 0, share: 0 });
}

/// A rule as it was before it could ask for organizations, units and issuers is read; one that does
/// ask is refused by whoever does not know that it does, as it would be a wider one.
#[test]
fn rules_are_never_wider_than_written() {
    #[derive(Encode, Decode)]
    #[cbor(map)]
    struct Before<'a> {
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
        keys: Vec<minicbor::bytes::ByteArray<32>>,
    }
    let none = Vec::new;
    let before = Before {
        identity: "i",
        policies: vec!["p"],
        common_names: vec!["c"],
        dns_names: none(),
        emails: none(),
        uris: none(),
        names: none(),
        upns: none(),
        keys: vec![[7; 32].into()],
    };
    let mut rule = CertRule {
        identity: "i".to_owned(),
        policies: vec!["p".to_owned()],
        common_names: vec!["c".to_owned()],
        keys: vec![[7; 32]],
        ..CertRule::default()
    };
    assert_eq!(CertRule::decode(&encode(&before).unwrap()), Ok(rule.clone()));
    rule.metadata = [("team".to_owned(), "a".to_owned())].into();
    check_form(&rule, FORM);
    assert!(decode::<Before<'_>>(&rule.encode().unwrap()).is_ok());
    for narrow in [
        CertRule { organizations: vec!["o".to_owned()], ..rule.clone() },
        CertRule { organizational_units: vec!["u".to_owned()], ..rule.clone() },
        CertRule { issuers: vec![RuleIssuer::Region, RuleIssuer::Key([1; 32])], ..rule.clone() },
    ] {
        check_form(&narrow, FORM + 1);
        assert!(decode::<Before<'_>>(&narrow.encode().unwrap()).is_err());
    }
    let lists = || [("2.5.4.6".to_owned(), vec!["FR".to_owned()])].into();
    for narrow in [
        CertRule { subject: lists(), ..rule.clone() },
        CertRule { other_names: lists(), issuers: vec![RuleIssuer::Region], ..rule.clone() },
        CertRule { required_extensions: vec!["1.2.3:a*".to_owned()], ..rule.clone() },
    ] {
        check_form(&narrow, FORM + 2);
    }
}

/// A policy as it was before it could have a condition is read; one that has a condition or an end is
/// refused by whoever does not know that it does.
#[test]
fn policies_never_say_more_than_written() {
    let moment = Timestamp::from_unix_seconds(5);
    let policy = IamPolicy {
        name: "p".to_owned(),
        description: String::new(),
        identities: vec!["i".to_owned()],
        resources: vec![ResourcePattern::Domain, ResourcePattern::Secrets("a/*".to_owned())],
        allow: vec!["*".to_owned()],
        except: Vec::new(),
        deny: Vec::new(),
        when: When::default(),
        created_at: moment,
        updated_at: moment,
    };
    check_form(&policy, FORM);
    let value = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let matching = |values: &[(String, String)]| Expression {
        operator: Operator::Match,
        values: values.to_vec(),
        conditions: Vec::new(),
    };
    let of = |operator, conditions| Expression { operator, values: Vec::new(), conditions };
    let hour = matching(&[value("date(UTC).Hour", "7"), value("request.IP", "::1")]);
    let not = of(Operator::Not, vec![of(Operator::Or, vec![hour.clone()])]);
    let condition = Condition::new(of(Operator::And, vec![hour, not])).unwrap();
    for conditional in [
        When { condition: Some(condition), expires_at: None },
        When { condition: None, expires_at: Some(moment) },
    ] {
        let conditional = IamPolicy { when: conditional, ..policy.clone() };
        check_form(&conditional, FORM + 1);
        // What knows the first form alone.
        assert!(decode::<Toy>(&conditional.encode().unwrap()).is_err());
    }
}

fn check_form<K: Kind + PartialEq + Debug>(record: &K, form: u8) {
    let bytes = record.encode().unwrap();
    assert_eq!((bytes[0], K::decode(&bytes).as_ref()), (form, Ok(record)));
    for end in 0..bytes.len() {
        assert_eq!(K::decode(&bytes[..end]), Err(Malformed));
    }
    for form in [0, FORM + 4, 0xff] {
        assert_eq!(K::decode(&[&[form], &bytes[1..]].concat()), Err(Malformed));
    }
}

/// Generators of all kinds, with settings of all kinds.
#[test]
fn secret_policies_round_trip() {
    let texts = |texts: &[&str]| Setting::Texts(texts.iter().map(ToString::to_string).collect());
    let text = |text: &str| Setting::Text(text.to_owned());
    let said = [
        (
            "a",
            "random",
            vec![("require_upper", Setting::Truth(true)), ("length", Setting::Number(9))],
        ),
        ("b", "certificate", vec![("common_name", text("x")), ("dns", texts(&["x", "*.y"]))]),
        ("c", "certificate", vec![("common_name", text("x"))]),
        ("d", "static", vec![("value", text("v"))]),
        ("e", "uuid", Vec::new()),
    ]
    .map(|(name, generator, config)| FieldSaid {
        name: name.to_owned(),
        generator: generator.to_owned(),
        config: config.into_iter().map(|(name, setting)| (name.to_owned(), setting)).collect(),
    });
    let patch = SecretPolicyPatch {
        name: Some("n".to_owned()),
        recipe: Some(Recipe::new(said.into()).unwrap()),
        ..SecretPolicyPatch::default()
    };
    let (of, policy) = patch.create(Timestamp::from_unix_seconds(5)).unwrap();
    check(&policy);
    assert_eq!(secret_policy::id(&SecretPolicy::key(id(7), &of)), Some(of));
}

/// No two kinds share a space and a key: what is sealed for one does not open as another.
#[test]
fn spaces_have_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = SPACES.iter().map(|space| space.name()).collect();
    assert_eq!(names.len(), SPACES.len());
    assert!(
        names
            .iter()
            .all(|name| !name.contains('\0') && !name.starts_with('\u{1}') && *name != "cursor")
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let mut header = Header::new(Timestamp::from_unix_seconds(5));
    header.oldest = 1;
    assert_eq!(Header::decode(&header.encode().unwrap()), Err(Malformed), "older than the newest");
}

/// A mark of an older program has no domain, and is read.
#[test]
fn marks_round_trip() {
    let mark = AuditMark { chain: [1; 8], slot: 7, seq: 9, hash: [2; 32], tenant: Some(id(3)) };
    for mark in [mark, AuditMark { tenant: None, ..mark }] {
        let (key, bytes) = (audit_mark::key(&mark), audit_mark::encode(&mark));
        assert_eq!(audit_mark::decode(&key, &bytes), Some(mark));
        assert_eq!(audit_mark::decode(&key, &[&bytes[..], &[0]].concat()), None);
        assert_eq!(audit_mark::decode(&key, &bytes[..39]), None);
        let (first, end) = audit_mark::of_chain(mark.chain);
        assert!(first <= key && key < end);
    }
}

proptest! {
    #[test]
    fn audit_devices_round_trip(
        file in "[a-zA-Z0-9][a-zA-Z0-9_-]{0,30}\\.(log|json|jsonl)", name in "[a-zA-Z0-9_-]{1,64}",
        told: [bool; 2], description in "[^\\pC]{0,60}",
    ) {
        let file = TrailFileName::parse(&file).unwrap();
        let [is_required, has_vaults_form] = told;
        check_with(
            &EnabledDevice { file, is_required, has_vaults_form, description },
            audit_device::encode,
            audit_device::decode,
        );
        let name = DeviceName::parse(&name).unwrap();
        let key = audit_device::key(&name);
        let (first, end) = audit_device::all();
        prop_assert!(first <= key && key < end);
        prop_assert_eq!(audit_device::parse(&key), Some(name));
    }

    #[test]
    fn headers_round_trip(header in header()) {
        check(&header);
    }

    #[test]
    fn others_round_trip(settings in settings(), created_at in moment(), name in "\\PC{0,20}",
                         deactivate_at in prop::option::of(moment()), deleted_at in prop::option::of(moment()), key: [u8; 16]) {
        check(&DomainConfig::from_stored(settings.clone(), name.clone(), Vec::new()).unwrap());
        let path: MountPath = "team/a".parse().unwrap();
        let moved = deleted_at.map(|_| Moved { id: [8; 16], from: path.clone() });
        let below = "team/b".parse().unwrap();
        let mount = Mount { path, below, moved, description: name.clone(), uuid: [7; 16], settings };
        check(&DomainConfig::from_stored(mount.settings.clone(), name.clone(), vec![mount]).unwrap());
        let mut wrapped_key = [3; WrappedDataKey::LEN];
        wrapped_key[..16].copy_from_slice(&key);
        let data_key = WrappedDataKey::from_bytes(wrapped_key);
        for key_sha256 in [None, Some([4; 32])] {
            let path = name.clone();
            let wrapped = Wrapped { secret_sha256: [1; 32], created_at, ttl_seconds: 9, path, status: 404, key_sha256 };
            check(&WrappedResponse { wrapped, data_key: data_key.clone() });
        }
        let token = Token {
            secret_sha256: [1; 32],
            key_sha256: Some([2; 32]),
            created_at,
            renewed_at: deactivate_at,
            expires_at: created_at,
            ttl_seconds: 5,
            ends_at: created_at,
            is_renewable: deleted_at.is_some(),
            path: name.clone(),
            display_name: name.clone(),
            meta: vec![(name.clone(), name.clone())],
            bearer: Bearer { user: Some(name.clone()), narrowed_to: vec![vec![name.clone()]] },
        };
        // What narrows it is not passed over.
        check_form(&token, FORM + 1);
        check_form(&Token { key_sha256: None, ..token.clone() }, FORM + 2);
        let narrowed_to = vec![vec![name.clone()], Vec::new(), vec![name.clone(), name.clone()]];
        let again = Bearer { user: None, narrowed_to };
        for key_sha256 in [None, Some([2; 32])] {
            check_form(&Token { key_sha256, bearer: again.clone(), ..token.clone() }, FORM + 3);
        }
        check_form(&Token { bearer: Bearer::default(), ..token }, FORM);
        let one = CustomerCa {
            certificate: key.to_vec(),
            description: String::new(),
            added_by: if deleted_at.is_some() { AddedBy::Operator } else { AddedBy::Domain },
            created_at,
            updated_at: created_at,
            list: deleted_at.is_some().then(|| CustomerCaList {
                id: key,
                number: deactivate_at.is_some().then(|| key.to_vec()),
                this_update: i64::MIN,
                next_update: 9,
                revoked: 3,
                is_lenient: key[0] > 9,
                updated_at: created_at,
            }),
        };
        check(&SignedList(key.to_vec()));
        for (id, policy) in RotationPolicy::built_ins(created_at) {
            let auto = RotationPatch {
                auto_generate: Some(true),
                secret_policy: Some(Some(SecretPolicyId::of_name("x"))),
                is_active: Some(deleted_at.is_some()),
                ..RotationPatch::default()
            };
            check(&auto.apply(&policy, created_at).unwrap());
            check(&policy);
            prop_assert_eq!(rotation_policy::id(&RotationPolicy::key(self::id(7), &id)), Some(id));
        }
        for outcome in [
            RotationOutcome::Rotated(VersionNumber::new(u32::from(key[0]) + 1).unwrap()),
            RotationOutcome::Failed(name.as_str().into()),
        ] {
            let reason = deleted_at.map(|_| name.as_str().into());
            let path = "a/b".parse().unwrap();
            check(&RotationEvent { path, at: created_at, old_version: key[1].into(), outcome, reason });
        }
        let each = [("a".to_owned(), one.clone()), ("b".to_owned(), one)];
        let form = if deleted_at.is_some() { FORM + 1 } else { FORM };
        check_form(&CustomerCas::from_stored(each).unwrap(), form);
        check_form(&CustomerCas::default(), FORM);
        let user = User {
            password: PasswordHash::new(name.clone()),
            policies: vec![name.clone(), name.clone()],
            metadata: BTreeMap::new(),
            token_ttl: 5,
            token_max_ttl: u64::from(key[0]),
            created_at,
            updated_at: created_at,
        };
        check_form(&user, FORM);
        // What policies can deny by is not passed over.
        let metadata = [(name.clone(), "x".to_owned()), ("team".to_owned(), name.clone())].into();
        check_form(&User { metadata, ..user }, FORM + 1);
        let record = VersionRecord { created_at, deactivate_at, deleted_at, is_deactivated: name.is_empty() };
        check(&Version { record, data_key: deleted_at.is_none().then_some(data_key), bytes: u64::from(key[1]) });
        check(&Credential {
            name: name.clone(),
            serial: key.to_vec(),
            key_sha256: [4; 32],
            issued_at: created_at,
            begins_at: created_at,
            ends_at: deactivate_at.unwrap_or(created_at),
            is_from_request: deleted_at.is_some(),
            description: name.clone(),
            identities: vec![name.clone(), name.clone()],
            certificate: deleted_at.is_some().then(|| key.to_vec()),
            renews: deactivate_at.is_some().then_some(key),
        });
        let revocation = Revocation { at: created_at, reason: RevocationReason::Superseded, ends_at: deleted_at };
        check_with(&revocation, revocation::encode, revocation::decode);
        let alias = deleted_at.map(|_| "tnt_a-0".parse().unwrap());
        check_with(&DomainInfo { name: name.clone(), created_at, alias }, DomainInfo::encode, DomainInfo::decode);
        let tenant = DomainRecord { keys: vec![(1, WrappedKey::from_bytes(name.clone().into_bytes())), (2, WrappedKey::from_bytes(vec![7; 40]))], info: Sealed::public(name.into_bytes()) };
        check_with(&tenant, DomainRecord::encode, DomainRecord::decode);
    }

    #[test]
    fn serials_are_read_back(serial in prop::collection::vec(any::<u8>(), 1..=20)) {
        let key = revocation::key(&serial);
        prop_assert_eq!(revocation::parse(&key), Some(&*serial));
        let of_a_tenant = tenant::key(id(7));
        prop_assert_eq!(revocation::parse(&of_a_tenant), None);
        let (from, to) = revocation::after(None);
        prop_assert!((from..to).contains(&key));
        prop_assert!(revocation::after(Some(&key)).0 > key);
    }

    #[test]
    fn keys_are_read_back(path in path(), number in 1u32..=24_000) {
        prop_assert_eq!(header::parse(id(7), &header::key(id(7), &path)), Some(path.clone()));
        prop_assert_eq!(header::parse(id(8), &header::key(id(7), &path)), None);
        prop_assert_eq!(version::number(&version::key(id(7), &path, number)), Some(number));
        prop_assert_eq!(tenant::parse(&tenant::key(id(9))), Some(id(9)));
        prop_assert!(region::key("root-key") < tenant::key(id(1)));
    }

    /// The versions of a secret are one range, in the order of their numbers, that no other secret
    /// enters.
    #[test]
    fn versions_keep_together(a in path(), b in path(), n in 0u32..=24_000, m in 0u32..=24_000) {
        prop_assume!(a != b);
        let range = version::key(id(7), &a, 0)..=version::key(id(7), &a, u32::MAX);
        prop_assert!(!range.contains(&version::key(id(7), &b, n)));
        prop_assert_eq!(version::key(id(7), &a, n) < version::key(id(7), &a, m), n < m);
    }

    #[test]
    fn tokens_sort_by_their_ends(a in 0i64..=i64::MAX / 2_000_000_000, b in 0i64..=i64::MAX / 2_000_000_000) {
        let (one, two) = (Timestamp::from_unix_seconds(a), Timestamp::from_unix_seconds(b));
        let key = token::end(id(7), one, "x");
        prop_assert_eq!(token::parse_end(&key), Some("x"));
        prop_assert_eq!(key < token::ends(id(7), two), a < b);
        let (from, to) = token::ends_after(id(7), two, None);
        prop_assert_eq!((from..to).contains(&key), a > b);
        let after = [&*key, &[0]].concat();
        let (from, to) = token::ends_after(id(7), Timestamp::from_unix_seconds(-1), token::place(&after));
        prop_assert!(from == after && to == [id(7).as_bytes().as_slice(), &[2]].concat());
        let (from, _) = token::ends_after(id(7), two, token::place(&after));
        prop_assert!(from >= token::ends(id(7), two));
        prop_assert!(token::key(id(7), "x") < key && key < wrapped::body(id(7), "x"));
        prop_assert!(wrapped::body(id(7), "x") < wrapped::key(id(7), "x"));
    }

    #[test]
    fn certificates_sort_by_their_ends(a in 0i64..=i64::MAX / 2_000_000_000, b in 0i64..=i64::MAX / 2_000_000_000, credential: [u8; 16]) {
        let (one, two) = (Timestamp::from_unix_seconds(a), Timestamp::from_unix_seconds(b));
        let [domain, region] = [ending::in_domain(id(7), one, &credential), ending::in_region(one, id(7), &credential)];
        for key in [&domain, &region] {
            prop_assert_eq!((ending::end(key), ending::credential(key)), (Some(one), Some(credential)));
        }
        let (from, to) = ending::of_domain(id(7), two, two);
        prop_assert_eq!((from.clone()..to.clone()).contains(&domain), a == b);
        prop_assert!(!(from..to).contains(&region));
        let (from, to) = ending::of_domain(id(7), Timestamp::from_unix_seconds(0), two);
        prop_assert_eq!((from..to).contains(&domain), a <= b);
        let (from, to) = ending::of_region(two);
        prop_assert_eq!((from.clone()..to.clone()).contains(&region), a >= b);
        prop_assert!(!(from..to).contains(&domain));
        prop_assert!(ending::behind(id(7), ending::place(&domain).unwrap()) > domain);
    }

    #[test]
    fn a_line_is_a_range(a in 0i64..=i64::MAX / 2_000_000_000, b in 0i64..=i64::MAX / 2_000_000_000, first: [u8; 16], serial in prop::collection::vec(any::<u8>(), 0..20), ids: [[u8; 16]; 2]) {
        let member = |end, id| line::Member { id, end: Timestamp::from_unix_seconds(end), renews: ids[1], serial: serial.clone() };
        let (one, two) = (member(a, ids[0]), member(b, ids[1]));
        let [key, other] = [&one, &two].map(|member| member.key(id(7), &first));
        prop_assert_eq!(line::Member::parse(&key, &one.bytes()), Some(one.clone()));
        prop_assert_eq!((line::first(&key), line::end(&key)), (Some(first), Some(one.end)));
        prop_assert_eq!(key < other, (a, ids[0]) < (b, ids[1]));
        let (from, to) = line::of(id(7), &first);
        prop_assert!((from.clone()..to.clone()).contains(&key));
        prop_assert_eq!((from..to).contains(&one.key(id(7), &ids[0])), first == ids[0]);
        let (from, to) = line::of_domain(id(7));
        prop_assert!((from.clone()..to.clone()).contains(&key) && !(from..to).contains(&one.key(id(8), &first)));
    }

    #[test]
    fn a_folder_is_a_range(a in path(), b in path()) {
        let (from, to) = header::below(id(7), &format!("{a}/"));
        let inside = b.as_str().starts_with(&format!("{a}/"));
        prop_assert_eq!((from..to).contains(&header::key(id(7), &b)), inside);
    }

    #[test]
    fn headers_sort_by_path_within_the_tenant(a in path(), b in path()) {
        prop_assert_eq!(header::key(id(7), &a) < header::key(id(7), &b), a < b);
        prop_assert!(header::first(id(7)) < header::key(id(7), &a) && header::key(id(7), &a) < header::end(id(7)));
        prop_assert!(header::end(id(7)) < header::key(id(8), &b));
        prop_assert_eq!(header::after(id(7), &a) <= header::key(id(7), &b), a < b);
    }
}

#[test]
fn quotas() {
    let rate = |burst| Some(Rate::new(1500, Some(burst)).unwrap());
    check(&Quota::default());
    check(&Quota {
        requests: rate(1),
        writes: rate(2),
        subject_requests: rate(3),
        subject_writes: rate(7),
        tokens: Some(4),
        secrets: Some(5),
        bytes: Some(6),
        weight: Some(8),
    });
    check(&Quota { tokens: Some(1), ..Quota::default() });
}
