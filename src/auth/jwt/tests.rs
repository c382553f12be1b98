//! Tokens and key sets, right and wrong.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

use super::tokens::{Signer, encoded, set, with_secret};

const NOW: i64 = 1_790_000_000;
const SHOWN: [u8; 32] = [7; 32];

fn terms() -> Terms {
    Terms {
        issuer: "https://idp.example.com".to_owned(),
        audience: vec!["crud.secrets".to_owned()],
        requires_audience: false,
        tenant_claim: "tenant_id".to_owned(),
        requires_binding: false,
        stand_alone: true,
        leeway_seconds: 60,
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://idp.example.com", "sub": "alice", "exp": NOW + 300, "iat": NOW,
        "tenant_id": "acme", "scope": "secrets.read",
    })
}

/// `claims()` with these in the place of what is there; `null` takes one away.
fn with(others: &Value) -> Value {
    let mut all = claims();
    for (name, value) in others.as_object().unwrap() {
        if value.is_null() {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    all
}

/// An issuer with a key of each kind, each called by its algorithm.
struct Issuer {
    rsa: Signer,
    p256: Signer,
    p384: Signer,
    ed: Signer,
}

impl Issuer {
    fn new() -> Self {
        Self { rsa: Signer::rsa(), p256: Signer::p256(), p384: Signer::p384(), ed: Signer::ed() }
    }

    fn set(&self) -> String {
        let ids = [(&self.rsa, "r"), (&self.p256, "e"), (&self.p384, "f"), (&self.ed, "d")];
        set(&ids.map(|(key, id)| key.public(id)))
    }

    fn keys(&self) -> KeySet {
        KeySet::parse(self.set().as_bytes()).unwrap()
    }

    fn judge(&self, token: &str) -> Result<Claims, Refused> {
        self.judge_by(token, &terms())
    }

    fn judge_by(&self, token: &str, terms: &Terms) -> Result<Claims, Refused> {
        let now = Timestamp::from_unix_seconds(NOW);
        verify(token.as_bytes(), &self.keys(), terms, Some(&SHOWN), now)
    }

    /// What becomes of a token with these claims.
    fn claims(&self, claims: &Value) -> Result<Claims, Refused> {
        self.judge(&self.ed.token(&json!({"alg": "EdDSA", "kid": "d"}), claims))
    }
}

#[test]
fn each_algorithm_has_its_key() {
    let issuer = Issuer::new();
    let all = [
        ("RS256", "r", &issuer.rsa),
        ("PS256", "r", &issuer.rsa),
        ("ES256", "e", &issuer.p256),
        ("ES384", "f", &issuer.p384),
        ("EdDSA", "d", &issuer.ed),
    ];
    for (alg, kid, key) in all {
        for typ in ["JWT", "at+jwt", "application/at+JWT"] {
            let token = key.token(&json!({"alg": alg, "kid": kid, "typ": typ}), &claims());
            let found = issuer.judge(&token).unwrap();
            assert_eq!((&*found.subject, found.tenant.as_deref()), ("alice", Some("acme")));
            assert!(found.scopes.give(Scope::Read) && !found.scopes.give(Scope::Write));
        }
        // The set has one key for each, but for RSA's two ways, which are of one.
        assert!(issuer.judge(&key.token(&json!({ "alg": alg }), &claims())).is_ok(), "{alg}");
        for (other, its, _) in all.iter().filter(|(_, its, _)| *its != kid) {
            let token = key.token(&json!({"alg": other, "kid": kid}), &claims());
            assert_eq!(issuer.judge(&token), Err(Refused::OtherKey), "{alg} as {other}");
            let token = key.token(&json!({"alg": other, "kid": its}), &claims());
            assert_eq!(issuer.judge(&token), Err(Refused::Signature), "{alg} as {other} of {its}");
        }
    }
    // What is signed in one of RSA's ways is not in the other.
    let token = issuer.rsa.token(&json!({"alg": "RS256", "kid": "r"}), &claims());
    let header = encoded(r#"{"alg":"PS256","kid":"r"}"#);
    let (_, rest) = token.split_once('.').unwrap();
    assert_eq!(issuer.judge(&format!("{header}.{rest}")), Err(Refused::Signature));
}

#[test]
fn a_header_that_is_not_ours_is_refused() {
    let issuer = Issuer::new();
    let mallory = Signer::ed();
    let own = mallory.public("d");
    for (header, refused) in [
        (json!({"alg": "none", "kid": "d"}), Refused::Algorithm),
        (json!({"alg": "None", "kid": "d"}), Refused::Algorithm),
        (json!({"alg": "eddsa", "kid": "d"}), Refused::Algorithm),
        (json!({"alg": "HS256", "kid": "d"}), Refused::Algorithm),
        (json!({"alg": "RS512", "kid": "r"}), Refused::Algorithm),
        (json!({"alg": "ES256K", "kid": "e"}), Refused::Algorithm),
        (json!({"alg": 1, "kid": "d"}), Refused::Malformed),
        (json!({"kid": "d"}), Refused::Malformed),
        (json!({"alg": "EdDSA", "kid": 1}), Refused::Malformed),
        (json!({"alg": "EdDSA", "kid": "x"}), Refused::UnknownKey),
        (json!({"alg": "EdDSA", "kid": "D"}), Refused::UnknownKey),
        (json!({"alg": "EdDSA", "kid": ""}), Refused::UnknownKey),
        (json!({"alg": "EdDSA", "kid": "d", "crit": ["exp"]}), Refused::Extensions),
        (json!({"alg": "EdDSA", "kid": "d", "crit": [], "b64": true}), Refused::Extensions),
        (json!({"alg": "EdDSA", "kid": "d", "typ": "dpop+jwt"}), Refused::Kind),
        (json!({"alg": "EdDSA", "kid": "d", "typ": "logout+jwt"}), Refused::Kind),
        // Whatever key it brings or points to.
        (json!({"alg": "EdDSA", "kid": "d", "jwk": own}), Refused::Signature),
        (json!({"alg": "EdDSA", "kid": "d", "jku": "https://x/"}), Refused::Signature),
        (json!({"alg": "EdDSA", "kid": "d", "x5u": "https://x/"}), Refused::Signature),
        (json!({"alg": "EdDSA", "jwk": own}), Refused::Signature),
    ] {
        let token = mallory.token(&header, &claims());
        assert_eq!(issuer.judge(&token), Err(refused), "{header}");
    }
    // The public key, in each form in which it is published, for a secret.
    let Signer::Ed(pair) = &issuer.ed else { panic!() };
    let public = aws_lc_rs::signature::KeyPair::public_key(pair).as_ref().to_vec();
    let x = issuer.ed.public("d")["x"].as_str().unwrap().as_bytes().to_vec();
    for secret in [public, x, issuer.set().into_bytes(), Vec::new()] {
        for alg in ["HS256", "EdDSA"] {
            let token = with_secret(&secret, &json!({"alg": alg, "kid": "d"}), &claims());
            assert!(issuer.judge(&token).is_err(), "{alg}");
        }
    }
}

#[test]
fn a_token_is_read_whole_or_refused() {
    let issuer = Issuer::new();
    let header = json!({"alg": "EdDSA", "kid": "d"});
    let good = issuer.ed.token(&header, &claims());
    assert!(issuer.judge(&good).is_ok());
    let parts: Vec<_> = good.split('.').collect();
    let mut bad = vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!(".{}.{}", parts[1], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{good}."),
        format!("{good}.{}.{}", parts[1], parts[2]),
        format!("{good}="),
        format!("{}==.{}.{}", parts[0], parts[1], parts[2]),
        format!(" {good}"),
        format!("{good}\n"),
    ];
    bad.extend((1..good.len()).map(|length| good[..length].to_owned()));
    for token in &bad {
        assert!(
            matches!(issuer.judge(token), Err(Refused::Malformed | Refused::Signature)),
            "{token:?}"
        );
    }
    // The last character of a signature of 64 bytes has four bits that say nothing.
    let mut twin = good.clone();
    let last = twin.pop().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    twin.push(alphabet.as_bytes()[at + 1] as char);
    assert_eq!(issuer.judge(&twin), Err(Refused::Malformed));
    for payload in [
        "",
        "x",
        "[]",
        "1",
        "null",
        r#"{"sub":"a""#,
        r#"{"sub":"a"}{}"#,
        // Whoever reads the other one sees another.
        r#"{"iss":"https://idp.example.com","sub":"alice","sub":"bob","exp":1790000300}"#,
        r#"{"iss":"https://idp.example.com","sub":"alice","s\u0075b":"bob","exp":1790000300}"#,
    ] {
        assert_eq!(
            issuer.judge(&issuer.ed.signed(&header, payload)),
            Err(Refused::Malformed),
            "{payload}"
        );
    }
    let twice = encoded(r#"{"alg":"none","alg":"EdDSA","kid":"d"}"#);
    let token = format!("{twice}.{}.{}", parts[1], parts[2]);
    assert_eq!(issuer.judge(&token), Err(Refused::Malformed));
    // 8 KiB, and one more.
    let padded = |n| issuer.ed.token(&header, &with(&json!({ "x": "y".repeat(n) })));
    let most = (5000..9000).find(|n| padded(*n).len() >= 8192).unwrap();
    let mut sizes = [most - 1, most, most + 1, most + 2].map(padded);
    sizes.sort_by_key(String::len);
    for token in sizes {
        assert_eq!(issuer.judge(&token).is_ok(), token.len() <= 8192, "{}", token.len());
    }
}

#[test]
fn claims_are_held_against_the_terms() {
    let issuer = Issuer::new();
    let own = encoded(SHOWN);
    for (others, refused) in [
        (json!({"iss": "https://idp.example.com/"}), Refused::Issuer),
        (json!({"iss": null}), Refused::Issuer),
        (json!({"iss": ["https://idp.example.com"]}), Refused::Issuer),
        (json!({"exp": null}), Refused::NoEnd),
        (json!({"exp": "1790000300"}), Refused::NoEnd),
        (json!({"exp": NOW - 60}), Refused::Expired),
        (json!({"exp": 0}), Refused::Expired),
        (json!({"exp": -1}), Refused::Expired),
        (json!({"nbf": NOW + 61}), Refused::Early),
        (json!({"nbf": "x"}), Refused::Early),
        (json!({"iat": NOW + 61}), Refused::Early),
        (json!({"aud": "other"}), Refused::Audience),
        (json!({"aud": []}), Refused::Audience),
        (json!({"aud": ["other", "crud.secrets.x"]}), Refused::Audience),
        (json!({"aud": 1}), Refused::Claims),
        (json!({"scope": 1}), Refused::Claims),
        (json!({"scp": {}}), Refused::Claims),
        (json!({"tenant_id": 1}), Refused::Claims),
        (json!({"sub": null}), Refused::Subject),
        (json!({"sub": ""}), Refused::Subject),
        (json!({"sub": 7}), Refused::Subject),
        (json!({"sub": "a\nb"}), Refused::Subject),
        (json!({"sub": "x".repeat(256)}), Refused::Subject),
        (json!({"sub": "cert:0a"}), Refused::Subject),
        (json!({"sub": "user:alice"}), Refused::Subject),
        (json!({"sub": "system:rotation"}), Refused::Subject),
        (json!({"cnf": {"x5t#S256": encoded([8; 32])}}), Refused::BoundElsewhere),
        (json!({"cnf": {"x5t#S256": "x"}}), Refused::BoundElsewhere),
        (json!({"cnf": {}}), Refused::BoundElsewhere),
        (json!({"cnf": {"jkt": own}}), Refused::BoundElsewhere),
        (json!({"cnf": {"x5t#S256": own, "jkt": own}}), Refused::BoundElsewhere),
        (json!({"cnf": "x"}), Refused::Claims),
    ] {
        assert_eq!(issuer.claims(&with(&others)), Err(refused), "{others}");
    }
    for others in [
        json!({"exp": NOW - 59}),
        json!({"nbf": NOW + 60, "iat": NOW + 60}),
        json!({"iat": null}),
        json!({"iat": f64::from(1_790_000_000) + 0.5}),
        json!({"aud": "crud.secrets"}),
        json!({"aud": ["other", "crud.secrets"]}),
        json!({"sub": "system:serviceaccount:default:app"}),
        json!({"scope": null, "scp": ["secrets:read"]}),
        json!({"scope": null, "scp": "openid secrets.read"}),
    ] {
        let found = issuer.claims(&with(&others));
        assert!(
            found.as_ref().is_ok_and(|it| it.scopes.give(Scope::Read) && !it.is_bound),
            "{others} {found:?}"
        );
    }
    let bound = with(&json!({"cnf": {"x5t#S256": own}}));
    assert!(issuer.claims(&bound).unwrap().is_bound);
    let token = |claims: &Value| issuer.ed.token(&json!({"alg": "EdDSA", "kid": "d"}), claims);
    let strict = Terms { requires_audience: true, requires_binding: true, ..terms() };
    assert_eq!(issuer.judge_by(&token(&bound), &strict), Err(Refused::Audience));
    let whole = with(&json!({"cnf": {"x5t#S256": own}, "aud": "crud.secrets"}));
    assert!(issuer.judge_by(&token(&whole), &strict).is_ok());
    let unbound = token(&with(&json!({"aud": "crud.secrets"})));
    assert_eq!(issuer.judge_by(&unbound, &strict), Err(Refused::Unbound));
    // Without a certificate.
    let alone = |claims: &Value| {
        let now = Timestamp::from_unix_seconds(NOW);
        verify(token(claims).as_bytes(), &issuer.keys(), &terms(), None, now)
    };
    assert!(alone(&claims()).is_ok());
    assert_eq!(alone(&bound), Err(Refused::BoundElsewhere));
    assert_eq!(alone(&with(&json!({"tenant_id": null}))), Err(Refused::NoTenant));
}

#[test]
fn a_token_ends() {
    let issuer = Issuer::new();
    let token = Token::new(String::new(), issuer.claims(&claims()).unwrap(), None);
    let at = |seconds| token.lives(Timestamp::from_unix_seconds(NOW + seconds));
    assert_eq!((at(359), at(360)), (Ok(()), Err(Refused::Expired)));
}

#[test]
fn a_set_has_public_keys_that_sign_alone() {
    let (one, other) = (Signer::ed(), Signer::ed());
    let parse = |keys: &[Value]| KeySet::parse(set(keys).as_bytes());
    let mut changed = Vec::new();
    for (name, value, outcome) in [
        ("use", json!("enc"), KeySetFault::Empty),
        ("use", json!(1), KeySetFault::Key(1)),
        ("key_ops", json!(["sign"]), KeySetFault::Empty),
        ("alg", json!("HS256"), KeySetFault::Empty),
        ("alg", json!("RSA-OAEP"), KeySetFault::Empty),
        ("alg", json!("ES256"), KeySetFault::Empty),
        ("kty", json!("oct"), KeySetFault::Empty),
        ("kty", json!("EC"), KeySetFault::Empty),
        ("crv", json!("X25519"), KeySetFault::Empty),
        ("x", json!("AA"), KeySetFault::Key(1)),
        ("x", json!(null), KeySetFault::Key(1)),
        ("kid", json!(1), KeySetFault::Key(1)),
        ("d", json!("AA"), KeySetFault::Private),
    ] {
        let mut key = one.public("d");
        key[name] = value;
        assert_eq!(parse(&[key.clone()]).err(), Some(outcome), "{key}");
        changed.push(key);
    }
    // What is for other ends is left out, and the rest counts.
    let set_of_all = parse(&[changed[0].clone(), changed[3].clone(), other.public("e")]).unwrap();
    assert_eq!(set_of_all.len(), 1);
    let Signer::Rsa(_) = Signer::rsa() else { panic!() };
    let mut weak = Signer::rsa().public("r");
    weak["e"] = json!("Aw");
    assert_eq!(parse(&[weak]).err(), Some(KeySetFault::Empty));
    let short = json!({"kty": "RSA", "kid": "r", "n": encoded([255; 128]), "e": "AQAB"});
    assert_eq!(parse(&[short]).err(), Some(KeySetFault::Empty));
    let mut off = Signer::p256().public("e");
    off["y"] = off["x"].clone();
    assert_eq!(parse(&[off]).err(), Some(KeySetFault::Key(1)), "it is not on the curve");
    for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(KeySet::parse(text.as_bytes()).err(), Some(KeySetFault::Malformed), "{text}");
    }
    let many = vec![one.public("d"); 101];
    assert_eq!(parse(&many).err(), Some(KeySetFault::TooMany));
    assert_eq!(KeySet::parse(&vec![b' '; SET_BYTES_MAX + 1]).err(), Some(KeySetFault::TooLarge));
}

/// Of two keys of one name that both would do, neither is guessed; of two types, the header's counts.
#[test]
fn a_name_leads_to_one_key() {
    let (one, other, rsa) = (Signer::ed(), Signer::ed(), Signer::rsa());
    let judge = |keys: &[Value], key: &Signer, header: &Value| {
        let keys = KeySet::parse(set(keys).as_bytes()).unwrap();
        let now = Timestamp::from_unix_seconds(NOW);
        verify(key.token(header, &claims()).as_bytes(), &keys, &terms(), Some(&SHOWN), now)
            .map(drop)
    };
    let (named, unnamed) = (json!({"alg": "EdDSA", "kid": "k"}), json!({"alg": "EdDSA"}));
    assert_eq!(judge(&[one.public("k"), other.public("k")], &one, &named), Err(Refused::OtherKey));
    assert_eq!(judge(&[one.public("k"), rsa.public("k")], &one, &named), Ok(()));
    assert_eq!(judge(&[one.public("k"), rsa.public("k")], &rsa, &named), Err(Refused::Signature));
    assert_eq!(
        judge(&[one.public("a"), other.public("b")], &one, &unnamed),
        Err(Refused::OtherKey)
    );
    assert_eq!(judge(&[one.public("a"), rsa.public("b")], &one, &unnamed), Ok(()));
    // One that says what it is for is for nothing else.
    let mut only = rsa.public("k");
    only["alg"] = json!("PS256");
    assert_eq!(judge(&[only.clone()], &rsa, &json!({"alg": "PS256", "kid": "k"})), Ok(()));
    assert_eq!(judge(&[only], &rsa, &json!({"alg": "RS256", "kid": "k"})), Err(Refused::OtherKey));
}

#[test]
fn nothing_of_a_token_is_printed() {
    let issuer = Issuer::new();
    let found = issuer.claims(&claims()).unwrap();
    let printed = format!(
        "{found:?} {:?} {:?}",
        Token::new(String::new(), found.clone(), None),
        issuer.keys()
    );
    assert!(!printed.contains("alice") && !printed.contains("acme"), "{printed}");
}

proptest! {
    #[test]
    fn arbitrary_tokens_never_panic(text in "[A-Za-z0-9_.=-]{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let keys = KeySet::parse(set(&[Signer::ed().public("d")]).as_bytes()).unwrap();
        let now = Timestamp::from_unix_seconds(NOW);
        prop_assert!(verify(text.as_bytes(), &keys, &terms(), None, now).is_err());
        prop_assert!(verify(&bytes, &keys, &terms(), None, now).is_err());
        prop_assert!(KeySet::parse(&bytes).is_err());
    }
}
