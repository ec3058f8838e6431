//! What the API is given of a report, and what it was given last: kept on the row, so that a comparison can tell a change
//! made behind our back from one of ours that is still to be sent, and so that the runs of a schedule can be counted after it
//! was replaced. The callback address is a secret: a print of it is kept, enough to know it again.

use chrono::{DateTime, Utc};
use url::Url;

use super::Report;
use super::address::key_of;
use super::schedule::{Schedule, next_start};
use crate::insights;
use crate::secret::{Secret, digest, hex};

/// The terms of a report there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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

    /// What a report there has; where the API does not say, what we want.
    pub(super) fn there(remote: &insights::Report, wanted: &Self) -> Self {
        Self {
            name: remote.name.clone(),
            description: remote.description.clone(),
            start_at: remote.start_at.filter(|_| wanted.interval_hours.is_some()).or(wanted.start_at),
            interval_hours: wanted.interval_hours.and(remote.interval_hours).or(wanted.interval_hours),
            occurrences: remote.occurrences.or(wanted.occurrences),
            end_at: remote.end_at.or(wanted.end_at),
            format: remote.format.clone().unwrap_or_else(|| wanted.format.clone()),
            callback_method: remote.callback_method.clone().unwrap_or_else(|| wanted.callback_method.clone()),
            callback: remote.callback_url.as_ref().map(|address| print(address.expose())),
            callback_key: remote.callback_url.as_ref().and_then(|address| key_of(address.expose())),
        }
    }

    /// Whether somebody who wants this would have to change that: all but the start, which keeps its phase.
    pub(super) fn differs(&self, there: &Self) -> bool {
        let start_at = there.start_at;
        let callback = self.callback.clone().or_else(|| there.callback.clone());
        // The print of the address says as much.
        let callback_key = there.callback_key.clone();
        Self { start_at, callback, callback_key, ..self.clone() } != *there
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
