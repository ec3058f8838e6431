//! The commands. Each has a file; what two of them need lies beside them.

mod apply;
mod ask;
mod client;
mod database;
mod demo;
mod given;
mod home;
mod migrate;
mod openapi;
mod reference;
mod sandbox;
pub mod say;
mod serve;
mod service;
mod signals;
mod stray;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{self, Given, GivenDatabase, GivenLog, Log};
use crate::telemetry;

/// For commands that talk by themselves: no more is logged than what is wrong, unless somebody says so.
const QUIET: &str = "warn";

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
    /// Bring accounts, queries, reports and subscriptions into line with a file; shows the plan first
    Apply(Box<apply::Arguments>),
    #[command(flatten)]
    Ask(ask::Command),
    /// Print the OpenAPI document
    Openapi,
}

/// Runs the command to its end.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let log = cli.log.check();
    match cli.command {
        Command::Serve(given) => {
            let (log, settings) = config::both(log, given.check())?;
            start_log(log, "info,sqlx::postgres::notice=warn");
            stray::warn();
            serve::run(settings).await
        }
        Command::Migrate(given) => {
            let (log, (database, home)) = config::both(log, given.check())?;
            start_log(log, QUIET);
            migrate::run(database, home).await
        }
        Command::Demo(arguments) => {
            start_log(log?, QUIET);
            demo::run(arguments).await
        }
        Command::Sandbox(arguments) => {
            start_log(log?, QUIET);
            sandbox::run(*arguments).await
        }
        Command::Apply(arguments) => {
            start_log(log?, QUIET);
            apply::run(*arguments).await
        }
        Command::Ask(command) => {
            start_log(log?, QUIET);
            ask::run(command).await
        }
        Command::Openapi => {
            start_log(log?, QUIET);
            openapi::run();
            Ok(())
        }
    }
}

fn start_log(log: Log, default_filter: &str) {
    let filter = log.filter.unwrap_or_else(|| EnvFilter::new(default_filter));
    telemetry::start_log(filter, log.json.unwrap_or_else(|| !std::io::stderr().is_terminal()));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn no_two_flags_are_in_each_others_way() {
        super::Cli::command().debug_assert();
    }

    /// A flag of a command that is called like one of all commands takes that one's value away.
    #[test]
    fn no_command_has_a_flag_that_is_called_like_one_of_all_commands() {
        let mut shared = Vec::new();
        shadowed(&super::Cli::command(), &mut Vec::new(), &mut shared);

        assert_eq!(shared, Vec::<String>::new());
    }

    fn shadowed(command: &clap::Command, global: &mut Vec<(String, Option<String>)>, shared: &mut Vec<String>) {
        let names = |arg: &clap::Arg| (arg.get_id().to_string(), arg.get_long().map(str::to_owned));
        for arg in command.get_arguments() {
            let (id, long) = names(arg);
            let is_taken = |(other, its): &(String, Option<String>)| *other == id || (long.is_some() && *its == long);
            if global.iter().any(is_taken) {
                shared.push(format!("{} {id}", command.get_name()));
            }
        }
        let above = global.len();
        global.extend(command.get_arguments().filter(|arg| arg.is_global_set()).map(names));
        command.get_subcommands().for_each(|below| shadowed(below, global, shared));
        global.truncate(above);
    }
}
