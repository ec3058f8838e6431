//! `tidings subscription`.

use anyhow::bail;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::kind::{REPORT, SUBSCRIPTION};
use super::session::{Most, Named, Session, body, some};
use crate::cli::reference;

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List subscriptions
    List(Most),
    /// Show a subscription
    Show(Named),
    /// Make a subscription; a webhook's secret is shown this once
    Add {
        /// What people call it, at most 100 characters
        name: String,
        /// email, slack, teams or webhook
        #[arg(long)]
        channel: String,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Change a subscription; what is not given stays
    Change {
        #[command(flatten)]
        subscription: Named,
        /// Its new name
        #[arg(long = "name", value_name = "NAME")]
        new_name: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Remove a subscription; what it was told stays readable
    Remove(Named),
    /// Send a message to look at, to this subscription only
    Test(Named),
    /// Stop telling, until resumed
    Pause(Named),
    /// Go on telling, also after the endpoint was gone
    Resume(Named),
}

/// Fields of a subscription.
#[derive(clap::Args, Serialize)]
pub(in crate::cli) struct Fields {
    /// The mail address, of an email channel
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip)]
    to: Option<String>,
    /// Where the address of any other channel is: env:NAME or file:PATH, or the address itself where it is no secret
    #[arg(long, value_name = "WHERE")]
    #[serde(skip)]
    endpoint: Option<String>,
    /// A kind of event, such as report.ready; may be given again; all when not given
    #[arg(long = "event", value_name = "KIND")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<String>,
    /// A report by name or id; may be given again; all when not given
    #[arg(long = "report", value_name = "REPORT")]
    #[serde(skip)]
    reports: Vec<String>,
    /// A mail address: who is told when the endpoint is gone
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    /// Whether messages show the first rows of a report: off or masked
    #[arg(long, value_name = "HOW")]
    first_rows: Option<String>,
}

pub(super) async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(most) => session.list(&SUBSCRIPTION, &[], &most).await,
        Command::Show(subscription) => session.show_named(&SUBSCRIPTION, &subscription).await,
        Command::Add { name, channel, fields } => {
            let mut body = fields.body(session, Some(channel)).await?;
            body.insert("name".into(), name.into());
            session.add(SUBSCRIPTION.path, &body).await
        }
        Command::Change { subscription, new_name, fields } => {
            let mut body = fields.body(session, None).await?;
            body.extend(new_name.map(|name| ("name".to_owned(), name.into())));
            let body = some(body)?;
            session.change(&session.path(&SUBSCRIPTION, &subscription).await?, &body).await
        }
        Command::Remove(subscription) => session.remove(&SUBSCRIPTION, &subscription).await,
        Command::Test(subscription) => session.act(&SUBSCRIPTION, &subscription, "test").await,
        Command::Pause(subscription) => session.act(&SUBSCRIPTION, &subscription, "pause").await,
        Command::Resume(subscription) => session.act(&SUBSCRIPTION, &subscription, "resume").await,
    }
}

impl Fields {
    async fn body(&self, session: &Session, channel: Option<String>) -> anyhow::Result<Map<String, Value>> {
        let mut body = body(self)?;
        let parts = [("channel", channel), ("to", self.to.clone()), ("url", self.endpoint.clone())];
        let endpoint: Map<String, Value> =
            parts.into_iter().filter_map(|(part, value)| Some((part.to_owned(), value?.into()))).collect();
        if !endpoint.is_empty() {
            body.insert("endpoint".into(), endpoint.into());
        }
        if let Some((field, message)) = reference::resolve(&mut body, std::path::Path::new("")).pop() {
            bail!("{field}: {message}");
        }
        let mut reports = Vec::new();
        for report in &self.reports {
            reports.push(session.id(&REPORT, report).await?);
        }
        if !reports.is_empty() {
            body.insert("report_ids".into(), json!(reports));
        }
        Ok(body)
    }
}
