//! `tidings execution`.

use serde_json::json;

use super::kind::{EXECUTION, REPORT};
use super::session::{Most, Numbered, Session};

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List executions
    List {
        /// Of this report only: name or id
        #[arg(long)]
        report: Option<String>,
        /// pending, ready, stored or failed
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        most: Most,
    },
    /// Show an execution
    Show(Numbered),
    /// Fetch the file of a failed execution again
    Retry(Numbered),
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { report, state, most } => {
            let report = session.id_if(&REPORT, report.as_deref()).await?;
            session.list(&EXECUTION, &[("report_id", report), ("state", state)], &most).await
        }
        Command::Show(execution) => session.show_numbered(&EXECUTION, &execution).await,
        Command::Retry(execution) => {
            let path = format!("{}/retry", execution.path(&EXECUTION));
            session.show(&session.client.post(&path, &json!({})).await?)
        }
    }
}
