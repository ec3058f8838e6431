//! Brings the schema up to date. Safe from several replicas at once: one advisory lock, polled, because a blocking lock
//! would wait inside a transaction and deadlock with `create index concurrently`. Such an index is made by a file of its own,
//! outside of a transaction; one whose making was cut off is made again.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

const LOCK: i64 = 0x7469_6469_6e67;
const POLL: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database refused.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A migration failed, or the database is newer than this binary.
    #[error("{0}; a database that a newer tidings has migrated needs that tidings")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Another replica held the lock all the time.
    #[error("another tidings has been migrating this database for ten minutes; look at it before starting this one")]
    Locked,
}

/// The migrations that this binary carries.
pub fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.set_locking(false);
    migrator
}

/// Runs what is missing on a connection of its own.
pub async fn migrate(options: &sqlx::postgres::PgConnectOptions) -> Result<(), MigrateError> {
    use sqlx::ConnectOptions;
    let mut conn = options.connect().await?;
    lock(&mut conn).await?;
    drop_unfinished_indexes(&mut conn).await?;
    let result = migrator().run(&mut conn).await;
    // The lock belongs to the session and ends with it, whatever the result.
    conn.close().await?;
    Ok(result?)
}

async fn lock(conn: &mut PgConnection) -> Result<(), MigrateError> {
    let began = tokio::time::Instant::now();
    loop {
        let got: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(LOCK).fetch_one(&mut *conn).await?;
        if got {
            return Ok(());
        }
        if began.elapsed() > LONGEST_WAIT {
            return Err(MigrateError::Locked);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Drops indexes whose making was cut off. They serve no query, and stand in the way of the migration that makes them again.
async fn drop_unfinished_indexes(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let unfinished = "select indexrelid::regclass::text from pg_index join pg_class on pg_class.oid = indrelid
        where not indisvalid and relnamespace = current_schema()::regnamespace
          and indexrelid not in (select index_relid from pg_stat_progress_create_index)";
    let names: Vec<String> = sqlx::query_scalar(unfinished).fetch_all(&mut *conn).await?;
    for name in names {
        sqlx::raw_sql(AssertSqlSafe(format!("drop index concurrently {name}"))).execute(&mut *conn).await?;
    }
    Ok(())
}
