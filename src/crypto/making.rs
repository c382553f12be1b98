//! Text made at random, for values of secrets.
//!
//! Always holds: each character is drawn by itself, and each of its alphabet is as likely as any other; text
//! that lacks what it must have is drawn anew as a whole, so that what is required makes no place of it
//! likelier than another. What was made is wiped when dropped. Never does: say what is to be made.

use base64::Engine as _;
use zeroize::Zeroizing;

use super::{Error, SecretValue, random};
use crate::model::{
    Timestamp,
    recipe::{Charset, Part, RandomText, Template, UuidVersion},
};

/// How often text is drawn that must have something. Of what a recipe can ask for one in twenty fits.
const DRAWS: usize = 10_000;
const DIGITS: &[u8] = b"0123456789abcdef";

/// Random bytes, drawn some at a time.
struct Source {
    bytes: Zeroizing<[u8; 64]>,
    used: usize,
}

impl Source {
    fn new() -> Self {
        Self { bytes: Zeroizing::new([0; 64]), used: usize::MAX }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        if let Some(byte) = self.bytes.get(self.used) {
            self.used += 1;
            return Ok(*byte);
        }
        self.bytes = Zeroizing::new(random()?);
        let [first, ..] = *self.bytes;
        self.used = 1;
        Ok(first)
    }

    /// One of these, of which there are at most 256.
    fn one_of(&mut self, alphabet: &[u8]) -> Result<u8, Error> {
        // The greatest multiple that a byte can be below: what is not below it would come upon the first
        // ones more often.
        let fair = 256 - 256 % alphabet.len().max(1);
        loop {
            let byte = usize::from(self.byte()?);
            if byte < fair {
                let chosen = alphabet.get(byte % alphabet.len().max(1));
                return chosen.copied().ok_or(Error::Library);
            }
        }
    }

    fn fill(&mut self, text: &mut Vec<u8>, alphabet: &[u8], length: usize) -> Result<(), Error> {
        for _ in 0..length {
            text.push(self.one_of(alphabet)?);
        }
        Ok(())
    }
}

/// Text of which nothing is left behind: with room for all of it from the start.
fn room(length: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(length))
}

fn made(mut text: Zeroizing<Vec<u8>>) -> SecretValue {
    SecretValue::new(std::mem::take(&mut *text))
}

/// Random text that has what it must.
///
/// # Errors
/// `Error::Library` where there is no randomness.
pub fn random_text(wanted: &RandomText) -> Result<SecretValue, Error> {
    let mut source = Source::new();
    let mut text = room(wanted.length());
    for _ in 0..DRAWS {
        text.clear();
        source.fill(&mut text, wanted.charset().characters(), wanted.length())?;
        if wanted.fulfils(&text) {
            return Ok(made(text));
        }
    }
    Err(Error::Library)
}

/// So many random hexadecimal digits.
///
/// # Errors
/// As [`random_text`].
pub fn hex(length: usize) -> Result<SecretValue, Error> {
    let mut text = room(length);
    Source::new().fill(&mut text, DIGITS, length)?;
    Ok(made(text))
}

/// A UUID, of this moment where it has one.
///
/// # Errors
/// As [`random_text`].
pub fn uuid(version: UuidVersion, now: Timestamp) -> Result<SecretValue, Error> {
    let builder = match version {
        UuidVersion::V4 => uuid::Builder::from_random_bytes(random()?),
        UuidVersion::V7 => {
            let millis = u64::try_from(now.unix_nanos() / 1_000_000).unwrap_or_default();
            uuid::Builder::from_unix_timestamp_millis(millis, &random()?)
        }
    };
    let mut text = Zeroizing::new([0; uuid::fmt::Hyphenated::LENGTH]);
    builder.into_uuid().hyphenated().encode_lower(&mut *text);
    Ok(SecretValue::new(text.to_vec()))
}

/// A template, filled in.
///
/// # Errors
/// As [`random_text`].
pub fn filled(template: &Template, now: Timestamp) -> Result<SecretValue, Error> {
    let mut source = Source::new();
    let mut text = room(template.length());
    for part in template.parts() {
        match part {
            Part::Text(fixed) => text.extend_from_slice(fixed.as_bytes()),
            Part::Random(length) => {
                let alphabet = Charset::Alphanumeric.characters();
                source.fill(&mut text, alphabet, *length as usize)?;
            }
            Part::Hex(length) => source.fill(&mut text, DIGITS, *length as usize)?,
            Part::Uuid => text.extend_from_slice(uuid(UuidVersion::V4, now)?.expose()),
            Part::Timestamp => text.extend_from_slice(now.unix_seconds().to_string().as_bytes()),
        }
    }
    Ok(made(text))
}

/// The bcrypt hash of a text, of so many rounds (a power of two). Slow on purpose. Of more than 72 bytes
/// the first 72 count alone.
///
/// # Errors
/// `Error::Library` where there is no randomness, or it cannot be so slow.
pub fn bcrypt(text: &[u8], rounds: u32) -> Result<SecretValue, Error> {
    hash(text, rounds, random()?)
}

fn hash(text: &[u8], rounds: u32, salt: [u8; 16]) -> Result<SecretValue, Error> {
    /// The most bytes that are looked at, the NUL at the end among them.
    const KEY_MAX: usize = 72;
    if !(4..=31).contains(&rounds) {
        return Err(Error::Library);
    }
    let mut key = room(text.len() + 1);
    key.extend_from_slice(text);
    key.push(0);
    key.truncate(KEY_MAX);
    let digest = ::bcrypt::bcrypt(rounds, salt, &key);
    // The last byte of the 24 was left out by the first program that did it, and is by all.
    let [digest @ .., _] = digest;
    let encode = |bytes: &[u8]| ::bcrypt::BASE_64.encode(bytes);
    Ok(SecretValue::new(
        format!("$2b${rounds:02}${}{}", encode(&salt), encode(&digest)).into_bytes(),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::recipe::{FieldSaid, Generator, GeneratorSettings, Recipe, Setting};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn said(generator: &str, config: &[(&str, Setting)]) -> Generator {
        let config: GeneratorSettings =
            config.iter().map(|(name, setting)| ((*name).to_owned(), setting.clone())).collect();
        let field = FieldSaid { name: "a".to_owned(), generator: generator.to_owned(), config };
        Recipe::new(vec![field]).unwrap().fields()[0].generator().clone()
    }

    fn random_of(config: &[(&str, Setting)]) -> RandomText {
        let Generator::Random(wanted) = said("random", config) else { panic!("random text") };
        wanted
    }

    fn text(value: &SecretValue) -> String {
        String::from_utf8(value.expose().to_vec()).unwrap()
    }

    fn charset(name: &str) -> (&'static str, Setting) {
        ("charset", Setting::Text(name.to_owned()))
    }

    const ALL: [(&str, Setting); 4] = [
        ("require_upper", Setting::Truth(true)),
        ("require_lower", Setting::Truth(true)),
        ("require_digit", Setting::Truth(true)),
        ("require_symbol", Setting::Truth(true)),
    ];

    /// Of the least length that has room for all of them, too.
    #[test]
    fn a_thousand_have_what_they_must() {
        for (length, name) in [(16, "safe"), (4, "safe"), (4, "ascii"), (1024, "ascii")] {
            let config: Vec<_> = ALL
                .into_iter()
                .chain([("length", Setting::Number(length)), charset(name)])
                .collect();
            let wanted = random_of(&config);
            let mut seen = HashSet::new();
            for _ in 0..1000 {
                let made = text(&random_text(&wanted).unwrap());
                assert_eq!(made.len() as u64, length);
                for has in [
                    char::is_ascii_uppercase as fn(&char) -> bool,
                    char::is_ascii_lowercase,
                    char::is_ascii_digit,
                    char::is_ascii_punctuation,
                ] {
                    assert!(made.chars().any(|c| has(&c)), "{made}");
                }
                let alphabet = wanted.charset().characters();
                assert!(made.bytes().all(|byte| alphabet.contains(&byte)));
                seen.insert(made);
            }
            assert!(seen.len() > 990, "they differ: {}", seen.len());
        }
    }

    /// Each character is drawn as often as any other. The bound is six standard deviations above what chance
    /// makes; a choice by remainder misses it by hundreds.
    #[test]
    fn no_character_is_likelier() {
        for name in ["alphanumeric", "alpha", "numeric", "safe", "ascii"] {
            let wanted = random_of(&[("length", Setting::Number(1000)), charset(name)]);
            let alphabet = wanted.charset().characters();
            assert_eq!(alphabet.iter().collect::<HashSet<_>>().len(), alphabet.len());
            let mut counts = [0_u32; 256];
            for _ in 0..400 {
                for byte in random_text(&wanted).unwrap().expose() {
                    counts[usize::from(*byte)] += 1;
                }
            }
            let expected = 400_000.0 / f64::from(u32::try_from(alphabet.len()).unwrap());
            let off = alphabet.iter().map(|byte| {
                let difference = f64::from(counts[usize::from(*byte)]) - expected;
                difference * difference / expected
            });
            let freedom = f64::from(u32::try_from(alphabet.len() - 1).unwrap());
            let chi_square: f64 = off.sum();
            assert!(
                chi_square < freedom + 6.0 * (2.0 * freedom).sqrt() + 10.0,
                "{name}: {chi_square}"
            );
        }
    }

    #[test]
    fn uuids_say_their_version() {
        for (version, number) in [(UuidVersion::V4, 4), (UuidVersion::V7, 7)] {
            let made = text(&uuid(version, NOW).unwrap());
            let read: uuid::Uuid = made.parse().unwrap();
            assert_eq!((read.get_version_num(), read.to_string()), (number, made));
            assert_eq!(read.get_variant(), uuid::Variant::RFC4122);
            let at = read.get_timestamp().map(|at| at.to_unix().0);
            assert_eq!(at, (number == 7).then_some(1_800_000_000));
        }
    }

    #[test]
    fn templates_are_filled_in() {
        let template = "sk_{{random:8}}_{{hex:5}}_{{uuid}}_{{timestamp}}";
        let config = [("template", Setting::Text(template.to_owned()))];
        let Generator::Template(template) = said("template", &config) else { panic!("template") };
        let [one, other] = [0; 2].map(|_| text(&filled(&template, NOW).unwrap()));
        assert_ne!(one, other);
        let parts: Vec<_> = one.split('_').collect();
        assert_eq!((parts[0], parts[4]), ("sk", "1800000000"));
        assert!(parts[1].len() == 8 && parts[1].bytes().all(|b| b.is_ascii_alphanumeric()));
        assert!(parts[2].len() == 5 && parts[2].bytes().all(|b| DIGITS.contains(&b)));
        assert!(parts[3].parse::<uuid::Uuid>().is_ok());
        assert_eq!(text(&hex(7).unwrap()).len(), 7);
    }

    /// What other programs make of the same text and salt: the examples of jBCrypt and of `crypt_blowfish`.
    #[test]
    fn hashes_are_those_of_others() {
        let of = |text: &str, known: &str| {
            let salt = ::bcrypt::BASE_64.decode(&known[7..29]).unwrap();
            let rounds = known[4..6].parse().unwrap();
            let made = hash(text.as_bytes(), rounds, salt.try_into().unwrap()).unwrap();
            String::from_utf8(made.expose().to_vec()).unwrap().replace("$2b$", "$2a$")
        };
        let long = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored";
        for (text, known) in [
            ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
            ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
            ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            (long, "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"),
        ] {
            assert_eq!(of(text, known), known, "{text}");
        }
        let [one, other] = [0; 2].map(|_| text(&bcrypt(b"a", 4).unwrap()));
        assert!(one != other && one.len() == 60, "salted");
        assert!(bcrypt(b"a", 3).is_err() && bcrypt(b"a", 32).is_err());
    }
}
