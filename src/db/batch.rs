//! Group commit: whoever comes while a write is under way shares the next one.
//!
//! There is no waiting to fill a batch: a batch is whatever waits when the previous one has committed. What waits is bounded
//! in items and in bytes; who does not fit is turned away at once. An item that was taken is written even if the one who
//! brought it has gone. Items are gathered in what they are written from, a list or a buffer of rows.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

const MOST_ITEMS: usize = 4096;
/// When so many wait, the next one is turned away.
const MOST_BYTES: usize = 16 * 1024 * 1024;

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

/// What waits to be written together, gathered in a `B`, and who waits for an `O` each.
struct Waiting<B, O> {
    batch: B,
    callers: Vec<oneshot::Sender<Option<O>>>,
    bytes: usize,
    /// Of what was taken and has no outcome yet.
    bytes_taken: usize,
    /// By a write under way.
    is_held_up: bool,
    /// Whether the write that ended last did, and soon.
    went_well: bool,
    is_closed: bool,
}

impl<B, O> Waiting<B, O> {
    /// Whether a writer is to take what waits.
    fn is_ready(&self) -> bool {
        !self.is_held_up && !self.callers.is_empty()
    }
}

struct Shared<B, O> {
    waiting: Mutex<Waiting<B, O>>,
    news: Notify,
}

impl<B, O> Shared<B, O> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<B, O>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes a writer: the one that wrote last, as its connection is awake, or if that went badly the one that waits longest.
    fn wake(&self, went_well: bool) {
        if went_well {
            self.news.notify_last();
        } else {
            self.news.notify_one();
        }
    }
}

/// Closes when the last of those who bring items has gone.
struct Entrance<B, O>(Arc<Shared<B, O>>);

impl<B, O> Drop for Entrance<B, O> {
    fn drop(&mut self) {
        self.0.waiting().is_closed = true;
        self.0.wake(true);
    }
}

/// What brings items to their writers. They end when all clones of it are dropped and the rest is written.
pub struct Batch<B, O>(Arc<Entrance<B, O>>);

impl<B, O> Clone for Batch<B, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: Default + Send + 'static, O: Send + 'static> Batch<B, O> {
    /// Starts a task that writes what comes with `write`. It gives one outcome for each item, in their order, or `None` if
    /// nothing was written.
    pub fn start<W, F>(write: W) -> Self
    where
        W: Fn(B) -> F + Send + 'static,
        F: Future<Output = Option<Vec<O>>> + Send + 'static,
    {
        let (batch, queue) = Self::open();
        tokio::spawn(async move {
            let mut items = B::default();
            while let Some(answers) = queue.take(&mut items).await {
                answers.tell(write(std::mem::take(&mut items)).await);
            }
        });
        batch
    }

    /// For writers that do more between two batches than to write.
    pub fn open() -> (Self, Queue<B, O>) {
        let (batch, callers) = (B::default(), Vec::new());
        let waiting =
            Waiting { batch, callers, bytes: 0, bytes_taken: 0, is_held_up: false, went_well: true, is_closed: false };
        let shared = Arc::new(Shared { waiting: Mutex::new(waiting), news: Notify::new() });
        (Self(Arc::new(Entrance(shared.clone()))), Queue(shared))
    }

    /// Has an item written, whatever becomes of who brought it. `add` adds it to those that wait and tells about how many bytes
    /// it takes; what it refuses, it must have left as it was.
    pub fn write(&self, add: impl FnOnce(&mut B) -> Result<usize, NotWritten>) -> Written<O> {
        Written(self.hand_over(add))
    }

    fn hand_over(
        &self,
        add: impl FnOnce(&mut B) -> Result<usize, NotWritten>,
    ) -> Result<oneshot::Receiver<Option<O>>, NotWritten> {
        let shared = &self.0.0;
        let (caller, answer) = oneshot::channel();
        let mut waiting = shared.waiting();
        if waiting.callers.len() >= MOST_ITEMS || waiting.bytes + waiting.bytes_taken >= MOST_BYTES {
            return Err(NotWritten::Full);
        }
        waiting.bytes += add(&mut waiting.batch)?;
        waiting.callers.push(caller);
        let (is_news, went_well) = (waiting.callers.len() == 1 && !waiting.is_held_up, waiting.went_well);
        drop(waiting);
        if is_news {
            shared.wake(went_well);
        }
        Ok(answer)
    }
}

/// What becomes of an item.
pub struct Written<O>(Result<oneshot::Receiver<Option<O>>, NotWritten>);

impl<O> Written<O> {
    /// Waits until it is durable.
    pub async fn outcome(self) -> Result<O, NotWritten> {
        self.0?.await.ok().flatten().ok_or(NotWritten::Failed)
    }
}

/// What waits for its writers.
pub struct Queue<B, O>(Arc<Shared<B, O>>);

impl<B, O> Clone for Queue<B, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B, O> Queue<B, O> {
    /// Waits until something waits and no write under way holds it up, or until no more will come. All that wait are then in
    /// `batch`, and what was in there, which must be empty, gathers the next. Who stops waiting has taken nothing.
    pub async fn take(&self, batch: &mut B) -> Option<Answers<B, O>> {
        loop {
            {
                let mut waiting = self.0.waiting();
                if waiting.is_ready() {
                    std::mem::swap(&mut waiting.batch, batch);
                    let (callers, bytes) = (std::mem::take(&mut waiting.callers), std::mem::take(&mut waiting.bytes));
                    waiting.bytes_taken += bytes;
                    waiting.is_held_up = true;
                    return Some(Answers { callers, bytes, holds_up: true, went_well: false, shared: self.0.clone() });
                }
                if waiting.is_closed && waiting.callers.is_empty() {
                    // for the next writer that waits
                    self.0.wake(true);
                    return None;
                }
            }
            self.0.news.notified().await;
        }
    }
}

/// Those who wait for the outcome of what a writer took. If they are told nothing, they take it that nothing was written.
pub struct Answers<B, O> {
    callers: Vec<oneshot::Sender<Option<O>>>,
    bytes: usize,
    holds_up: bool,
    went_well: bool,
    shared: Arc<Shared<B, O>>,
}

impl<B, O> Answers<B, O> {
    /// Lets another writer take what waits, as this one takes long.
    pub fn let_others_go_on(&mut self) {
        self.hold_up_no_more();
    }

    fn hold_up_no_more(&mut self) {
        if !std::mem::take(&mut self.holds_up) {
            return;
        }
        let mut waiting = self.shared.waiting();
        waiting.is_held_up = false;
        waiting.went_well = self.went_well;
        let is_ready = waiting.is_ready();
        drop(waiting);
        if is_ready {
            self.shared.wake(self.went_well);
        }
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.callers.len()
    }

    /// Tells the outcomes, one for each item in their order, or that nothing was written.
    pub fn tell(mut self, outcomes: Option<Vec<O>>) {
        self.went_well = self.holds_up && outcomes.is_some();
        self.hold_up_no_more();
        let mut outcomes = outcomes.map(Vec::into_iter);
        for caller in std::mem::take(&mut self.callers) {
            // Whoever asked may have gone; the item is written all the same.
            let _ = caller.send(outcomes.as_mut().and_then(Iterator::next));
        }
    }
}

impl<B, O> Drop for Answers<B, O> {
    fn drop(&mut self) {
        self.hold_up_no_more();
        let mut waiting = self.shared.waiting();
        waiting.bytes_taken -= self.bytes;
        // One that let the others go on is not preferred for having ended after them.
        waiting.went_well &= self.went_well;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn write(
        batch: &Batch<Vec<u32>, u32>,
        item: u32,
        bytes: usize,
    ) -> impl Future<Output = Result<u32, NotWritten>> + use<> {
        let written = batch.write(|items| {
            items.push(item);
            Ok(bytes)
        });
        written.outcome()
    }

    #[tokio::test]
    async fn what_comes_during_a_write_shares_the_next_one() {
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = writes.clone();
        let batch: Batch<Vec<u32>, u32> = Batch::start(move |items: Vec<u32>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::task::yield_now().await;
                Some(items.iter().map(|item| item * 2).collect())
            }
        });

        let all = (0..100).map(|item| write(&batch, item, 1));
        let outcomes = futures_util::future::join_all(all).await;

        assert_eq!(outcomes, (0..100).map(|item| Ok(item * 2)).collect::<Vec<_>>());
        assert!(writes.load(Ordering::SeqCst) <= 3, "{writes:?} writes");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_turned_away_and_a_failed_write_says_so() {
        let batch: Batch<Vec<u32>, u32> = Batch::start(|items: Vec<u32>| async move {
            if items.contains(&1) { None } else { std::future::pending().await }
        });

        assert_eq!(write(&batch, 1, 1).await, Err(NotWritten::Failed));
        let stuck = tokio::spawn({
            let batch = batch.clone();
            async move { write(&batch, 2, MOST_BYTES).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(write(&batch, 3, 1).await, Err(NotWritten::Full));
        stuck.abort();
    }

    #[tokio::test]
    async fn a_write_under_way_holds_the_next_up_and_who_is_told_nothing_takes_it_as_not_written() {
        let (batch, queue) = Batch::<Vec<u32>, u32>::open();
        let (first, second) = (write(&batch, 1, 1), write(&batch, 2, 1));

        let mut items = Vec::new();
        let answers = queue.take(&mut items).await.unwrap();
        let third = write(&batch, 3, 1);
        assert_eq!(items, [1, 2]);
        let mut others = Vec::new();
        let mut other = Box::pin(queue.take(&mut others));
        assert!(other.as_mut().now_or_never().is_none());
        answers.tell(Some(vec![10, 20]));
        assert_eq!((first.await, second.await), (Ok(10), Ok(20)));

        let mut others_answers = other.await.unwrap();
        let fourth = write(&batch, 4, 1);
        others_answers.let_others_go_on();
        items.clear();
        let answers = queue.take(&mut items).await.unwrap();
        assert_eq!((others, items), (vec![3], vec![4]));
        // It held nothing up any more: what holds up is the one after it.
        drop(others_answers);
        let fifth = write(&batch, 5, 1);
        assert!(queue.take(&mut Vec::new()).now_or_never().is_none());
        drop(answers);
        assert_eq!((third.await, fourth.await), (Err(NotWritten::Failed), Err(NotWritten::Failed)));
        drop(queue.take(&mut Vec::new()).await);
        assert_eq!(fifth.await, Err(NotWritten::Failed));
    }

    #[tokio::test]
    async fn of_two_writers_the_one_that_wrote_last_is_woken_unless_that_went_badly() {
        let (batch, queue) = Batch::<Vec<u32>, u32>::open();
        let (mut early, mut late) = (Vec::new(), Vec::new());
        let (mut first, mut last) = (Box::pin(queue.take(&mut early)), Box::pin(queue.take(&mut late)));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(last.as_mut().now_or_never().is_none());

        let good = write(&batch, 1, 1);
        assert!(first.as_mut().now_or_never().is_none());
        last.await.unwrap().tell(Some(vec![10]));
        late.clear();
        let mut last = Box::pin(queue.take(&mut late));
        assert!(last.as_mut().now_or_never().is_none());

        let bad = write(&batch, 2, 1);
        last.await.unwrap().tell(None);
        late.clear();
        let mut last = Box::pin(queue.take(&mut late));
        assert!(last.as_mut().now_or_never().is_none());

        let other = write(&batch, 3, 1);
        assert!(last.as_mut().now_or_never().is_none());
        first.await.unwrap().tell(Some(vec![30]));
        assert_eq!((good.await, bad.await, other.await), (Ok(10), Err(NotWritten::Failed), Ok(30)));
    }

    #[tokio::test]
    async fn a_writer_that_let_the_other_go_on_and_ends_after_it_is_not_the_next_to_be_woken() {
        let (batch, queue) = Batch::<Vec<u32>, u32>::open();
        let slow = write(&batch, 1, 1);
        let mut late = queue.take(&mut Vec::new()).await.unwrap();
        late.let_others_go_on();
        let soon = write(&batch, 2, 1);
        queue.take(&mut Vec::new()).await.unwrap().tell(Some(vec![20]));

        let (mut goods, mut lates) = (Vec::new(), Vec::new());
        let mut good = Box::pin(queue.take(&mut goods));
        assert!(good.as_mut().now_or_never().is_none());
        late.tell(Some(vec![10]));
        let mut bad = Box::pin(queue.take(&mut lates));
        assert!(bad.as_mut().now_or_never().is_none());
        let next = write(&batch, 3, 1);

        assert!(bad.as_mut().now_or_never().is_none());
        good.await.unwrap().tell(Some(vec![30]));
        assert_eq!((slow.await, soon.await, next.await), (Ok(10), Ok(20), Ok(30)));
    }

    #[tokio::test]
    async fn all_writers_end_when_no_more_will_come() {
        let (batch, queue) = Batch::<Vec<u32>, u32>::open();
        let writer = || {
            let queue = queue.clone();
            tokio::spawn(async move { queue.take(&mut Vec::new()).await.is_none() })
        };
        let (first, last) = (writer(), writer());
        tokio::task::yield_now().await;

        drop(batch);

        assert!(first.await.unwrap() && last.await.unwrap());
    }
}
