//! The database of a command: the one that was named, or a private one that ends with the command.

use anyhow::Context;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use super::say;
use crate::config::{Database, Home};
use crate::db::{self, embedded};

/// Enough for all that the worker keeps in flight: nobody holds one while it talks to the world.
const CONNECTIONS: u32 = 24;

/// A way to a database, and its server where that is ours.
pub(super) struct Server {
    /// The way to it.
    pub(super) options: PgConnectOptions,
    private: Option<embedded::Embedded>,
}

impl Server {
    /// Starts the private server where no other was named.
    pub(super) async fn start(database: Database, home: &Home) -> anyhow::Result<Self> {
        match database {
            Database::Given(options) => Ok(Self { options: *options, private: None }),
            Database::Private => Self::start_private(home).await,
        }
    }

    /// Starts the private server of a data directory.
    pub(super) async fn start_private(home: &Home) -> anyhow::Result<Self> {
        if let Some(folder) = home.pg_bin.as_ref().filter(|folder| !folder.join("initdb").exists()) {
            anyhow::bail!(
                "TIDINGS_PG_BIN: found {}, expected a folder with initdb and postgres in it",
                folder.display()
            );
        }
        let settings = embedded::Settings {
            data_dir: home.data_dir.clone(),
            binaries: home.pg_bin.clone(),
            fsync: true,
            download: home.download,
        };
        let tell = |text: &str| say::about("database", text);
        let server = embedded::start(&settings, &tell).await.context("failed to start the private Postgres")?;
        Ok(Self { options: server.options(), private: Some(server) })
    }

    /// Waits until it answers, and brings it up to date.
    pub(super) async fn migrated(&self) -> anyhow::Result<PgPool> {
        let tell = |text: &str| say::about("database", text);
        let pool = db::connect(self.options.clone(), CONNECTIONS, &tell).await.with_context(|| {
            format!(
                "failed to reach the database at {}; check that it runs, that this machine may connect to it, and the \
                 user and password in TIDINGS_DATABASE_URL",
                self.shown()
            )
        })?;
        db::migrate(&self.options).await.context("failed to bring the database up to date")?;
        Ok(pool)
    }

    /// Where it is, without its password.
    pub(super) fn shown(&self) -> String {
        if let Some(server) = &self.private {
            return format!("private Postgres in {}", server.place().display());
        }
        let (options, name) = (&self.options, self.options.get_database());
        format!("{}:{}/{}", options.get_host(), options.get_port(), name.unwrap_or(options.get_username()))
    }

    /// Stops the server where it is ours.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        match self.private {
            Some(server) => server.stop().await.context("failed to stop the private Postgres"),
            None => Ok(()),
        }
    }
}
