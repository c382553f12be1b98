//! Customers' authorities that are managed over the API, and those of the configuration, as they are
//! now.
//!
//! Always holds: each stands for one domain; whoever asks sees those that are there at this moment,
//! without waiting for anybody; one that is taken away says so to all who came by it. However many
//! there are, those of one name are found by one lookup, and of these few are named. Never does: I/O,
//! checking a signature; `service` fills it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};
use rpds::HashTrieMapSync;

use super::{
    chain::Authority,
    lists::{Freshness, GivenList, Unproven},
    voucher::Issuer,
};
use crate::{
    model::{OkmsId, Timestamp},
    pki::{Bounds, CertificateFault, Facts, Serial, hashed_key_id},
};

/// So many authorities of one name are tried for a certificate that does not say by its key's
/// identifier which it is of.
pub const NAMESAKES_TRIED: usize = 8;

/// An authority that is managed over the API.
pub struct Anchor {
    authority: Authority,
    certificate: Vec<u8>,
    /// The identifier of its key.
    key_id: Option<Vec<u8>>,
    /// Whether no other key can have that.
    is_hashed: bool,
    /// What it may sign for.
    bounds: Bounds,
    since: Timestamp,
    /// What its certificates are held against.
    list: Option<Arc<GivenList>>,
    listing: Arc<Listing>,
}

/// That an authority is trusted, until it is not any more, and what its certificates are held against
/// meanwhile. Whoever came by the authority has it, so that what is new counts for him at once.
#[derive(Debug, Default)]
pub struct Listing {
    is_over: AtomicBool,
    list: ArcSwapOption<GivenList>,
}

/// An authority of the configuration.
#[derive(Clone, Debug)]
pub struct Configured {
    /// What is known of it.
    pub authority: Authority,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
}

/// All of them. Those of one name are in the order in which they came.
#[derive(Default)]
pub struct Anchors {
    named: ArcSwap<HashTrieMapSync<Vec<u8>, Namesakes>>,
    /// Held by whoever changes them.
    domains: Mutex<BTreeMap<OkmsId, Namesakes>>,
    /// How often they have changed.
    changes: AtomicU64,
    configured: ArcSwap<Vec<Configured>>,
}

type Namesakes = Vec<Arc<Anchor>>;

impl Anchor {
    /// The authority with this certificate (DER), trusted for a domain since then.
    ///
    /// # Errors
    /// [`CertificateFault`] says why it cannot be.
    pub fn new(
        domain: OkmsId,
        certificate: Vec<u8>,
        since: Timestamp,
    ) -> Result<Self, CertificateFault> {
        let authority = Authority::from_der(&certificate, Issuer::Customer(domain))?;
        let hashed = hashed_key_id(&certificate)?;
        Ok(Self {
            is_hashed: hashed.is_some(),
            key_id: Facts::read(&certificate)?.key_id,
            bounds: Bounds::read(&certificate)?,
            authority,
            certificate,
            since,
            list: None,
            listing: Arc::default(),
        })
    }

    /// The same, whose certificates are held against this list, if there is one.
    #[must_use]
    pub fn held_against(self, list: Option<Arc<GivenList>>) -> Self {
        Self { list, ..self }
    }

    /// What is known of it.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Whether it is trusted still.
    #[must_use]
    pub const fn listing(&self) -> &Arc<Listing> {
        &self.listing
    }

    /// Whether it stands for the same as another one: a renewed certificate does.
    fn stands_for(&self, other: &Self) -> bool {
        self.authority.subject() == other.authority.subject()
            && self.authority.key_sha256() == other.authority.key_sha256()
            && self.bounds == other.bounds
    }

    fn order(&self) -> (Timestamp, [u8; 32]) {
        (self.since, self.authority.key_sha256())
    }
}

impl Listing {
    /// Whether the authority is not trusted any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Whether a certificate of the authority may be relied on at `now`; `is_direct` says whether the
    /// authority itself has signed it.
    ///
    /// # Errors
    /// [`Unproven`] says why not.
    pub(super) fn judge(
        &self,
        serial: Serial,
        is_direct: bool,
        now: Timestamp,
    ) -> Result<(), Unproven> {
        match &*self.list.load() {
            Some(list) => list.judge(serial, is_direct, now),
            None => Ok(()),
        }
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }
}

impl Anchors {
    /// Puts what a domain has now in the place of what it had. Whoever came by one that stands for the
    /// same stays; by another, he is refused from now on.
    pub fn replace(&self, domain: OkmsId, anchors: Vec<Anchor>) {
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        let before = domains.remove(&domain).unwrap_or_default();
        let now: Namesakes = anchors
            .into_iter()
            .map(|anchor| {
                let same = before.iter().find(|before| before.stands_for(&anchor));
                let listing = same.map_or(Arc::clone(&anchor.listing), |one| one.listing.clone());
                listing.list.store(anchor.list.clone());
                Arc::new(Anchor { listing, ..anchor })
            })
            .collect();
        let mut named = HashTrieMapSync::clone(&self.named.load());
        for gone in &before {
            let name = gone.authority.subject();
            let mut namesakes = named.get(name).cloned().unwrap_or_default();
            namesakes.retain(|one| !Arc::ptr_eq(one, gone));
            if namesakes.is_empty() {
                named.remove_mut(name);
            } else {
                named.insert_mut(name.to_vec(), namesakes);
            }
        }
        for one in &now {
            let name = one.authority.subject();
            let mut namesakes = named.get(name).cloned().unwrap_or_default();
            let at = namesakes.partition_point(|other| other.order() <= one.order());
            namesakes.insert(at, Arc::clone(one));
            named.insert_mut(name.to_vec(), namesakes);
        }
        self.named.store(Arc::new(named));
        self.changes.fetch_add(1, Ordering::Release);
        // Nobody comes by them any more; now those who have.
        for gone in &before {
            if !now.iter().any(|one| Arc::ptr_eq(&one.listing, &gone.listing)) {
                gone.listing.end();
            }
        }
        if !now.is_empty() {
            domains.insert(domain, now);
        }
    }

    /// Those that may have signed a certificate: of the name that it gives, and where both say it with
    /// the key's identifier. One whose identifier is a hash of its key is the only one; else the first
    /// few, so that names that many have cost no more than that.
    #[must_use]
    pub fn of(&self, certificate: &Facts) -> Vec<Arc<Anchor>> {
        let named = self.named.load();
        let Some(namesakes) = named.get(certificate.issuer.as_slice()) else { return Vec::new() };
        let wanted = certificate.issuer_key_id.as_ref();
        let is_wanted = |one: &&Arc<Anchor>| wanted.is_some() && one.key_id.as_ref() == wanted;
        let sure: Vec<_> =
            namesakes.iter().filter(|one| one.is_hashed).filter(is_wanted).cloned().collect();
        if !sure.is_empty() {
            return sure;
        }
        let may = |one: &&Arc<Anchor>| match (wanted, &one.key_id) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        namesakes.iter().filter(may).take(NAMESAKES_TRIED).cloned().collect()
    }

    /// The list that the certificates of a domain's authority are held against now, of the same name
    /// and key as this one.
    #[must_use]
    pub fn list_of(&self, domain: OkmsId, anchor: &Anchor) -> Option<Arc<GivenList>> {
        let domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &&Arc<Anchor>| {
            known.authority.subject() == anchor.authority.subject()
                && known.authority.key_sha256() == anchor.authority.key_sha256()
        };
        domains.get(&domain)?.iter().find(is_it)?.list.clone()
    }

    /// How often they have changed so far: while that is the same, so are they.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// When each that is managed over the API ends, in Unix seconds, and its list where it has one; 0
    /// of a list that cannot be read.
    #[must_use]
    pub fn ends(&self) -> Vec<(OkmsId, i64, Option<i64>)> {
        let named = self.named.load();
        let ends = named.values().flatten().filter_map(|one| {
            let Issuer::Customer(domain) = one.authority.issuer() else { return None };
            let next_update = one.list.as_ref().map(|list| match list.freshness() {
                Freshness::Until(end) => end,
                Freshness::Unread => 0,
            });
            Some((domain, one.authority.validity().not_after, next_update))
        });
        ends.collect()
    }

    /// Whether there are none that are managed over the API.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.load().is_empty()
    }

    /// Says which the configuration has.
    pub fn are_configured(&self, authorities: Vec<Configured>) {
        self.configured.store(Arc::new(authorities));
    }

    /// Whether the configuration has one of this name, or with this key.
    #[must_use]
    pub fn is_configured(&self, authority: &Authority) -> bool {
        self.configured.load().iter().any(|Configured { authority: known, .. }| {
            known.subject() == authority.subject() || known.key_sha256() == authority.key_sha256()
        })
    }

    /// Those that the configuration has for a domain.
    #[must_use]
    pub fn configured_for(&self, domain: OkmsId) -> Vec<Configured> {
        let configured = self.configured.load();
        let of_domain = configured.iter();
        of_domain
            .filter(|one| one.authority.issuer() == Issuer::Customer(domain))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer as Signer, KeyPair};

    use super::*;

    const A: &str = "6b7c3bf7-2ea5-4b5f-b1e4-3b7a4a1b9f01";
    const B: &str = "6b7c3bf7-2ea5-4b5f-b1e4-3b7a4a1b9f02";

    struct Ca {
        der: Vec<u8>,
        issuer: Signer<'static, KeyPair>,
    }

    fn ca_with(name: &str, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Ca {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Ca { der, issuer: Signer::new(params, key) }
    }

    fn ca(name: &str) -> Ca {
        ca_with(name, KeyPair::generate().unwrap(), |_| {})
    }

    impl Ca {
        fn anchor(&self, domain: &str, since: i64) -> Anchor {
            let since = Timestamp::from_unix_seconds(since);
            Anchor::new(domain.parse().unwrap(), self.der.clone(), since).unwrap()
        }

        /// What a certificate of it says of its issuer.
        fn leaf(&self, names_the_key: bool) -> Facts {
            let mut params = CertificateParams::default();
            params.use_authority_key_identifier_extension = names_the_key;
            let leaf = params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
            Facts::read(leaf.der()).unwrap()
        }
    }

    fn replace(anchors: &Anchors, domain: &str, with: Vec<Anchor>) {
        anchors.replace(domain.parse().unwrap(), with);
    }

    fn found(anchors: &Anchors, leaf: &Facts) -> Vec<[u8; 32]> {
        anchors.of(leaf).iter().map(|one| one.authority().key_sha256()).collect()
    }

    /// Whoever gives his authority the name of another's keeps nobody of that one's out.
    #[test]
    fn a_crowd_of_namesakes_hides_nobody_whose_key_is_named() {
        let anchors = Anchors::default();
        let honest = ca("kubernetes");
        let crowd: Vec<_> = (0..20).map(|_| ca("kubernetes")).collect();
        replace(&anchors, A, crowd.iter().map(|one| one.anchor(A, 0)).collect());
        replace(&anchors, B, vec![honest.anchor(B, 1)]);
        let key = honest.anchor(B, 1).authority().key_sha256();
        assert_eq!(found(&anchors, &honest.leaf(true)), [key]);
        // Without it the first are tried, and no more.
        let tried = found(&anchors, &honest.leaf(false));
        assert!(tried.len() == NAMESAKES_TRIED && !tried.contains(&key));
        // One who takes over the identifier, too, is not taken for the other.
        let id = honest.leaf(true).issuer_key_id.unwrap();
        let thief = ca_with("kubernetes", KeyPair::generate().unwrap(), |params| {
            params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(id);
        });
        replace(&anchors, A, (0..20).map(|_| thief.anchor(A, 0)).collect());
        assert_eq!(found(&anchors, &honest.leaf(true)), [key]);
        replace(&anchors, A, vec![]);
        assert_eq!(found(&anchors, &honest.leaf(false)), [key]);
        assert!(found(&anchors, &ca("other").leaf(true)).is_empty());
    }

    #[test]
    fn one_that_is_taken_away_says_so() {
        let anchors = Anchors::default();
        let (one, other) = (ca("one"), ca("other"));
        replace(&anchors, A, vec![one.anchor(A, 0), other.anchor(A, 0)]);
        let [mine] = &anchors.of(&one.leaf(true))[..] else { panic!() };
        let listing = mine.listing();
        let key = || KeyPair::from_pem(&one.issuer.key().serialize_pem()).unwrap();
        let renewed = ca_with("one", key(), |params| {
            params.not_after = rcgen::date_time_ymd(2050, 1, 1);
        });
        replace(&anchors, A, vec![renewed.anchor(A, 0)]);
        assert!(!listing.is_over(), "a renewed certificate stands for the same");
        assert_eq!(anchors.of(&one.leaf(true))[0].certificate(), renewed.der);
        let narrower = ca_with("one", key(), |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        });
        replace(&anchors, A, vec![narrower.anchor(A, 0)]);
        assert!(listing.is_over(), "one that may sign for less does not");
        assert!(!anchors.is_empty());
        replace(&anchors, A, vec![]);
        assert!(anchors.is_empty() && anchors.of(&one.leaf(true)).is_empty());
    }

    #[test]
    fn the_configurations_are_known_by_name_and_key() {
        let anchors = Anchors::default();
        let configured = ca("configured");
        let authority = configured.anchor(A, 0).authority().clone();
        anchors.are_configured(vec![Configured { authority, certificate: configured.der.clone() }]);
        let key = KeyPair::from_pem(&configured.issuer.key().serialize_pem()).unwrap();
        for (one, is_known) in [
            (&configured, true),
            (&ca("configured"), true),
            (&ca_with("another name", key, |_| {}), true),
            (&ca("another"), false),
        ] {
            assert_eq!(anchors.is_configured(one.anchor(B, 0).authority()), is_known);
        }
        assert_eq!(anchors.configured_for(A.parse().unwrap()).len(), 1);
        assert_eq!(anchors.configured_for(B.parse().unwrap()).len(), 0);
    }
}
