//! The authorities by which connections are judged, kept as the store is.
//!
//! Always holds: it never goes back; a domain whose authorities cannot be read has none. Never does:
//! change what is stored.

use std::sync::Arc;

use crate::{
    auth::anchors::{Anchor, Anchors},
    fair::Turns,
    model::{CustomerCas, OkmsId},
    service::{
        Error,
        follower::{Follower, keys_in},
        records::{keys_of, open},
        scope::Scope,
        turns::one_by_one,
    },
    store::{
        engine::Touched,
        kinds::{Kind, customer_ca},
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
        let found = self.read(id).await;
        let anchors = match &found {
            Ok(found) => found.iter().filter_map(|(name, one)| {
                let anchor = Anchor::new(id, one.certificate.clone(), one.created_at);
                anchor
                    .inspect_err(|error| {
                        tracing::error!(domain = %id, name, %error, "a customer's authority cannot be used");
                    })
                    .ok()
            }),
            Err(_) => return self.close(id, found),
        };
        self.anchors.replace(id, anchors.collect());
        Ok(())
    }

    fn close(&self, id: OkmsId, found: Result<CustomerCas, Error>) -> Result<(), Error> {
        self.anchors.replace(id, Vec::new());
        match found {
            Ok(_) => Ok(()),
            // Nothing is to be had by trying again.
            Err(error @ (Error::Corrupt(_) | Error::DomainNotFound)) => {
                tracing::error!(
                    domain = %id,
                    error = &error as &dyn std::error::Error,
                    "the record of a domain's authorities is damaged; none of them is trusted until they are added again"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self, id: OkmsId) -> Result<CustomerCas, Error> {
        let key = CustomerCas::key(id, ());
        let snapshot = self.scope.engine().snapshot().await?;
        let Some(record) = snapshot.get(CustomerCas::SPACE, &key).await? else {
            return Ok(CustomerCas::default());
        };
        open(&*self.scope.keys_of(id).await?, &key, &record.bytes)
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
        for key in keys_of(&*snapshot, customer_ca::SPACE, all).await? {
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
