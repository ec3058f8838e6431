//! What all commands that ask have in common: the way to the service, finding by name or id, and showing.

use anyhow::bail;
use clap::error::ErrorKind;
use reqwest::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::kind::{ACCOUNT, Kind, REPORT};
use super::name::{Candidate, Found, found};
use super::show::Form;
use crate::cli::client::{Client, refused};
use crate::cli::{given, reference, say};
use crate::config::GivenReach;

/// A command with the way to the service.
#[derive(clap::Args)]
pub(in crate::cli) struct Asked<C: clap::Subcommand> {
    #[command(flatten)]
    pub(super) reached: Reached,
    #[command(subcommand)]
    pub(super) command: C,
}

/// The way to the service.
#[derive(clap::Args)]
pub(in crate::cli) struct Reached {
    /// Print the answer as JSON; else lists have headings on a terminal, and tabs without headings in a pipe
    #[arg(long, global = true, display_order = 80)]
    json: bool,
    #[command(flatten)]
    reach: GivenReach,
}

/// One thing by what it is called.
#[derive(clap::Args)]
pub(in crate::cli) struct Named {
    /// Its name or id; of reports and queries Account/Name, too
    name: String,
}

/// One thing that has no name.
#[derive(clap::Args)]
pub(in crate::cli) struct Numbered {
    /// Its id
    #[arg(value_parser = given::id)]
    id: Uuid,
}

/// How much of a list.
#[derive(clap::Args)]
pub(in crate::cli) struct Most {
    /// How many at most, newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    limit: u16,
}

/// A client and how its answers are shown.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) form: Form,
}

impl Reached {
    pub(super) fn session(self) -> anyhow::Result<Session> {
        Ok(Session { client: Client::reach(self.reach.check()?)?, form: Form::of_output(self.json) })
    }
}

impl Session {
    /// Shows one thing.
    pub(super) fn show(&self, value: &Value) -> anyhow::Result<()> {
        say::line(&self.form.one(value)?);
        Ok(())
    }

    /// Shows a list, narrowed by what is given of `filters`.
    pub(super) async fn list(
        &self,
        kind: &Kind,
        filters: &[(&str, Option<String>)],
        most: &Most,
    ) -> anyhow::Result<()> {
        self.list_in(kind, kind.path, filters, most).await
    }

    /// Shows the list at `path`.
    pub(super) async fn list_in(
        &self,
        kind: &Kind,
        path: &str,
        filters: &[(&str, Option<String>)],
        most: &Most,
    ) -> anyhow::Result<()> {
        let given = filters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
        let items: Vec<Value> = self.client.newest(&format!("{path}?{query}"), usize::from(most.limit)).await?;
        self.items(kind, &items)
    }

    /// Shows items.
    pub(super) fn items(&self, kind: &Kind, items: &[Value]) -> anyhow::Result<()> {
        if items.is_empty() && self.form == Form::Terminal {
            say::line("There are none.");
        } else if !items.is_empty() || self.form == Form::Json {
            say::line(&self.form.list(kind, items)?);
        }
        Ok(())
    }

    /// What is called so. Reports are found as `Account/Report`, too.
    pub(super) async fn find(&self, kind: &Kind, text: &str) -> anyhow::Result<Value> {
        if let Some(one) = self.with_id(kind, text).await? {
            return Ok(one);
        }
        let accounts = if kind.word == REPORT.word { self.accounts().await? } else { Vec::new() };
        let all: Vec<Value> = self.client.all(kind.path).await?;
        let account = |one: &Value| accounts.iter().find(|(id, _)| one["account_id"] == id.as_str());
        let all = all.into_iter().map(|is| Candidate { account: account(&is).map(|(_, name)| name.clone()), is });
        match found(all.collect(), text) {
            Found::One(one) => Ok(one),
            Found::None => {
                bail!("there is no {word} \"{text}\"; `tidings {word} list` shows those there are", word = kind.word)
            }
            Found::Several(which) => bail!("several are called \"{text}\"; give the id of one: {which}"),
        }
    }

    /// What has this id, if it is one. A name may look like an id, and of some kinds one alone can't be asked for.
    async fn with_id(&self, kind: &Kind, text: &str) -> anyhow::Result<Option<Value>> {
        let Ok(id) = text.trim().parse::<Uuid>() else { return Ok(None) };
        match self.client.get(&format!("{}/{id}", kind.path)).await {
            Err(error) if matches!(refused(&error), Some(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)) => {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// The ids and names of all accounts.
    pub(super) async fn accounts(&self) -> anyhow::Result<Vec<(String, String)>> {
        let accounts: Vec<Value> = self.client.all(ACCOUNT.path).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(accounts.iter().map(|account| (text(&account["id"]), text(&account["name"]))).collect())
    }

    /// All in the list at `path`, which is an account's.
    pub(super) async fn of_account(&self, path: &str, account: &str) -> anyhow::Result<Vec<Candidate>> {
        let all: Vec<Value> = self.client.all(path).await?;
        Ok(all.into_iter().map(|is| Candidate { account: Some(account.to_owned()), is }).collect())
    }

    /// The id of what is called so.
    pub(super) async fn id(&self, kind: &Kind, text: &str) -> anyhow::Result<String> {
        Ok(self.find(kind, text).await?["id"].as_str().unwrap_or_default().to_owned())
    }

    /// The id of what may be called so.
    pub(super) async fn id_if(&self, kind: &Kind, text: Option<&str>) -> anyhow::Result<Option<String>> {
        match text {
            Some(text) => self.id(kind, text).await.map(Some),
            None => Ok(None),
        }
    }

    /// Where the admin API has what is called so.
    pub(super) async fn path(&self, kind: &Kind, named: &Named) -> anyhow::Result<String> {
        Ok(format!("{}/{}", kind.path, self.id(kind, &named.name).await?))
    }

    /// Shows what is called so.
    pub(super) async fn show_named(&self, kind: &Kind, named: &Named) -> anyhow::Result<()> {
        self.show(&self.find(kind, &named.name).await?)
    }

    /// Shows what has this id.
    pub(super) async fn show_numbered(&self, kind: &Kind, numbered: &Numbered) -> anyhow::Result<()> {
        self.show(&self.client.get(&numbered.path(kind)).await?)
    }

    /// Has something done with what is called so, and shows what came of it.
    pub(super) async fn act(&self, kind: &Kind, named: &Named, verb: &str) -> anyhow::Result<()> {
        let path = self.path(kind, named).await?;
        self.show(&self.client.post(&format!("{path}/{verb}"), &json!({})).await?)
    }

    /// Makes one at `path`, and shows it.
    pub(super) async fn add(&self, path: &str, body: &Map<String, Value>) -> anyhow::Result<()> {
        self.show(&self.client.post(path, &json!(body)).await?)
    }

    /// Changes what is at `path`, and shows it.
    pub(super) async fn change(&self, path: &str, body: &Map<String, Value>) -> anyhow::Result<()> {
        self.show(&self.client.patch(path, &json!(body)).await?)
    }

    /// Removes what is called so.
    pub(super) async fn remove(&self, kind: &Kind, named: &Named) -> anyhow::Result<()> {
        let path = self.path(kind, named).await?;
        self.client.delete(&path).await?;
        self.done(&format!("The {} \"{}\" is removed.", kind.word, named.name));
        Ok(())
    }

    /// Says that something is done, to people.
    pub(super) fn done(&self, text: &str) {
        if self.form != Form::Json {
            say::line(&say::clean(text));
        }
    }
}

impl Named {
    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl Numbered {
    /// Where the admin API has it.
    pub(super) fn path(&self, kind: &Kind) -> String {
        format!("{}/{}", kind.path, self.id)
    }
}

/// The body of a change, in which something must be given: to change nothing is nobody's wish.
pub(super) fn some(body: Map<String, Value>) -> anyhow::Result<Map<String, Value>> {
    if body.is_empty() {
        let told = "nothing is to be changed: give an option that says what; --help shows them\n";
        return Err(clap::Error::raw(ErrorKind::MissingRequiredArgument, told).into());
    }
    Ok(body)
}

/// The body that typed fields make: those that were given, secrets read where they are.
pub(super) fn body(fields: &impl Serialize) -> anyhow::Result<Map<String, Value>> {
    let Value::Object(mut body) = serde_json::to_value(fields)? else { bail!("fields make an object") };
    body.retain(|_, value| !value.is_null());
    let wrong = reference::resolve(&mut body, std::path::Path::new(""));
    let wrong: Vec<String> = wrong.into_iter().map(|(field, message)| format!("{field}: {message}")).collect();
    if wrong.is_empty() { Ok(body) } else { bail!("{}", wrong.join("\n  ")) }
}
