//! Audit devices that were enabled over the API: one record each, under zeros and the device's name.
//! None of it is a secret, and none is sealed: they are of the region, and read before anybody is
//! served.

use minicbor::{Decode, Encode};

use super::kind::{self, Malformed};
use crate::{
    model::{DeviceName, EnabledDevice, TrailFileName},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("audit-device");

/// The nil id is no tenant's.
const REGION: [u8; 16] = [0; 16];

/// Where the device of this name is.
#[must_use]
pub fn key(name: &DeviceName) -> Vec<u8> {
    [&REGION, name.as_str().as_bytes()].concat()
}

/// The name in a key.
#[must_use]
pub fn parse(key: &[u8]) -> Option<DeviceName> {
    let name = std::str::from_utf8(key.strip_prefix(&REGION)?).ok()?;
    DeviceName::parse(name).ok()
}

/// The range of all of them.
#[must_use]
pub fn all() -> (Vec<u8>, Vec<u8>) {
    (REGION.to_vec(), [0xff; 17].to_vec())
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    file: &'a str,
    #[n(1)]
    is_required: bool,
    #[n(2)]
    has_vaults_form: bool,
    #[b(3)]
    description: &'a str,
}

/// Its bytes.
///
/// # Errors
/// `Malformed` where it has no byte form.
pub fn encode(device: &EnabledDevice) -> Result<Vec<u8>, Malformed> {
    let EnabledDevice { file, is_required, has_vaults_form, description } = device;
    kind::encode(&Fields {
        file: file.as_str(),
        is_required: *is_required,
        has_vaults_form: *has_vaults_form,
        description,
    })
}

/// The device in these bytes.
///
/// # Errors
/// `Malformed` where they are not what [`encode`] makes.
pub fn decode(bytes: &[u8]) -> Result<EnabledDevice, Malformed> {
    let Fields { file, is_required, has_vaults_form, description } = kind::decode(bytes)?;
    let file = TrailFileName::parse(file)?;
    let description = description.to_owned();
    Ok(EnabledDevice { file, is_required, has_vaults_form, description }.check()?)
}
