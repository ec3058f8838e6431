//! Group commit: whoever comes while a write is under way shares the next one.
//!
//! There is no waiting to fill a batch: a batch is whatever waits when the previous one has committed. The queue is bounded
//! in items and in bytes; who does not fit is turned away at once. An item that was taken is written even if the one who
//! brought it has gone.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

const MOST_ITEMS: usize = 4096;
const MOST_BYTES: u32 = 16 * 1024 * 1024;
const BATCH: usize = 256;

/// Why an item was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// The queue is full; come back later.
    #[error("too much is waiting to be written")]
    Full,
    /// The database did not take it.
    #[error("the database did not take it")]
    Failed,
}

struct Waiting<I, O> {
    item: I,
    answer: oneshot::Sender<Option<O>>,
    room: OwnedSemaphorePermit,
}

/// What brings items to their writers. They end when all clones of it are dropped and the rest is written.
pub struct Batch<I, O> {
    queue: mpsc::Sender<Waiting<I, O>>,
    room: Arc<Semaphore>,
}

impl<I, O> Clone for Batch<I, O> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), room: self.room.clone() }
    }
}

impl<I: Send + 'static, O: Send + 'static> Batch<I, O> {
    /// Starts a task that writes what comes with `write`. It gets up to 256 items and gives one outcome for each, in their
    /// order, or `None` if nothing was written.
    pub fn start<W, F>(write: W) -> Self
    where
        W: Fn(Vec<I>) -> F + Send + 'static,
        F: Future<Output = Option<Vec<O>>> + Send + 'static,
    {
        let (batch, queue) = Self::open();
        tokio::spawn(async move {
            while let Some((items, answers)) = queue.take(None).await {
                answers.tell(write(items).await);
            }
        });
        batch
    }

    /// For writers that do more between two batches than to write.
    pub fn open() -> (Self, Queue<I, O>) {
        let (queue, waiting) = mpsc::channel(MOST_ITEMS);
        let room = Arc::new(Semaphore::new(MOST_BYTES as usize));
        (Self { queue, room }, Queue(Arc::new(Mutex::new(waiting))))
    }

    /// Has an item of about `bytes` written, and waits until it is durable. It is handed over at once, whatever becomes of who
    /// waits.
    pub fn write(&self, item: I, bytes: usize) -> impl Future<Output = Result<O, NotWritten>> + use<I, O> {
        let handed_over = self.hand_over(item, bytes);
        async move { handed_over?.await.ok().flatten().ok_or(NotWritten::Failed) }
    }

    fn hand_over(&self, item: I, bytes: usize) -> Result<oneshot::Receiver<Option<O>>, NotWritten> {
        let bytes = u32::try_from(bytes).unwrap_or(MOST_BYTES).min(MOST_BYTES);
        let room = self.room.clone().try_acquire_many_owned(bytes).map_err(|_| NotWritten::Full)?;
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { item, answer, room }).map_err(|_| NotWritten::Full)?;
        Ok(answered)
    }
}

/// What waits for its writers, of which one at a time has its turn.
pub struct Queue<I, O>(Arc<Mutex<mpsc::Receiver<Waiting<I, O>>>>);

/// A writer's turn: as long as there is this, no other writer takes anything.
pub struct Turn<I, O>(OwnedMutexGuard<mpsc::Receiver<Waiting<I, O>>>);

impl<I, O> Clone for Queue<I, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I, O> Queue<I, O> {
    /// Waits for the writer's turn, if it was not kept, and then for items: up to 256, in the order in which they came, or `None`
    /// when no more will come. Who stops waiting has taken nothing.
    pub async fn take(&self, kept: Option<Turn<I, O>>) -> Option<(Vec<I>, Answers<I, O>)> {
        let mut turn = match kept {
            Some(turn) => turn,
            None => Turn(self.0.clone().lock_owned().await),
        };
        let mut waiting = Vec::with_capacity(BATCH);
        if turn.0.recv_many(&mut waiting, BATCH).await == 0 {
            return None;
        }
        let (items, answers) = waiting.into_iter().map(|one| (one.item, (one.answer, one.room))).unzip();
        Some((items, Answers { answers, turn: Some(turn) }))
    }
}

/// Those who wait for the outcome of what a writer took, and the writer's turn. If they are told nothing, they take it that
/// nothing was written.
pub struct Answers<I, O> {
    answers: Vec<(oneshot::Sender<Option<O>>, OwnedSemaphorePermit)>,
    turn: Option<Turn<I, O>>,
}

impl<I, O> Answers<I, O> {
    /// Lets another writer take what waits, though this one has not ended.
    pub fn end_turn(&mut self) {
        self.turn = None;
    }

    /// The turn, if it has not ended: for a writer that will take what comes next, too.
    pub fn keep_turn(&mut self) -> Option<Turn<I, O>> {
        self.turn.take()
    }

    /// Ends the turn, if it is not kept, and tells the outcomes, one for each item in their order, or that nothing was written.
    pub fn tell(mut self, outcomes: Option<Vec<O>>) {
        self.end_turn();
        let mut outcomes = outcomes.map(Vec::into_iter);
        for (answer, _room) in self.answers {
            let outcome = outcomes.as_mut().and_then(Iterator::next);
            // Whoever asked may have gone; the item is written all the same.
            let _ = answer.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn what_comes_during_a_write_shares_the_next_one() {
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = writes.clone();
        let batch: Batch<u32, u32> = Batch::start(move |items: Vec<u32>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::task::yield_now().await;
                Some(items.iter().map(|item| item * 2).collect())
            }
        });

        let all = (0..100).map(|item| batch.write(item, 1));
        let outcomes = futures_util::future::join_all(all).await;

        assert_eq!(outcomes, (0..100).map(|item| Ok(item * 2)).collect::<Vec<_>>());
        assert!(writes.load(Ordering::SeqCst) <= 3, "{writes:?} writes");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_turned_away_and_a_failed_write_says_so() {
        let batch: Batch<u32, u32> = Batch::start(|items: Vec<u32>| async move {
            if items.contains(&1) { None } else { std::future::pending().await }
        });

        assert_eq!(batch.write(1, 1).await, Err(NotWritten::Failed));
        let stuck = tokio::spawn({
            let batch = batch.clone();
            async move { batch.write(2, MOST_BYTES as usize).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(batch.write(3, 1).await, Err(NotWritten::Full));
        stuck.abort();
    }

    #[tokio::test]
    async fn a_writer_waits_for_the_turn_of_the_other_and_who_is_told_nothing_takes_it_as_not_written() {
        let (batch, queue) = Batch::<u32, u32>::open();
        let (first, second) = (batch.write(1, 1), batch.write(2, 1));

        let (items, answers) = queue.take(None).await.unwrap();
        let third = batch.write(3, 1);
        assert_eq!(items, [1, 2]);
        assert!(queue.take(None).now_or_never().is_none());
        answers.tell(Some(vec![10, 20]));
        assert_eq!((first.await, second.await), (Ok(10), Ok(20)));

        let (items, mut answers) = queue.take(None).await.unwrap();
        let fourth = batch.write(4, 1);
        answers.end_turn();
        assert_eq!((items, queue.take(None).await.unwrap().0), (vec![3], vec![4]));
        drop(answers);
        assert_eq!((third.await, fourth.await), (Err(NotWritten::Failed), Err(NotWritten::Failed)));
        drop(batch);
        assert!(queue.take(None).await.is_none());
    }
}
