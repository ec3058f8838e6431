//! `tidings event`.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use super::kind::{EVENT, REPORT};
use super::session::{Most, Session};
use super::show::Form;
use crate::cli::{client, say};
use crate::retry::Backoff;

const PAUSE: Duration = Duration::from_secs(1);
/// How a service that is away is asked for.
const AWAY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

/// Events by their numbers, from wherever the reader is.
struct Feed<'a> {
    session: &'a Session,
    seq: i64,
}

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
    /// Print events as they happen, until ^C; none is missed, also where the service is away for a while
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
    // An address that nobody was ever at is wrong, and not waited for.
    let newest = newest(session).await?;
    if let Some(seq) = after.filter(|seq| *seq > newest) {
        say::aside(&format!("the newest event is {newest}; what comes behind {seq} is waited for"));
    }
    let mut feed = Feed { session, seq: after.unwrap_or(newest) };
    loop {
        let events = feed.next().await?;
        for event in &events {
            feed.seq = event["seq"].as_i64().unwrap_or(feed.seq);
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

impl Feed<'_> {
    /// What comes next, possibly nothing yet. A service that is away is waited for; one that refuses is not.
    async fn next(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut failures = 0;
        loop {
            let answer = self.session.client.list(&format!("events?after={}&limit=200", self.seq)).await;
            match answer {
                Err(error) if client::passes(&error) => {
                    if failures == 0 {
                        say::aside(&format!("reconnecting, to go on behind event {}: {error}", self.seq));
                    }
                    failures += 1;
                    tokio::time::sleep(AWAY.wait(failures)).await;
                }
                answer => {
                    if failures > 0 && answer.is_ok() {
                        say::aside(&format!("connected again, going on behind event {}", self.seq));
                    }
                    return answer;
                }
            }
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
