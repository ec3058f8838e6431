//! Removes what is older than it is to be kept: callbacks, attempts, deliveries, events and the audit log.
//!
//! In steps of a few thousand rows with a pause after each, by one replica at a time. What hangs on another row goes first,
//! and what is needed stays however old it is: whatever is pending, and events that not everyone was told of. Executions and
//! files stay: an execution that was forgotten would be discovered, archived and told again.
//!
//! An event's key tells once only while the event is there. After that the rows that it told of do: an execution is stored
//! once, a report is late until it comes, an account waits until somebody signs in, a drift is news when it changes. Where
//! nothing but the key does, as for a sign-in that ends soon, events must be kept for as long as the fact could be told again:
//! the least time that [`Keep::EVENTS`] allows. An execution that a person tries again after its event has gone can fail anew,
//! and that is told: it is news.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::db::Stored;
use crate::db::prune::{Step, alone};
use crate::id::first_of;
use crate::notification::store::prune;
use crate::{access, callback};

/// The advisory lock of the one that removes.
pub const LOCK: i64 = 0x7469_6469_6e68;
/// After each step, so that the others have the disk and the processor for as long.
const PAUSE: Duration = Duration::from_millis(25);

/// For how many days what is kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Callbacks.
    pub callbacks: u32,
    /// Attempts of deliveries that are done with.
    pub attempts: u32,
    /// Deliveries that are done with; not before their attempts have gone.
    pub deliveries: u32,
    /// Events; not before their deliveries have gone.
    pub events: u32,
    /// Lines of the audit log.
    pub audit: u32,
}

impl Keep {
    /// What may be set for everything but events.
    pub const DAYS: RangeInclusive<u32> = 1..=3650;
    /// What may be set for events: a sign-in that ends is told 14 days before, and not again.
    pub const EVENTS: RangeInclusive<u32> = 30..=3650;
}

impl Default for Keep {
    fn default() -> Self {
        Self { callbacks: 90, attempts: 90, deliveries: 90, events: 400, audit: 400 }
    }
}

/// The step that removes.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Where our rows are.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// For how long.
    pub keep: Keep,
}

/// In the order in which they are pruned: what hangs on another row goes before it.
#[derive(Debug, Clone, Copy)]
enum Table {
    Callbacks,
    Attempts,
    Deliveries,
    Events,
    Audit,
}

const TABLES: [Table; 5] = [Table::Callbacks, Table::Attempts, Table::Deliveries, Table::Events, Table::Audit];

impl Retention {
    /// Removes all that has had its time, unless another replica is at it or `stop` is cancelled meanwhile.
    pub async fn run_once(&self, stop: &CancellationToken) -> Stored<()> {
        let Some(mut conn) = alone(&self.pool, LOCK).await? else { return Ok(()) };
        let result = self.remove(&mut conn, stop).await;
        // It holds the lock, which ends with it in any case.
        let _ = conn.close().await;
        result
    }

    async fn remove(&self, conn: &mut PgConnection, stop: &CancellationToken) -> Stored<()> {
        access::store::prune(conn, self.clock.now()).await?;
        for table in TABLES {
            let (before, mut after) = (self.clock.now() - TimeDelta::days(table.days(self.keep).into()), Uuid::nil());
            while let Some(step) = table.step(conn, after, before).await? {
                metrics::counter!("tidings_pruned_total", "table" => table.name()).increment(step.removed);
                after = step.to;
                if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Callbacks => "callbacks",
            Self::Attempts => "attempts",
            Self::Deliveries => "deliveries",
            Self::Events => "events",
            Self::Audit => "audit",
        }
    }

    fn days(self, keep: Keep) -> u32 {
        match self {
            Self::Callbacks => keep.callbacks,
            Self::Attempts => keep.attempts,
            Self::Deliveries => keep.deliveries,
            Self::Events => keep.events,
            Self::Audit => keep.audit,
        }
    }

    async fn step(self, conn: &mut PgConnection, after: Uuid, before: DateTime<Utc>) -> Stored<Option<Step>> {
        let to = first_of(before);
        match self {
            Self::Callbacks => callback::store::prune(conn, after, to).await,
            Self::Attempts => prune::attempts(conn, after, to).await,
            Self::Deliveries => prune::deliveries(conn, after, to, before).await,
            Self::Events => prune::events(conn, after, to).await,
            Self::Audit => access::store::prune_audit(conn, after, to).await,
        }
    }
}
