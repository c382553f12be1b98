//! Keeping the revocation lists of customers' authorities: from files when they change, from addresses
//! as often as the configuration says.
//!
//! Always holds: a list is read beside the requests, on threads that may wait; one that cannot be used
//! leaves the one before in its place, is counted, and told once for each reason; each source has a
//! task of its own, so that one that hangs delays no other. Never does: judging a list; `auth` and
//! `pki` do.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{JoinSet, spawn_blocking},
};

use crate::{
    auth::lists::{Freshness, Lists, Taken},
    clock::Clock,
    config::{Config, CrlSource},
    files::{self, FileError},
    live::Live,
    metrics::Metrics,
    model::{OkmsId, Timestamp},
    pki::{LIST_BYTES_MAX, ListFault},
    server::{FetchBounds, FetchError, fetch},
    watch::{Marks, Watch},
};

/// What bounds a fetch: slow lines included, a large list has come by then.
const BOUNDS: FetchBounds = FetchBounds { bytes: LIST_BYTES_MAX, time: Duration::from_secs(30) };
/// After a fetch in vain, the next one is due no later.
const RETRY: Duration = Duration::from_secs(60);
/// Lists that are in memory at once while they are read.
const AT_ONCE: usize = 8;

/// Where lists come from, and whose they are.
#[derive(Clone)]
pub(super) struct ListSource {
    pub domain: OkmsId,
    pub from: CrlSource,
    pub lists: Arc<Lists>,
}

/// All lists that are to be kept, and how often.
#[derive(PartialEq, Eq)]
pub(super) struct ListWork {
    sources: Vec<ListSource>,
    /// How often files are looked at; never where there is no answer.
    look: Option<Duration>,
    /// How often addresses are asked.
    fetch: Duration,
}

/// What is to be kept, for who changes it and who does it.
pub(super) struct ListBoard {
    work: Live<ListWork>,
    asked: watch::Sender<()>,
}

/// Why a source gives no list.
#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    List(#[from] ListFault),
    #[error("reading it failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl PartialEq for ListSource {
    fn eq(&self, other: &Self) -> bool {
        (self.domain, &self.from, &*self.lists) == (other.domain, &other.from, &*other.lists)
    }
}

impl Eq for ListSource {}

impl ListWork {
    pub(super) fn new(sources: Vec<ListSource>, config: &Config) -> Self {
        let look = config.reload.interval.0;
        let look = (!look.is_zero()).then_some(look);
        Self { sources, look, fetch: config.reload.crl_interval.0 }
    }
}

impl ListBoard {
    pub(super) fn new(work: ListWork) -> Self {
        Self { work: Live::new(work), asked: watch::Sender::new(()) }
    }

    /// What has a place for lists now.
    pub(super) fn lists(&self) -> Vec<Arc<Lists>> {
        self.work.load().sources.iter().map(|source| Arc::clone(&source.lists)).collect()
    }

    /// Keeps these lists from now on.
    pub(super) fn replace(&self, work: ListWork) {
        if **self.work.load() != work {
            self.work.replace(work);
        }
    }

    /// Asks for all lists to be read now.
    pub(super) fn ask(&self) {
        self.asked.send_replace(());
    }
}

/// Reads the files for places that have no list yet, so that nobody has to wait for the first look.
/// What is wrong is given back in words.
pub(super) fn read_first(sources: &[ListSource], now: Timestamp) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let CrlSource::File(path) = &source.from else { continue };
        if source.lists.freshness() == Freshness::Unread
            && let Err(error) = read(path, &source.lists, now)
        {
            faults.push(match error {
                ListError::File(error) => error.to_string(),
                error => format!("{}: {error}", source.from),
            });
        }
    }
    faults
}

fn read(path: &Path, lists: &Lists, now: Timestamp) -> Result<Vec<Taken>, ListError> {
    let bytes = files::read_up_to(LIST_BYTES_MAX as u64, path)?;
    Ok(lists.take(&bytes, now)?)
}

/// Keeps the lists of a running server.
pub(super) struct ListKeeper {
    board: Arc<ListBoard>,
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    turns: Semaphore,
}

impl ListKeeper {
    pub(super) fn new(board: Arc<ListBoard>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let turns = Semaphore::new(AT_ONCE);
        Self { board, shared: Arc::new(Shared { clock, metrics, turns }) }
    }

    /// Keeps them until it is dropped. Nobody has `first` any more once all have been read, or were in
    /// vain, for the first time.
    pub(super) async fn run(self, first: mpsc::Sender<()>) -> Infallible {
        let mut first = Some(first);
        loop {
            let work = self.board.work.load();
            let ListWork { sources, look, fetch } = &**work;
            let domains: BTreeSet<_> =
                sources.iter().map(|source| source.domain.to_string()).collect();
            self.shared.metrics.lists().are_of(&domains);
            let mut tasks = JoinSet::new();
            for source in sources {
                self.shared.tell_end(source.domain, sources);
                let siblings = sources.iter().filter(|other| other.domain == source.domain);
                let follower = Follower {
                    source: source.clone(),
                    siblings: siblings.cloned().collect(),
                    shared: Arc::clone(&self.shared),
                    trouble: None,
                    has_ended: false,
                };
                let (asked, first) = (self.board.asked.subscribe(), first.clone());
                match source.from.clone() {
                    CrlSource::File(path) => {
                        tasks.spawn(follower.follow_file(path, *look, asked, first))
                    }
                    CrlSource::Http(address) => {
                        tasks.spawn(follower.follow_address(address, *fetch, asked, first))
                    }
                };
            }
            drop(first.take());
            // All tasks end with what they were made for.
            work.until_replaced().await;
        }
    }
}

impl Shared {
    /// Says in numbers when the first of a domain's lists is past its end.
    fn tell_end(&self, domain: OkmsId, sources: &[ListSource]) {
        let of_domain = sources.iter().filter(|source| source.domain == domain);
        let ends: Option<Vec<_>> = of_domain.map(|source| end(source.lists.freshness())).collect();
        let end = ends.and_then(|ends| ends.into_iter().min());
        self.metrics.lists().end(&domain.to_string(), end);
    }
}

const fn end(freshness: Freshness) -> Option<i64> {
    match freshness {
        Freshness::Until(end) => Some(end),
        Freshness::Unread => None,
    }
}

/// Keeps what comes from one source.
struct Follower {
    source: ListSource,
    /// All sources of its domain.
    siblings: Vec<ListSource>,
    shared: Arc<Shared>,
    /// Why there was no list, at the last attempt.
    trouble: Option<String>,
    /// Whether it was told that a list is past its end.
    has_ended: bool,
}

impl Follower {
    async fn follow_file(
        mut self,
        path: PathBuf,
        look: Option<Duration>,
        mut asked: watch::Receiver<()>,
        mut first: Option<mpsc::Sender<()>>,
    ) -> Infallible {
        let mut watch = Watch::default();
        let mut is_due = true;
        loop {
            if is_due {
                let marks = marks(&path).await;
                let outcome = self.read(&path).await;
                // Time alone can make such a list fit; others must be written anew.
                let in_vain = matches!(outcome, Err(ListError::List(ListFault::Early)));
                watch.used(marks.unwrap_or_default(), in_vain);
                self.tell(outcome);
            }
            self.tell_age();
            drop(first.take());
            is_due = tokio::select! {
                () = until_asked(&mut asked) => true,
                () = pause(look) => match marks(&path).await {
                    Some(marks) => watch.look(marks),
                    None => false,
                },
            };
        }
    }

    async fn follow_address(
        mut self,
        address: String,
        interval: Duration,
        mut asked: watch::Receiver<()>,
        mut first: Option<mpsc::Sender<()>>,
    ) -> Infallible {
        loop {
            let outcome = self.fetch(&address).await;
            let interval = if outcome.is_ok() { interval } else { interval.min(RETRY) };
            self.tell(outcome);
            self.tell_age();
            drop(first.take());
            tokio::select! {
                () = until_asked(&mut asked) => {}
                () = tokio::time::sleep(interval) => {}
            }
        }
    }

    async fn read(&self, path: &Path) -> Result<Vec<Taken>, ListError> {
        let _turn = self.shared.turns.acquire().await;
        let (path, lists) = (path.to_owned(), Arc::clone(&self.source.lists));
        let now = self.shared.clock.now();
        spawn_blocking(move || read(&path, &lists, now)).await?
    }

    async fn fetch(&self, address: &str) -> Result<Vec<Taken>, ListError> {
        let _turn = self.shared.turns.acquire().await;
        let bytes = fetch(address, BOUNDS).await?;
        let (lists, now) = (Arc::clone(&self.source.lists), self.shared.clock.now());
        Ok(spawn_blocking(move || lists.take(&bytes, now)).await??)
    }

    /// Says what has become of an attempt.
    fn tell(&mut self, outcome: Result<Vec<Taken>, ListError>) {
        let (domain, source) = (self.source.domain, &self.source.from);
        self.shared.tell_end(domain, &self.siblings);
        match outcome {
            Ok(taken) => {
                let has_healed = self.trouble.take().is_some();
                for Taken { revoked, next_update, is_new } in taken {
                    if is_new || has_healed {
                        let next_update =
                            Timestamp::from_unix_seconds(next_update).to_rfc3339_seconds();
                        tracing::info!(%domain, %source, revoked, next_update = &*next_update, "a revocation list is read");
                    }
                }
            }
            Err(error) => {
                self.shared.metrics.lists().failed(&domain.to_string());
                let error = error.to_string();
                if self.trouble.as_ref() != Some(&error) {
                    tracing::error!(%domain, %source, error, "a revocation list cannot be used; what was there before stays");
                }
                self.trouble = Some(error);
            }
        }
    }

    /// Says once that a list is past its end, and what that means.
    fn tell_age(&mut self) {
        let (domain, source) = (self.source.domain, &self.source.from);
        let now = self.shared.clock.now().unix_seconds();
        let ended = end(self.source.lists.freshness()).filter(|end| *end < now);
        let Some(next_update) = ended else {
            self.has_ended = false;
            return;
        };
        if !self.has_ended {
            self.has_ended = true;
            let next_update = Timestamp::from_unix_seconds(next_update).to_rfc3339_seconds();
            let outcome = if self.source.lists.is_lenient() {
                "it goes on, as crl_stale says"
            } else {
                "the certificates that are held against it are refused until there is a new one"
            };
            tracing::warn!(%domain, %source, next_update = &*next_update, outcome, "a revocation list is past its end");
        }
    }
}

async fn pause(interval: Option<Duration>) {
    match interval {
        Some(interval) => tokio::time::sleep(interval).await,
        None => std::future::pending().await,
    }
}

async fn until_asked(asked: &mut watch::Receiver<()>) {
    if asked.changed().await.is_err() {
        // Nobody is there who could ask.
        std::future::pending::<()>().await;
    }
}

/// What a file looks like now; nothing where the look was broken off.
async fn marks(path: &Path) -> Option<Marks> {
    let path = path.to_owned();
    spawn_blocking(move || Marks::of([path.as_path()])).await.ok()
}
