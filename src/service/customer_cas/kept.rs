//! The authorities by which connections are judged, kept as the store is.
//!
//! Always holds: it never goes back; a domain whose authorities cannot be read has none, and of an
//! authority whose list cannot be read no certificate is let in. Never does: change what is stored.

use std::sync::Arc;

use super::list::read_again;
use crate::{
    auth::{
        anchors::{Anchor, Anchors},
        lists::GivenList,
    },
    fair::Turns,
    model::{CustomerCa, CustomerCas, OkmsId},
    service::{
        Error,
        follower::{Follower, keys_in},
        records::{Reader, keys_of, open},
        scope::Scope,
        turns::one_by_one,
    },
    store::{
        engine::Touched,
        kinds::{Kind, customer_ca, customer_ca_list::SignedList},
    },
};

/// The store's authorities, and where they are told.
pub(super) struct Kept {
    pub(super) scope: Scope,
    pub(super) anchors: Arc<Anchors>,
    /// Held by whoever brings a domain up to date.
    turns: Arc<Turns<OkmsId>>,
}

impl Kept {
    pub(super) fn new(scope: Scope, anchors: Arc<Anchors>) -> Self {
        Self { scope, anchors, turns: one_by_one() }
    }

    /// Tells what the store has of a domain, as of now or later.
    ///
    /// # Errors
    /// `Error` where that cannot be read now, and may be later.
    pub(super) async fn bring_up(&self, id: OkmsId) -> Result<(), Error> {
        let _turn = self.turns.turn(id).await;
        match self.read(id).await {
            Ok(anchors) => {
                self.anchors.replace(id, anchors);
                Ok(())
            }
            Err(error) => self.close(id, error),
        }
    }

    fn close(&self, id: OkmsId, error: Error) -> Result<(), Error> {
        self.anchors.replace(id, Vec::new());
        match error {
            // Nothing is to be had by trying again.
            error @ (Error::Corrupt(_) | Error::DomainNotFound) => {
                tracing::error!(
                    domain = %id,
                    error = &error as &dyn std::error::Error,
                    "the record of a domain's authorities is damaged; none of them is trusted until they are added again"
                );
                Ok(())
            }
            error => Err(error),
        }
    }

    async fn read(&self, id: OkmsId) -> Result<Vec<Anchor>, Error> {
        let key = CustomerCas::key(id, ());
        let engine = self.scope.engine();
        if engine.get(CustomerCas::SPACE, &key).await?.is_none() {
            return Ok(Vec::new());
        }
        let keys = self.scope.keys_of(id).await?;
        let snapshot = engine.snapshot().await?;
        let Some(record) = snapshot.get(CustomerCas::SPACE, &key).await? else {
            return Ok(Vec::new());
        };
        let found: CustomerCas = open(&keys, &key, &record.bytes)?;
        let records = Reader { snapshot: &*snapshot, keys: &keys };
        let mut anchors = Vec::new();
        for (name, one) in found.iter() {
            match Anchor::new(id, one.certificate.clone(), one.created_at) {
                Ok(anchor) => {
                    let list = self.list_of(&records, &anchor, name, one).await?;
                    anchors.push(anchor.held_against(list));
                }
                Err(error) => {
                    tracing::error!(domain = %id, name, %error, "a customer's authority cannot be used");
                }
            }
        }
        Ok(anchors)
    }

    /// What the certificates of an authority are held against. Where that cannot be read, they are
    /// held against a list that nobody knows.
    async fn list_of(
        &self,
        records: &Reader<'_>,
        anchor: &Anchor,
        name: &str,
        one: &CustomerCa,
    ) -> Result<Option<Arc<GivenList>>, Error> {
        let Some(kept) = &one.list else { return Ok(None) };
        let id = records.keys.id();
        let known = self.anchors.list_of(id, anchor);
        if known.as_ref().is_some_and(|known| known.id() == Some(kept.id)) {
            return Ok(known);
        }
        let list = match records.find(kept.id).await {
            Ok(Some(SignedList(der))) => read_again(one, &der).map_err(|fault| fault.to_string()),
            Ok(None) => Err("it is missing".to_owned()),
            Err(error @ Error::Corrupt(_)) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        let list = list.inspect_err(|error| {
            tracing::error!(
                domain = %id, name, error,
                "the record of an authority's revocation list is damaged; its certificates are refused until it is given again"
            );
        });
        Ok(Some(Arc::new(GivenList::new(kept.id, list.ok(), kept.is_lenient))))
    }
}

impl Follower for Kept {
    const WHAT: &'static str = "customers' authorities";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    async fn read_all(&self) -> Result<(), Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let all = (vec![0; 16], vec![0xff; 17]);
        // A domain that has none any more has a record that says so.
        let found = keys_of(&*snapshot, customer_ca::SPACE, all).await?;
        drop(snapshot);
        for key in found {
            if let Some(id) = customer_ca::domain(&key) {
                self.bring_up(id).await?;
            }
        }
        Ok(())
    }

    async fn read_again(&self, touched: &[Touched]) -> Result<(), Error> {
        for id in keys_in(touched, customer_ca::SPACE).filter_map(customer_ca::domain) {
            self.bring_up(id).await?;
        }
        Ok(())
    }
}
