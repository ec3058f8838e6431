//! Doing what the plan says, one step after the other. What is done stays done: the next run of the same command finds it
//! and goes on behind it.

use anyhow::Context;
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::plan::{Act, Step};
use super::settle;
use super::show::Show;
use super::wanted::{Ids, Kind, Wanted};
use crate::cli::client::{Client, Failed, refused};

/// What a run needs.
pub(super) struct Run<'a> {
    pub(super) client: &'a Client,
    pub(super) wanted: &'a [Wanted],
    pub(super) ids: Ids,
    pub(super) now: DateTime<Utc>,
}

impl Run<'_> {
    /// Performs the steps up to the first that fails, and waits for the reports of the file.
    pub(super) async fn all(&mut self, steps: &[Step], show: &mut Show) -> anyhow::Result<()> {
        let mut touched = Vec::new();
        let todo: Vec<&Step> = steps.iter().filter(|step| step.act.does_something()).collect();
        for (done, step) in todo.iter().enumerate() {
            let answer = self.one(step).await;
            let answer = answer.map_err(|error| stopped(error, step, &format!("{done} of {} steps", todo.len())))?;
            show.done(step, &answer);
            // What is removed has no answer.
            touched.extend(answer["id"].as_str().filter(|_| step.name.kind == Kind::Report).map(str::to_owned));
        }
        let reports = self.wanted.iter().filter(|wanted| wanted.name.kind == Kind::Report);
        let of_file: Vec<&String> = reports.filter_map(|wanted| self.ids.get(&wanted.name)).collect();
        settle::wait(self.client, &of_file, &touched, show).await
    }

    async fn one(&mut self, step: &Step) -> anyhow::Result<Value> {
        let name = &step.name;
        let path = name.path(&self.ids).with_context(|| format!("the account of the {name} is not there"))?;
        match &step.act {
            Act::Create { wanted } => {
                let mut body = self.wanted[*wanted].body(&self.ids, self.now).context("what it names is not there")?;
                if name.kind == Kind::Subscription {
                    // The names of all others are unique anyhow.
                    body.insert("unique_name".into(), true.into());
                }
                let made: Value = self.client.post(&path, &json!(body)).await?;
                let id = made["id"].as_str().context("the service gave it no id")?;
                self.ids.insert(name.clone(), id.to_owned());
                Ok(made)
            }
            Act::Change { id, body, wanted, .. } => {
                // The ids of what was made in this run are known only now.
                let whole = self.wanted[*wanted].body(&self.ids, self.now).context("what it names is not there")?;
                let mut body = body.clone();
                body.extend(whole.get("report_ids").map(|ids| ("report_ids".to_owned(), ids.clone())));
                self.client.patch(&format!("{path}/{id}"), &json!(body)).await
            }
            Act::Retry { id, .. } => self.client.post(&format!("{path}/{id}/resume"), &json!({})).await,
            Act::Remove { id } => self.client.delete(&format!("{path}/{id}")).await.map(|()| Value::Null),
            Act::Keep { .. } | Act::Leave { .. } => Ok(Value::Null),
        }
    }
}

/// Why the run ends at a step, and what to do about it. A name that was free when the plan was made is taken by whoever made
/// the same meanwhile, such as this command run twice.
fn stopped(error: anyhow::Error, step: &Step, done: &str) -> anyhow::Error {
    let is_taken = matches!(error.downcast_ref::<Failed>(), Some(Failed::Refused(refusal))
        if refusal.fields().any(|(field, text)| field == "name" && text.contains("taken")));
    let next = if is_taken {
        "somebody else made it since this run began; the same command run again compares it with the file"
    } else if refused(&error) == Some(StatusCode::CONFLICT) {
        "it is not as it was when this run began; the same command run again looks anew"
    } else {
        "mend what is wrong and run the same command again, it goes on from here"
    };
    error.context(format!("{} was not {}; {done} are done and stay so: {next}", step.name, step.act.done()))
}
