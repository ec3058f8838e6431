//! The rows of a report that existed at the API before us.

use sqlx::PgConnection;

use super::super::adopt::Adoption;
use super::super::{State, Terms, slug};
use super::{checks, comparisons, queries, settle};
use crate::clock::Clock;
use crate::db::Stored;
use crate::id::{AccountId, ReportId};
use crate::insights;

/// Adds a report as it is there, with its query, its registration and its check; all it made is asked for at once.
pub(in super::super) async fn insert(
    conn: &mut PgConnection,
    clock: &Clock,
    adoption: &Adoption,
    (there, amend): (&Terms, bool),
) -> Stored<()> {
    let (id, now) = (adoption.id, clock.now());
    let text = adoption.remote.query.as_deref().unwrap_or_default();
    let query_id =
        queries::adopt(conn, clock, adoption.account_id, (&adoption.name, text, adoption.remote.query_id.as_ref()))
            .await?;
    let expected_at = adoption.schedule().filter(|_| adoption.state == State::Registered);
    sqlx::query!(
        "insert into reports (id, account_id, query_id, name, slug, description, start_at, interval_hours, occurrences, end_at,
             execute_now, format, callback_method, state, there, sent, amend, settle_at, expected_at, adopted_at, created_at,
             updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
             case when $17 then $18::timestamptz end, $19, case when not $20 then $18::timestamptz end, $18, $18)",
        id.0,
        adoption.account_id.0,
        query_id.0,
        adoption.name,
        slug(&adoption.name),
        adoption.description,
        there.start_at,
        there.interval_hours,
        there.occurrences,
        there.end_at,
        there.interval_hours.is_none(),
        there.format,
        there.callback_method,
        adoption.state.as_str(),
        if adoption.state == State::Paused { "paused" } else { "active" },
        serde_json::json!(there),
        amend,
        now,
        expected_at.and_then(|schedule| schedule.next(now)),
        adoption.was_ours
    )
    .execute(&mut *conn)
    .await?;
    settle::register(conn, clock, id, &adoption.remote.id).await?;
    comparisons::insert(conn, adoption.account_id, now).await?;
    checks::insert(conn, id).await?;
    checks::expect(conn, id, true, now).await
}

/// Under which of these remote ids we know a report of the account, now or before, and which.
pub async fn known(
    conn: &mut PgConnection,
    account: AccountId,
    ids: &[&str],
) -> Stored<Vec<(insights::ReportId, ReportId)>> {
    let rows = sqlx::query!(
        r#"select remote_id, report_id as "report_id: ReportId"
           from registrations
           join reports on reports.id = report_id
           where account_id = $1 and remote_id = any($2)"#,
        account.0,
        ids as &[&str]
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (insights::ReportId(row.remote_id), row.report_id)).collect())
}
