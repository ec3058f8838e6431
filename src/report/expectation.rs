//! When a report is due, and when it is late.
//!
//! The next expectation follows from the start, the interval and what actually came. A report that has not come within its
//! grace period after it was expected is late: that is told once, and once more when it comes. Paused, retired and one-shot
//! reports expect nothing.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::store::{checks, comparisons, expected};
use super::{Report, State, ending};
use crate::clock::Clock;
use crate::db::Stored;
use crate::event::{self, About, Fact, Kind};
use crate::id::{ExecutionId, FileId, ReportId};

const BATCH: i64 = 100;
/// What is left then is told when the watch comes round again.
const MOST_BATCHES: usize = 1000;

/// Tells of reports that are late, a batch in each transaction. Returns how many.
pub async fn tell_late(pool: &PgPool, clock: &Clock) -> Stored<usize> {
    let mut told = 0;
    for _ in 0..MOST_BATCHES {
        let batch = tell_some(pool, clock).await?;
        told += batch;
        if batch < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            break;
        }
    }
    Ok(told)
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
    let report = expected::hold(conn, id).await?;
    let next = next_expectation(&report, generated_at);
    // A file of an earlier run does not make good for the one that is late.
    let recovered = report.late_since.filter(|_| next != report.expected_at);
    let still_late = report.late_since.filter(|_| recovered.is_none());
    expected::arrived(conn, id, next, still_late, clock.now()).await?;
    if let Some(next) = next {
        let soonest = report.schedule().and_then(|schedule| schedule.soonest_after(clock.now()));
        checks::due_by(conn, id, soonest.map_or(next, |soonest| soonest.min(next))).await?;
    } else if report.state == State::Registered && report.schedule().is_some() {
        // That was the last one, as far as we know; the API does.
        comparisons::due(conn, report.account_id, clock.now()).await?;
    }
    ending::run_is_over(conn, id, clock.now()).await?;
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

async fn tell_some(pool: &PgPool, clock: &Clock) -> Stored<usize> {
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let late = expected::mark_late(&mut tx, now, BATCH).await?;
    for report in &late {
        let fact = Fact {
            kind: Kind::ReportLate,
            key: format!("late:{}:{}", report.id, report.expected_at.timestamp_micros()),
            about: About { report_id: Some(report.id), account_id: Some(report.account_id), ..About::default() },
            data: json!({
                "report": { "id": report.id, "name": report.name },
                "expected_at": report.expected_at,
                "grace_hours": report.grace_hours,
            }),
        };
        event::store::append(&mut tx, clock, fact).await?;
    }
    tx.commit().await?;
    Ok(late.len())
}

/// Only a report that shall run is expected.
fn next_expectation(report: &Report, generated_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedule = report.schedule().filter(|_| report.state == State::Registered)?;
    schedule.after_arrival(report.expected_at.unwrap_or(schedule.start_at), generated_at)
}
