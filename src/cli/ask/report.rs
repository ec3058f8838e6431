//! `tidings report`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::kind::{ACCOUNT, REMOTE_REPORT, REPORT};
use super::query::Owner;
use super::session::{Most, Named, Session, body, some};
use super::show::Form;
use crate::cli::given;

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List reports
    List {
        /// Of this account only: name or id
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        most: Most,
    },
    /// Show a report
    Show(Named),
    /// Make a report; it is a draft at once and registered soon
    #[command(group = clap::ArgGroup::new("asks").required(true).args(["query", "select"]))]
    Add {
        /// Unique within the account, at most 256 characters, no ";"
        name: String,
        #[command(flatten)]
        owner: Owner,
        /// A query by name, Account/Query or id, or else give --select
        #[arg(long)]
        query: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
        /// Once, at once; then no start and no interval
        #[arg(long)]
        execute_now: bool,
        /// With --execute-now: where the data begins
        #[arg(long, value_name = "TIME", value_parser = given::time, requires = "execute_now")]
        query_start_at: Option<DateTime<Utc>>,
        /// With --execute-now: where the data ends
        #[arg(long, value_name = "TIME", value_parser = given::time, requires = "execute_now")]
        query_end_at: Option<DateTime<Utc>>,
    },
    /// Change a report; what is not given stays
    Change {
        #[command(flatten)]
        report: Named,
        /// Its new name
        #[arg(long = "name", value_name = "NAME")]
        new_name: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Retire a report: deleted there, its files stay here
    Retire(Named),
    /// Stop a report from running
    Pause(Named),
    /// Let a paused report run again, or try a rejected one again
    Resume(Named),
    /// Ask the API now whether there is something new
    Check(Named),
    /// How the API's report is not as it shall be
    Drift {
        #[command(flatten)]
        report: Named,
        /// Ask the API now, instead of telling what the last daily comparison found
        #[arg(long)]
        fresh: bool,
    },
    /// Make the API's report as it shall be
    Mend(Named),
    /// What reports the API has for an account
    There(Owner),
    /// Take over a report that the API has
    Adopt {
        /// Its id at the API, as `tidings report there` shows it
        remote_id: String,
        #[command(flatten)]
        owner: Owner,
        /// What it shall be called; as there when not given
        #[arg(long)]
        name: Option<String>,
        /// Show what would change there, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Fields of a report.
#[derive(clap::Args, Serialize)]
pub(in crate::cli) struct Fields {
    /// The text of its query
    #[arg(long, value_name = "TEXT")]
    #[serde(rename = "query")]
    select: Option<String>,
    /// At most 256 characters
    #[arg(long)]
    description: Option<String>,
    /// Hours between runs: 4 to 2160
    #[arg(long, value_name = "HOURS")]
    interval_hours: Option<i32>,
    /// The first run, at least four hours ahead, such as 2026-01-05T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = given::time)]
    start_at: Option<DateTime<Utc>>,
    /// How many runs; for ever when not given
    #[arg(long, value_name = "COUNT")]
    occurrences: Option<i32>,
    /// No run after this
    #[arg(long, value_name = "TIME", value_parser = given::time)]
    end_at: Option<DateTime<Utc>>,
    /// Whether it is made anew when its runs are used up
    #[arg(long, value_name = "BOOL")]
    recreate: Option<bool>,
    /// Hours after which a report that has not come is late: 1 to 2160; 2 when not given
    #[arg(long, value_name = "HOURS")]
    grace_hours: Option<i32>,
    /// csv or tsv
    #[arg(long)]
    format: Option<String>,
    /// POST or GET
    #[arg(long, value_name = "METHOD")]
    callback_method: Option<String>,
}

#[derive(Serialize)]
struct Once {
    execute_now: Option<bool>,
    query_start_at: Option<DateTime<Utc>>,
    query_end_at: Option<DateTime<Utc>>,
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { account, most } => {
            let account = session.id_if(&ACCOUNT, account.as_deref()).await?;
            session.list(&REPORT, &[("account_id", account)], &most).await
        }
        Command::Show(report) => session.show_named(&REPORT, &report).await,
        Command::Add { name, owner, query, fields, execute_now, query_start_at, query_end_at } => {
            let mut new = body(&fields)?;
            new.extend(body(&Once { execute_now: execute_now.then_some(true), query_start_at, query_end_at })?);
            add(session, &name, &owner, query.as_deref(), new).await
        }
        Command::Change { report, new_name, fields } => {
            let mut body = body(&fields)?;
            body.extend(new_name.map(|name| ("name".to_owned(), name.into())));
            let body = some(body)?;
            session.change(&session.path(&REPORT, &report).await?, &body).await
        }
        Command::Retire(report) => {
            session.client.delete(&session.path(&REPORT, &report).await?).await?;
            session.done(&format!("The report \"{}\" is retired; its files stay.", report.name()));
            Ok(())
        }
        Command::Pause(report) => session.act(&REPORT, &report, "pause").await,
        Command::Resume(report) => session.act(&REPORT, &report, "resume").await,
        Command::Check(report) => check(session, &report).await,
        Command::Mend(report) => session.act(&REPORT, &report, "mend").await,
        Command::Drift { report, fresh } => drift(session, &report, fresh).await,
        Command::There(owner) => {
            let path = format!("{}/{}/{}", ACCOUNT.path, owner.id(session).await?, REPORT.path);
            session.items(&REMOTE_REPORT, &session.client.list::<Value>(&path).await?)
        }
        Command::Adopt { remote_id, owner, name, dry_run } => adopt(session, &remote_id, &owner, name, dry_run).await,
    }
}

async fn add(
    session: &Session,
    name: &str,
    owner: &Owner,
    query: Option<&str>,
    mut body: Map<String, Value>,
) -> anyhow::Result<()> {
    body.insert("name".into(), name.into());
    let account = match query {
        Some(query) => {
            let (account, query) = owner.query(session, query).await?;
            body.insert("query_id".into(), query.into());
            account
        }
        None => owner.id(session).await?,
    };
    body.insert("account_id".into(), account.into());
    session.add(REPORT.path, &body).await
}

async fn check(session: &Session, report: &Named) -> anyhow::Result<()> {
    let path = session.path(&REPORT, report).await?;
    let answer: Value = session.client.post(&format!("{path}/check"), &json!({})).await?;
    if session.form == Form::Json {
        return session.show(&answer);
    }
    let name = report.name();
    session.done(&format!("It is asked for now; see `tidings execution list --report \"{name}\"` in a moment."));
    Ok(())
}

async fn drift(session: &Session, report: &Named, fresh: bool) -> anyhow::Result<()> {
    let path = session.path(&REPORT, report).await?;
    let drift: Value = session.client.get(&format!("{path}/drift?fresh={fresh}")).await?;
    let name = report.name();
    match (drift["differences"].as_array().is_none_or(Vec::is_empty), drift["checked_at"].as_str()) {
        _ if session.form == Form::Json => return session.show(&drift),
        (true, _) if drift["not_compared"].is_string() => {
            let why = drift["not_compared"].as_str().unwrap_or_default();
            session.done(&format!("The report \"{name}\" could not be compared now: {why}."));
        }
        (true, None) => session.done(&format!("The report \"{name}\" was never compared; --fresh compares it now.")),
        (true, Some(at)) => session.done(&format!("The report \"{name}\" is as it shall be, compared {at}.")),
        (false, _) => return session.show(&drift),
    }
    Ok(())
}

async fn adopt(
    session: &Session,
    remote_id: &str,
    owner: &Owner,
    name: Option<String>,
    dry_run: bool,
) -> anyhow::Result<()> {
    let is_id = !remote_id.is_empty() && remote_id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    anyhow::ensure!(is_id, "\"{remote_id}\" is no id of a report; `tidings report there` shows them");
    let path = format!("{}/{}/{}/{remote_id}/adopt", ACCOUNT.path, owner.id(session).await?, REPORT.path);
    session.show(&session.client.post(&path, &json!({ "name": name, "dry_run": dry_run })).await?)
}
