//! The callback door.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgPool;

use super::{Call, Verdict, store};
use crate::clock::Clock;
use crate::db::Stored;
use crate::db::batch::{Batch, NotWritten};
use crate::id::{CallbackId, ReportId};
use crate::report::{address::Addresses, check};
use crate::wake::{Topic, Wake};

/// Two writers: one commits while the other gathers.
const WRITERS: usize = 2;
/// A database that has not committed by then gets a 503; discovery heals the loss.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks addresses and records calls.
#[derive(Clone)]
pub struct Door {
    addresses: Addresses,
    batch: Batch<Call, CallbackId>,
}

impl Door {
    /// Opens the door: two writers stand ready.
    pub fn open(pool: PgPool, clock: Clock, wake: Wake, addresses: Addresses) -> Self {
        let write = move |calls: Vec<Call>| {
            let (pool, clock, wake) = (pool.clone(), clock.clone(), wake.clone());
            async move {
                let written = tokio::time::timeout(COMMIT_TIMEOUT, write(&pool, &clock, &calls)).await;
                match written {
                    Ok(Ok(ids)) => {
                        wake.hint(Topic::Checks);
                        Some(ids)
                    }
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
        Self { addresses, batch: Batch::start(WRITERS, write) }
    }

    /// The report whose token this is; anything else is nobody's. Does not ask the database.
    pub fn report_of(&self, token: &str) -> Option<ReportId> {
        self.addresses.report_of(token)
    }

    /// Records a call, with others that come at the same time. When this returns an id, it is durable.
    pub async fn record(&self, call: Call) -> Result<CallbackId, NotWritten> {
        let headers: usize = call.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = 512 + call.body.len() + headers + call.path.len() + call.query.as_ref().map_or(0, String::len);
        self.batch.write(call, bytes).await
    }
}

async fn write(pool: &PgPool, clock: &Clock, calls: &[Call]) -> Stored<Vec<CallbackId>> {
    let now = clock.now();
    let mut per_report: BTreeMap<ReportId, i64> = BTreeMap::new();
    for call in calls {
        *per_report.entry(call.report_id).or_default() += 1;
    }
    let per_report: Vec<_> = per_report.into_iter().collect();
    let mut tx = pool.begin().await?;
    let known = check::called(&mut tx, &per_report, now).await?;
    let rows: Vec<store::NewCallback<'_>> = calls
        .iter()
        .map(|call| {
            let verdict = if known.contains(&call.report_id) { Verdict::Accepted } else { Verdict::UnknownReport };
            store::NewCallback { id: clock.new_id(), verdict, call }
        })
        .collect();
    store::insert(&mut tx, &rows, now).await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
