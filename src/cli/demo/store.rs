//! Empties the demo's database: wherever its cluster lies, each demo starts anew.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

/// Drops all that an earlier demo left.
pub(super) async fn empty(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    let mut conn = options.connect().await?;
    sqlx::raw_sql("drop schema if exists public cascade; create schema public").execute(&mut conn).await?;
    conn.close().await
}
