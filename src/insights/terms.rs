//! What a report is created or updated with, as the API wants it written: PascalCase, no nulls.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use url::Url;

use super::time;

/// What a report is created or updated with.
#[derive(Debug, Clone)]
pub struct ReportTerms<'a> {
    /// At most 256 characters, no `;`.
    pub name: &'a str,
    /// At most 256 characters.
    pub description: Option<&'a str>,
    /// When and how often, or once at once.
    pub when: When,
    /// `csv` or `tsv`.
    pub format: &'a str,
    /// Where and how we want to be called.
    pub callback: Option<(&'a Url, &'a str)>,
}

/// When a report runs.
#[derive(Debug, Clone)]
pub enum When {
    /// Once, at once, over an optional window of the query.
    Now(Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// From a start on, every so many hours, so many times or for ever.
    Every {
        /// At least four hours ahead.
        start_at: DateTime<Utc>,
        /// 4 to 2160.
        interval_hours: i32,
        /// For ever when not given.
        occurrences: Option<i32>,
        /// No run after it; taken by the marketplace's program only.
        end_at: Option<DateTime<Utc>>,
    },
}

/// The body of a creation or an update.
pub(super) fn body_of(terms: &ReportTerms<'_>) -> Map<String, Value> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        body.insert(name.into(), value);
    };
    put("ReportName", terms.name.into());
    if let Some(description) = terms.description {
        put("Description", description.into());
    }
    put("Format", terms.format.into());
    match terms.when {
        When::Now(start, end) => {
            put("ExecuteNow", true.into());
            if let Some(start) = start {
                put("QueryStartTime", time(start).into());
            }
            if let Some(end) = end {
                put("QueryEndTime", time(end).into());
            }
        }
        When::Every { start_at, interval_hours, occurrences, end_at } => {
            put("StartTime", time(start_at).into());
            put("RecurrenceInterval", interval_hours.into());
            if let Some(occurrences) = occurrences {
                put("RecurrenceCount", occurrences.into());
            }
            if let Some(end_at) = end_at {
                put("EndTime", time(end_at).into());
            }
        }
    }
    if let Some((url, method)) = terms.callback {
        put("CallbackUrl", url.as_str().into());
        put("CallbackMethod", method.into());
    }
    body
}
