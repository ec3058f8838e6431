//! `tidings callback`.

use super::kind::{CALLBACK, REPORT};
use super::session::{Most, Numbered, Session};

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List callbacks
    List {
        /// Of this report only: name or id
        #[arg(long)]
        report: Option<String>,
        #[command(flatten)]
        most: Most,
    },
    /// Show a callback, whole
    Show(Numbered),
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { report, most } => {
            let report = session.id_if(&REPORT, report.as_deref()).await?;
            session.list(&CALLBACK, &[("report_id", report)], &most).await
        }
        Command::Show(callback) => session.show_numbered(&CALLBACK, &callback).await,
    }
}
