//! Removing what is old, in steps: each is a short transaction over a stretch of ids, which sort by time.
//!
//! A step goes on where the one before ended, so it never wades through what that one removed. No statement touches more
//! rows than a step has, so nobody waits for its locks for long.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use uuid::Uuid;

use super::Stored;

/// A step looks at so many rows.
pub const STEP: i64 = 2000;

/// What one step did.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// So many rows it removed; what it looked at and left is still needed.
    pub removed: u64,
    /// The last id that it looked at.
    pub to: Uuid,
}

/// A connection of its own whose session holds the advisory lock `key`; `None` while another session holds it. The lock ends
/// with the connection, however that ends.
pub async fn alone(pool: &PgPool, key: i64) -> Stored<Option<PgConnection>> {
    let mut conn = PoolConnection::<Postgres>::detach(pool.acquire().await?);
    let got: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(key).fetch_one(&mut conn).await?;
    Ok(got.then_some(conn))
}
