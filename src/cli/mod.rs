//! The commands. Each has a file; what two of them need lies beside them.

mod database;
mod demo;
mod home;
mod migrate;
mod openapi;
mod sandbox;
pub mod say;
mod serve;
mod service;
mod signals;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Given, GivenDatabase, GivenLog};
use crate::telemetry;

/// Registers Partner Insights reports, hears when they are ready, archives them and tells everyone who asked
#[derive(clap::Parser)]
#[command(version, max_term_width = 120)]
pub struct Cli {
    #[command(flatten)]
    log: GivenLog,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Play the whole story on this machine, with nothing installed beforehand
    Demo(demo::Arguments),
    /// Run the service; without a database URL it starts and owns a private Postgres
    Serve(Box<Given>),
    /// Run an imitation of the Partner Insights API, for tests
    Sandbox(Box<sandbox::Arguments>),
    /// Bring a database up to date; safe to run from several replicas at once
    Migrate(GivenDatabase),
    /// Print the OpenAPI document
    Openapi,
}

impl Command {
    /// What is logged when nobody says so: the commands that talk by themselves log no more than what is wrong.
    fn default_filter(&self) -> &'static str {
        if matches!(self, Self::Serve(_)) { "info,sqlx::postgres::notice=warn" } else { "warn" }
    }
}

/// Runs the command to its end.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let log = cli.log.check()?;
    let filter = log.filter.unwrap_or_else(|| EnvFilter::new(cli.command.default_filter()));
    telemetry::start_log(filter, log.json.unwrap_or_else(|| !std::io::stderr().is_terminal()));
    match cli.command {
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Serve(given) => serve::run(*given).await,
        Command::Sandbox(arguments) => sandbox::run(*arguments).await,
        Command::Migrate(given) => migrate::run(given).await,
        Command::Openapi => {
            openapi::run();
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn no_two_flags_are_in_each_others_way() {
        super::Cli::command().debug_assert();
    }
}
