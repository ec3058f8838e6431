//! The database: how to reach it, how it is brought up to date, and what every store shares.
//!
//! Times come from the [`crate::clock::Clock`] as parameters; `now()` is not used in SQL. Free functions in the `store.rs`
//! of each stage take a connection, so that the caller owns the transaction.

pub mod batch;
pub mod copy;
pub mod embedded;
pub mod lease;
pub mod prune;

mod migrate;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

pub use migrate::{MigrateError, migrate, migrator};

/// A lease lasts this long; long work renews it. One that ends later than twice this was taken before the clock was set back,
/// and counts as run out; one that ends a little later is another replica's, whose clock is ahead of ours.
pub const LEASE: Duration = Duration::from_secs(30);

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Less than half of the time to acquire: the next connection may be a good one.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that came back so lately was alive then.
const FRESH: Duration = Duration::from_secs(1);
const START_WAIT: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What holds for each session. The limits end what a frozen replica or a broken network would hold on to for ever; all but a
/// copy that a frozen replica stands ready with, as its kernel still answers for it.
const SESSION: [(&str, &str); 9] = [
    ("synchronous_commit", "on"),
    ("timezone", "UTC"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("tcp_user_timeout", "15s"),
    // The door's copies wait for calls, with nothing on its way that could go unanswered.
    ("tcp_keepalives_idle", "15s"),
    ("tcp_keepalives_interval", "5s"),
    ("tcp_keepalives_count", "3"),
];

/// What can go wrong with a row or the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A row holds what no code of ours writes.
    #[error("table {table}, row {id}: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's id.
        id: String,
        /// What is wrong with it.
        what: String,
    },
    /// The database has not answered for so long that it never will.
    #[error("the database did not answer in time")]
    Silent,
    /// The lease ran out, or somebody changed the row meanwhile.
    #[error("somebody else took over")]
    Lost,
}

impl StoreError {
    /// The name of the constraint that refused a change, if one did.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(error) => error.as_database_error()?.constraint(),
            _ => None,
        }
    }
}

/// The result of a store's function.
pub type Stored<T> = Result<T, StoreError>;

/// How much is due, and since when the oldest of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// How much; where it is counted up to a limit, at least so much.
    pub count: i64,
    /// Nothing when nothing is due.
    pub oldest_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// A pool of at most `connections`, each looked at before it is handed out and when it comes back. Nothing is opened yet.
pub fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|conn, known| {
            Box::pin(async move { if known.idle_for < FRESH { Ok(true) } else { is_alive(conn).await } })
        })
        .after_release(|conn, _| Box::pin(is_alive(conn)))
        .connect_lazy_with(session(options))
}

/// Opens a pool of at most `connections`. Waits up to 30 s for a database that is not there yet, saying so.
pub async fn connect(
    options: PgConnectOptions,
    connections: u32,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<PgPool, sqlx::Error> {
    let options = session(options);
    let host = options.get_host().to_owned();
    let pool = pool(options.clone(), connections);
    let began = tokio::time::Instant::now();
    let mut said = None;
    loop {
        // Not through the pool: it hides why a connection could not be made.
        let error = match tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await {
            Ok(Ok(_)) => return Ok(pool),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::PoolTimedOut,
        };
        if began.elapsed() + START_PAUSE > START_WAIT || !may_pass(&error) {
            return Err(error);
        }
        if said.is_none_or(|said: tokio::time::Instant| said.elapsed() > SAY_EVERY) {
            said = Some(tokio::time::Instant::now());
            let left = START_WAIT.saturating_sub(began.elapsed()).as_secs();
            say(&format!("the database at {host} does not answer yet ({error}); waiting up to {left} s more"));
        }
        tokio::time::sleep(START_PAUSE).await;
    }
}

fn session(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("tidings").options(SESSION)
}

/// Who answers a question of ours in time is alive. Without that limit a connection that the network forgot would hold up
/// whoever gets it, and on its way back keep its place in the pool for ever.
async fn is_alive(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(PING_TIMEOUT, conn.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
        // 57P03 the server is starting, 53300 too many connections; a wrong password never passes.
        sqlx::Error::Database(error) => matches!(error.code().as_deref(), Some("57P03" | "53300")),
        _ => false,
    }
}

/// Checks that a change touched exactly one row; none means that somebody else took over.
pub fn one(result: &sqlx::postgres::PgQueryResult) -> Stored<()> {
    if result.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Lost) }
}

/// Milliseconds by which the database's clock is ahead of ours.
pub async fn clock_difference(conn: &mut PgConnection, clock: &crate::clock::Clock) -> Stored<i64> {
    let theirs: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(conn).await?;
    Ok((theirs - clock.now()).num_milliseconds())
}
