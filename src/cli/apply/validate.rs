//! Having the service say what is wrong with what the file asks for, before any of it is done, and what it would cost.
//!
//! What is not there yet is checked as far as it can be: of an account that is still to be made nobody knows the datasets.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::plan::Planner;
use super::problem::Problems;
use super::there::Thing;
use super::wanted::{Kind, Name, Wanted};
use crate::cli::client::Failed;

/// In the place of an account that is not there yet.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

#[derive(Deserialize)]
struct Valid {
    warnings: Vec<String>,
}

impl Planner<'_> {
    /// Has what shall be made checked.
    pub(super) async fn validate(&self, wanted: &Wanted, problems: &mut Problems) -> anyhow::Result<()> {
        let at = match wanted.name.kind {
            Kind::Account => "accounts".to_owned(),
            Kind::Query => format!("accounts/{}/queries", self.account(wanted)),
            Kind::Report => "reports".to_owned(),
            Kind::Subscription => "subscriptions".to_owned(),
        };
        self.ask(&at, wanted, &self.trial(wanted), problems).await.map(drop)
    }

    /// Has a change checked, and tells what it would cost.
    pub(super) async fn validate_change(
        &self,
        wanted: &Wanted,
        thing: &Thing,
        change: &Map<String, Value>,
        problems: &mut Problems,
    ) -> anyhow::Result<Vec<String>> {
        let at = match wanted.name.kind {
            Kind::Query => format!("accounts/{}/queries/{}", self.account(wanted), thing.id),
            Kind::Report => format!("reports/{}", thing.id),
            // They were checked when they were compared.
            Kind::Account | Kind::Subscription => return Ok(Vec::new()),
        };
        self.ask(&at, wanted, change, problems).await
    }

    /// Notes what the service says is wrong; any other failure stays one.
    pub(super) fn note<T>(
        &self,
        wanted: &Wanted,
        answer: anyhow::Result<T>,
        problems: &mut Problems,
    ) -> anyhow::Result<Option<T>> {
        let error = match answer {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) => error,
        };
        let Some(Failed::Refused(refusal)) = error.downcast_ref::<Failed>() else { return Err(error) };
        if refusal.fields().next().is_none() {
            return Err(error);
        }
        for (field, message) in refusal.fields() {
            if let Some(field) = self.in_file(wanted, field) {
                problems.add(wanted.line, &format!("{}.{field}", wanted.place), message);
            }
        }
        Ok(None)
    }

    async fn ask(
        &self,
        at: &str,
        wanted: &Wanted,
        body: &Map<String, Value>,
        problems: &mut Problems,
    ) -> anyhow::Result<Vec<String>> {
        let answer = self.client.post::<Valid>(&format!("{at}/validate"), &json!(body)).await;
        let valid = self.note(wanted, answer, problems)?;
        Ok(valid.map(|valid| valid.warnings).unwrap_or_default())
    }

    /// What it will be made with, as far as that is known.
    fn trial(&self, wanted: &Wanted) -> Map<String, Value> {
        if let Some(body) = wanted.body(self.ids, self.now).filter(|_| !self.changes_query(wanted)) {
            return body;
        }
        let mut body = wanted.begun(self.now);
        if wanted.name.kind == Kind::Report {
            body.insert("account_id".into(), self.account(wanted).into());
        }
        if let Some(text) = wanted.query.as_ref().and_then(|query| self.query_text(query)) {
            body.insert("query".into(), text.into());
        }
        body
    }

    /// Whether the query that a report names is in the file, and so may be another one than is there.
    fn changes_query(&self, wanted: &Wanted) -> bool {
        let mut in_file = self.wanted.iter().map(|other| &other.name).chain(self.unread);
        wanted.query.as_ref().is_some_and(|query| in_file.any(|name| name == query))
    }

    fn account(&self, wanted: &Wanted) -> &str {
        let account = wanted.name.account.as_deref().map(Name::account);
        account.and_then(|account| self.ids.get(&account)).map_or(NOBODY, String::as_str)
    }

    /// What a field of the admin API is called in the file; nothing where it is told elsewhere.
    fn in_file<'a>(&self, wanted: &Wanted, field: &'a str) -> Option<&'a str> {
        match (wanted.name.kind, field) {
            (Kind::Report, "query") if self.changes_query(wanted) => None,
            (Kind::Report, "query") if wanted.query.is_none() => Some("select"),
            (Kind::Report, "query_id") => Some("query"),
            (Kind::Report, "account_id") => Some("account"),
            (Kind::Subscription, "report_ids") => Some("reports"),
            (_, field) => Some(field),
        }
    }
}
