//! The end of a report: it has run for the last time.
//!
//! The API says so, by the word `Inactive`, and a comparison hears it; the arrival of the last file makes a comparison due. An
//! end is told once per registration, and a report that shall go on is made anew there instead. A report that runs once, at
//! once, ends with its one run; nobody waits for that, so it is not told.
//!
//! With a report there its executions and their links are gone, so one that goes on is made anew only when all that the old one
//! made is here; and the old one, if it is inactive, takes no place there and is left as it is. One that is resumed after its end
//! waits as long, and is deleted then.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::Report;
use super::store::checks::{self, Closing};
use super::store::comparisons::{self, Again};
use super::store::expected;
use crate::clock::Clock;
use crate::db::Stored;
use crate::event::{self, About, Fact, Kind};
use crate::id::ReportId;
use crate::insights;

/// Its last file is asked for and fetched meanwhile.
const NEXT_LOOK: TimeDelta = TimeDelta::minutes(15);

/// Has a report made anew that is over there, once all it made is here; until then tells when to look again.
pub(super) async fn go_on(
    conn: &mut PgConnection,
    (report, remote): (&Report, &insights::Report),
    again: Again,
    now: DateTime<Utc>,
) -> Stored<Option<DateTime<Utc>>> {
    if checks::close(conn, report.id, now).await? != Closing::Closed {
        return Ok(Some(now + NEXT_LOOK));
    }
    if remote.is_inactive() {
        let ran = if again == Again::Restart { 0 } else { report.runs(now) };
        comparisons::leave(conn, report, ran, now).await?;
    } else {
        comparisons::settle_again(conn, report, again, now).await?;
    }
    Ok(None)
}

/// Ends a report that has run for the last time.
pub(super) async fn over(conn: &mut PgConnection, clock: &Clock, report: &Report) -> Stored<()> {
    let now = clock.now();
    let Some(remote) = report.remote_id.as_ref().map(|id| &id.0) else { return Ok(()) };
    if !comparisons::end(conn, report, now).await? {
        return Ok(());
    }
    let fact = Fact {
        kind: Kind::ReportEnded,
        key: format!("ended:{remote}"),
        about: About { report_id: Some(report.id), account_id: Some(report.account_id), ..About::default() },
        data: json!({
            "report": { "id": report.id, "name": report.name },
            "runs": report.runs(now),
            "last_run_at": report.schedule().and_then(|schedule| schedule.last()),
        }),
    };
    event::store::append(conn, clock, fact).await?;
    tracing::info!(report = %report.id, "has run for the last time");
    Ok(())
}

/// Notes that a run of a report is over, whatever came of it: one that runs once has ended.
pub async fn run_is_over(conn: &mut PgConnection, id: ReportId, now: DateTime<Utc>) -> Stored<()> {
    expected::end_once(conn, id, now).await
}
