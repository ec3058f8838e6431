//! The callback door.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};

use super::numbers::Numbers;
use super::pace::Pace;
use super::{Call, Settings, escaped, store};
use crate::clock::Clock;
use crate::db::Stored;
use crate::db::batch::{Answers, Batch, NotWritten, Queue};
use crate::db::copy::Rows;
use crate::id::ReportId;
use crate::report::address::Addresses;

/// Two writers: one commits while the other gets ready.
const WRITERS: usize = 2;
/// A database that has not committed by then gets a 503; discovery heals the loss.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// No writing holds the other writer up for longer, whose connection may be the better one, and none keeps a copy open that was
/// begun for calls that may come: it is a transaction.
const PATIENCE: Duration = Duration::from_millis(250);
/// So many calls at once are a crowd.
const CROWD: usize = 4;
/// So many bytes of room are kept from one batch to the next: usual calls need no more.
const MOST_KEPT: usize = 512 * 1024;

/// Checks addresses and records calls.
#[derive(Clone)]
pub struct Door {
    addresses: Addresses,
    clock: Clock,
    batch: Batch<Rows, ()>,
    pace: Arc<Pace>,
    /// What is counted of it.
    pub numbers: Arc<Numbers>,
}

impl Door {
    /// Opens the door: two writers stand ready.
    pub fn open(pool: &PgPool, clock: Clock, addresses: Addresses, settings: &Settings) -> Self {
        let (batch, queue) = Batch::open();
        for _ in 0..WRITERS {
            let writer = Writer { pool: pool.clone(), conn: None, calls: Rows::default() };
            tokio::spawn(writer.write_all(queue.clone()));
        }
        let pace = Arc::new(Pace::new(settings.calls_per_second));
        Self { addresses, clock, batch, pace, numbers: Arc::new(Numbers::find()) }
    }

    /// The report whose token this is; anything else is nobody's. Does not ask the database.
    pub fn report_of(&self, token: &str) -> Option<ReportId> {
        self.addresses.report_of(token)
    }

    /// Whether another call of this report is within its pace; counts it if so.
    pub fn takes(&self, report: ReportId, now: Instant) -> bool {
        self.pace.takes(report, now)
    }

    /// Records a call, with others that come at the same time, and waits until it is durable. It is handed over at once,
    /// whatever becomes of who waits.
    pub fn record(&self, call: &Call<'_>) -> impl Future<Output = Result<(), NotWritten>> + use<> {
        let (id, now) = (self.clock.new_id(), self.clock.now());
        let body = escaped(&call.body);
        let written = self.batch.write(|calls| {
            store::gather(calls, id, now, call, body).map_err(|error| {
                tracing::error!(%error, "failed to write a callback as a row");
                NotWritten::Failed
            })
        });
        written.outcome()
    }
}

/// Keeps its connection: neither the wait for a place in the pool nor its check of each connection is between two commits.
struct Writer {
    pool: PgPool,
    conn: Option<PgConnection>,
    calls: Rows,
}

impl Writer {
    /// Writes batch after batch until no more calls will come.
    async fn write_all(mut self, queue: Queue<Rows, ()>) {
        let mut came = 0;
        loop {
            let next = match self.conn.take() {
                Some(conn) if came >= CROWD => self.write_ahead(conn, &queue).await,
                kept => self.write_next(kept, &queue).await,
            };
            match next {
                Some(calls) => came = calls,
                None => return,
            }
            if self.conn.is_none() {
                // What went badly here may go well with the other one.
                yield_now().await;
            }
        }
    }

    /// Writes the next calls; tells how many came.
    async fn write_next(&mut self, kept: Option<PgConnection>, queue: &Queue<Rows, ()>) -> Option<usize> {
        let mut answers = queue.take(&mut self.calls).await?;
        let until = Instant::now() + COMMIT_TIMEOUT;
        let written = in_time(&mut answers, until, self.write(kept)).await;
        Some(self.told(answers, written))
    }

    /// In a crowd: begins to write while the other one commits, so that a round trip less is between two commits.
    async fn write_ahead(&mut self, mut conn: PgConnection, queue: &Queue<Rows, ()>) -> Option<usize> {
        let Ok(Ok(copy)) = timeout(PATIENCE, store::begin(&mut conn)).await else { return Some(0) };
        let Ok(taken) = timeout(PATIENCE, queue.take(&mut self.calls)).await else {
            if let Ok(Ok(_)) = timeout(PATIENCE, copy.finish(&mut Rows::default())).await {
                self.keep(conn);
            }
            return Some(0);
        };
        let mut answers = taken?;
        let until = Instant::now() + COMMIT_TIMEOUT;
        let written = match in_time(&mut answers, until, copy.finish(&mut self.calls)).await {
            Some(Ok(_)) => {
                self.keep(conn);
                Some(Ok(()))
            }
            Some(Err(_)) => {
                // Closed, it holds nothing up that is tried again.
                drop(conn);
                in_time(&mut answers, until, self.write(None)).await
            }
            None => None,
        };
        Some(self.told(answers, written))
    }

    /// Writes calls in one statement; with a new connection if the one that was kept fails, as the database may have been
    /// started anew since.
    async fn write(&mut self, kept: Option<PgConnection>) -> Stored<()> {
        if let Some(mut conn) = kept
            && store::insert(&mut conn, &mut self.calls).await.is_ok()
        {
            self.keep(conn);
            return Ok(());
        }
        let mut conn = self.pool.acquire().await?.detach();
        store::insert(&mut conn, &mut self.calls).await?;
        self.keep(conn);
        Ok(())
    }

    fn keep(&mut self, mut conn: PgConnection) {
        if self.calls.length() > MOST_KEPT {
            conn.shrink_buffers();
        }
        self.conn = Some(conn);
    }

    /// Tells what came of the calls, and forgets them; tells how many there were.
    fn told(&mut self, answers: Answers<Rows, ()>, written: Option<Stored<()>>) -> usize {
        let calls = answers.count();
        tell(answers, written);
        self.calls.clear(MOST_KEPT);
        calls
    }
}

/// What comes of writing; `None` if nothing until then. Where it takes long it holds the other writer up no more.
async fn in_time<T>(answers: &mut Answers<Rows, ()>, until: Instant, writing: impl Future<Output = T>) -> Option<T> {
    let mut writing = pin!(writing);
    if let Ok(written) = timeout(PATIENCE, &mut writing).await {
        return Some(written);
    }
    answers.let_others_go_on();
    timeout_at(until, writing).await.ok()
}

fn tell(answers: Answers<Rows, ()>, written: Option<Stored<()>>) {
    let calls = answers.count();
    let outcomes = match written {
        Some(Ok(())) => Some(vec![(); calls]),
        Some(Err(error)) => {
            tracing::error!(%error, calls, "failed to record callbacks");
            None
        }
        None => {
            tracing::error!(calls, "the database did not commit callbacks in time");
            None
        }
    };
    answers.tell(outcomes);
}
