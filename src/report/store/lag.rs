//! What of reports is due, and which calls wait for a check.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::db::{Due, Stored};

/// Reports that are to be brought into line at the API, of accounts that can be used; counts no further than `most`.
pub async fn to_settle(conn: &mut PgConnection, now: DateTime<Utc>, most: i64) -> Stored<Due> {
    let due = sqlx::query_as!(
        Due,
        r#"select count(*) as "count!", min(settle_at) as oldest_at
           from (
               select settle_at from reports join accounts on accounts.id = account_id
               where settle_at <= $1 and accounts.state = 'active'
               order by settle_at limit $2
           ) as due"#,
        now,
        most
    )
    .fetch_one(conn)
    .await?;
    Ok(due)
}

/// Reports whose executions are to be asked for, of accounts that can be used; counts no further than `most`.
pub async fn to_check(conn: &mut PgConnection, now: DateTime<Utc>, most: i64) -> Stored<Due> {
    let due = sqlx::query_as!(
        Due,
        r#"select count(*) as "count!", min(due_at) as oldest_at
           from (
               select checks.due_at from checks
               join registrations on registrations.report_id = checks.report_id and ended_at is null
               join reports on reports.id = checks.report_id
               join accounts on accounts.id = account_id
               where checks.due_at <= $1 and accounts.state = 'active'
               order by checks.due_at limit $2
           ) as due"#,
        now,
        most
    )
    .fetch_one(conn)
    .await?;
    Ok(due)
}

/// Reports that were called and whose call no finished check covers, and when the first of these calls came. Their number
/// is read from `checks`, which has a row per report, so it makes no difference how many callbacks there are. A report that
/// is gone there is asked for no more.
pub async fn unresolved(conn: &mut PgConnection) -> Stored<Due> {
    let due = sqlx::query_as!(
        Due,
        r#"select count(*) as "count!", min(called_since) as oldest_at
           from checks
           join registrations on registrations.report_id = checks.report_id and ended_at is null
           where calls > done_calls"#
    )
    .fetch_one(conn)
    .await?;
    Ok(due)
}
