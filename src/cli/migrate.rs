//! `tidings migrate`: brings a database up to date.

use super::database::Server;
use super::{home, say};
use crate::config::{Database, Home};

/// Migrates and ends.
pub(super) async fn run(database: Database, mut home: Home) -> anyhow::Result<()> {
    if matches!(database, Database::Private) {
        home.data_dir = home::make(&home.data_dir)?;
    }
    let server = Server::start(database, &home).await?;
    let migrated = server.migrated().await;
    let shown = server.shown();
    server.stop().await?;
    migrated?;
    say::line(&format!("up to date: {shown}"));
    Ok(())
}
