//! What whoever keeps a connection's deadlines is told of a request, and tells it.

use std::{future::Future, pin::Pin};

use crate::metrics::Closing;

/// A request in progress, as whoever keeps the connection's deadlines sees it. It is over when
/// every clone is dropped.
pub trait InProgress: Clone + Send + Sync + 'static {
    /// From here on the answer waits for the peer.
    fn answers(&mut self);

    /// From here on nothing waits for the peer; more may.
    fn waits(&mut self);

    /// From here on the answer follows as it comes, with a deadline of its own.
    fn streams(&mut self);

    /// Goes on once the connection is to end, for whatever reason.
    fn ending(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// The connection is to end once its answers are told, for the reason that is named.
    fn ends(&self, why: Closing);
}
