//! Makes one delivery for each event and subscription that match.
//!
//! Events are numbered first, then taken in the order of their numbers, so none is passed over. All of it is one
//! transaction: the numbers, the deliveries and the mark of how far we are become true together. Whoever holds the mark's
//! row works; others come back later.

use sqlx::PgPool;

use super::store::deliveries;
use crate::clock::Clock;
use crate::db::Stored;
use crate::event;
use crate::wake::{Topic, Wake};

const BATCH: i64 = 100;

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
    /// Takes the next events, as many as there are at once. Returns how many events were taken.
    pub async fn run_once(&self) -> Stored<usize> {
        let mut tx = self.pool.begin().await?;
        event::store::number(&mut tx, BATCH).await?;
        let Some(seq) = deliveries::lock_mark(&mut tx).await? else { return Ok(0) };
        let matches = deliveries::matches(&mut tx, seq, BATCH).await?;
        let taken = event::store::after(&mut tx, seq, BATCH).await?;
        let Some(last) = taken.last().and_then(|event| event.seq) else {
            tx.commit().await?;
            return Ok(0);
        };
        deliveries::insert(&mut tx, &self.clock, &matches).await?;
        deliveries::move_mark(&mut tx, last).await?;
        tx.commit().await?;
        self.wake.hint(Topic::Deliveries);
        Ok(taken.len())
    }
}
