//! Generators: what makes one field of a value, with what is configured of it.

use super::{
    charset::RandomText,
    setting::{Config, Setting, Settings},
    template::Template,
};
use crate::model::Faults;

/// The kinds of UUID that are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UuidVersion {
    /// Random.
    V4,
    /// Random, and sorted by time.
    V7,
}

/// The sizes of RSA keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaBits {
    /// 2048 bits.
    B2048,
    /// 4096 bits.
    B4096,
}

/// Elliptic curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

/// The kinds of SSH keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshKind {
    /// Ed25519.
    Ed25519,
    /// RSA, of as many bits as ssh-keygen makes.
    Rsa,
}

/// What a self-signed certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfSigned {
    /// Its common name.
    pub common_name: String,
    /// DNS names.
    pub dns: Vec<String>,
    /// For how many days.
    pub days: u32,
    /// The curve of its key.
    pub curve: Curve,
}

/// Text that is always the same. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct FixedText(String);

impl FixedText {
    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for FixedText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FixedText")
    }
}

/// What makes a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Generator {
    /// Random text.
    Random(RandomText),
    /// So many hexadecimal digits.
    Hex(u32),
    /// A UUID.
    Uuid(UuidVersion),
    /// A filled-in template.
    Template(Template),
    /// An RSA key pair.
    RsaPair(RsaBits),
    /// A key pair on an elliptic curve.
    EcPair(Curve),
    /// An SSH key pair, with a comment.
    SshPair(SshKind, String),
    /// A certificate that its own key has signed.
    Certificate(SelfSigned),
    /// Random text, and its bcrypt hash of so many rounds (a power of two).
    BcryptHash {
        /// The text.
        password: RandomText,
        /// The power.
        rounds: u32,
    },
    /// The same text each time.
    Static(FixedText),
}

const VERSIONS: [(&str, UuidVersion); 2] = [("4", UuidVersion::V4), ("7", UuidVersion::V7)];
const BITS: [(&str, RsaBits); 2] = [("2048", RsaBits::B2048), ("4096", RsaBits::B4096)];
const CURVES: [(&str, Curve); 2] = [("P-256", Curve::P256), ("P-384", Curve::P384)];
const SSH_KINDS: [(&str, SshKind); 2] = [("ed25519", SshKind::Ed25519), ("rsa", SshKind::Rsa)];
const CURVE_RULE: &str = "P-256 or P-384";

impl Generator {
    /// Whether making it takes long.
    pub(super) const fn is_costly(&self) -> bool {
        matches!(self, Self::RsaPair(_) | Self::BcryptHash { .. })
    }

    /// The generator of this name, so configured. What is wrong with it is told as of `at`, the place of
    /// the field; where anything is, what is made of it is not to be used.
    pub(super) fn read(
        name: &str,
        config: Settings,
        at: &str,
        faults: &mut Faults,
    ) -> Option<Self> {
        let mut config = Config { at: format!("{at}.config"), settings: config, faults };
        let generator = match name {
            "random" => Self::Random(RandomText::read(&mut config)),
            "hex" => Self::Hex(config.number(
                "length",
                1..=1024,
                64,
                "a whole number of digits from 1 to 1024",
            )),
            "uuid" => {
                let version = config.choice("version", &VERSIONS, "4 or 7");
                Self::Uuid(version.unwrap_or(UuidVersion::V4))
            }
            "template" => Self::Template(template(&mut config)?),
            "rsa_keypair" => {
                let bits = config.choice("bits", &BITS, "2048 or 4096");
                Self::RsaPair(bits.unwrap_or(RsaBits::B2048))
            }
            "ec_keypair" => {
                let curve = config.choice("curve", &CURVES, CURVE_RULE);
                Self::EcPair(curve.unwrap_or(Curve::P256))
            }
            "ssh_keypair" => {
                let kind = config.choice("key_type", &SSH_KINDS, "ed25519 or rsa");
                let comment = config.text("comment", 255, "a text of at most 255 printable bytes");
                Self::SshPair(kind.unwrap_or(SshKind::Ed25519), comment)
            }
            "certificate" => Self::Certificate(SelfSigned::read(&mut config)),
            "bcrypt_hash" => Self::BcryptHash {
                // Of a longer text bcrypt takes the beginning alone.
                password: RandomText::plain(config.number(
                    "length",
                    1..=72,
                    32,
                    "a whole number from 1 to 72",
                )),
                rounds: config.number("rounds", 10..=14, 12, "a whole number from 10 to 14"),
            },
            "static" => Self::Static(fixed(&mut config)),
            _ => {
                faults.add(
                    format!("{at}.generator"),
                    "one of random, hex, uuid, template, rsa_keypair, ec_keypair, ssh_keypair, certificate, bcrypt_hash \
                     and static",
                );
                return None;
            }
        };
        config.end();
        Some(generator)
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Random(_) => "random",
            Self::Hex(_) => "hex",
            Self::Uuid(_) => "uuid",
            Self::Template(_) => "template",
            Self::RsaPair(_) => "rsa_keypair",
            Self::EcPair(_) => "ec_keypair",
            Self::SshPair(..) => "ssh_keypair",
            Self::Certificate(_) => "certificate",
            Self::BcryptHash { .. } => "bcrypt_hash",
            Self::Static(_) => "static",
        }
    }

    /// Its config, with what was not said.
    #[must_use]
    pub fn config(&self) -> Vec<(&'static str, Setting)> {
        let text = |text: &str| Setting::Text(text.to_owned());
        let number = |number: &u32| Setting::Number((*number).into());
        match self {
            Self::Random(random) => random.config(),
            Self::Hex(length) => vec![("length", number(length))],
            Self::Uuid(version) => vec![("version", number_of(&VERSIONS, *version))],
            Self::Template(template) => vec![("template", text(template.as_str()))],
            Self::RsaPair(bits) => vec![("bits", number_of(&BITS, *bits))],
            Self::EcPair(curve) => vec![("curve", text(name_of(&CURVES, *curve)))],
            Self::SshPair(kind, comment) => {
                vec![("key_type", text(name_of(&SSH_KINDS, *kind))), ("comment", text(comment))]
            }
            Self::Certificate(SelfSigned { common_name, dns, days, curve }) => vec![
                ("common_name", text(common_name)),
                ("dns", Setting::Texts(dns.clone())),
                ("days", number(days)),
                ("curve", text(name_of(&CURVES, *curve))),
            ],
            Self::BcryptHash { password, rounds } => {
                let length = Setting::Number(password.length() as u64);
                vec![("length", length), ("rounds", number(rounds))]
            }
            Self::Static(value) => vec![("value", text(value.expose()))],
        }
    }

    /// Whether it makes several members of names of their own.
    pub(super) const fn makes_pair(&self) -> bool {
        matches!(
            self,
            Self::RsaPair(_) | Self::EcPair(_) | Self::SshPair(..) | Self::Certificate(_)
        )
    }
}

impl SelfSigned {
    fn read(config: &mut Config<'_>) -> Self {
        let common_name = config.text("common_name", 64, "a text of 1 to 64 printable bytes");
        if common_name.is_empty() {
            config.fault("common_name", "a text of 1 to 64 printable bytes; it is missing");
        }
        let curve = config.choice("curve", &CURVES, CURVE_RULE);
        Self {
            dns: config.texts(
                "dns",
                64,
                is_dns_name,
                "an array of at most 64 DNS names such as www.example.com",
            ),
            days: config.number("days", 1..=3650, 365, "a whole number from 1 to 3650"),
            curve: curve.unwrap_or(Curve::P256),
            common_name,
        }
    }
}

fn template(config: &mut Config<'_>) -> Option<Template> {
    let rule = match config.settings.remove("template") {
        Some(Setting::Text(text)) => match Template::parse(text) {
            Ok(template) => return Some(template),
            Err(invalid) => invalid.0,
        },
        _ => "a text such as key_{{random:32}}",
    };
    config.fault("template", rule);
    None
}

fn fixed(config: &mut Config<'_>) -> FixedText {
    match config.settings.remove("value") {
        Some(Setting::Text(text)) if (1..=4096).contains(&text.len()) => FixedText(text),
        _ => {
            config.fault("value", "a text of 1 to 4096 bytes");
            FixedText(String::new())
        }
    }
}

fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let has_edge = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && !has_edge && label.bytes().all(is_plain)
    };
    let plain = name.strip_prefix("*.").unwrap_or(name);
    // What ends in a number is an address, or nothing.
    let last = plain.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= 253 && plain.split('.').all(is_label) && !is_number
}

fn name_of<T: Copy + PartialEq>(all: &[(&'static str, T)], one: T) -> &'static str {
    all.iter().find(|(_, known)| *known == one).map_or("", |(name, _)| name)
}

fn number_of<T: Copy + PartialEq>(all: &[(&'static str, T)], one: T) -> Setting {
    name_of(all, one).parse().map_or(Setting::Other, Setting::Number)
}
