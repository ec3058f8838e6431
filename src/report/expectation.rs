//! When a report is due, and when it is late.
//!
//! The next expectation follows from the start, the interval and what actually came. A report that has not come two hours
//! after it was expected is late: that is told once, and once more when it comes. Paused, retired and one-shot reports
//! expect nothing.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::store::{self, checks};
use super::{Report, State};
use crate::clock::Clock;
use crate::db::Stored;
use crate::event::{self, About, Fact, Kind};
use crate::id::{ExecutionId, FileId, ReportId};

/// How long after its time a report is late.
pub const GRACE: TimeDelta = TimeDelta::hours(2);
const BATCH: i64 = 100;

/// Tells of reports that are late. Returns how many.
pub async fn tell_late(pool: &PgPool, clock: &Clock) -> Stored<usize> {
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let late = store::mark_late(&mut tx, now - GRACE, now, BATCH).await?;
    for report in &late {
        let fact = Fact {
            kind: Kind::ReportLate,
            key: format!("late:{}:{}", report.id, report.expected_at.timestamp_micros()),
            about: About { report_id: Some(report.id), account_id: Some(report.account_id), ..About::default() },
            data: json!({
                "report": { "id": report.id, "name": report.name },
                "expected_at": report.expected_at,
            }),
        };
        event::store::append(&mut tx, clock, fact).await?;
    }
    tx.commit().await?;
    Ok(late.len())
}

/// Notes that a file of a report was stored: computes the next expectation and tells if the report had been late. In the
/// transaction that stores the file.
pub async fn fulfilled(
    conn: &mut PgConnection,
    clock: &Clock,
    id: ReportId,
    (execution_id, file_id): (ExecutionId, FileId),
    generated_at: DateTime<Utc>,
) -> Stored<()> {
    let report = store::hold(conn, id).await?;
    let next = next_expectation(&report, generated_at);
    // A file of an earlier run does not make good for the one that is late.
    let recovered = report.late_since.filter(|_| next != report.expected_at);
    let still_late = report.late_since.filter(|_| recovered.is_none());
    store::arrived(conn, id, next, still_late, clock.now()).await?;
    if let Some(next) = next {
        checks::due_by(conn, id, next).await?;
    }
    let Some(late_since) = recovered else { return Ok(()) };
    let fact = Fact {
        kind: Kind::ReportRecovered,
        key: format!("recovered:{id}:{}", late_since.timestamp_micros()),
        about: About {
            report_id: Some(id),
            account_id: Some(report.account_id),
            execution_id: Some(execution_id),
            file_id: Some(file_id),
            ..About::default()
        },
        data: json!({
            "report": { "id": id, "name": report.name },
            "expected_at": report.expected_at,
            "late_since": late_since,
        }),
    };
    event::store::append(conn, clock, fact).await?;
    Ok(())
}

/// The first run of the schedule that is still to come.
pub(super) fn next_run(report: &Report, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (start, interval) = (report.start_at?, TimeDelta::hours(report.interval_hours?.into()));
    let passed = (now - start).num_seconds().div_euclid(interval.num_seconds().max(1));
    let next = start + interval * i32::try_from(passed + 1).unwrap_or(1).max(0);
    within(report, next)
}

fn within(report: &Report, next: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (start, interval) = (report.start_at?, TimeDelta::hours(report.interval_hours?.into()));
    let last = report.occurrences.map(|count| start + interval * (count - 1));
    last.is_none_or(|last| next <= last).then_some(next)
}

fn next_expectation(report: &Report, generated_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (start, interval) = (report.start_at?, TimeDelta::hours(report.interval_hours?.into()));
    if report.state != State::Registered {
        return None;
    }
    let mut next = report.expected_at.unwrap_or(start);
    // A file that comes up to half an interval early is the one that was expected.
    if generated_at >= next - interval / 2 {
        let passed = (generated_at - next + interval / 2).num_seconds().div_euclid(interval.num_seconds().max(1));
        next += interval * i32::try_from(passed + 1).unwrap_or(1);
    }
    within(report, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::report::There;

    fn report(occurrences: Option<i32>) -> Report {
        let at: DateTime<Utc> = "2026-01-06T12:00:00Z".parse().unwrap();
        Report {
            id: ReportId::at(at),
            account_id: crate::id::AccountId::at(at),
            query_id: crate::id::QueryId::at(at),
            query: String::new(),
            name: "r".into(),
            slug: "r".into(),
            description: None,
            start_at: Some(at),
            interval_hours: Some(24),
            occurrences,
            execute_now: false,
            query_start_at: None,
            query_end_at: None,
            format: "csv".into(),
            callback_method: "POST".into(),
            state: State::Registered,
            there: There::Active,
            settling: false,
            remake: false,
            remote_id: None,
            last_failure: None,
            expected_at: Some(at),
            late_since: None,
            arrived_at: None,
            created_at: at,
            updated_at: at,
        }
    }

    fn hours(after: i64) -> DateTime<Utc> {
        report(None).start_at.unwrap() + TimeDelta::hours(after)
    }

    #[test]
    fn the_next_expectation_follows_what_came() {
        let cases = [(0, 24), (1, 24), (-4, 24), (-20, 0), (13, 48), (50, 72)];
        for (came, expected) in cases {
            assert_eq!(next_expectation(&report(None), hours(came)), Some(hours(expected)), "came after {came} h");
        }
    }

    #[test]
    fn the_next_run_is_the_first_of_the_schedule_that_has_not_passed() {
        for (now, expected) in [(-30, 0), (-1, 0), (0, 24), (25, 48)] {
            assert_eq!(next_run(&report(None), hours(now)), Some(hours(expected)), "at {now} h");
        }
        assert_eq!(next_run(&report(Some(1)), hours(1)), None);
    }

    #[test]
    fn after_the_last_occurrence_nothing_is_expected() {
        assert_eq!(next_expectation(&report(Some(1)), hours(0)), None);
        assert_eq!(next_expectation(&report(Some(2)), hours(0)), Some(hours(24)));
        let paused = Report { state: State::Paused, ..report(None) };
        assert_eq!(next_expectation(&paused, hours(0)), None);
    }
}
