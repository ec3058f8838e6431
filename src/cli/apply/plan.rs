//! What has to be done so that everything in the file is there, found out without changing anything.
//!
//! Who asks for the plan knows no stored secret: whether one differs is told by the service. A name is an identity: what is
//! called otherwise is another thing.

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::problem::Problems;
use super::there::{There, Thing};
use super::wanted::{Ids, Kind, Name, Wanted};
use crate::cli::client::Client;
use crate::cli::reference::SECRETS;
use crate::report::next_start;

/// What stays as it was made.
const FIXED: [(Kind, &str); 4] = [
    (Kind::Account, "program"),
    (Kind::Report, "execute_now"),
    (Kind::Report, "query_start_at"),
    (Kind::Report, "query_end_at"),
];

/// One thing, and what is to be done with it.
#[derive(Serialize)]
pub(super) struct Step {
    #[serde(flatten)]
    pub(super) name: Name,
    #[serde(flatten)]
    pub(super) act: Act,
}

/// What is to be done.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub(super) enum Act {
    /// Made; its body is put together when what it names has its ids.
    Create {
        #[serde(skip)]
        wanted: usize,
    },
    /// Changed.
    Change {
        id: String,
        changes: Vec<FieldChange>,
        /// What it costs, such as a run that will not happen.
        warnings: Vec<String>,
        #[serde(skip)]
        wanted: usize,
        #[serde(skip)]
        body: Map<String, Value>,
    },
    /// It is as it shall be; something may be wrong with it all the same.
    Keep {
        id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        concern: Option<String>,
    },
    /// Asked for once more: Microsoft refused it.
    Retry { id: String, refused: String },
    /// Removed; a report is retired.
    Remove { id: String },
    /// It is not in the file and stays, for this reason.
    Leave { id: String, because: &'static str },
}

/// One field that changes. Secrets are not shown.
#[derive(Serialize)]
pub(super) struct FieldChange {
    pub(super) field: String,
    pub(super) old: String,
    pub(super) new: String,
}

#[derive(Deserialize)]
struct Compared {
    differs: Vec<String>,
}

/// What the plan is made from.
pub(super) struct Planner<'a> {
    pub(super) client: &'a Client,
    pub(super) there: &'a There,
    pub(super) ids: &'a Ids,
    pub(super) wanted: &'a [Wanted],
    /// What is in the file too, and could not be read.
    pub(super) unread: &'a [Name],
    pub(super) now: DateTime<Utc>,
}

impl Planner<'_> {
    /// The steps for what is in the file. What is known to be wrong is not asked about once more.
    pub(super) async fn steps(&self, problems: &mut Problems) -> anyhow::Result<Vec<Step>> {
        let mut steps = Vec::new();
        for (number, wanted) in self.wanted.iter().enumerate() {
            if problems.is_about(&wanted.place) {
                continue;
            }
            let act = match self.there.named(&wanted.name) {
                [] => {
                    let valid = self.validate(wanted, problems).await;
                    valid.with_context(|| format!("failed to check {} (line {})", wanted.name, wanted.line))?;
                    Act::Create { wanted: number }
                }
                [thing] => {
                    let compared = self.compare(number, wanted, thing, problems).await;
                    compared.with_context(|| format!("failed to compare {} (line {})", wanted.name, wanted.line))?
                }
                several => {
                    let ids: Vec<&str> = several.iter().map(|thing| thing.id.as_str()).collect();
                    let message = format!("the service has {} of that name: {}", ids.len(), ids.join(", "));
                    problems.add(wanted.line, &wanted.place, &message);
                    continue;
                }
            };
            steps.push(Step { name: wanted.name.clone(), act });
        }
        Ok(steps)
    }

    async fn compare(
        &self,
        number: usize,
        wanted: &Wanted,
        thing: &Thing,
        problems: &mut Problems,
    ) -> anyhow::Result<Act> {
        let (differs, full) = match wanted.name.kind {
            Kind::Account | Kind::Subscription => {
                let asked = self.asked(wanted, thing).await;
                self.note(wanted, asked, problems)?.unwrap_or_default()
            }
            Kind::Query => (query_differs(wanted, thing), wanted.fields.clone()),
            Kind::Report => self.report_differs(wanted, thing),
        };
        if differs.is_empty() {
            return Ok(kept(&wanted.name, thing));
        }
        let id = thing.id.clone();
        let fixed = differs.iter().filter(|field| FIXED.contains(&(wanted.name.kind, field.as_str())));
        for field in fixed.clone() {
            let message =
                format!("can't be changed once the {} is made; give the new one another name", wanted.name.kind);
            problems.add(wanted.line, &format!("{}.{field}", wanted.place), &message);
        }
        let is_fixed = fixed.count() > 0;
        let changes = differs.iter().map(|field| self.change(field, wanted, thing, &full)).collect();
        let top = |field: &String| field.split('.').next().unwrap_or_default().to_owned();
        let changed: Vec<String> = differs.iter().map(top).collect();
        let body = full.into_iter().filter(|(field, _)| changed.contains(field)).collect();
        let warnings = if is_fixed { Vec::new() } else { self.validate_change(wanted, thing, &body, problems).await? };
        Ok(Act::Change { id, changes, warnings, wanted: number, body })
    }

    /// The service compares what it alone knows.
    async fn asked(&self, wanted: &Wanted, thing: &Thing) -> anyhow::Result<(Vec<String>, Map<String, Value>)> {
        let whole = wanted.body(self.ids, self.now);
        let reports_are_new = whole.is_none();
        let body = whole.unwrap_or_else(|| wanted.fields.clone());
        let path = wanted.name.path(self.ids).context("its account is not there")?;
        let asked = json!(body);
        let mut compared: Compared = self.client.post(&format!("{path}/{}/compare", thing.id), &asked).await?;
        if reports_are_new {
            compared.differs.push("report_ids".into());
        }
        Ok((compared.differs, body))
    }

    fn report_differs(&self, wanted: &Wanted, thing: &Thing) -> (Vec<String>, Map<String, Value>) {
        let mut full = wanted.fields.clone();
        if let Some(text) = wanted.query.as_ref().and_then(|query| self.query_text(query)) {
            full.insert("query".into(), text.into());
        }
        let query_id = wanted.query.as_ref().and_then(|query| self.ids.get(query));
        let same_query = query_id.is_some_and(|id| thing.fields["query_id"] == id.as_str());
        if let Some(start) = wanted.start_at {
            let hours = full.get("interval_hours").unwrap_or(&thing.fields["interval_hours"]).as_i64();
            full.insert("start_at".into(), self.start(start, &thing.fields["start_at"], hours));
        }
        let differs = full.iter().filter(|(field, new)| match field.as_str() {
            "query" => !same_query && thing.fields["query"].as_str().map(str::trim) != new.as_str().map(str::trim),
            _ => thing.fields[field.as_str()] != **new,
        });
        (differs.map(|(field, _)| field.clone()).collect(), full)
    }

    /// The start that a report shall have: the one that it has, if that is of the same rhythm and the file asks for no later
    /// one.
    fn start(&self, start: DateTime<Utc>, has: &Value, hours: Option<i64>) -> Value {
        let hours = hours.and_then(|hours| i32::try_from(hours).ok()).unwrap_or(1).max(1);
        let is_so = time(has).is_some_and(|old| {
            (start - old).num_seconds().rem_euclid(i64::from(hours) * 3600) == 0 && start <= old.max(self.now)
        });
        if is_so { has.clone() } else { json!(next_start(start, hours, self.now)) }
    }

    /// The text of a query of the file, or else of the service.
    pub(super) fn query_text(&self, query: &Name) -> Option<String> {
        let in_file = self.wanted.iter().find(|wanted| wanted.name == *query).map(|wanted| &wanted.fields["query"]);
        let text = in_file.or_else(|| self.there.named(query).first().map(|thing| &thing.fields["text"]));
        text.and_then(Value::as_str).map(|text| text.trim().to_owned())
    }

    fn change(&self, field: &str, wanted: &Wanted, thing: &Thing, full: &Map<String, Value>) -> FieldChange {
        let pointer = format!("/{}", field.replace('.', "/"));
        let there = |pointer: &str| shown(thing.fields.pointer(pointer).unwrap_or(&Value::Null));
        let (old, new) = match field {
            field if SECRETS.contains(&field) => ("(secret)".to_owned(), "(secret)".to_owned()),
            "endpoint.url" => (there("/endpoint/shown"), "(secret)".to_owned()),
            "endpoint.to" => (there("/endpoint/shown"), shown(&full["endpoint"]["to"])),
            "report_ids" => (
                self.report_names(&thing.fields["report_ids"]),
                wanted.bound.as_ref().map_or_else(
                    || "all".to_owned(),
                    |names| names.iter().map(|name| name.own.clone()).collect::<Vec<_>>().join("; "),
                ),
            ),
            "query" if wanted.name.kind == Kind::Query => (there("/text"), shown(&full["query"])),
            "events" | "occurrences" => {
                let none = if field == "events" { "all" } else { "for ever" };
                let words = |value: &Value| if value.is_null() { none.to_owned() } else { shown(value) };
                (words(&thing.fields[field]), words(&full[field]))
            }
            _ => (there(&pointer), shown(json!(full).pointer(&pointer).unwrap_or(&Value::Null))),
        };
        FieldChange { field: field.to_owned(), old, new }
    }

    fn report_names(&self, ids: &Value) -> String {
        let Some(ids) = ids.as_array() else { return "all".into() };
        let name = |id: &Value| {
            let found = self.ids.iter().find(|(_, known)| id == known.as_str());
            found.map_or_else(|| shown(id), |(name, _)| name.own.clone())
        };
        ids.iter().map(name).collect::<Vec<_>>().join("; ")
    }
}

/// What is to be done with something that is as the file says.
fn kept(name: &Name, thing: &Thing) -> Act {
    let id = thing.id.clone();
    if name.kind == Kind::Report && thing.fields["state"] == "rejected" {
        return Act::Retry { id, refused: failure(thing).to_owned() };
    }
    Act::Keep { id, concern: concern(name, thing) }
}

fn failure(thing: &Thing) -> &str {
    thing.fields["last_failure"].as_str().unwrap_or("no reason is known")
}

/// What is not well with something that is as the file says.
fn concern(name: &Name, thing: &Thing) -> Option<String> {
    let (state, failure) = (&thing.fields["state"], failure(thing));
    let own = &name.own;
    match name.kind {
        Kind::Account if state == "sign_in_required" && thing.fields["grant"] == "refresh_token" => {
            Some(format!("{own} must sign in: tidings account sign-in \"{own}\""))
        }
        Kind::Account if state == "sign_in_required" => Some(format!("{own} cannot sign in: {failure}")),
        Kind::Report if !thing.fields["drift_since"].is_null() => {
            let name = name.qualified();
            Some(format!("{own} was changed there by somebody: tidings report drift \"{name}\" shows how"))
        }
        Kind::Subscription if state == "suspended" => Some(format!("{own} is suspended: {failure}")),
        _ => None,
    }
}

fn query_differs(wanted: &Wanted, thing: &Thing) -> Vec<String> {
    let new = wanted.fields["query"].as_str().map(str::trim);
    if thing.fields["text"].as_str() == new { Vec::new() } else { vec!["query".to_owned()] }
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

/// A value for people.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
