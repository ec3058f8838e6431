//! Parses the command line, runs the command, prints what went wrong: exit code 0 done, 1 failed, 2 wrong use.

use std::process::ExitCode;

use clap::Parser;
use tidings::cli::{self, Cli};

/// After so many turns of tasks sockets are looked at, four times as often as usual: an answer of Postgres, for which a whole
/// batch of callers waits, does not stand behind a crowd of new ones.
const TURNS: u32 = 16;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().event_interval(TURNS).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => {
            cli::say::failure(&anyhow::Error::new(error).context("failed to start threads"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    match Box::pin(cli::run(Cli::parse())).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<clap::Error>() {
            Some(wrong_use) => wrong_use.exit(),
            None => {
                cli::say::failure(&error);
                ExitCode::FAILURE
            }
        },
    }
}
