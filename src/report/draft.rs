//! What is asked for when a report is made or changed, and the rules it must keep: the documented ones of the API, so
//! that a wrong report is refused here, by field, before anything is sent.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::limits::{GRACES, INTERVALS, LEAD, MARGIN, MOST_RUNS, MOST_TEXT};
use super::schedule::{Schedule, next_start};
use super::{Report, State, query};
use crate::field::FieldErrors;
use crate::id::{AccountId, QueryId};

/// A report to be made.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Whose.
    pub account_id: AccountId,
    /// 1 to 256 characters, no `;`.
    pub name: String,
    /// At most 256 characters.
    pub description: Option<String>,
    /// A query that is kept already…
    pub query_id: Option<QueryId>,
    /// …or its text.
    pub query: Option<String>,
    /// At least four hours and the margin ahead; soon after that when not given.
    pub start_at: Option<DateTime<Utc>>,
    /// 4 to 2160; needed unless `execute_now`.
    pub interval_hours: Option<i32>,
    /// For ever when not given.
    pub occurrences: Option<i32>,
    /// No run after it; the caller knows whether the account's program takes one.
    pub end_at: Option<DateTime<Utc>>,
    /// Make it anew after its last run.
    pub recreate: bool,
    /// 1 to 2160; two hours when not given.
    pub grace_hours: Option<i32>,
    /// `csv` when not given.
    pub format: Option<String>,
    /// `POST` when not given.
    pub callback_method: Option<String>,
    /// Once, at once.
    pub execute_now: bool,
    /// With `execute_now` only.
    pub query_start_at: Option<DateTime<Utc>>,
    /// With `execute_now` only.
    pub query_end_at: Option<DateTime<Utc>>,
}

/// A draft that keeps the rules.
#[derive(Debug, Clone)]
pub struct Checked(pub(crate) Draft);

/// What shall change in a report; what is not given stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Its name.
    pub name: Option<String>,
    /// Its description; none when that is given.
    pub description: Option<Option<String>>,
    /// The text of its query.
    pub query: Option<String>,
    /// When it first runs.
    pub start_at: Option<DateTime<Utc>>,
    /// Hours between runs.
    pub interval_hours: Option<i32>,
    /// How many runs in all; for ever when none is given.
    pub occurrences: Option<Option<i32>>,
    /// No run after it; for ever when none is given.
    pub end_at: Option<Option<DateTime<Utc>>>,
    /// Make it anew after its last run.
    pub recreate: Option<bool>,
    /// So many hours after it was expected it is late.
    pub grace_hours: Option<i32>,
    /// `csv` or `tsv`.
    pub format: Option<String>,
    /// `POST` or `GET`.
    pub callback_method: Option<String>,
}

impl Draft {
    /// Checks every rule; fills in the start.
    pub fn check(mut self, now: DateTime<Utc>) -> Result<Checked, FieldErrors> {
        let mut errors = FieldErrors::default();
        self.description = self.description.as_deref().and_then(description);
        self.check_texts(&mut errors);
        self.check_times(&mut errors, now);
        let format = self.format.get_or_insert_with(|| "csv".into());
        *format = format.to_ascii_lowercase();
        errors.expect(matches!(format.as_str(), "csv" | "tsv"), "format", "must be csv or tsv");
        let method = self.callback_method.get_or_insert_with(|| "POST".into());
        *method = method.to_ascii_uppercase();
        errors.expect(matches!(method.as_str(), "POST" | "GET"), "callback_method", "must be POST or GET");
        if !self.execute_now && self.start_at.is_none() {
            self.start_at = Some(on_the_minute(now + LEAD + MARGIN));
        }
        errors.result(Checked(self))
    }

    /// Checks a name and a description.
    pub(super) fn check_words(name: &str, description: Option<&str>) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        errors.text("name", name, MOST_TEXT);
        errors.expect(!name.contains(';'), "name", "must not hold ';'");
        let length = description.map_or(0, |description| description.chars().count());
        errors.expect(length <= MOST_TEXT, "description", "must have at most 256 characters");
        errors.result(())
    }

    fn check_texts(&self, errors: &mut FieldErrors) {
        let words = Self::check_words(&self.name, self.description.as_deref());
        errors.0.extend(words.err().unwrap_or_default().0);
        match (&self.query_id, &self.query) {
            (None, Some(query)) => query::check_text(errors, query),
            (Some(_), None) => {}
            _ => errors.add("query", "give either query or query_id"),
        }
    }

    fn check_times(&self, errors: &mut FieldErrors, now: DateTime<Utc>) {
        let window = self.query_start_at.is_some() || self.query_end_at.is_some();
        if self.execute_now {
            for (field, given) in [
                ("start_at", self.start_at.is_some()),
                ("interval_hours", self.interval_hours.is_some()),
                ("occurrences", self.occurrences.is_some()),
                ("end_at", self.end_at.is_some()),
                ("recreate", self.recreate),
                ("grace_hours", self.grace_hours.is_some()),
            ] {
                errors.expect(!given, field, "must not be given together with execute_now");
            }
            if let (Some(start), Some(end)) = (self.query_start_at, self.query_end_at) {
                errors.expect(start < end, "query_end_at", "must be after query_start_at");
            }
            return;
        }
        errors.expect(!window, "query_start_at", "can be given together with execute_now only");
        match self.interval_hours {
            None => errors.add("interval_hours", "is needed unless execute_now is true"),
            Some(hours) => {
                errors.expect(INTERVALS.contains(&hours), "interval_hours", "must be between 4 and 2160");
            }
        }
        let sensible = self.grace_hours.is_none_or(|hours| GRACES.contains(&hours));
        errors.expect(sensible, "grace_hours", "must be between 1 and 2160");
        errors.expect(self.occurrences.is_none_or(|count| count > 0), "occurrences", "must be at least 1");
        let few = self.occurrences.is_none_or(|count| count <= MOST_RUNS);
        errors.expect(few, "occurrences", "must be at most 100000; leave it out for ever");
        // With the margin, what is accepted is what is sent.
        let soonest = now + LEAD + MARGIN;
        if self.start_at.is_some_and(|start| start < soonest) {
            let why = format!("must be at least 4 hours and 5 minutes ahead: {} or later", rfc3339(soonest));
            errors.add("start_at", why);
        }
        let ends_later = self.end_at.zip(self.start_at).is_none_or(|(end, start)| end > start);
        errors.expect(ends_later && self.end_at.is_none_or(|end| end > soonest), "end_at", "must be after start_at");
    }
}

impl Change {
    /// Whether it asks for anything that is not so already.
    pub fn changes(&self, report: &Report) -> bool {
        fn differs<T: PartialEq>(new: Option<&T>, old: Option<&T>) -> bool {
            new.is_some() && new != old
        }
        differs(self.name.as_ref(), Some(&report.name))
            || differs(self.description.as_ref(), Some(&report.description))
            || differs(self.query.as_ref(), Some(&report.query))
            || differs(self.start_at.as_ref(), report.start_at.as_ref())
            || differs(self.interval_hours.as_ref(), report.interval_hours.as_ref())
            || differs(self.occurrences.as_ref(), Some(&report.occurrences))
            || differs(self.end_at.as_ref(), Some(&report.end_at))
            || differs(self.recreate.as_ref(), Some(&report.recreate))
            || differs(self.grace_hours.as_ref(), Some(&report.grace_hours))
            || differs(self.format.as_ref(), Some(&report.format))
            || differs(self.callback_method.as_ref(), Some(&report.callback_method))
    }

    /// The report as it shall be, checked like a new one. The start keeps its phase when it is not given anew, and a report
    /// that runs at once does not become a scheduled one.
    pub fn check(self, report: &Report, now: DateTime<Utc>) -> Result<Checked, FieldErrors> {
        let kept_start = || Some(next_start(report.start_at?, report.interval_hours?, now + MARGIN));
        let runs = if report.state == State::Ended { 0 } else { report.runs(now) };
        let kept_grace = (!report.execute_now).then_some(report.grace_hours);
        let too_few = self.occurrences.flatten().is_some_and(|count| count > 0 && count <= runs);
        let checked = Draft {
            account_id: report.account_id,
            name: self.name.unwrap_or_else(|| report.name.clone()),
            description: self.description.unwrap_or_else(|| report.description.clone()),
            query_id: self.query.is_none().then_some(report.query_id),
            query: self.query,
            start_at: self.start_at.or_else(kept_start),
            interval_hours: self.interval_hours.or(report.interval_hours),
            occurrences: self.occurrences.unwrap_or(report.occurrences),
            end_at: self.end_at.flatten(),
            recreate: self.recreate.unwrap_or(report.recreate),
            grace_hours: self.grace_hours.or(kept_grace),
            format: self.format.or_else(|| Some(report.format.clone())),
            callback_method: self.callback_method.or_else(|| Some(report.callback_method.clone())),
            execute_now: report.execute_now,
            query_start_at: report.query_start_at,
            query_end_at: report.query_end_at,
        }
        .check(now);
        let mut errors = checked.as_ref().err().cloned().unwrap_or_default();
        if too_few {
            errors.add("occurrences", format!("must be more than the {runs} runs that have happened"));
        }
        let mut checked = checked.map_err(|_| errors.clone())?;
        // What is kept is no mistake of the caller's: the start is moved along when it is sent.
        checked.0.end_at = self.end_at.unwrap_or(report.end_at);
        if self.start_at.is_none() && checked.0.interval_hours == report.interval_hours {
            checked.0.start_at = report.start_at;
        }
        errors.result(checked)
    }
}

/// What a change takes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resend {
    Nothing,
    Update,
    Anew,
}

impl Resend {
    pub(super) fn of(report: &Report, draft: &Draft) -> Self {
        let query = draft.query.as_ref().is_some_and(|query| query.trim() != report.query)
            || draft.query_id.is_some_and(|id| id != report.query_id);
        let format = draft.format.as_deref() != Some(&report.format);
        let schedule = draft.interval_hours != report.interval_hours
            || draft.occurrences != report.occurrences
            || draft.end_at != report.end_at
            || draft.start_at != report.start_at;
        let words = draft.name.trim() != report.name
            || draft.description != report.description
            || draft.callback_method.as_deref() != Some(&report.callback_method);
        if query {
            return Self::Anew;
        }
        match (report.execute_now, format, schedule || words) {
            // An update needs a start, so it would make a scheduled report of it; its one run is under way or over.
            (true, true, _) => Self::Anew,
            (false, true, _) | (false, _, true) => Self::Update,
            (_, false, _) => Self::Nothing,
        }
    }
}

impl Checked {
    /// What whoever changes a report by this should know: the runs that will not happen, because what is sent needs a start
    /// that is hours ahead.
    pub fn warnings(&self, report: &Report, now: DateTime<Utc>) -> Vec<String> {
        if report.state == State::Ended {
            return vec!["the report has ended; resume makes it anew with these terms".into()];
        }
        let runs = report.state == State::Registered && Resend::of(report, &self.0) != Resend::Nothing;
        let next = self.0.start_at.zip(self.0.interval_hours).map(|(start, hours)| next_start(start, hours, now));
        match (report.schedule(), next) {
            (Some(schedule), Some(next)) if runs => lost(&schedule, next, now),
            _ => Vec::new(),
        }
    }
}

impl Report {
    /// What whoever has its differences mended should know: the runs that will not happen.
    pub fn mend_warnings(&self, now: DateTime<Utc>) -> Vec<String> {
        let only_state = self.drift.iter().flatten().all(|difference| !difference.needs_a_start());
        if only_state { Vec::new() } else { self.restart_warnings(now) }
    }

    /// What whoever has it made anew, or given a start, should know: the runs that will not happen.
    pub fn restart_warnings(&self, now: DateTime<Utc>) -> Vec<String> {
        let next = self.start_at.zip(self.interval_hours).map(|(start, hours)| next_start(start, hours, now));
        match (self.schedule(), next) {
            (Some(schedule), Some(next)) if self.state == State::Registered => lost(&schedule, next, now),
            _ => Vec::new(),
        }
    }
}

/// The runs that a new start takes away, in words.
pub(super) fn lost(schedule: &Schedule, next: DateTime<Utc>, now: DateTime<Utc>) -> Vec<String> {
    schedule.lost(now, next).into_iter().map(|run| format!("the run of {} will not happen", rfc3339(run))).collect()
}

/// A description as it is kept: without the space around it, and none if it says nothing.
fn description(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn on_the_minute(at: DateTime<Utc>) -> DateTime<Utc> {
    let whole = at.trunc_subsecs(0);
    whole + TimeDelta::seconds((60 - whole.timestamp().rem_euclid(60)) % 60)
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    fn now() -> DateTime<Utc> {
        "2026-01-05T08:15:15Z".parse().unwrap()
    }

    fn draft() -> Draft {
        Draft {
            account_id: AccountId::at(now()),
            name: "Daily usage".into(),
            description: None,
            query_id: None,
            query: Some("SELECT Month FROM OfficeUsage".into()),
            start_at: None,
            interval_hours: Some(24),
            occurrences: None,
            end_at: None,
            recreate: false,
            grace_hours: None,
            format: None,
            callback_method: None,
            execute_now: false,
            query_start_at: None,
            query_end_at: None,
        }
    }

    fn wrong_fields(draft: Draft) -> Vec<String> {
        draft.check(now()).unwrap_err().0.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn a_draft_gets_the_documented_defaults_and_a_start_the_api_takes() {
        let Checked(checked) = draft().check(now()).unwrap();

        assert_eq!(checked.format.as_deref(), Some("csv"));
        assert_eq!(checked.callback_method.as_deref(), Some("POST"));
        assert_eq!(checked.start_at, Some("2026-01-05T12:21:00Z".parse().unwrap()));
    }

    #[test]
    fn every_broken_rule_is_named_in_one_answer() {
        let broken = Draft {
            name: "a;b".into(),
            query: None,
            start_at: Some(now()),
            interval_hours: Some(3),
            occurrences: Some(0),
            grace_hours: Some(0),
            format: Some("xls".into()),
            callback_method: Some("PUT".into()),
            ..draft()
        };

        let expected =
            ["name", "query", "interval_hours", "grace_hours", "occurrences", "start_at", "format", "callback_method"];
        assert_eq!(wrong_fields(broken), expected);
    }

    #[test]
    fn texts_and_intervals_beyond_their_limits_and_an_end_before_the_start_are_named() {
        let long = "x".repeat(257);
        let start_at = Some(now() + TimeDelta::hours(5));
        let broken = Draft {
            name: long.clone(),
            description: Some(long),
            interval_hours: Some(2161),
            start_at,
            end_at: start_at,
            ..draft()
        };

        assert_eq!(wrong_fields(broken), ["name", "description", "interval_hours", "end_at"]);
    }

    #[test]
    fn a_start_that_would_be_moved_when_it_is_sent_is_refused() {
        let at = |minutes| Draft { start_at: Some(now() + LEAD + TimeDelta::minutes(minutes)), ..draft() };

        assert_eq!(wrong_fields(at(4)), ["start_at"]);
        let Checked(checked) = at(5).check(now()).unwrap();
        assert_eq!(next_start(checked.start_at.unwrap(), 24, now()), checked.start_at.unwrap());
    }

    #[test]
    fn a_report_that_runs_at_once_takes_no_schedule() {
        let broken = Draft { execute_now: true, start_at: Some(now()), ..draft() };

        assert_eq!(wrong_fields(broken), ["start_at", "interval_hours"]);
    }
}
