//! The revocation lists that domains give for their authorities.
//!
//! Always holds: a list that is taken is its authority's own and whole, and none that was given goes
//! back to an earlier one; the authority's record names it, so that one that is missing is missed.
//! Never does: fetch one, since a domain would choose the address.

use crate::{
    model::{CUSTOMER_CA_LIST_BYTES_MAX, CustomerCa, CustomerCaList, Invalid, OkmsId, Timestamp},
    pki::{self, ListFault, ListOrder, ListSigner, RevocationList, Serial, list_in_text, pem},
    service::{Error, aside::aside},
    store::{
        engine::Op,
        kinds::{Kind, customer_ca_list::SignedList},
    },
};

/// A revocation list that is to be given.
#[derive(Debug)]
pub struct CaListRequest {
    /// The list: PEM, or DER in base64.
    pub list: String,
    /// Whether it goes on when the next one is overdue.
    pub is_lenient: bool,
}

/// A revocation list as it is shown.
#[derive(Clone, Debug)]
pub struct KnownCaList {
    /// What is known of it.
    pub kept: CustomerCaList,
    pub(super) der: Vec<u8>,
}

impl KnownCaList {
    /// The list, PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem::of_revocation_list(&self.der)
    }

    /// Its own number, in decimal.
    #[must_use]
    pub fn number(&self) -> Option<String> {
        number(&self.kept).map(Serial::to_decimal)
    }
}

const TOO_LARGE: Invalid = Invalid(
    "the revocation list is larger than 256 KiB, some 6,000 certificates; have the authority leave out those that have \
     expired, or ask the operator to name the list in the configuration",
);
const ENDED: Invalid = Invalid(
    "the revocation list is past its end (nextUpdate), so that nobody would be let in by it; give the latest one, or say \
     that it goes on with \"stale\": \"accept\"",
);
const OTHER_ISSUER: Invalid = Invalid(
    "the revocation list is another authority's; each authority is given its own, and one below it is added to the domain \
     for that",
);

/// The list in a text, DER.
pub(super) fn der_in(text: &str) -> Result<Vec<u8>, Error> {
    let der = list_in_text(text).map_err(refused)?;
    if der.len() > CUSTOMER_CA_LIST_BYTES_MAX {
        return Err(TOO_LARGE.into());
    }
    Ok(der)
}

/// What is kept of a list (DER) that takes the place of the one that the authority has, if it may.
pub(super) fn take(
    authority: &CustomerCa,
    (id, der): ([u8; 16], &[u8]),
    is_lenient: bool,
    now: Timestamp,
) -> Result<CustomerCaList, Error> {
    let list = aside(der.len(), || read(authority, der))?;
    list.succeeds(authority.list.as_ref().map(order), now).map_err(refused)?;
    if list.has_ended(now) && !is_lenient {
        return Err(ENDED.into());
    }
    let ListOrder { number, this_update } = list.order();
    Ok(CustomerCaList {
        id,
        number: number.map(|number| number.significant().to_vec()),
        this_update,
        next_update: list.next_update(),
        revoked: u32::try_from(list.len()).unwrap_or(u32::MAX),
        is_lenient,
        updated_at: now,
    })
}

/// The list of this authority.
fn read(authority: &CustomerCa, der: &[u8]) -> Result<RevocationList, Error> {
    let signer = ListSigner::of_authority(&authority.certificate);
    let unfit = |fault| Error::CertificateRefused(pki::Error::CaCertificate(fault));
    let signer = signer.map_err(unfit)?;
    let (_, list) = RevocationList::read(der, [&signer]).map_err(refused)?;
    Ok(list)
}

fn refused(fault: ListFault) -> Error {
    match fault {
        ListFault::OtherIssuer => OTHER_ISSUER.into(),
        fault => Error::ListRefused(fault),
    }
}

fn number(kept: &CustomerCaList) -> Option<Serial> {
    kept.number.as_ref().and_then(|number| Serial::from_be_bytes(number))
}

fn order(kept: &CustomerCaList) -> ListOrder {
    ListOrder { number: number(kept), this_update: kept.this_update }
}

/// What removes the record of an authority's list, if there is one.
pub(super) fn gone(id: OkmsId, authority: &CustomerCa) -> Option<Op> {
    let list = authority.list.as_ref()?;
    Some(Op::Delete(SignedList::SPACE, SignedList::key(id, list.id)))
}

/// The list in a record of its own, as it was taken.
pub(super) fn read_again(authority: &CustomerCa, der: &[u8]) -> Result<RevocationList, ListFault> {
    // What its certificate says of lists was asked when the list was taken.
    let signer = ListSigner::read(&authority.certificate).map_err(|_| ListFault::Signature)?;
    aside(der.len(), || RevocationList::read(der, [&signer]).map(|(_, list)| list))
}
