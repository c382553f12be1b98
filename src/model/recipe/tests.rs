//! Recipes: what can be made, what cannot, and what it is called.

use super::*;

fn text(text: &str) -> Setting {
    Setting::Text(text.to_owned())
}

fn field(name: &str, generator: &str, config: &[(&str, Setting)]) -> FieldSaid {
    let config = config.iter().map(|(name, setting)| ((*name).to_owned(), setting.clone()));
    FieldSaid { name: name.to_owned(), generator: generator.to_owned(), config: config.collect() }
}

fn faults(said: Vec<FieldSaid>) -> Vec<String> {
    Recipe::new(said).unwrap_err().iter().map(|(field, _)| field.to_owned()).collect()
}

fn members(said: Vec<FieldSaid>) -> Vec<String> {
    Recipe::new(said).unwrap().plan().flat_map(|(_, members)| members).collect()
}

/// Whatever a recipe says of itself makes the same recipe.
#[test]
fn what_is_shown_is_what_was_said() {
    let truth = Setting::Truth(true);
    let all = vec![
        field("a", "random", &[("length", Setting::Number(16)), ("require_symbol", truth)]),
        field("b", "hex", &[]),
        field("c", "uuid", &[("version", Setting::Number(7))]),
        field("d", "template", &[("template", text("x{{uuid}}"))]),
        field("e", "rsa_keypair", &[("bits", Setting::Number(4096))]),
        field("f", "ec_keypair", &[("curve", text("P-384"))]),
        field("g", "ssh_keypair", &[("key_type", text("rsa")), ("comment", text("a@b"))]),
        field(
            "h",
            "certificate",
            &[
                ("common_name", text("x.example")),
                ("dns", Setting::Texts(vec!["x.example".to_owned(), "*.x.example".to_owned()])),
            ],
        ),
        field("i", "bcrypt_hash", &[("rounds", Setting::Number(10))]),
        field("j", "static", &[("value", text("v\n"))]),
    ];
    let recipe = Recipe::new(all).unwrap();
    let again = recipe
        .fields()
        .iter()
        .map(|one| field(one.name(), one.generator().name(), &one.generator().config()));
    assert_eq!(Recipe::new(again.collect()).unwrap(), recipe);
    let Generator::Random(random) = recipe.fields()[0].generator() else { panic!("random") };
    assert_eq!((random.length(), random.charset()), (16, Charset::Safe));
    assert!(!format!("{recipe:?}").contains("v\\n"), "what is fixed is not printed");
}

#[test]
fn names_of_members() {
    let pair = |name| field(name, "ssh_keypair", &[]);
    assert_eq!(members(vec![pair("a")]), ["private_key", "public_key"]);
    assert_eq!(
        members(vec![pair("a"), field("tls", "certificate", &[("common_name", text("x"))])]),
        ["a_private_key", "a_public_key", "tls_cert_pem", "tls_key_pem"]
    );
    assert_eq!(
        members(vec![field("p", "bcrypt_hash", &[]), pair("a")]),
        ["p", "p_hash", "private_key", "public_key"]
    );
    let hex = |name| field(name, "hex", &[]);
    assert_eq!(faults(vec![hex("a"), hex("b"), hex("a")]), ["fields[2].name"]);
    assert_eq!(faults(vec![hex("private_key"), pair("a")]), ["fields[1].name"]);
    assert_eq!(faults(vec![field("p", "bcrypt_hash", &[]), hex("p_hash")]), ["fields[1].name"]);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let truth = || Setting::Truth(true);
    let all = [
        ("require_upper", truth()),
        ("require_lower", truth()),
        ("require_digit", truth()),
        ("require_symbol", truth()),
    ];
    let with = |more: (&'static str, Setting)| {
        let config: Vec<_> = all.iter().cloned().chain([more]).collect();
        field("a", "random", &config)
    };
    assert_eq!(faults(vec![with(("length", Setting::Number(3)))]), ["fields[0].config.length"]);
    assert!(Recipe::new(vec![with(("length", Setting::Number(4)))]).is_ok());
    assert_eq!(faults(vec![with(("charset", text("numeric")))]), ["fields[0].config.charset"]);
    let some = |generator: &str, name: &str, setting: Setting| {
        faults(vec![field("a", generator, &[(name, setting)])])
    };
    for (generator, name, setting) in [
        ("random", "length", Setting::Number(0)),
        ("random", "length", Setting::Number(1025)),
        ("random", "length", Setting::Number(u64::MAX)),
        ("random", "length", text("16")),
        ("random", "charset", text("emoji")),
        ("random", "charset", Setting::Other),
        ("random", "require_upper", text("yes")),
        ("random", "size", Setting::Number(5)),
        ("hex", "length", Setting::Number(1025)),
        ("hex", "charset", text("safe")),
        ("uuid", "version", Setting::Number(1)),
        ("template", "template", text("{{nothing}}")),
        ("rsa_keypair", "bits", Setting::Number(1024)),
        ("ec_keypair", "curve", text("P-521")),
        ("ssh_keypair", "key_type", text("dsa")),
        ("ssh_keypair", "comment", text("a\nb")),
        ("bcrypt_hash", "length", Setting::Number(73)),
        ("bcrypt_hash", "rounds", Setting::Number(31)),
        ("static", "value", text("")),
    ] {
        assert_eq!(some(generator, name, setting), [format!("fields[0].config.{name}")]);
    }
    let certificate = |name: &str, setting| {
        faults(vec![field("a", "certificate", &[("common_name", text("x")), (name, setting)])])
    };
    for wrong in ["", "1.2.3.4", "a.1", "a b", "-a.b", "a..b", "a.*.b", "é.de", &"a".repeat(64)] {
        let names = Setting::Texts(vec![wrong.to_owned()]);
        assert_eq!(certificate("dns", names), ["fields[0].config.dns"], "{wrong}");
    }
    assert_eq!(certificate("days", Setting::Number(3651)), ["fields[0].config.days"]);
    assert_eq!(faults(vec![field("a", "certificate", &[])]), ["fields[0].config.common_name"]);
    assert_eq!(faults(vec![field("a", "template", &[])]), ["fields[0].config.template"]);
    assert_eq!(faults(vec![field("a", "static", &[])]), ["fields[0].config.value"]);
    assert_eq!(faults(vec![field("a", "dice", &[])]), ["fields[0].generator"]);
    assert_eq!(faults(vec![field("", "hex", &[])]), ["fields[0].name"]);
    assert_eq!(faults(Vec::new()), ["fields"]);
    assert_eq!(faults((0..17).map(|n| field(&n.to_string(), "hex", &[])).collect()), ["fields"]);
    // All at once.
    assert_eq!(
        faults(vec![field("", "hex", &[("x", truth())]), field("b", "dice", &[])]),
        ["fields[0].name", "fields[0].config.x", "fields[1].generator"]
    );
}

#[test]
fn which_member_is_meant() {
    let meant = |names: &[&str]| {
        let recipe = Recipe::for_one_of(names.iter().copied());
        recipe.map(|recipe| recipe.fields()[0].name().to_owned()).ok()
    };
    assert_eq!(meant(&["user", "password"]).as_deref(), Some("password"));
    assert_eq!(meant(&["anything"]).as_deref(), Some("anything"));
    assert_eq!(meant(&["client_id", "client_secret", "url"]).as_deref(), Some("client_secret"));
    for unclear in [&[][..], &["a", "b"], &["key", "secret"], &["Password", "user"]] {
        assert_eq!(meant(unclear), None, "{unclear:?}");
    }
}

#[test]
fn a_policy_is_made_and_changed() {
    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    let recipe = Recipe::new(vec![field("password", "random", &[])]).unwrap();
    let patch = SecretPolicyPatch {
        name: Some("DB passwords".to_owned()),
        recipe: Some(recipe),
        ..SecretPolicyPatch::default()
    };
    let (id, policy) = patch.create(NOW).unwrap();
    assert_eq!(id.as_str(), "sp_db_passwords");
    assert_eq!(policy.fields().policy_type, PolicyType::Custom);
    let later = NOW.plus_seconds(1);
    assert_eq!(SecretPolicyPatch::default().apply(&policy, later), Ok(policy.clone()));
    let off = SecretPolicyPatch { is_active: Some(false), ..SecretPolicyPatch::default() };
    let off = off.apply(&policy, later).unwrap();
    assert!(!off.fields().is_active && off.fields().updated_at == later);
    let none = SecretPolicyPatch::default().create(NOW).unwrap_err();
    assert_eq!(none.iter().map(|(field, _)| field).collect::<Vec<_>>(), ["fields", "name"]);
}

/// Sixteen keys of RSA kept a processor for most of a minute, and a domain's rotations with it.
#[test]
fn what_takes_long_is_bounded() {
    let some = |number: usize, generator: &str| {
        let fields = (0..number).map(|n| field(&format!("f{n}"), generator, &[]));
        Recipe::new(fields.collect())
    };
    for generator in ["rsa_keypair", "bcrypt_hash"] {
        assert!(some(4, generator).is_ok());
        let faults = some(5, generator).unwrap_err();
        assert_eq!(faults.iter().next().unwrap().0, "fields");
    }
    assert!(some(16, "ec_keypair").is_ok() && some(16, "hex").is_ok());
}
