//! Work that goes on in turns.
//!
//! A runtime takes tasks in the order in which they can go on, whoever's they are: one task that
//! is woken waits for all that were woken before it. In turns it waits for a few of them, however
//! many one has that could go on.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
};

use super::{Asked, Key, Turns};

impl<K: Key> Turns<K> {
    /// Does `work` in turns of `key`: where turns are `needed`, it takes one each time that it can
    /// go on, and gives it back where it waits for something. It must not be done within other work
    /// of that kind: who has a turn would wait for one.
    pub async fn paced<F: Future>(
        self: Arc<Self>,
        key: K,
        needed: impl Fn() -> bool,
        work: F,
    ) -> F::Output {
        let mut work = pin!(work);
        let mut place = None;
        poll_fn(move |context| {
            if place.is_none() && needed() {
                // It goes on though too many wait: what it has begun must not end here.
                place = self.ask(key).ok();
                if let Some(Asked::Had(_)) = place {
                    // All that can go on by now is looked at before. Else a turn would be free for
                    // each of a thousand that go on one after the other.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            let turn = match &mut place {
                Some(Asked::Queued(queued)) => ready!(Pin::new(queued).poll(context)).ok(),
                _ => None,
            };
            let held = (turn, place.take());
            let outcome = work.as_mut().poll(context);
            drop(held);
            outcome
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        time::Duration,
    };

    use tokio::{sync::mpsc, task::JoinSet};

    use super::*;
    use crate::fair::Bounds;

    const BOUNDS: Bounds = Bounds { all: 4, of_one: 2, waiting: usize::MAX };

    /// Waits until all that can go on by now have done so.
    async fn again() {
        let mut was_here = false;
        poll_fn(|context| {
            if std::mem::replace(&mut was_here, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Fifty tasks of one that could always go on had a task of another one wait for all of them,
    /// each time.
    #[tokio::test]
    async fn a_quiet_ones_task_waits_for_few_others() {
        for (needed, few) in [(true, true), (false, false)] {
            let (turns, noise) = (Turns::new(BOUNDS), Arc::new(AtomicUsize::new(0)));
            let mut tasks = JoinSet::new();
            for _ in 0..50 {
                let noise = Arc::clone(&noise);
                tasks.spawn(Arc::clone(&turns).paced("noisy", move || needed, async move {
                    loop {
                        noise.fetch_add(1, Relaxed);
                        again().await;
                    }
                }));
            }
            let quiet = async move {
                let mut most = 0;
                for _ in 0..100 {
                    let before = noise.load(Relaxed);
                    again().await;
                    most = most.max(noise.load(Relaxed) - before);
                }
                (most, noise.load(Relaxed))
            };
            let quiet = Arc::clone(&turns).paced("quiet", move || needed, quiet);
            let (most, all) = tokio::spawn(quiet).await.unwrap();
            assert_eq!(most <= BOUNDS.all, few, "{most} went before it");
            assert!(all > 100, "{all}: the others go on meanwhile");
        }
    }

    /// Whatever wakes it and whenever, work comes to its end, and leaves nothing behind, be it that
    /// it is given up.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_waking_is_lost() {
        let turns = Turns::new(Bounds { all: 2, of_one: 1, waiting: usize::MAX });
        let mut tasks = JoinSet::new();
        let told = Arc::new(Mutex::new(0));
        for number in 0..60_u32 {
            let (sender, mut receiver) = mpsc::channel(2);
            let told = Arc::clone(&told);
            tasks.spawn(Arc::clone(&turns).paced(number % 3, || true, async move {
                while let Some(number) = receiver.recv().await {
                    *told.lock().unwrap() += number;
                }
            }));
            tasks.spawn(Arc::clone(&turns).paced(number % 4, move || number % 7 > 0, async move {
                for _ in 0..200 {
                    sender.send(1).await.unwrap();
                }
            }));
            let given_up = tokio::spawn(Arc::clone(&turns).paced(number % 5, || true, async {
                loop {
                    tokio::task::yield_now().await;
                }
            }));
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_millis(u64::from(number))).await;
                given_up.abort();
                assert!(given_up.await.unwrap_err().is_cancelled());
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(*told.lock().unwrap(), 60 * 200);
        let rota = turns.rota();
        assert!(rota.had == 0 && rota.lanes.is_empty(), "nothing is left");
    }

    /// Where there is room for nobody else, work goes on without a turn.
    #[tokio::test]
    async fn it_goes_on_though_too_many_wait() {
        let turns = Turns::new(Bounds { all: 1, of_one: 1, waiting: 0 });
        let held = turns.turn_now(1).unwrap();
        assert_eq!(Arc::clone(&turns).paced(1, || true, async { 7 }).await, 7);
        drop(held);
    }
}
