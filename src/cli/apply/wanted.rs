//! What the file asks for, in the words of the admin API; ids are left open, as some of them are not made yet.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::file::{Item, Lists, Report};
use super::problem::Problems;
use crate::cli::reference;
use crate::report::limits::GRACE;
use crate::report::next_start;

/// The kinds, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Account,
    Query,
    Report,
    Subscription,
}

/// What a thing is known by. Queries and reports have names within an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Name {
    pub(super) kind: Kind,
    pub(super) account: Option<String>,
    #[serde(rename = "name")]
    pub(super) own: String,
}

/// The ids of what is there.
pub(super) type Ids = BTreeMap<Name, String>;

/// One thing that shall be there.
pub(super) struct Wanted {
    pub(super) name: Name,
    pub(super) line: u64,
    /// Where it stands in the file, for people.
    pub(super) place: String,
    /// What the admin API takes, but for ids. Secrets are in it.
    pub(super) fields: Map<String, Value>,
    /// When a report first runs, as it is written.
    pub(super) start_at: Option<DateTime<Utc>>,
    /// The query that a report names.
    pub(super) query: Option<Name>,
    /// The reports that a subscription names: as they are written until [`Wanted::bind`] found them.
    pub(super) reports: Option<Vec<String>>,
    /// The same, found.
    pub(super) bound: Option<Vec<Name>>,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Account, Self::Query, Self::Report, Self::Subscription];

    /// What its list is called in the file.
    pub(super) fn list(self) -> &'static str {
        match self {
            Self::Account => "accounts",
            Self::Query => "queries",
            Self::Report => "reports",
            Self::Subscription => "subscriptions",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Query => "query",
            Self::Report => "report",
            Self::Subscription => "subscription",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Name {
    pub(super) fn account(name: &str) -> Self {
        Self::of(Kind::Account, None, name)
    }

    pub(super) fn of(kind: Kind, account: Option<&str>, name: &str) -> Self {
        // The service trims names, too.
        Self { kind, account: account.map(|account| account.trim().to_owned()), own: name.trim().to_owned() }
    }

    /// The name with its account's before it, where it has one.
    pub(super) fn qualified(&self) -> String {
        let account = self.account.as_ref().map(|account| format!("{account}/")).unwrap_or_default();
        format!("{account}{}", self.own)
    }

    /// Where such things are made.
    pub(super) fn path(&self, ids: &Ids) -> Option<String> {
        Some(match self.kind {
            Kind::Account => "accounts".to_owned(),
            Kind::Query => format!("accounts/{}/queries", ids.get(&Self::account(self.account.as_deref()?))?),
            Kind::Report => "reports".to_owned(),
            Kind::Subscription => "subscriptions".to_owned(),
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.qualified())
    }
}

impl Wanted {
    /// What it is made with; nothing while something that it names is not there. A start that has passed becomes the next
    /// of its rhythm: a file does not age.
    pub(super) fn body(&self, ids: &Ids, now: DateTime<Utc>) -> Option<Map<String, Value>> {
        let mut body = self.begun(now);
        if let (Kind::Report, Some(account)) = (self.name.kind, &self.name.account) {
            body.insert("account_id".into(), ids.get(&Name::account(account))?.as_str().into());
        }
        if let Some(query) = &self.query {
            body.insert("query_id".into(), ids.get(query)?.as_str().into());
        }
        if let Some(reports) = &self.bound {
            let found: Option<Vec<Value>> = reports.iter().map(|name| Some(ids.get(name)?.as_str().into())).collect();
            body.insert("report_ids".into(), found?.into());
        }
        Some(body)
    }

    /// The same without what it names.
    pub(super) fn begun(&self, now: DateTime<Utc>) -> Map<String, Value> {
        let mut body = self.fields.clone();
        let hours = body.get("interval_hours").and_then(Value::as_i64).and_then(|hours| i32::try_from(hours).ok());
        if let (Some(start), Some(hours)) = (self.start_at, hours) {
            body.insert("start_at".into(), json!(next_start(start, hours, now)));
        }
        body
    }

    /// All that it names, once its reports are found.
    pub(super) fn names(&self) -> impl Iterator<Item = Name> {
        let account = self.name.account.as_deref().map(Name::account);
        account.into_iter().chain(self.query.clone()).chain(self.bound.iter().flatten().cloned())
    }

    /// Finds the reports that it names among all that are or will be there.
    pub(super) fn bind(&mut self, known: &[Name], problems: &mut Problems) {
        let Some(reports) = &self.reports else { return };
        let mut bound = Vec::new();
        for text in reports.iter().map(|text| text.trim()) {
            let exact: Vec<&Name> = known.iter().filter(|name| name.own == text).collect();
            let found =
                if exact.is_empty() { known.iter().filter(|name| name.qualified() == text).collect() } else { exact };
            match found.as_slice() {
                [one] => bound.push((*one).clone()),
                [] => problems.add(self.line, &self.place, &format!("there is no report \"{text}\"")),
                several => {
                    let names: Vec<String> = several.iter().map(|name| format!("\"{}\"", name.qualified())).collect();
                    let message = format!("\"{text}\" may be {}: write which", names.join(" or "));
                    problems.add(self.line, &self.place, &message);
                }
            }
        }
        self.bound = Some(bound);
    }
}

/// What the lists of a file ask for, in the order in which it is made. Paths of secrets begin in `folder`.
pub(super) fn wanted(lists: Lists, folder: &Path, problems: &mut Problems) -> Vec<Wanted> {
    let mut all = Vec::new();
    for item in lists.accounts.into_iter().flatten() {
        all.push(plain(Name::of(Kind::Account, None, &item.is.name), &item));
    }
    for item in lists.queries.into_iter().flatten() {
        all.push(plain(Name::of(Kind::Query, Some(&item.is.account), &item.is.name), &item));
    }
    for item in lists.reports.into_iter().flatten() {
        all.push(report(&item, problems));
    }
    for item in lists.subscriptions.into_iter().flatten() {
        let reports = item.is.reports.clone();
        let mut wanted = plain(Name::of(Kind::Subscription, None, &item.is.name), &item);
        default(&mut wanted, &[("events", Value::Null), ("owner", Value::Null), ("first_rows", "off".into())]);
        if reports.is_none() {
            default(&mut wanted, &[("report_ids", Value::Null)]);
        }
        all.push(Wanted { reports, ..wanted });
    }
    for wanted in &mut all {
        for (field, message) in reference::resolve(&mut wanted.fields, folder) {
            problems.add(wanted.line, &format!("{}.{field}", wanted.place), &message);
        }
    }
    name_each_once(&all, problems);
    all
}

fn plain<T: Serialize>(name: Name, item: &Item<T>) -> Wanted {
    let mut fields =
        serde_json::to_value(&item.is).ok().and_then(|value| value.as_object().cloned()).unwrap_or_default();
    let ours = ["account", "select", "reports"];
    if let Some(Value::Object(endpoint)) = fields.get_mut("endpoint") {
        endpoint.retain(|_, value| !value.is_null());
    }
    let fields = fields.into_iter().filter(|(field, value)| !value.is_null() && !ours.contains(&field.as_str()));
    let mut fields: Map<String, Value> = fields.collect();
    fields.insert("name".into(), name.own.as_str().into());
    let (line, place) = (item.line, item.place.clone());
    Wanted { name, line, place, fields, start_at: None, query: None, reports: None, bound: None }
}

fn report(item: &Item<Report>, problems: &mut Problems) -> Wanted {
    let account = Some(item.is.account.as_str());
    let mut wanted = plain(Name::of(Kind::Report, account, &item.is.name), item);
    wanted.fields.remove("query");
    // A block of text ends with an end of line, which is no part of it.
    let description = item.is.description.as_deref().map(str::trim).filter(|text| !text.is_empty());
    wanted.fields.insert("description".into(), json!(description));
    let texts = [("format", "csv".into()), ("callback_method", "POST".into())];
    let others = [("occurrences", Value::Null), ("end_at", Value::Null), ("recreate", false.into())];
    default(&mut wanted, &texts);
    default(&mut wanted, &others);
    if item.is.execute_now != Some(true) {
        default(&mut wanted, &[("grace_hours", GRACE.into())]);
    }
    wanted.start_at = item.is.start_at;
    match (&item.is.query, &item.is.select) {
        (Some(name), None) => wanted.query = Some(Name::of(Kind::Query, account, name)),
        (None, Some(text)) => drop(wanted.fields.insert("query".into(), text.trim().into())),
        _ => problems.add(item.line, &item.place, "give either query, the name of one, or select, its text"),
    }
    wanted
}

/// What is taken out of the file is as if it had never been in it.
fn default(wanted: &mut Wanted, defaults: &[(&str, Value)]) {
    for (field, value) in defaults {
        wanted.fields.entry(*field).or_insert_with(|| value.clone());
    }
}

fn name_each_once(all: &[Wanted], problems: &mut Problems) {
    let mut first = BTreeMap::new();
    for wanted in all {
        if let Some(line) = first.insert(&wanted.name, wanted.line) {
            problems.add(wanted.line, &wanted.place, &format!("{} is in line {line} already", wanted.name));
        }
    }
}
