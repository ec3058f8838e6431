//! The callback door.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;

use super::pace::Pace;
use super::{Call, Settings, store};
use crate::clock::Clock;
use crate::db::Stored;
use crate::db::batch::{Batch, NotWritten};
use crate::db::copy::Row;
use crate::id::ReportId;
use crate::report::address::Addresses;

/// Two writers: one commits while the other gathers.
const WRITERS: usize = 2;
/// A database that has not committed by then gets a 503; discovery heals the loss.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a row takes beside its own bytes, about.
const AROUND_A_ROW: usize = 256;
/// A writer keeps so many bytes of room from one batch to the next: usual calls need no more.
const MOST_KEPT: usize = 512 * 1024;

/// Checks addresses and records calls.
#[derive(Clone)]
pub struct Door {
    addresses: Addresses,
    clock: Clock,
    batch: Batch<Row, ()>,
    pace: Arc<Pace>,
}

impl Door {
    /// Opens the door: two writers stand ready.
    pub fn open(pool: PgPool, clock: Clock, addresses: Addresses, settings: &Settings) -> Self {
        let kept = Kept { pool, idle: Arc::default() };
        let write = move |calls: Vec<Row>| {
            let kept = kept.clone();
            async move {
                let written = tokio::time::timeout(COMMIT_TIMEOUT, kept.write(&calls)).await;
                match written {
                    Ok(Ok(())) => Some(vec![(); calls.len()]),
                    Ok(Err(error)) => {
                        tracing::error!(%error, calls = calls.len(), "failed to record callbacks");
                        None
                    }
                    Err(_) => {
                        tracing::error!(calls = calls.len(), "the database did not commit callbacks in time");
                        None
                    }
                }
            }
        };
        let pace = Arc::new(Pace::new(settings.calls_per_second));
        Self { addresses, clock, batch: Batch::start(WRITERS, write), pace }
    }

    /// The report whose token this is; anything else is nobody's. Does not ask the database.
    pub fn report_of(&self, token: &str) -> Option<ReportId> {
        self.addresses.report_of(token)
    }

    /// Whether another call of this report is within its pace; counts it if so.
    pub fn takes(&self, report: ReportId) -> bool {
        self.pace.takes(report, Instant::now())
    }

    /// Records a call, with others that come at the same time, and waits until it is durable. It is handed over at once,
    /// whatever becomes of who waits.
    pub fn record(&self, call: &Call<'_>) -> impl Future<Output = Result<(), NotWritten>> + use<> {
        let row = store::row(self.clock.new_id(), self.clock.now(), call);
        let row = row.inspect_err(|error| tracing::error!(%error, "failed to write a callback as a row"));
        let recording = row.map(|row| {
            let bytes = row.length() + AROUND_A_ROW;
            self.batch.write(row, bytes)
        });
        async move { recording.map_err(|_| NotWritten::Failed)?.await }
    }
}

/// What the writers keep: neither the wait for a place in the pool nor its check of each connection is between two commits.
#[derive(Clone)]
struct Kept {
    pool: PgPool,
    idle: Arc<Mutex<Vec<Pen>>>,
}

struct Pen {
    conn: PgConnection,
    buffer: Vec<u8>,
}

impl Kept {
    /// Writes calls in one statement.
    async fn write(&self, calls: &[Row]) -> Stored<()> {
        let kept = self.idle().pop();
        if let Some(pen) = kept {
            match self.write_with(pen, calls).await {
                Ok(()) => return Ok(()),
                // The database may have been started anew since: what is kept is worth nothing then.
                Err(_) => self.idle().clear(),
            }
        }
        let conn = self.pool.acquire().await?.detach();
        self.write_with(Pen { conn, buffer: Vec::new() }, calls).await
    }

    async fn write_with(&self, mut pen: Pen, calls: &[Row]) -> Stored<()> {
        store::insert(&mut pen.conn, calls, &mut pen.buffer).await?;
        pen.buffer.shrink_to(MOST_KEPT);
        self.idle().push(pen);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Pen>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
