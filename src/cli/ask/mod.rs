//! The commands that ask a running service: the admin API from a shell.
//!
//! All of them are alike: a [`Session`] finds things by name or id, asks, and shows what came as lines for people, as tabs
//! for scripts and as JSON for programs.

mod account;
mod callback;
mod delivery;
mod event;
mod execution;
mod file;
mod key;
mod kind;
mod name;
mod query;
mod report;
mod session;
mod show;
mod sign_in;
mod subscription;

use self::session::{Asked, Session};

/// What can be asked.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Partner Center identities
    Account(Asked<account::Command>),
    /// The queries of an account
    Query(Asked<query::Command>),
    /// Standing orders
    Report(Asked<report::Command>),
    /// The runs of reports
    Execution(Asked<execution::Command>),
    /// Report files in the archive
    File(Asked<file::Command>),
    /// The log of facts
    Event(Asked<event::Command>),
    /// Calls of our addresses
    Callback(Asked<callback::Command>),
    /// Who is told, and where
    Subscription(Asked<subscription::Command>),
    /// What was told to whom, and why not
    Delivery(Asked<delivery::Command>),
    /// API keys
    Key(Asked<key::Command>),
    /// How every stage stands
    Status(session::Reached),
}

/// Asks.
pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Account(asked) => account::run(&asked.reached.session()?, asked.command).await,
        Command::Query(asked) => query::run(&asked.reached.session()?, asked.command).await,
        Command::Report(asked) => report::run(&asked.reached.session()?, asked.command).await,
        Command::Execution(asked) => execution::run(&asked.reached.session()?, asked.command).await,
        Command::File(asked) => file::run(&asked.reached.session()?, asked.command).await,
        Command::Event(asked) => event::run(&asked.reached.session()?, asked.command).await,
        Command::Callback(asked) => callback::run(&asked.reached.session()?, asked.command).await,
        Command::Subscription(asked) => subscription::run(&asked.reached.session()?, asked.command).await,
        Command::Delivery(asked) => delivery::run(&asked.reached.session()?, asked.command).await,
        Command::Key(asked) => key::run(&asked.reached.session()?, asked.command).await,
        Command::Status(reached) => status(&reached.session()?).await,
    }
}

async fn status(session: &Session) -> anyhow::Result<()> {
    session.show(&session.client.get("status").await?)
}
