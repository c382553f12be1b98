//! Authorities of a customer that a domain takes the word of, as it keeps them.

use std::collections::BTreeMap;

use super::{Invalid, Timestamp, policy};

/// The most of a domain: each is in the memory of every process.
pub const CUSTOMER_CAS_MAX: usize = 16;
/// The largest certificate of one, in bytes of DER, for the same reason.
pub const CUSTOMER_CA_BYTES_MAX: usize = 4 << 10;
/// The largest revocation list that a domain gives for one, in bytes of DER: some 6,000 certificates,
/// which are in the memory of every process.
pub const CUSTOMER_CA_LIST_BYTES_MAX: usize = 256 << 10;
/// The longest description, in bytes.
const DESCRIPTION_MAX: usize = 512;

/// An authority of a customer, apart from its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerCa {
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// What it is for, in the words of whoever added it.
    pub description: String,
    /// Who that was.
    pub added_by: AddedBy,
    /// When it was added. Of authorities of one name, those that were there first are asked first.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revocation list that its certificates are held against, if there is one.
    pub list: Option<CustomerCaList>,
}

/// What is known of the revocation list of an authority beside the list itself, which is a record of
/// its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerCaList {
    /// Of that record. Each list has another one.
    pub id: [u8; 16],
    /// The list's own number, as its authority counts.
    pub number: Option<Vec<u8>>,
    /// From when on it is the authority's latest word, in Unix seconds.
    pub this_update: i64,
    /// When the next one is due, in Unix seconds.
    pub next_update: i64,
    /// How many certificates are on it.
    pub revoked: u32,
    /// Whether it goes on when the next one is overdue.
    pub is_lenient: bool,
    /// When it was given.
    pub updated_at: Timestamp,
}

/// Who has added an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddedBy {
    /// An operator, whose word is taken that it is the domain's.
    Operator,
    /// Somebody of the domain, who has proven to have its key.
    Domain,
}

/// All authorities of a domain, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomerCas(BTreeMap<String, CustomerCa>);

impl CustomerCas {
    /// Those that were stored.
    ///
    /// # Errors
    /// `Invalid` where they break a rule.
    pub fn from_stored(
        stored: impl IntoIterator<Item = (String, CustomerCa)>,
    ) -> Result<Self, Invalid> {
        stored.into_iter().try_fold(Self::default(), |mut all, (name, one)| {
            all.put(&name, one)?;
            Ok(all)
        })
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&CustomerCa> {
        self.0.get(name)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &CustomerCa)> {
        self.0.iter().map(|(name, one)| (name.as_str(), one))
    }

    /// Adds one, or puts it in the place of the one that is there.
    ///
    /// # Errors
    /// `Invalid` where it breaks a rule, or there are too many.
    pub fn put(&mut self, name: &str, one: CustomerCa) -> Result<(), Invalid> {
        policy::name(name)?;
        if one.description.len() > DESCRIPTION_MAX || one.description.chars().any(char::is_control)
        {
            return Err(Invalid("a description has at most 512 bytes and no control characters"));
        }
        if one.certificate.len() > CUSTOMER_CA_BYTES_MAX {
            return Err(Invalid("the authority's certificate is larger than 4 KiB"));
        }
        if !self.0.contains_key(name) && self.0.len() >= CUSTOMER_CAS_MAX {
            return Err(Invalid("a domain has at most 16 authorities; remove one first"));
        }
        self.0.insert(name.to_owned(), one);
        Ok(())
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) -> Option<CustomerCa> {
        self.0.remove(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_bounded() {
        let one = CustomerCa {
            certificate: vec![0; CUSTOMER_CA_BYTES_MAX],
            description: "d".repeat(512),
            added_by: AddedBy::Domain,
            created_at: Timestamp::from_unix_seconds(0),
            updated_at: Timestamp::from_unix_seconds(0),
            list: None,
        };
        let mut all = CustomerCas::default();
        for name in 0..CUSTOMER_CAS_MAX {
            all.put(&name.to_string(), one.clone()).unwrap();
        }
        assert!(all.put("more", one.clone()).is_err());
        all.put("1", one.clone()).unwrap();
        assert!(all.remove("1").is_some() && all.get("1").is_none());
        let large = CustomerCa { certificate: vec![0; CUSTOMER_CA_BYTES_MAX + 1], ..one.clone() };
        assert!(all.put("1", large).is_err());
        for description in ["d".repeat(513), "a\nb".to_owned()] {
            assert!(all.put("1", CustomerCa { description, ..one.clone() }).is_err());
        }
        assert!(all.put("", one.clone()).is_err() && all.put("1", one).is_ok());
    }
}
