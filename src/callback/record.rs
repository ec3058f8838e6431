//! The callback door.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;

use super::pace::Pace;
use super::{Call, Settings, store};
use crate::clock::Clock;
use crate::db::Stored;
use crate::db::batch::{Batch, NotWritten};
use crate::id::{CallbackId, ReportId};
use crate::report::address::Addresses;

/// Two writers: one commits while the other gathers.
const WRITERS: usize = 2;
/// A database that has not committed by then gets a 503; discovery heals the loss.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks addresses and records calls.
#[derive(Clone)]
pub struct Door {
    addresses: Addresses,
    batch: Batch<Call, CallbackId>,
    pace: Arc<Pace>,
}

impl Door {
    /// Opens the door: two writers stand ready.
    pub fn open(pool: PgPool, clock: Clock, addresses: Addresses, settings: &Settings) -> Self {
        let kept = Kept { pool, idle: Arc::default() };
        let write = move |calls: Vec<Call>| {
            let (kept, clock) = (kept.clone(), clock.clone());
            async move {
                let written = tokio::time::timeout(COMMIT_TIMEOUT, kept.write(&clock, &calls)).await;
                match written {
                    Ok(Ok(ids)) => Some(ids),
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
        Self { addresses, batch: Batch::start(WRITERS, write), pace }
    }

    /// The report whose token this is; anything else is nobody's. Does not ask the database.
    pub fn report_of(&self, token: &str) -> Option<ReportId> {
        self.addresses.report_of(token)
    }

    /// Whether another call of this report is within its pace; counts it if so.
    pub fn takes(&self, report: ReportId) -> bool {
        self.pace.takes(report, Instant::now())
    }

    /// Records a call, with others that come at the same time. When this returns an id, it is durable.
    pub async fn record(&self, call: Call) -> Result<CallbackId, NotWritten> {
        let bytes = call.bytes();
        self.batch.write(call, bytes).await
    }
}

/// Connections that the writers keep: neither the wait for a place in the pool nor its check of each connection is between two
/// commits.
#[derive(Clone)]
struct Kept {
    pool: PgPool,
    idle: Arc<Mutex<Vec<PgConnection>>>,
}

impl Kept {
    /// Writes calls in one statement and tells their ids.
    async fn write(&self, clock: &Clock, calls: &[Call]) -> Stored<Vec<CallbackId>> {
        let ids: Vec<CallbackId> = calls.iter().map(|_| clock.new_id()).collect();
        let kept = self.idle().pop();
        if let Some(kept) = kept {
            match self.write_with(kept, &ids, calls, clock).await {
                Ok(()) => return Ok(ids),
                // The database may have been started anew since: what is kept is worth nothing then.
                Err(_) => self.idle().clear(),
            }
        }
        let fresh = self.pool.acquire().await?.detach();
        self.write_with(fresh, &ids, calls, clock).await?;
        Ok(ids)
    }

    async fn write_with(
        &self,
        mut conn: PgConnection,
        ids: &[CallbackId],
        calls: &[Call],
        clock: &Clock,
    ) -> Stored<()> {
        store::insert(&mut conn, ids, calls, clock.now()).await?;
        self.idle().push(conn);
        Ok(())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
