//! Makes one delivery for each event and subscription that match.
//!
//! Events are numbered first, then taken in the order of their numbers, so none is passed over. All of it is one
//! transaction: the numbers, the deliveries and the mark of how far we are become true together. Whoever holds the mark's
//! row works; others come back later. What an event says is not read here, so none that we don't understand holds up the
//! others.

use sqlx::PgPool;

use super::store::fan_out;
use crate::clock::Clock;
use crate::db::Stored;
use crate::event;
use crate::wake::{Topic, Wake};

const BATCH: i64 = 100;
/// So many deliveries are made in one transaction, unless one event alone has more.
const MOST_MATCHES: i64 = 5000;

/// The step that fans out.
#[derive(Debug, Clone)]
pub struct FanOut {
    /// Where our rows are.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Who is to be woken.
    pub wake: Wake,
}

impl FanOut {
    /// Takes the next events, as many as go at once. Returns how many events were taken.
    pub async fn run_once(&self) -> Stored<i64> {
        let mut tx = self.pool.begin().await?;
        event::store::number(&mut tx, BATCH).await?;
        let Some(seq) = fan_out::lock_mark(&mut tx).await? else { return Ok(0) };
        let (taken, last) = fan_out::next_events(&mut tx, seq, BATCH, MOST_MATCHES).await?;
        if let Some(last) = last {
            let matches = fan_out::matches(&mut tx, seq, last).await?;
            fan_out::insert(&mut tx, &self.clock, &matches).await?;
            fan_out::move_mark(&mut tx, last).await?;
        }
        tx.commit().await?;
        if taken > 0 {
            self.wake.hint(Topic::Deliveries);
        }
        Ok(taken)
    }
}
