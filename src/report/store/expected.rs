//! What is expected of reports, and when: written as files come and as time passes.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::super::Report;
use super::find;
use crate::db::{StoreError, Stored};
use crate::id::{AccountId, ReportId};

/// One report, held until the transaction ends: two files that come at once move its expectation one after the other.
pub(in super::super) async fn hold(conn: &mut PgConnection, id: ReportId) -> Stored<Report> {
    sqlx::query!("select id from reports where id = $1 for no key update", id.0).fetch_optional(&mut *conn).await?;
    find(conn, id).await?.ok_or(StoreError::Lost)
}

/// Moves the expectation after a file has come.
pub(in super::super) async fn arrived(
    conn: &mut PgConnection,
    id: ReportId,
    expected_at: Option<DateTime<Utc>>,
    late_since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Stored<()> {
    sqlx::query!(
        "update reports set arrived_at = $4, late_since = $3, expected_at = $2 where id = $1",
        id.0,
        expected_at,
        late_since,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A report that was expected long ago.
pub(in super::super) struct Late {
    pub(in super::super) id: ReportId,
    pub(in super::super) account_id: AccountId,
    pub(in super::super) name: String,
    pub(in super::super) expected_at: DateTime<Utc>,
    pub(in super::super) grace_hours: i32,
}

/// Marks up to `limit` registered reports as late whose time and grace period have passed.
pub(in super::super) async fn mark_late(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Stored<Vec<Late>> {
    let rows = sqlx::query_as!(
        Late,
        r#"update reports set late_since = $1
           where id in (
               select id from reports
               -- by the index what is overdue, of that what is late
               where expected_at < $1 and expected_at + grace_hours * interval '1 hour' < $1
                 and late_since is null and state = 'registered'
               order by expected_at limit $2 for update skip locked
           )
           returning id as "id: _", account_id as "account_id: _", name, expected_at as "expected_at!",
               grace_hours"#,
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Ends a report that runs once, at once.
pub(in super::super) async fn end_once(conn: &mut PgConnection, id: ReportId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!(
        "update reports set state = 'ended', updated_at = $2
         where id = $1 and execute_now and state = 'registered' and settle_at is null",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
