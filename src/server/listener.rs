//! The accept loop of the main listener, and how it stops.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::{self, Shared},
    lobby::{Lobby, Seat},
};
use crate::config::Limits;

/// How long to wait after an accept that failed for want of something.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How long requests may take to end once their connections are cut.
const FAREWELL: Duration = Duration::from_secs(1);

/// A listener that is bound, and what its connections share.
pub struct Listener {
    socket: TcpListener,
    shared: Arc<Shared>,
    lobby: Arc<Lobby>,
    stop: CancellationToken,
}

/// Stops listeners. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stopper(CancellationToken);

impl Stopper {
    /// Asks everything to stop: no new connections, an end to those that are open.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Whether that was asked.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until that is asked.
    pub async fn stopping(&self) {
        self.0.cancelled().await;
    }
}

impl Listener {
    /// Connections that are accepted from `socket`, so many at once.
    #[must_use]
    pub fn new(
        socket: TcpListener,
        shared: Shared,
        connections: usize,
        limits: &Limits,
        stopper: &Stopper,
    ) -> Self {
        Self {
            socket,
            shared: Arc::new(shared),
            lobby: Lobby::new(connections, limits.anonymous_connections),
            stop: stopper.0.clone(),
        }
    }

    /// Accepts connections until the stopper says otherwise, then lets those that are open finish
    /// what they are doing, within the drain time.
    pub async fn run(self) {
        let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
        while let Some((stream, address, seat)) = self.next().await {
            let (shared, stop, cut) = (Arc::clone(&self.shared), self.stop.clone(), cut.clone());
            tasks.spawn(async move {
                shared.metrics.connection_opened();
                let connection = Box::pin(connection::serve(&shared, stream, address, seat, stop));
                let _cut = cut.run_until_cancelled(connection).await;
                shared.metrics.connection_closed();
            });
        }
        drop(self.socket);
        tasks.close();
        let drained = async {
            tasks.wait().await;
            // Changes go on even when their connections are gone.
            self.shared.edge.idle().await;
        };
        if tokio::time::timeout(self.shared.terms.load().limits.drain, drained).await.is_err() {
            tracing::warn!(
                connections = tasks.len(),
                "the drain time is over; closing what is left"
            );
            cut.cancel();
            tasks.wait().await;
            // What had no connection left to wait for ends now, and lets go of the store.
            let _in_time = tokio::time::timeout(FAREWELL, self.shared.edge.idle()).await;
        }
    }

    /// The next connection, once there is room for it; `None` when it is time to stop.
    async fn next(&self) -> Option<(TcpStream, SocketAddr, Arc<Seat>)> {
        loop {
            let accept = async {
                let seat = self.lobby.seat().await;
                (self.socket.accept().await, seat)
            };
            let (accepted, seat) = tokio::select! {
                accepted = accept => accepted,
                () = self.stop.cancelled() => return None,
            };
            match accepted {
                Ok((stream, address)) => {
                    seat.is_taken();
                    return Some((stream, address, Arc::new(seat)));
                }
                // The peer was faster; there is nothing to wait for.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "accepting failed");
                    drop(seat);
                    self.lobby.make_room(Duration::ZERO);
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
