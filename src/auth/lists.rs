//! The revocation lists of customers' authorities, as they are now.
//!
//! Always holds: a place takes a list of its own authority alone, and none that is older than the one
//! that it has; whoever asks sees the list that is there at this moment, without waiting for anybody;
//! where there is none, the answer is no. Never does: I/O; `app` fills the places.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;

use crate::{
    model::Timestamp,
    pki::{ListFault, ListSigner, RevocationList, Serial, lists_in},
};

/// The lists that the certificates of one customer's authority are held against: its own, and those
/// of authorities below it.
pub struct Lists {
    places: Vec<Arc<ListPlace>>,
    /// Whether one that is past its end goes on.
    is_lenient: bool,
}

/// The place of one authority's list.
pub struct ListPlace {
    signer: ListSigner,
    /// Whether a list that is past its end goes on.
    is_lenient: bool,
    current: ArcSwapOption<RevocationList>,
}

/// A list that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How many certificates are on it.
    pub revoked: usize,
    /// When the next one is due, in Unix seconds.
    pub next_update: i64,
    /// Whether it is another than the one before.
    pub is_new: bool,
}

/// How far one can rely on some lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// All are there; the next is due then, in Unix seconds.
    Until(i64),
    /// One was never read.
    Unread,
}

impl Lists {
    /// Places for the lists of `signers`. Lists that are in places `before` stay there; a place that is
    /// the same stays the same, for those who hold it.
    #[must_use]
    pub fn new(signers: Vec<ListSigner>, is_lenient: bool, before: &[Arc<Self>]) -> Self {
        let mut places: Vec<Arc<ListPlace>> = Vec::new();
        for signer in signers {
            if places.iter().any(|place| place.signer == signer) {
                // A certificate that was renewed over the same key.
                continue;
            }
            let known = || before.iter().flat_map(|lists| &lists.places);
            let same =
                known().find(|place| place.signer == signer && place.is_lenient == is_lenient);
            places.push(same.cloned().unwrap_or_else(|| {
                let list = known().find(|place| place.signer == signer);
                let list = list.and_then(|place| place.current.load_full());
                Arc::new(ListPlace { signer, is_lenient, current: ArcSwapOption::new(list) })
            }));
        }
        Self { places, is_lenient }
    }

    /// Whether a list that is past its end goes on.
    #[must_use]
    pub const fn is_lenient(&self) -> bool {
        self.is_lenient
    }

    /// The place for what this authority has revoked.
    #[must_use]
    pub fn place(&self, signer: &ListSigner) -> Option<Arc<ListPlace>> {
        self.places.iter().find(|place| place.signer == *signer).cloned()
    }

    /// Takes the lists in a file. Those that are fit are taken whatever the others are.
    ///
    /// # Errors
    /// [`ListFault`] is about the first that is not.
    pub fn take(&self, file: &[u8], now: Timestamp) -> Result<Vec<Taken>, ListFault> {
        let each = lists_in(file)?.into_iter().map(|list| self.take_one(&list, now));
        let (taken, faults): (Vec<_>, Vec<_>) = each.partition(Result::is_ok);
        match faults.into_iter().find_map(Result::err) {
            Some(fault) => Err(fault),
            None => Ok(taken.into_iter().flatten().collect()),
        }
    }

    fn take_one(&self, der: &[u8], now: Timestamp) -> Result<Taken, ListFault> {
        let signers = self.places.iter().map(|place| &place.signer);
        let (signer, list) = RevocationList::read(der, signers)?;
        let place = self.places.iter().find(|place| place.signer == *signer);
        place.ok_or(ListFault::OtherIssuer)?.put(&Arc::new(list), now)
    }

    /// How far one can rely on them.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        let each = self
            .places
            .iter()
            .map(|place| place.current.load().as_ref().map(|list| list.next_update()));
        let soonest: Option<Vec<_>> = each.collect();
        match soonest.and_then(|ends| ends.into_iter().min()) {
            Some(end) => Freshness::Until(end),
            None => Freshness::Unread,
        }
    }
}

/// The same places, whatever is in them.
impl PartialEq for Lists {
    fn eq(&self, other: &Self) -> bool {
        self.places.len() == other.places.len()
            && self.places.iter().zip(&other.places).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

impl Eq for Lists {}

impl ListPlace {
    /// Puts a list of its authority in its place. Two who do it at once leave the newer one.
    fn put(&self, list: &Arc<RevocationList>, now: Timestamp) -> Result<Taken, ListFault> {
        let (mut outcome, mut is_new) = (Ok(()), true);
        self.current.rcu(|before| {
            outcome = list.succeeds(before.as_ref().map(|before| before.order()), now);
            is_new = before.as_ref().is_none_or(|before| !list.is_as(before));
            if outcome.is_ok() { Some(Arc::clone(list)) } else { before.clone() }
        });
        outcome?;
        Ok(Taken { revoked: list.len(), next_update: list.next_update(), is_new })
    }
}

/// A certificate that is held against the list of the authority that has signed it.
pub struct Link {
    place: Option<Arc<ListPlace>>,
    serial: Option<Serial>,
}

impl Link {
    /// The certificate with this serial number, signed by an authority whose list has this place.
    /// Where either is not known, nobody can say that it was not revoked.
    #[must_use]
    pub const fn new(place: Option<Arc<ListPlace>>, serial: Option<Serial>) -> Self {
        Self { place, serial }
    }

    /// Whether it may be relied on at `now`.
    ///
    /// # Errors
    /// [`Unproven`] says why not.
    pub(super) fn judge(&self, now: Timestamp) -> Result<(), Unproven> {
        let (Some(place), Some(serial)) = (&self.place, self.serial) else {
            return Err(Unproven::NoList);
        };
        let list = place.current.load();
        let list = list.as_ref().ok_or(Unproven::Unread)?;
        judge(list, place.is_lenient, serial, now)
    }
}

/// Whether the certificate with this serial number may be relied on at `now`, by its authority's list.
fn judge(
    list: &RevocationList,
    is_lenient: bool,
    serial: Serial,
    now: Timestamp,
) -> Result<(), Unproven> {
    // What was revoked stays so, however old the list is.
    if list.contains(serial) {
        Err(Unproven::Revoked)
    } else if list.has_ended(now) && !is_lenient {
        Err(Unproven::Stale)
    } else {
        Ok(())
    }
}

/// The list that a domain has given for an authority that it manages over the API.
pub struct GivenList {
    id: [u8; 16],
    /// None where there is one, and nobody can read it.
    list: Option<RevocationList>,
    is_lenient: bool,
}

impl GivenList {
    /// The list that is known by this id.
    #[must_use]
    pub const fn new(id: [u8; 16], list: Option<RevocationList>, is_lenient: bool) -> Self {
        Self { id, list, is_lenient }
    }

    /// By what it is known, where it could be read.
    #[must_use]
    pub fn id(&self) -> Option<[u8; 16]> {
        self.list.as_ref().map(|_| self.id)
    }

    /// How far one can rely on it.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        let next_update = self.list.as_ref().map(RevocationList::next_update);
        next_update.map_or(Freshness::Unread, Freshness::Until)
    }

    /// Whether a certificate that leads to the authority may be relied on at `now`. Of authorities
    /// below it nobody has given a list.
    ///
    /// # Errors
    /// [`Unproven`] says why not.
    pub(super) fn judge(
        &self,
        serial: Serial,
        is_direct: bool,
        now: Timestamp,
    ) -> Result<(), Unproven> {
        let list = self.list.as_ref().ok_or(Unproven::Unread)?;
        if !is_direct {
            return Err(Unproven::NoList);
        }
        judge(list, self.is_lenient, serial, now)
    }
}

impl fmt::Debug for GivenList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GivenList({:?})", self.freshness())
    }
}

/// Why it is not proven that a certificate was not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unproven {
    /// It was.
    Revoked,
    /// There is no place for a list of who signed it.
    NoList,
    /// There is no list in that place yet.
    Unread,
    /// The list is past its end.
    Stale,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({:?})", self.serial)
    }
}

/// The same certificate, held against the same place.
impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        let is_same_place = match (&self.place, &other.place) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        is_same_place && self.serial == other.serial
    }
}

impl Eq for Link {}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;
    use crate::{
        model::RevocationReason,
        pki::{CertificateAuthority, RevokedCertificate},
    };

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    struct Customer {
        authority: CertificateAuthority,
        signer: ListSigner,
    }

    impl Customer {
        fn new() -> Self {
            let (authority, _) = CertificateAuthority::create("customer CA", NOW, 100).unwrap();
            let signer = ListSigner::of_authority(&der(authority.certificate_pem())).unwrap();
            Self { authority, signer }
        }

        /// A list that begins and ends so many seconds from now.
        fn list(&self, revoked: &[u8], begins: i64, ends: i64) -> Vec<u8> {
            let revoked: Vec<_> = revoked
                .iter()
                .map(|number| RevokedCertificate {
                    serial: serial(*number),
                    at: NOW,
                    reason: RevocationReason::Superseded,
                })
                .collect();
            self.authority.revocation_list(&revoked, at(begins), at(ends)).unwrap()
        }

        fn lists(&self, is_lenient: bool, before: &[Arc<Lists>]) -> Arc<Lists> {
            Arc::new(Lists::new(vec![self.signer.clone()], is_lenient, before))
        }

        fn link(&self, lists: &Lists, number: u8) -> Link {
            Link::new(lists.place(&self.signer), Some(serial(number)))
        }
    }

    fn der(pem: &str) -> Vec<u8> {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(body).unwrap()
    }

    fn serial(number: u8) -> Serial {
        Serial::from_be_bytes(&[number]).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds)
    }

    #[test]
    fn what_is_not_proven_is_refused() {
        let customer = Customer::new();
        for is_lenient in [false, true] {
            let lists = customer.lists(is_lenient, &[]);
            let judge = |number, now| customer.link(&lists, number).judge(now);
            assert_eq!(judge(1, NOW), Err(Unproven::Unread));
            assert_eq!(lists.freshness(), Freshness::Unread);
            lists.take(&customer.list(&[1], -9, 9), NOW).unwrap();
            assert_eq!(lists.freshness(), Freshness::Until(at(9).unix_seconds()));
            assert_eq!([1, 2].map(|n| judge(n, NOW)), [Err(Unproven::Revoked), Ok(())]);
            // Past its end, what was revoked stays so.
            let stale = if is_lenient { Ok(()) } else { Err(Unproven::Stale) };
            assert_eq!([1, 2].map(|n| judge(n, at(10))), [Err(Unproven::Revoked), stale]);
            assert_eq!(Link::new(None, Some(serial(2))).judge(NOW), Err(Unproven::NoList));
            let unread = Link::new(lists.place(&customer.signer), None);
            assert_eq!(unread.judge(NOW), Err(Unproven::NoList));
        }
    }

    /// A reload keeps the lists; connections that are open go on to be held against the same place.
    #[test]
    fn a_place_that_is_the_same_stays() {
        let (customer, other) = (Customer::new(), Customer::new());
        let first = customer.lists(false, &[]);
        let link = customer.link(&first, 1);
        first.take(&customer.list(&[], -9, 9), NOW).unwrap();
        let again = customer.lists(false, &[other.lists(false, &[]), Arc::clone(&first)]);
        assert!(again == first && link == customer.link(&again, 1));
        again.take(&customer.list(&[1], -8, 9), NOW).unwrap();
        assert_eq!(link.judge(NOW), Err(Unproven::Revoked));
        let lenient = customer.lists(true, &[again]);
        let link_then = customer.link(&lenient, 1);
        assert!(lenient != first && link_then != link, "the connection must begin again");
        assert_eq!(link_then.judge(NOW), Err(Unproven::Revoked), "the list is kept");
        assert!(other.lists(false, &[lenient]).freshness() == Freshness::Unread);
    }

    #[test]
    fn a_fit_list_is_taken_beside_one_that_is_not() {
        let (customer, other) = (Customer::new(), Customer::new());
        let lists = customer.lists(false, &[]);
        let pem = |der: &[u8]| {
            let body = STANDARD.encode(der);
            format!("-----BEGIN X509 CRL-----\n{body}\n-----END X509 CRL-----\n")
        };
        let file = pem(&other.list(&[], -9, 9)) + &pem(&customer.list(&[7], -9, 9));
        assert_eq!(lists.take(file.as_bytes(), NOW), Err(ListFault::Signature));
        assert_eq!(customer.link(&lists, 7).judge(NOW), Err(Unproven::Revoked));
        let newer = customer.list(&[7, 8], -5, 20);
        let taken =
            |is_new| Ok(vec![Taken { revoked: 2, next_update: at(20).unix_seconds(), is_new }]);
        assert_eq!(lists.take(&newer, NOW), taken(true));
        assert_eq!(lists.take(&newer, NOW), taken(false));
        assert_eq!(lists.take(&customer.list(&[], -9, 30), NOW), Err(ListFault::Older));
        assert_eq!(customer.link(&lists, 8).judge(NOW), Err(Unproven::Revoked));
    }
}
