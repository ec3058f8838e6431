//! `tidings key`.

use serde_json::json;

use super::kind::KEY;
use super::session::{Most, Named, Session};

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List keys
    List(Most),
    /// Make a key; it is shown this once
    Add {
        /// What its owner calls it
        name: String,
        /// What it allows: read, write (reads too) or admin (does everything)
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
    },
    /// End a key, and the dashboard sessions that it opened
    Remove(Named),
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(most) => session.list(&KEY, &[], &most).await,
        Command::Add { name, scopes } => {
            session.show(&session.client.post(KEY.path, &json!({ "name": name, "scopes": scopes })).await?)
        }
        Command::Remove(key) => session.remove(&KEY, &key).await,
    }
}
