//! How a report there differs from what was sent: pure comparison of one report.
//!
//! What the API does not say is no difference, and neither is a status that we don't know: the list is read generously. An
//! address of ours that has changed here is our own to send, nobody changed it behind our back. Addresses are secrets: of
//! ours the tail is shown, of others the host.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use url::Url;

use super::address::Addresses;
use super::terms::{Terms, print};
use super::{Report, State};
use crate::insights;
use crate::secret::Secret;

/// A report that was changed by us this short a while ago may be missing in the API's list.
const YOUNG: TimeDelta = TimeDelta::minutes(5);

/// One way in which what is there is not what we made.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Difference {
    /// `state`, `callback`, or a field of the report.
    pub field: String,
    /// What was sent, or is wanted.
    #[schema(value_type = Object)]
    pub ours: Value,
    /// What is there; null where there is nothing.
    #[schema(value_type = Object)]
    pub theirs: Value,
}

impl Difference {
    pub(super) fn new(field: &str, ours: impl Into<Value>, theirs: impl Into<Value>) -> Self {
        Self { field: field.into(), ours: ours.into(), theirs: theirs.into() }
    }

    /// Whether only a new report there can mend it.
    pub(super) fn needs_a_new_one(&self) -> bool {
        self.field == "state" && (self.theirs == DELETED || self.theirs == INACTIVE)
    }

    /// Whether the report is not there any more.
    pub(super) fn is_deleted(&self) -> bool {
        self.field == "state" && self.theirs == DELETED
    }

    /// Whether what mends it needs a start that is hours ahead.
    pub(super) fn needs_a_start(&self) -> bool {
        self.field != "state" || self.needs_a_new_one()
    }
}

const DELETED: &str = "deleted";
const INACTIVE: &str = "inactive";

/// What a comparison found of one report.
#[derive(Debug, PartialEq)]
pub(super) enum Finding {
    /// As it was sent.
    InLine,
    /// As it was sent, but our address is another now.
    Moved,
    /// Somebody changed it.
    Drifted(Vec<Difference>),
    /// It has run for the last time.
    Over,
    /// To be looked at again at this time.
    Unclear(DateTime<Utc>),
}

impl Report {
    /// Why a comparison passed over it.
    pub fn why_not_compared(&self) -> &'static str {
        match self.state {
            _ if self.settling => "it is being changed there; ask again in a moment",
            State::Registered | State::Paused => {
                "it was changed a short while ago, or its last file is still waited for; ask again in five minutes"
            }
            State::Draft | State::Rejected => "it is not registered there",
            State::Retired => "it is retired",
            State::Ended => "it has ended; resume makes it anew",
        }
    }
}

/// Compares what was sent with what is there. `address` is the one that the API should call now.
pub(super) fn judge(
    report: &Report,
    remote: Option<&insights::Report>,
    (addresses, address): (&Addresses, Option<&Url>),
    now: DateTime<Utc>,
) -> Finding {
    let ours = if report.state == State::Paused { "paused" } else { "active" };
    let Some(remote) = remote else {
        let old = report.updated_at + YOUNG;
        let gone = || Finding::Drifted(vec![Difference::new("state", ours, DELETED)]);
        return if old > now { Finding::Unclear(old) } else { gone() };
    };
    let Some(sent) = report.sent.as_ref().filter(|_| !report.execute_now) else { return Finding::InLine };
    if let Some(finding) = over(report, remote, now) {
        return finding;
    }
    let mut found = Vec::new();
    let status = remote.status.to_ascii_lowercase();
    if status != ours && ["active", "paused", INACTIVE].contains(&status.as_str()) {
        found.push(Difference::new("state", ours, status));
    }
    found.extend(sent.differences(&Terms::there(remote, sent)));
    let moved = match callback(sent, remote, report, (addresses, address)) {
        Callback::Replaced(difference) => {
            found.push(difference);
            false
        }
        Callback::Moved => true,
        Callback::AsSent => false,
    };
    match (found.is_empty(), moved) {
        (false, _) => Finding::Drifted(found),
        (true, true) => Finding::Moved,
        (true, false) => Finding::InLine,
    }
}

/// Whether its last run has come: the API says so, or nothing has come for longer than one more run would have taken. The last
/// file has until the end of the grace to come first.
fn over(report: &Report, remote: &insights::Report, now: DateTime<Utc>) -> Option<Finding> {
    let schedule = report.schedule()?;
    let came_since = |at: DateTime<Utc>| report.arrived_at.is_some_and(|arrived| arrived >= at);
    // It may come a little before its time.
    let came = report.state == State::Registered && report.expected_at.is_none() && report.arrived_at.is_some();
    let last = schedule.last().filter(|last| *last <= now || came)?;
    if remote.is_inactive() {
        let until = report.expected_at.map_or(last, |expected| expected.max(last)) + report.grace();
        let waits = !came && !came_since(last) && now < until;
        return Some(if waits { Finding::Unclear(until) } else { Finding::Over });
    }
    let silence = schedule.interval + report.grace();
    (report.state == State::Registered && now > last + silence && !came_since(now - silence)).then_some(Finding::Over)
}

enum Callback {
    AsSent,
    Moved,
    Replaced(Difference),
}

fn callback(
    sent: &Terms,
    remote: &insights::Report,
    report: &Report,
    (addresses, address): (&Addresses, Option<&Url>),
) -> Callback {
    let there = remote.callback_url.as_ref().map(Secret::expose);
    let printed = there.map(print);
    // Which address was sent is not known of rows of an older version.
    let unknown = sent.callback.is_none() && there.is_some_and(|there| addresses.owner(there) == Some(report.id));
    if printed == sent.callback || unknown {
        let current = address.map(|address| print(address.as_str()));
        return if current.is_some() && current != printed { Callback::Moved } else { Callback::AsSent };
    }
    let ours = sent.callback.as_ref().map(|_| addresses.tail(report.id));
    Callback::Replaced(Difference::new("callback", ours, remote.callback_host()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Terms {
        Terms {
            name: "Usage".into(),
            description: Some("Daily".into()),
            start_at: Some("2026-01-06T12:00:00Z".parse().unwrap()),
            interval_hours: Some(24),
            occurrences: None,
            end_at: None,
            format: "csv".into(),
            callback_method: "POST".into(),
            callback: Some("print".into()),
            callback_key: None,
        }
    }

    fn silent() -> insights::Report {
        insights::Report {
            id: insights::ReportId("1".into()),
            name: String::new(),
            description: None,
            query_id: None,
            query: None,
            status: String::new(),
            callback_url: None,
            callback_method: None,
            start_at: None,
            interval_hours: None,
            occurrences: None,
            end_at: None,
            format: None,
            created_at: None,
        }
    }

    #[test]
    fn what_the_api_does_not_say_is_no_difference() {
        let differences = |remote| sent().differences(&Terms::there(&remote, &sent()));
        assert_eq!(differences(silent()), []);

        let limited = insights::Report { occurrences: Some(3), format: Some("csv".into()), ..silent() };
        assert_eq!(differences(limited), [Difference::new("occurrences", Value::Null, 3)]);
    }

    #[test]
    fn only_an_end_or_a_deletion_needs_a_new_report() {
        for (theirs, needs) in [(DELETED, true), (INACTIVE, true), ("paused", false)] {
            assert_eq!(Difference::new("state", "active", theirs).needs_a_new_one(), needs, "{theirs}");
        }
        assert!(!Difference::new("name", "Usage", DELETED).needs_a_new_one());
    }
}
