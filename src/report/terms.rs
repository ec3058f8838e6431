//! What the API is given of a report, and what it was given last: kept on the row, so that a comparison can tell a change
//! made behind our back from one of ours that is still to be sent, and so that the runs of a schedule can be counted after it
//! was replaced. The callback address is a secret: a print of it is kept, enough to know it again.

use chrono::{DateTime, Utc};
use serde_json::json;
use url::Url;

use super::Report;
use super::address::key_of;
use super::drift::Difference;
use super::schedule::{Schedule, next_start};
use crate::insights;
use crate::secret::{Secret, digest, hex};

/// The terms of a report there.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Terms {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// When it first runs; none where it runs once, at once.
    pub start_at: Option<DateTime<Utc>>,
    /// Hours between runs.
    pub interval_hours: Option<i32>,
    /// How many runs from that start on.
    pub occurrences: Option<i32>,
    /// No run after it.
    pub end_at: Option<DateTime<Utc>>,
    /// `csv` or `tsv`.
    pub format: String,
    /// `POST` or `GET`.
    pub callback_method: String,
    /// The print of the address it calls.
    pub callback: Option<String>,
    /// The id of the key that the address was made with; not known of what an older version sent.
    #[serde(default)]
    pub callback_key: Option<String>,
}

impl Terms {
    /// What is to be sent of a report now: a start that the API takes, and what is left of its runs. None if none is left.
    pub(super) fn wanted(report: &Report, address: Option<&Url>, now: DateTime<Utc>) -> Option<Self> {
        let start = report.start_at.zip(report.interval_hours);
        let start_at = start.map(|(start, interval)| next_start(start, interval, now));
        let occurrences = report.occurrences.map(|count| count.saturating_sub(report.runs(now)));
        let over = report.end_at.zip(start_at).is_some_and(|(end, start)| end < start);
        if over || occurrences.is_some_and(|left| left <= 0) {
            return None;
        }
        Some(Self {
            name: report.name.clone(),
            description: report.description.clone(),
            start_at,
            interval_hours: report.interval_hours,
            occurrences,
            end_at: report.end_at,
            format: report.format.clone(),
            callback_method: report.callback_method.clone(),
            callback: address.map(|address| print(address.as_str())),
            callback_key: address.and_then(|address| key_of(address.as_str())),
        })
    }

    /// What a report there has. What the API does not say, or in a word that is not known, is as in `unsaid`.
    pub(super) fn there(remote: &insights::Report, unsaid: &Self) -> Self {
        let known = |said: Option<&String>, words: [&str; 2], unsaid: &String| {
            said.filter(|said| words.contains(&said.as_str())).unwrap_or(unsaid).clone()
        };
        let start_at = remote.start_at.or(unsaid.start_at);
        let (start_at, interval_hours) = start_at.zip(remote.interval_hours.or(unsaid.interval_hours)).unzip();
        let address = remote.callback_url.as_ref().map(Secret::expose);
        let method = remote.callback_method.as_ref().filter(|_| address.is_some());
        Self {
            name: if remote.name.is_empty() { unsaid.name.clone() } else { remote.name.clone() },
            description: remote.description.clone().or_else(|| unsaid.description.clone()),
            start_at,
            interval_hours,
            occurrences: remote.occurrences.or(unsaid.occurrences),
            end_at: remote.end_at.or(unsaid.end_at),
            format: known(remote.format.as_ref(), ["csv", "tsv"], &unsaid.format),
            callback_method: known(method, ["POST", "GET"], &unsaid.callback_method),
            callback: address.map(print),
            callback_key: address.and_then(key_of),
        }
    }

    /// How what is there differs from these, but for the address, which is a secret.
    pub(super) fn differences(&self, there: &Self) -> Vec<Difference> {
        let time = |at: Option<DateTime<Utc>>| json!(at.map(insights::time));
        [
            ("name", json!(self.name), json!(there.name)),
            ("description", json!(self.description), json!(there.description)),
            ("start_at", time(self.start_at), time(there.start_at)),
            ("interval_hours", json!(self.interval_hours), json!(there.interval_hours)),
            ("occurrences", json!(self.occurrences), json!(there.occurrences)),
            ("end_at", time(self.end_at), time(there.end_at)),
            ("format", json!(self.format), json!(there.format)),
            ("callback_method", json!(self.callback_method), json!(there.callback_method)),
        ]
        .into_iter()
        .filter(|(_, ours, theirs)| ours != theirs)
        .map(|(field, ours, theirs)| Difference::new(field, ours, theirs))
        .collect()
    }

    /// Whether somebody who wants this would have to change that: all but the start, which keeps its phase.
    pub(super) fn differs(&self, there: &Self) -> bool {
        let moves = self.callback.is_some() && self.callback != there.callback;
        moves || self.differences(there).iter().any(|difference| difference.field != "start_at")
    }

    /// Its schedule, unless it runs once, at once.
    pub fn schedule(&self) -> Option<Schedule> {
        Some(Schedule::new(self.start_at?, self.interval_hours?, self.occurrences, self.end_at))
    }

    /// The report as the API is to be told, with an address to call.
    pub(super) fn to_send<'a>(
        &'a self,
        callback: Option<&'a Url>,
        window: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    ) -> insights::ReportTerms<'a> {
        let when = match (self.start_at, self.interval_hours) {
            (Some(start_at), Some(interval_hours)) => {
                insights::When::Every { start_at, interval_hours, occurrences: self.occurrences, end_at: self.end_at }
            }
            _ => insights::When::Now(window.0, window.1),
        };
        insights::ReportTerms {
            name: &self.name,
            description: self.description.as_deref(),
            when,
            format: &self.format,
            callback: callback.map(|address| (address, self.callback_method.as_str())),
        }
    }
}

/// A print of a callback address: the same for the same address, and of no use to anybody else.
pub(super) fn print(address: &str) -> String {
    hex(&digest(&Secret::new(address.trim_end_matches('/')))[..12])
}
