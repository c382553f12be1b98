//! What a new value is made of: the version that it takes the place of, and what says how.

use crate::{
    crypto::SecretValue,
    model::{
        Faults, Header, Recipe, RotationPolicy, SecretPath, SecretPolicy, SecretPolicyId,
        VersionRecord,
    },
    service::{Error, members, records::Reader, secrets::Existing},
};

/// What is to be made, and of what.
pub(super) struct Renewal {
    /// How.
    pub recipe: Recipe,
    /// The value whose other members stay.
    pub before: SecretValue,
    /// The record of the version that has it, where there is one.
    record: Option<VersionRecord>,
}

impl Renewal {
    /// That of a secret: by its own policy, or else its rotation policy's, or else by its type.
    ///
    /// # Errors
    /// `Error::Fields` where nothing says how, or what does is not there any more, or not active.
    pub(super) async fn of(
        reader: &Reader<'_>,
        path: &SecretPath,
        header: &Header,
        policy: Option<&RotationPolicy>,
    ) -> Result<Self, Error> {
        let (before, record) = before(reader, path, header).await?;
        let of_rotation = policy.and_then(|policy| policy.fields().secret_policy.as_ref());
        let own = header.life.secret_policy.as_deref();
        let recipe = if let Some(id) = own.or_else(|| of_rotation.map(SecretPolicyId::as_str)) {
            of_policy(reader, id).await?
        } else {
            let names = members::names(&before);
            let names = names.iter().map(String::as_str);
            Recipe::of_type(header.about.secret_type, names).map_err(|no| refused(no.0))?
        };
        Ok(Self { recipe, before, record })
    }

    /// Whether it is of what is still current, and as it was.
    pub(super) fn is_of(&self, found: &Existing, current: u32) -> bool {
        let record = found.versions.last().map(|(_, version)| &version.record);
        found.header.current_number() == current && record == self.record.as_ref()
    }
}

/// What cannot be made is to be given.
pub(super) fn refused(rule: &'static str) -> Error {
    Faults::one("new_value", rule).into()
}

async fn of_policy(reader: &Reader<'_>, id: &str) -> Result<Recipe, Error> {
    const GONE: &str = "the secret policy that was to make it is not there any more: attach another one, or give the new value";
    let id: SecretPolicyId = id.parse().map_err(|_| refused(GONE))?;
    let policy: SecretPolicy = reader.find(&id).await?.ok_or_else(|| refused(GONE))?;
    if policy.fields().is_active {
        return Ok(policy.fields().recipe.clone());
    }
    Err(refused(
        "the secret policy that was to make it is not active: activate it, or give the new value",
    ))
}

/// The current value. What somebody has put an end to is not brought back: it counts as empty.
async fn before(
    reader: &Reader<'_>,
    path: &SecretPath,
    header: &Header,
) -> Result<(SecretValue, Option<VersionRecord>), Error> {
    let nothing = || SecretValue::new(b"{}".to_vec());
    let Some(number) = header.current else { return Ok((nothing(), None)) };
    let version = reader.version(path, number).await?;
    let is_ended = version.record.is_deactivated || version.record.deleted_at.is_some();
    let value = if is_ended { nothing() } else { reader.value(path, number, &version).await? };
    Ok((value, Some(version.record)))
}
