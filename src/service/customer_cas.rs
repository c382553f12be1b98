//! Authorities of customers: added to a domain, shown, taken away; and followed in the store, so that
//! connections are judged by what there is.
//!
//! Always holds: an authority, known by its name and its key, stands for one domain, in every process
//! over the same store; whoever adds one for his domain has proven to have its key; a change counts
//! for every request that begins after it was answered, on whatever connection, and soon after in
//! every other process; where a domain's cannot be read, none of them is trusted. Never does: judge a
//! peer.

mod kept;
mod list;

use std::{convert::Infallible, sync::Arc};

use self::kept::Kept;
pub use self::list::{CaListRequest, KnownCaList};
use super::{
    Error,
    changes::ChangeName,
    cursor::{self, Page},
    follower,
    names::{customer_ca, is_of},
    records::{Draft, Reader, id_by_time, missing, open},
    scope::Scope,
    unit::{Basis, Change, UnitReader},
};
use crate::{
    auth::{
        Action, Permit, Resource,
        anchors::{Anchor, Anchors},
        identity::subject_text,
    },
    crypto::DomainKeys,
    model::{AddedBy, CustomerCa, CustomerCas, Invalid, OkmsId, Timestamp},
    pki::{
        self, CertificateFault, Facts, ProofFault, Validity, has_signed_proof, key_sha256, pem,
        unjudged_constraints,
    },
    store::{
        engine::{Op, Record, Revision},
        kinds::{Kind, customer_ca_list::SignedList, region},
    },
};

/// The most authorities of one name in a domain: one, and the one with another key that follows it.
const NAMESAKES_MAX: usize = 2;
/// What stands before a domain's id in the common name of the certificate that proves it.
const PURPOSE: &str = "okms.ca:";

/// An authority that is to be added, or to take the place of another.
#[derive(Debug)]
pub struct CaRequest {
    /// Its certificate, PEM.
    pub certificate: String,
    /// What it is for.
    pub description: String,
    /// A certificate that it has signed to prove that whoever asks has its key, PEM.
    pub proof: Option<String>,
}

/// An authority as it is shown.
#[derive(Clone, Debug)]
pub struct KnownCa {
    /// Its name in the domain; `None` of one of the configuration's.
    pub name: Option<String>,
    /// What is kept of it; of one of the configuration's, its certificate alone.
    pub kept: Option<CustomerCa>,
    certificate: Vec<u8>,
}

impl KnownCa {
    fn kept(name: &str, kept: &CustomerCa) -> Self {
        let certificate = kept.certificate.clone();
        Self { name: Some(name.to_owned()), kept: Some(kept.clone()), certificate }
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem::of_certificate(&self.certificate)
    }

    /// Its own name, as people write it.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        subject_text(&self.certificate)
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn key_sha256(&self) -> Option<[u8; 32]> {
        key_sha256(&self.certificate).ok()
    }

    /// When its certificate is valid.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        Facts::read(&self.certificate).ok().map(|facts| facts.validity)
    }
}

/// The use cases on authorities of customers.
pub struct CustomerAuthorities {
    kept: Kept,
    /// The revision from which on it follows the store.
    begun: Revision,
}

impl CustomerAuthorities {
    /// The use cases, with every domain's authorities among the `anchors`.
    pub(super) async fn open(scope: Scope, anchors: Arc<Anchors>) -> Result<Self, Error> {
        let kept = Kept::new(scope, anchors);
        let begun = follower::begin(&kept).await?;
        Ok(Self { kept, begun })
    }

    /// Follows the store: whatever another process has changed, and what this one has committed and
    /// could not read back at once. Never ends.
    pub async fn follow(&self) -> Infallible {
        follower::follow(&self.kept, self.begun).await
    }

    /// A page of the domain's, by name, and on the last one those of the configuration.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn list(
        &self,
        permit: &Permit,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<KnownCa>, Error> {
        permit.check(Action::CaGet, Resource::Tenant)?;
        let keys = self.scope().keys(permit).await?;
        let from = cursor.map(|cursor| cursor::parse_record(keys.id().as_bytes(), &cursor));
        let from = from.transpose()?.unwrap_or_default();
        let key = |name: &str| [keys.id().as_bytes().as_slice(), name.as_bytes()].concat();
        let all = self.find(&keys).await?;
        let rest: Vec<_> = all.iter().filter(|(name, _)| key(name) >= from).collect();
        let page = rest.iter().take(limit);
        let mut page: Vec<_> = page.map(|(name, one)| KnownCa::kept(name, one)).collect();
        if rest.len() > limit {
            let last = page.last().and_then(|last| last.name.as_deref()).unwrap_or_default();
            let next = cursor::after_record(keys.id(), &key(last));
            return Ok((page, next));
        }
        let configured = self.kept.anchors.configured_for(keys.id()).into_iter();
        page.extend(configured.map(|one| KnownCa {
            name: None,
            kept: None,
            certificate: one.certificate,
        }));
        Ok((page, None))
    }

    /// An authority.
    ///
    /// # Errors
    /// `Error::CaNotFound`.
    pub async fn get(&self, permit: &Permit, name: &str) -> Result<KnownCa, Error> {
        permit.check(Action::CaGet, Resource::Tenant)?;
        let keys = self.scope().keys(permit).await?;
        let all = self.find(&keys).await?;
        all.get(name).map(|one| KnownCa::kept(name, one)).ok_or(Error::CaNotFound)
    }

    /// Adds an authority, or puts it in the place of the one that is there. Whoever is no operator
    /// proves to have its key, unless it is there already.
    ///
    /// # Errors
    /// `Error::CertificateRefused` where it is not fit, or the proof is not; `Error::Invalid` where it
    /// breaks a rule, or stands for another domain.
    pub async fn put(
        &self,
        permit: &Permit,
        name: &str,
        request: &CaRequest,
        now: Timestamp,
    ) -> Result<KnownCa, Error> {
        permit.check(Action::CaEdit, Resource::Tenant)?;
        let keys = self.scope().keys(permit).await?;
        let (id, is_operators) = (keys.id(), permit.is_unbound());
        let asked = Asked::read(id, request, now)?;
        let claim = customer_ca(self.scope().root(), asked.anchor.authority())?;
        let decide = |standing: Standing, draft: &mut Draft<'_>| {
            let mut all = standing.all;
            let before = all.get(name);
            let is_there = before.is_some_and(|one| asked.is(id, one));
            if !is_there && !is_operators {
                asked.check_proof(id, now)?;
            }
            if self.kept.anchors.is_configured(asked.anchor.authority()) {
                return Err(CONFIGURED.into());
            }
            if standing.claimed_by.is_some_and(|other| other != id) {
                return Err(ELSEWHERE.into());
            }
            asked.check_beside(id, all.iter().filter(|(other, _)| *other != name))?;
            let gone =
                before.filter(|_| !is_there).map(|one| self.claim_of(id, one)).transpose()?;
            let by = if is_operators { AddedBy::Operator } else { AddedBy::Domain };
            let one = CustomerCa {
                certificate: asked.anchor.certificate().to_vec(),
                description: request.description.clone(),
                added_by: before.filter(|_| is_there).map_or(by, |one| one.added_by),
                created_at: before.filter(|_| is_there).map_or(now, |one| one.created_at),
                updated_at: now,
                list: before.filter(|_| is_there).and_then(|one| one.list.clone()),
            };
            draft.extend(before.filter(|_| !is_there).and_then(|one| list::gone(id, one)));
            all.put(name, one.clone())?;
            draft.put((), &all)?;
            draft.extend(gone.flatten().map(|claim| Op::Delete(region::SPACE, claim)));
            draft.extend([is_of(claim.clone(), id)]);
            Ok(KnownCa::kept(name, &one))
        };
        let basis = Standing::of(Some(claim.clone()));
        self.change(ChangeName::PutCustomerCa, (permit, &keys), basis, decide).await
    }

    /// Takes an authority away: all who came by it are refused from now on.
    ///
    /// # Errors
    /// `Error::CaNotFound`.
    pub async fn delete(&self, permit: &Permit, name: &str) -> Result<(), Error> {
        permit.check(Action::CaEdit, Resource::Tenant)?;
        let keys = self.scope().keys(permit).await?;
        let decide = |standing: Standing, draft: &mut Draft<'_>| {
            let mut all = standing.all;
            let gone = all.remove(name).ok_or(Error::CaNotFound)?;
            let claim = self.claim_of(keys.id(), &gone)?;
            draft.extend(claim.map(|claim| Op::Delete(region::SPACE, claim)));
            draft.extend(list::gone(keys.id(), &gone));
            draft.put((), &all)
        };
        self.change(ChangeName::DeleteCustomerCa, (permit, &keys), Standing::of(None), decide).await
    }

    /// The list of an authority.
    ///
    /// # Errors
    /// `Error::CaNotFound`, `Error::CaListNotFound`.
    pub async fn list_of(&self, permit: &Permit, name: &str) -> Result<KnownCaList, Error> {
        permit.check(Action::CaGet, Resource::Tenant)?;
        let keys = self.scope().keys(permit).await?;
        let snapshot = self.scope().engine().snapshot().await?;
        let records = Reader { snapshot: &*snapshot, keys: &keys };
        let all: CustomerCas = records.find(()).await?.unwrap_or_default();
        let one = all.get(name).ok_or(Error::CaNotFound)?;
        let kept = one.list.clone().ok_or(Error::CaListNotFound)?;
        let SignedList(der) = records.find(kept.id).await?.ok_or_else(missing)?;
        Ok(KnownCaList { kept, der })
    }

    /// Gives an authority a list, in the place of the one before: who is on it is refused from now on.
    ///
    /// # Errors
    /// `Error::CaNotFound`; `Error::ListRefused` where the list is not the authority's, or
    /// older than the one before; `Error::Invalid` where it breaks a rule.
    pub async fn put_list(
        &self,
        permit: &Permit,
        name: &str,
        request: &CaListRequest,
        now: Timestamp,
    ) -> Result<KnownCaList, Error> {
        permit.check(Action::CaEdit, Resource::Tenant)?;
        let keys = self.scope().keys(permit).await?;
        no_private_key([request.list.as_str()])?;
        let der = list::der_in(&request.list)?;
        let id = id_by_time(now)?;
        let decide = |standing: Standing, draft: &mut Draft<'_>| {
            let mut all = standing.all;
            let before = all.get(name).ok_or(Error::CaNotFound)?;
            let kept = list::take(before, (id, &der), request.is_lenient, now)?;
            draft.extend(list::gone(keys.id(), before));
            draft.put(id, &SignedList(der.clone()))?;
            let one = CustomerCa { list: Some(kept.clone()), ..before.clone() };
            all.put(name, one)?;
            draft.put((), &all)?;
            Ok(KnownCaList { kept, der: der.clone() })
        };
        let basis = Standing::of(None);
        self.change(ChangeName::PutCustomerCaList, (permit, &keys), basis, decide).await
    }

    /// Takes the list of an authority away: its certificates are held against none from now on.
    ///
    /// # Errors
    /// `Error::CaNotFound`, `Error::CaListNotFound`.
    pub async fn delete_list(&self, permit: &Permit, name: &str) -> Result<(), Error> {
        permit.check(Action::CaEdit, Resource::Tenant)?;
        let keys = self.scope().keys(permit).await?;
        let decide = |standing: Standing, draft: &mut Draft<'_>| {
            let mut all = standing.all;
            let before = all.get(name).ok_or(Error::CaNotFound)?;
            draft.extend(Some(list::gone(keys.id(), before).ok_or(Error::CaListNotFound)?));
            let one = CustomerCa { list: None, ..before.clone() };
            all.put(name, one)?;
            draft.put((), &all)
        };
        let basis = Standing::of(None);
        self.change(ChangeName::DeleteCustomerCaList, (permit, &keys), basis, decide).await
    }

    /// Changes what a domain has, and goes on when that counts.
    async fn change<T: Send>(
        &self,
        name: ChangeName,
        (permit, keys): (&Permit, &DomainKeys),
        basis: StandingOf,
        decide: impl Fn(Standing, &mut Draft<'_>) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error> {
        let turns = &["customer authorities"];
        let change = Change { name, turns, by: Some(permit) };
        let outcome = self.scope().unit(change, keys, basis, decide).await;
        // It may be stored, even where nobody knows.
        if matches!(outcome, Ok(_) | Err(Error::OutcomeUnknown(_)))
            && let Err(error) = self.kept.bring_up(keys.id()).await
        {
            tracing::warn!(domain = %keys.id(), %error, "customers' authorities cannot be read; trying again");
        }
        outcome
    }

    async fn find(&self, keys: &DomainKeys) -> Result<CustomerCas, Error> {
        let key = CustomerCas::key(keys.id(), ());
        let record = self.scope().engine().get(CustomerCas::SPACE, &key).await?;
        let found = record.map(|record| open(keys, &key, &record.bytes)).transpose()?;
        Ok(found.unwrap_or_default())
    }

    /// The key of the record that says whose an authority is; `None` of one that cannot be read.
    fn claim_of(&self, id: OkmsId, one: &CustomerCa) -> Result<Option<Vec<u8>>, Error> {
        let anchor = Anchor::new(id, one.certificate.clone(), one.created_at).ok();
        anchor.map(|anchor| customer_ca(self.scope().root(), anchor.authority())).transpose()
    }

    fn scope(&self) -> &Scope {
        &self.kept.scope
    }
}

const CONFIGURED: Invalid = Invalid(
    "an authority of this name, or with this key, cannot be added over the API; ask the operator of the region",
);
const ELSEWHERE: Invalid = Invalid(
    "this authority stands for another domain already, and one stands for one; take it away there, or use an authority \
     of your own for each domain",
);

/// An authority that somebody wants to add, judged as far as that can be done by itself.
struct Asked {
    anchor: Anchor,
    /// The certificate that proves it, DER.
    proof: Option<Vec<u8>>,
}

impl Asked {
    fn read(id: OkmsId, request: &CaRequest, now: Timestamp) -> Result<Self, Error> {
        let texts = std::iter::once(&request.certificate).chain(&request.proof);
        no_private_key(texts.map(String::as_str))?;
        let refused = |fault| Error::CertificateRefused(pki::Error::Certificate(fault));
        let certificate = pem::one_certificate(request.certificate.as_bytes());
        let certificate = certificate.map_err(|fault| refused(fault.into()))?.to_vec();
        // One that is there already stays, for those whom it lets in.
        if let Some(kind) = unjudged_constraints(&certificate).map_err(refused)? {
            return Err(refused(CertificateFault::Constraints(kind)));
        }
        let anchor = Anchor::new(id, certificate, now).map_err(refused)?;
        let validity = anchor.authority().validity();
        if validity.has_expired(now) {
            return Err(Invalid("the authority's certificate has expired; give its new one").into());
        }
        if !validity.has_begun(now) {
            return Err(Invalid("the authority's certificate is not valid yet; add it then").into());
        }
        let proof = request.proof.as_ref().map(|text| pem::one_certificate(text.as_bytes()));
        let proof = proof.transpose().map_err(|fault| proof_refused(fault.into()))?;
        Ok(Self { anchor, proof: proof.map(|der| der.to_vec()) })
    }

    /// Whether that is the authority that is kept there, in this certificate or another.
    fn is(&self, id: OkmsId, kept: &CustomerCa) -> bool {
        let kept = Anchor::new(id, kept.certificate.clone(), kept.created_at);
        kept.is_ok_and(|kept| self.has_name_of(&kept) && self.has_key_of(&kept))
    }

    fn has_name_of(&self, other: &Anchor) -> bool {
        self.anchor.authority().subject() == other.authority().subject()
    }

    fn has_key_of(&self, other: &Anchor) -> bool {
        self.anchor.authority().key_sha256() == other.authority().key_sha256()
    }

    fn check_proof(&self, id: OkmsId, now: Timestamp) -> Result<(), Error> {
        let purpose = format!("{PURPOSE}{id}");
        let proof = self.proof.as_ref().ok_or(ProofFault::Missing);
        proof
            .and_then(|proof| has_signed_proof(self.anchor.certificate(), proof, &purpose, now))
            .map_err(proof_refused)
    }

    /// Whether it can stand beside the others of the domain.
    fn check_beside<'a>(
        &self,
        id: OkmsId,
        others: impl Iterator<Item = (&'a str, &'a CustomerCa)>,
    ) -> Result<(), Invalid> {
        let others = others
            .filter_map(|(_, one)| Anchor::new(id, one.certificate.clone(), one.created_at).ok());
        let namesakes: Vec<_> = others.filter(|other| self.has_name_of(other)).collect();
        if namesakes.iter().any(|other| self.has_key_of(other)) {
            return Err(Invalid("the domain has this authority already, under another name"));
        }
        if namesakes.len() >= NAMESAKES_MAX {
            return Err(Invalid(
                "the domain has two authorities with this subject and other keys already; take one away first",
            ));
        }
        Ok(())
    }
}

/// Goes on if no text has a private key in it.
fn no_private_key<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<(), Invalid> {
    if texts.into_iter().any(|text| pem::has_private_key(text.as_bytes())) {
        return Err(Invalid(
            "a private key is never sent; send the certificate alone, and take that key for lost if it was an authority's",
        ));
    }
    Ok(())
}

fn proof_refused(fault: ProofFault) -> Error {
    Error::CertificateRefused(pki::Error::Proof(fault))
}

/// What a change stands on: all authorities of the domain, and whose the new one is.
struct Standing {
    all: CustomerCas,
    claimed_by: Option<OkmsId>,
}

impl Standing {
    /// The one with the claim under this key.
    const fn of(claim: Option<Vec<u8>>) -> StandingOf {
        StandingOf(claim)
    }
}

struct StandingOf(Option<Vec<u8>>);

impl Basis for StandingOf {
    type Facts = Standing;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Standing, Error> {
        let keys = reader.records.keys;
        let key = CustomerCas::key(keys.id(), ());
        let record = reader.hold(CustomerCas::SPACE, key.clone()).await?;
        // Those of a record that is damaged are not trusted, and give way to others.
        let all = record.and_then(|record| open(keys, &key, &record.bytes).ok());
        let claim = match &self.0 {
            Some(claim) => reader.hold(region::SPACE, claim.clone()).await?,
            None => None,
        };
        Ok(Standing { all: all.unwrap_or_default(), claimed_by: claim.as_ref().and_then(owner) })
    }
}

fn owner(claim: &Record) -> Option<OkmsId> {
    OkmsId::from_bytes(claim.bytes.as_ref().try_into().ok()?).ok()
}
