//! Values that are made by recipes.
//!
//! Always holds: what is slow to make (keys of RSA, hashes of passwords) keeps no thread that serves many, and so
//! many are made at once and no more; what was made is wiped when dropped. Never does: store or tell it.

use std::sync::Arc;

use super::{
    Error,
    turns::{SharedTurns, VALUES},
};
use crate::{
    crypto::{self, SecretValue},
    fair::Weights,
    model::{OkmsId, Recipe, Timestamp, recipe::Generator},
    pki,
};

/// Members of a value, each a text.
pub type Made = Vec<(String, SecretValue)>;

/// The turns of those who make values.
pub(super) struct Values(SharedTurns);

impl Values {
    pub(super) fn new(weights: &Arc<Weights>) -> Self {
        Self(SharedTurns::new(VALUES, weights))
    }

    /// Makes what a recipe says, for the domain `id`.
    ///
    /// # Errors
    /// `Error::Busy` where too much of it waits; `Error` where it cannot be made.
    pub(super) async fn make(
        &self,
        id: OkmsId,
        recipe: Recipe,
        now: Timestamp,
    ) -> Result<Made, Error> {
        let turn = self.0.turn(id).await?;
        // The turn ends with the work, also where nobody waits for that any more.
        let made = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            make(&recipe, now)
        });
        made.await.map_err(|_| crypto::Error::Library)?
    }
}

fn make(recipe: &Recipe, now: Timestamp) -> Result<Made, Error> {
    let mut made = Made::new();
    for (generator, names) in recipe.plan() {
        made.extend(names.into_iter().zip(texts(generator, now)?));
    }
    Ok(made)
}

/// What a generator makes: as many texts as its plan has names.
fn texts(generator: &Generator, now: Timestamp) -> Result<Vec<SecretValue>, Error> {
    let one = |text: SecretValue| vec![text];
    Ok(match generator {
        Generator::Random(wanted) => one(crypto::random_text(wanted)?),
        Generator::Hex(length) => one(crypto::hex(*length as usize)?),
        Generator::Uuid(version) => one(crypto::uuid(*version, now)?),
        Generator::Template(template) => one(crypto::filled(template, now)?),
        Generator::Static(text) => one(SecretValue::new(text.expose().as_bytes().to_vec())),
        Generator::BcryptHash { password, rounds } => {
            let text = crypto::random_text(password)?;
            let hash = crypto::bcrypt(text.expose(), *rounds)?;
            vec![text, hash]
        }
        Generator::RsaPair(bits) => private_first(pki::rsa_pair(*bits))?,
        Generator::EcPair(curve) => private_first(pki::ec_pair(*curve))?,
        Generator::SshPair(kind, comment) => private_first(pki::ssh_pair(*kind, comment))?,
        Generator::Certificate(wanted) => {
            let mut parts = private_first(pki::self_signed(wanted, now))?;
            parts.reverse();
            parts
        }
    })
}

fn private_first(pair: Result<pki::Pair, pki::Error>) -> Result<Vec<SecretValue>, Error> {
    let (mut private, public) = pair.map_err(Error::Authority)?.into_parts();
    let private = std::mem::take(&mut *private);
    Ok(vec![SecretValue::new(private.into_bytes()), SecretValue::new(public.into_bytes())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::recipe::{FieldSaid, Setting};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn field(name: &str, generator: &str, config: &[(&str, Setting)]) -> FieldSaid {
        let config = config.iter().map(|(name, setting)| ((*name).to_owned(), setting.clone()));
        FieldSaid {
            name: name.to_owned(),
            generator: generator.to_owned(),
            config: config.collect(),
        }
    }

    /// Each generator makes what its plan says, in that order.
    #[tokio::test]
    async fn all_that_can_be_made() {
        let text = |text: &str| Setting::Text(text.to_owned());
        let fields = vec![
            field("password", "random", &[]),
            field("digits", "hex", &[("length", Setting::Number(7))]),
            field("id", "uuid", &[]),
            field("line", "template", &[("template", text("a{{hex:2}}"))]),
            field("rsa", "rsa_keypair", &[]),
            field("ec", "ec_keypair", &[]),
            field("ssh", "ssh_keypair", &[("comment", text("me"))]),
            field("tls", "certificate", &[("common_name", text("x.example"))]),
            field("login", "bcrypt_hash", &[("rounds", Setting::Number(10))]),
            field("fixed", "static", &[("value", text("v"))]),
        ];
        let recipe = Recipe::new(fields).unwrap();
        let id = OkmsId::from_bytes([1; 16]).unwrap();
        let made = Values::new(&Arc::default()).make(id, recipe, NOW).await.unwrap();
        let shown: Vec<_> = made
            .iter()
            .map(|(name, value)| {
                let text = std::str::from_utf8(value.expose()).unwrap();
                let begins: String = text.chars().take(16).collect();
                (name.as_str(), text.len(), begins)
            })
            .collect();
        let begins = |name: &str| {
            let (_, length, begins) = shown.iter().find(|(known, ..)| *known == name).unwrap();
            (*length, begins.as_str())
        };
        let names: Vec<_> = shown.iter().map(|(name, ..)| *name).collect();
        assert_eq!(
            names,
            [
                "password",
                "digits",
                "id",
                "line",
                "rsa_private_key",
                "rsa_public_key",
                "ec_private_key",
                "ec_public_key",
                "ssh_private_key",
                "ssh_public_key",
                "tls_cert_pem",
                "tls_key_pem",
                "login",
                "login_hash",
                "fixed",
            ]
        );
        for (name, length) in
            [("password", 32), ("digits", 7), ("id", 36), ("line", 3), ("login", 32)]
        {
            assert_eq!(begins(name).0, length, "{name}");
        }
        for (name, begin) in [
            ("rsa_private_key", "-----BEGIN PRIVA"),
            ("rsa_public_key", "-----BEGIN PUBLI"),
            ("ec_private_key", "-----BEGIN PRIVA"),
            ("ec_public_key", "-----BEGIN PUBLI"),
            ("ssh_private_key", "-----BEGIN OPENS"),
            ("ssh_public_key", "ssh-ed25519 AAAA"),
            ("tls_cert_pem", "-----BEGIN CERTI"),
            ("tls_key_pem", "-----BEGIN PRIVA"),
            ("fixed", "v"),
        ] {
            assert_eq!(begins(name).1, begin, "{name}");
        }
        assert!(begins("login_hash").1.starts_with("$2b$10$"));
        assert!(!format!("{made:?}").contains("BEGIN"), "values are not printed");
    }
}
