//! Parses the command line, runs the command, prints what went wrong: exit code 0 done, 1 failed, 2 wrong use.

use std::process::ExitCode;

use clap::Parser;
use tidings::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
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
