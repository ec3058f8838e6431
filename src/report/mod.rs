//! What we ask Microsoft for: queries, reports, and when to look for what they gave.
//!
//! Reads and writes `datasets`, `queries`, `leftovers`, `reports`, `registrations`, `checks` and `comparisons`, and reads in
//! `executions` whether any is still to be fetched. A row of
//! `reports` is our intent: [`register`] brings the API into line with it, as often as needed, and looks for what carries our
//! address before it creates anything, so that a repeat changes nothing. What can be changed there is sent by an update; what
//! was sent last is kept as [`Terms`], and [`compare`] holds it against what is there once a day. [`check`] is the queue of
//! questions that [`crate::execution`] works off, [`expectation`] knows when a report is due and when it is late, and
//! [`ending`] when it has run for the last time. [`query`] finds out before anything is sent whether a query can work. A
//! refusal by the API is shown in its own words and leaves the report `rejected`; whatever may pass is tried again.

pub mod address;
pub mod adopt;
mod amend;
pub mod check;
pub mod compare;
pub mod dataset;
mod draft;
mod drift;
pub mod ending;
pub mod expectation;
pub mod lifecycle;
pub mod limits;
pub mod query;
mod quota;
pub mod register;
mod schedule;
pub mod store;
mod terms;
mod tidy;

use chrono::{DateTime, TimeDelta, Utc};

use crate::id::{AccountId, QueryId, ReportId};
use crate::insights;

pub use draft::{Change, Checked, Draft};
pub use drift::Difference;
pub use schedule::{Schedule, next_start};
pub use terms::Terms;

/// How far we are with a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Shall be registered.
    Draft,
    /// Registered.
    Registered,
    /// Registered, and shall not run.
    Paused,
    /// The API refused it.
    Rejected,
    /// No longer wanted; its files stay.
    Retired,
    /// Has run for the last time.
    Ended,
}

impl State {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Registered => "registered",
            Self::Paused => "paused",
            Self::Rejected => "rejected",
            Self::Retired => "retired",
            Self::Ended => "ended",
        }
    }
}

/// What the API has of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    None,
    /// A report that runs.
    Active,
    /// A report that does not run.
    Paused,
}

impl There {
    /// What a report there is, as far as we know the word.
    fn of(remote: &insights::Report) -> Option<Self> {
        if remote.is_active() { Some(Self::Active) } else { remote.is_paused().then_some(Self::Paused) }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Active => "active",
            Self::Paused => "paused",
        }
    }
}

/// The standing order.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its id.
    pub id: ReportId,
    /// Whose it is.
    pub account_id: AccountId,
    /// What it asks.
    pub query_id: QueryId,
    /// The text of that query.
    pub query: String,
    /// Unique within the account.
    pub name: String,
    /// Its name in the archive, fixed at creation.
    pub slug: String,
    /// For people.
    pub description: Option<String>,
    /// When it first runs.
    pub start_at: Option<DateTime<Utc>>,
    /// Hours between runs; none for a report that runs once, at once.
    pub interval_hours: Option<i32>,
    /// How many runs in all; for ever when not given.
    pub occurrences: Option<i32>,
    /// No run after it.
    pub end_at: Option<DateTime<Utc>>,
    /// After its last run it is made anew there instead of ending.
    pub recreate: bool,
    /// So many hours after it was expected it is late.
    pub grace_hours: i32,
    /// Runs once, at once.
    pub execute_now: bool,
    /// Window of the query of a report that runs once.
    pub query_start_at: Option<DateTime<Utc>>,
    /// Its end.
    pub query_end_at: Option<DateTime<Utc>>,
    /// `csv` or `tsv`.
    pub format: String,
    /// `POST` or `GET`.
    pub callback_method: String,
    /// How far we are.
    pub state: State,
    /// What the API has.
    pub there: There,
    /// Whether the API is still to be brought into line.
    pub settling: bool,
    /// Shall be deleted there and registered anew.
    pub remake: bool,
    /// Shall be changed there.
    pub amend: bool,
    /// What the API was given last; none before it has the report.
    pub sent: Option<Terms>,
    /// Runs of the schedules before that.
    pub ran: i32,
    /// Since when we know a report that existed there before us.
    pub adopted_at: Option<DateTime<Utc>>,
    /// How what is there differs from what was sent, as of the last comparison.
    pub drift: Option<Vec<Difference>>,
    /// Since when it differs.
    pub drift_since: Option<DateTime<Utc>>,
    /// When it was last compared.
    pub compared_at: Option<DateTime<Utc>>,
    /// Its id at the API.
    pub remote_id: Option<insights::ReportId>,
    /// What went wrong last.
    pub last_failure: Option<String>,
    /// When the next file is expected.
    pub expected_at: Option<DateTime<Utc>>,
    /// Since when it is late.
    pub late_since: Option<DateTime<Utc>>,
    /// When the last file came.
    pub arrived_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Report {
    /// When it runs there; before it is there, when it shall.
    pub fn schedule(&self) -> Option<Schedule> {
        match &self.sent {
            Some(sent) => sent.schedule(),
            None => {
                let left = self.occurrences.map(|count| count.saturating_sub(self.ran));
                Some(Schedule::new(self.start_at?, self.interval_hours?, left, self.end_at))
            }
        }
    }

    /// From when on the next run may be there by the schedule, though it may be expected later.
    fn soonest(&self) -> Option<DateTime<Utc>> {
        self.schedule()?.soonest_after(self.arrived_at?)
    }

    /// So long after it was expected it is late.
    fn grace(&self) -> TimeDelta {
        TimeDelta::hours(self.grace_hours.into())
    }

    /// How often it has run there until `now`, by its schedules.
    pub fn runs(&self, now: DateTime<Utc>) -> i32 {
        let passed = self.sent.as_ref().and_then(Terms::schedule).map_or(0, |schedule| schedule.passed(now));
        self.ran.saturating_add(passed)
    }
}

/// A name for the archive: letters, digits and single dashes, at most 40 of them.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
        if slug.len() >= 40 {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "report".into() } else { slug.into() }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_slug_is_short_and_plain() {
        assert_eq!(slug("Daily usage: Ünited & Co."), "daily-usage-nited-co");
        assert_eq!(slug("日本"), "report");
        assert!(slug(&"x".repeat(300)).len() <= 40);
    }
}
