//! Who is connected, and who gives way when there is no room.
//!
//! Owns the places of all connections. Peers that have shown no certificate, be it that their
//! handshake is under way or that they came without one, sit in the lobby: it has few seats, and
//! whoever has been idle there for longest gives way to the next. Always holds: no more connections
//! than configured; peers without a certificate never keep others out. Never does: closing a
//! connection itself; it only says that the place is wanted.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// Nobody gives way sooner: a handshake over a slow line takes about as long.
const GRACE: Duration = Duration::from_millis(500);
/// How often to look again while there is no room.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The places.
pub(super) struct Lobby {
    places: Arc<Semaphore>,
    seats: usize,
    taken: Mutex<HashMap<u64, Guest>>,
    next: AtomicU64,
    changed: Notify,
}

/// Somebody in the lobby.
struct Guest {
    since: Instant,
    seat: Arc<Waiting>,
}

/// What a guest and its connection have in common.
struct Waiting {
    wanted: CancellationToken,
    /// From the end of the handshake on.
    activity: OnceLock<Arc<Activity>>,
}

/// The place of one connection, until this is dropped.
pub(super) struct Seat {
    lobby: Arc<Lobby>,
    number: u64,
    waiting: Arc<Waiting>,
    place: Option<OwnedSemaphorePermit>,
}

impl Lobby {
    /// Room for so many connections, of which so many may be of peers without a certificate.
    pub(super) fn new(connections: usize, strangers: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(connections)),
            seats: strangers.min(connections / 4).max(1),
            taken: Mutex::default(),
            next: AtomicU64::new(0),
            changed: Notify::new(),
        })
    }

    /// A seat for the next connection, once there is one.
    pub(super) async fn seat(self: &Arc<Self>) -> Seat {
        loop {
            let changed = self.changed.notified();
            if self.guests().len() < self.seats
                && let Ok(place) = Arc::clone(&self.places).try_acquire_owned()
            {
                return self.take(place);
            }
            self.make_room(GRACE);
            let _looked = tokio::time::timeout(LOOK_AGAIN, changed).await;
        }
    }

    /// Asks the guest that has been idle for longest to leave, unless it has only just come.
    pub(super) fn make_room(&self, grace: Duration) {
        let mut taken = self.guests();
        let idlest = taken.iter().map(|(number, guest)| (guest.idle_since(), *number)).min();
        let Some((since, number)) = idlest else { return };
        if since.elapsed() >= grace
            && let Some(guest) = taken.remove(&number)
        {
            guest.seat.wanted.cancel();
        }
    }

    fn take(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Seat {
        let number = self.next.fetch_add(1, Relaxed);
        let waiting =
            Arc::new(Waiting { wanted: CancellationToken::new(), activity: OnceLock::new() });
        self.guests().insert(number, Guest { since: Instant::now(), seat: Arc::clone(&waiting) });
        Seat { lobby: Arc::clone(self), number, waiting, place: Some(place) }
    }

    fn leave(&self, number: u64) {
        self.guests().remove(&number);
        self.changed.notify_one();
    }

    fn guests(&self) -> MutexGuard<'_, HashMap<u64, Guest>> {
        // Every change is one call, so a poisoned lock loses nothing.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    fn idle_since(&self) -> Instant {
        self.seat.activity.get().map_or(self.since, |activity| activity.idle_since())
    }
}

impl Seat {
    /// The connection for which this was held has come.
    pub(super) fn is_taken(&self) {
        if let Some(guest) = self.lobby.guests().get_mut(&self.number) {
            guest.since = Instant::now();
        }
    }

    /// The peer has shown a certificate: it gives way to nobody.
    pub(super) fn is_known(&self) {
        self.lobby.leave(self.number);
    }

    /// The peer has come without a certificate: this says how idle it is.
    pub(super) fn is_stranger(&self, activity: &Arc<Activity>) {
        // Said once.
        let _first = self.waiting.activity.set(Arc::clone(activity));
    }

    /// Whether somebody else is to have the place.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.wanted.is_cancelled()
    }

    /// Waits until somebody else is to have the place.
    pub(super) async fn until_wanted(&self) {
        self.waiting.wanted.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // First, so that who is told finds it.
        self.place = None;
        self.lobby.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn at_once(lobby: &Arc<Lobby>) -> Option<Seat> {
        tokio::time::timeout(GRACE / 2, lobby.seat()).await.ok()
    }

    /// A peer without a certificate once held 300 of 300 connections with a request now and then.
    #[tokio::test(start_paused = true)]
    async fn strangers_give_way() {
        let lobby = Lobby::new(40, 10);
        let mut strangers = Vec::new();
        for _ in 0..10 {
            strangers.push(at_once(&lobby).await.expect("a seat"));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(at_once(&lobby).await.is_none(), "all seats were taken a moment ago");
        let known = lobby.seat().await;
        let gone: Vec<_> = strangers.iter().map(Seat::is_wanted).collect();
        assert!(
            gone[0] && gone.iter().filter(|gone| **gone).count() == 1,
            "the one that came first: {gone:?}"
        );
        // Thirty with a certificate come in beside them, and nobody else.
        known.is_known();
        let mut all = vec![known];
        for _ in 0..29 {
            let seat = lobby.seat().await;
            seat.is_known();
            all.push(seat);
            strangers.retain(|stranger| !stranger.is_wanted());
        }
        assert!(all.iter().all(|seat| !seat.is_wanted()));
    }

    /// Whoever has a certificate waits for nobody without one, even where no place is left.
    #[tokio::test(start_paused = true)]
    async fn no_place_left() {
        let lobby = Lobby::new(8, 8);
        let mut known = Vec::new();
        for _ in 0..7 {
            let seat = lobby.seat().await;
            seat.is_known();
            known.push(seat);
        }
        let stranger = lobby.seat().await;
        tokio::time::sleep(GRACE).await;
        let waiting = tokio::spawn({
            let lobby = Arc::clone(&lobby);
            async move { lobby.seat().await }
        });
        stranger.until_wanted().await;
        drop(stranger);
        waiting.await.unwrap().is_known();
        drop(known);
    }
}
