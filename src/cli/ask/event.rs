//! `tidings event`.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use super::kind::{EVENT, REPORT};
use super::session::{Most, Session};
use super::show::Form;

const PAUSE: Duration = Duration::from_secs(1);

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List events
    List {
        /// Of this kind only, such as report.ready
        #[arg(long)]
        kind: Option<String>,
        /// Of this report only: name or id
        #[arg(long)]
        report: Option<String>,
        #[command(flatten)]
        most: Most,
    },
    /// Print events as they happen, until ^C; none is missed
    Follow {
        /// Begin behind the event with this number; with what happens next when not given
        #[arg(long, value_name = "SEQ")]
        after: Option<i64>,
    },
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { kind, report, most } => {
            let report = session.id_if(&REPORT, report.as_deref()).await?;
            session.list(&EVENT, &[("kind", kind), ("report_id", report)], &most).await
        }
        Command::Follow { after } => follow(session, after).await,
    }
}

async fn follow(session: &Session, after: Option<i64>) -> anyhow::Result<()> {
    let mut seq = match after {
        Some(seq) => seq,
        None => newest(session).await?,
    };
    loop {
        let events: Vec<Value> = session.client.list(&format!("events?after={seq}&limit=200")).await?;
        for event in &events {
            seq = event["seq"].as_i64().unwrap_or(seq);
            // A reader who has gone wants no more.
            if writeln!(std::io::stdout().lock(), "{}", line(session.form, event)?).is_err() {
                return Ok(());
            }
        }
        if events.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The highest number there is. The newest event may have none for a moment.
async fn newest(session: &Session) -> anyhow::Result<i64> {
    let newest: Vec<Value> = session.client.list("events?limit=50").await?;
    Ok(newest.iter().filter_map(|event| event["seq"].as_i64()).max().unwrap_or(0))
}

/// One line for each event: a program reads them one by one.
fn line(form: Form, event: &Value) -> serde_json::Result<String> {
    match form {
        Form::Json => serde_json::to_string(event),
        Form::Plain | Form::Terminal => Form::Plain.list(&EVENT, std::slice::from_ref(event)),
    }
}
