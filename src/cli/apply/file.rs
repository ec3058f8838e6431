//! The file of intent as it is written: its fields, which are also its JSON Schema, and how it is read.
//!
//! Every wrong item is told in one go, with its line. What a report or a subscription does not say is as in one made without
//! it, but for a start, which stays; what an account does not say stays as it is.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_saphyr::{Spanned, UserMessageFormatter};
use utoipa::ToSchema;

use super::problem::Problems;
use super::wanted::{Kind, Name};
use crate::account::{Grant, ProgramName};
use crate::channel::Channel;
use crate::cli::reference::Reference;
use crate::event::Kind as EventKind;
use crate::field::in_plain_words;
use crate::notification::FirstRows;

const LARGEST_FILE: u64 = 4 * 1024 * 1024;
/// More of one kind than this is no file that people keep.
const MOST_ITEMS: usize = 10_000;

/// What shall be there, by name. A list that is left out is left alone; what is not in a list is removed with --prune only.
#[derive(ToSchema)]
#[schema(title = "Tidings: one file of intent")]
#[expect(dead_code, reason = "read as lists of items with their lines; this is their schema")]
pub(super) struct Intent {
    /// Partner Center identities.
    #[schema(inline)]
    accounts: Option<Vec<Account>>,
    /// Queries that reports name.
    #[schema(inline)]
    queries: Option<Vec<Query>>,
    /// Standing orders.
    #[schema(inline)]
    reports: Option<Vec<Report>>,
    /// Who is told, and where.
    #[schema(inline)]
    subscriptions: Option<Vec<Subscription>>,
}

/// A Partner Center identity.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    /// Unique, at most 100 characters.
    pub(super) name: String,
    /// `mpn` (Partner Insights) or `cmp` (commercial marketplace analytics).
    #[schema(inline)]
    program: ProgramName,
    /// The directory: a GUID or a domain.
    tenant_id: String,
    /// The application.
    client_id: String,
    /// How it signs in: `refresh_token`, `client_credentials` or `password` (legacy).
    #[schema(inline)]
    grant: Grant,
    /// Where the application's secret is: `env:NAME` or `file:PATH`.
    #[schema(inline)]
    client_secret: Option<Reference>,
    /// When that secret ends; told before it does.
    client_secret_expires_at: Option<DateTime<Utc>>,
    /// Where a certificate with its key is, as PEM, instead of a secret: `env:NAME` or `file:PATH`.
    #[schema(inline)]
    client_certificate: Option<Reference>,
    /// Where the refresh token is: `env:NAME` or `file:PATH`. One that was rotated since is not overwritten by the same again.
    #[schema(inline)]
    refresh_token: Option<Reference>,
    /// The user of the `password` grant.
    username: Option<String>,
    /// Where that user's password is: `env:NAME` or `file:PATH`.
    #[schema(inline)]
    password: Option<Reference>,
    /// Which token endpoint: 1 (`oauth2/token`) when not given, or 2 (`oauth2/v2.0/token`).
    #[schema(minimum = 1, maximum = 2)]
    token_version: Option<u8>,
    /// Where it signs in; Microsoft's own when not given.
    login_url: Option<String>,
    /// The whole base of the API; Microsoft's own for the program when not given.
    api_url: Option<String>,
}

/// A query with a name.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Unique within the account.
    pub(super) name: String,
    /// The account's name.
    pub(super) account: String,
    /// Such as `SELECT Month, CustomerName FROM OfficeUsage TIMESPAN LAST_MONTH`.
    #[serde(rename = "query")]
    text: String,
}

/// A standing order. Another name is another report.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    /// Unique within the account, at most 256 characters, no `;`.
    pub(super) name: String,
    /// The account's name.
    pub(super) account: String,
    /// The name of a query of the account…
    pub(super) query: Option<String>,
    /// …or the text of one.
    pub(super) select: Option<String>,
    /// At most 256 characters.
    pub(super) description: Option<String>,
    /// 4 to 2160; needed unless `execute_now`.
    #[schema(minimum = 4, maximum = 2160)]
    pub(super) interval_hours: Option<i32>,
    /// The first run, or one long ago of the same rhythm; soon when not given.
    pub(super) start_at: Option<DateTime<Utc>>,
    /// How many runs; for ever when not given.
    occurrences: Option<i32>,
    /// No run after this.
    end_at: Option<DateTime<Utc>>,
    /// Whether it is made anew when its runs are used up.
    recreate: Option<bool>,
    /// Hours after which a report that has not come is late; 2 when not given.
    #[schema(minimum = 1, maximum = 2160)]
    grace_hours: Option<i32>,
    /// `csv` when not given.
    #[schema(inline)]
    format: Option<Format>,
    /// `POST` when not given.
    #[schema(inline)]
    callback_method: Option<CallbackMethod>,
    /// Once, at once; then no start and no interval.
    pub(super) execute_now: Option<bool>,
    /// With `execute_now` only: where the data begins.
    query_start_at: Option<DateTime<Utc>>,
    /// With `execute_now` only: where the data ends.
    query_end_at: Option<DateTime<Utc>>,
}

/// Who is told, and where.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscription {
    /// Unique within the file.
    pub(super) name: String,
    /// Where messages go.
    #[schema(inline)]
    endpoint: Endpoint,
    /// Which kinds; all when not given.
    #[schema(inline)]
    events: Option<Vec<EventKind>>,
    /// Which reports, by name, or `Account/Report` where two accounts have one of that name; all when not given.
    pub(super) reports: Option<Vec<String>>,
    /// A mail address.
    owner: Option<String>,
    /// Whether messages show the first rows of a report; `off` when not given.
    #[schema(inline)]
    first_rows: Option<FirstRows>,
}

/// `{channel: email, to: …}` or `{channel: slack|teams|webhook, url: …}`.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    #[schema(inline)]
    channel: Channel,
    /// A mail address.
    to: Option<String>,
    /// An address, or where it is: `env:NAME` or `file:PATH`.
    url: Option<String>,
}

#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Csv,
    Tsv,
}

#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum CallbackMethod {
    Post,
    Get,
}

/// An item with the line that it begins at and its number in its list.
pub(super) struct Item<T> {
    pub(super) line: u64,
    pub(super) place: String,
    pub(super) is: T,
}

/// The lists of a file; none where the file has no such list.
pub(super) struct Lists {
    pub(super) accounts: Option<Vec<Item<Account>>>,
    pub(super) queries: Option<Vec<Item<Query>>>,
    pub(super) reports: Option<Vec<Item<Report>>>,
    pub(super) subscriptions: Option<Vec<Item<Subscription>>>,
    /// What is in the lists and could not be read.
    pub(super) unread: Vec<Name>,
}

/// The outer form: what an item is made of is looked at one by one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    accounts: Option<Vec<Spanned<Value>>>,
    queries: Option<Vec<Spanned<Value>>>,
    reports: Option<Vec<Spanned<Value>>>,
    subscriptions: Option<Vec<Spanned<Value>>>,
}

/// The text of the file at `path`.
pub(super) fn text(path: &Path) -> std::io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > LARGEST_FILE {
        return Err(std::io::Error::other(format!("is larger than {LARGEST_FILE} bytes")));
    }
    std::fs::read_to_string(path)
}

/// Reads the file's text. Whatever is wrong is added to `problems`.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Lists> {
    let outer: Outer = match serde_saphyr::from_str(text) {
        Ok(outer) => outer,
        Err(error) => {
            let error = error.without_snippet();
            let message = error.render_with_formatter(&UserMessageFormatter);
            let message = in_plain_words(message.split(" at line ").next().unwrap_or_default());
            problems.add(error.location().map_or(1, |at| at.line()), "the file", &message);
            return None;
        }
    };
    let Outer { accounts, queries, reports, subscriptions } = outer;
    if accounts.is_none() && queries.is_none() && reports.is_none() && subscriptions.is_none() {
        problems.add(1, "the file", "declares nothing: accounts, queries, reports and subscriptions are its lists");
    }
    let mut unread = Vec::new();
    Some(Lists {
        accounts: items(Kind::Account, accounts, &mut unread, problems),
        queries: items(Kind::Query, queries, &mut unread, problems),
        reports: items(Kind::Report, reports, &mut unread, problems),
        subscriptions: items(Kind::Subscription, subscriptions, &mut unread, problems),
        unread,
    })
}

fn items<T: DeserializeOwned>(
    kind: Kind,
    given: Option<Vec<Spanned<Value>>>,
    unread: &mut Vec<Name>,
    problems: &mut Problems,
) -> Option<Vec<Item<T>>> {
    let (given, list) = (given?, kind.list());
    if given.len() > MOST_ITEMS {
        problems.add(1, list, &format!("has more than {MOST_ITEMS} items"));
        return None;
    }
    let read = given.into_iter().enumerate().filter_map(|(number, Spanned { value, referenced, .. })| {
        let text = |field: &str| value[field].as_str();
        let name = text("name").map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let (line, place) = (referenced.line(), format!("{list}[{number}]{name}"));
        let named = text("name").map(|name| Name::of(kind, text("account"), name));
        let is = item(value, |field, message| problems.add(line, &format!("{place}{field}"), message));
        if is.is_none() {
            unread.extend(named);
        }
        Some(Item { line, place, is: is? })
    });
    Some(read.collect())
}

/// Reads an item. A field that is wrong is noted and taken out, so that those behind it are looked at, too.
fn item<T: DeserializeOwned>(mut value: Value, mut note: impl FnMut(&str, &str)) -> Option<T> {
    let mut taken_out = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize(value.clone()) {
            Ok(is) => return Some(is).filter(|_| taken_out.is_empty()),
            Err(error) => error,
        };
        let (path, inner) = (error.path().to_string(), error.inner().to_string());
        let named = inner.split('`').nth(1).unwrap_or_default();
        let field = path.split(['.', '[']).find(|part| !part.is_empty()).unwrap_or(named).to_owned();
        // Now it is missing, which is no mistake of who wrote the file.
        if !taken_out.contains(&field) {
            let is_whole = path == "." || inner.starts_with("unknown field");
            note(&if is_whole { String::new() } else { format!(".{path}") }, &in_plain_words(&inner));
        }
        value.as_object_mut()?.remove(&field)?;
        taken_out.push(field);
    }
}
