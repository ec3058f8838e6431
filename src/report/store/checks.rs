//! The table `checks`: one narrow row per report, so that a thousand callbacks touch little.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::super::check::{Check, Outcome};
use crate::db::{self, LEASE, Stored};
use crate::id::{AccountId, ReportId};

/// So long the last files of a report that is over are waited for.
const PATIENCE: TimeDelta = TimeDelta::days(3);

/// Adds the check of a new report: not due before something happens.
pub(super) async fn insert(conn: &mut PgConnection, id: ReportId) -> Stored<()> {
    sqlx::query!("insert into checks (report_id) values ($1)", id.0).execute(conn).await?;
    Ok(())
}

/// Makes a run of a report expected from now on.
pub(in super::super) async fn expect(
    conn: &mut PgConnection,
    id: ReportId,
    manual: bool,
    now: DateTime<Utc>,
) -> Stored<()> {
    sqlx::query!(
        "update checks
         set due_at = least(due_at, $3), expected_since = $3, tries = 0, manual = manual or $2
         where report_id = $1",
        id.0,
        manual,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes a check due at a time at the latest.
pub(in super::super) async fn due_by(conn: &mut PgConnection, id: ReportId, at: DateTime<Utc>) -> Stored<()> {
    sqlx::query!("update checks set due_at = least(due_at, $2) where report_id = $1", id.0, at).execute(conn).await?;
    Ok(())
}

/// How much of what a report made there is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Closing {
    /// It is still to be answered what it made.
    Asked,
    /// Some of that is under way, or still to be fetched.
    Open,
    /// All is here.
    Closed,
}

/// Whether all that a report made before this was first asked is here. Asked for the first time, it makes a question for
/// everything due. What is not here after three days does not come.
pub(in super::super) async fn close(conn: &mut PgConnection, id: ReportId, now: DateTime<Utc>) -> Stored<Closing> {
    let begins = sqlx::query!(
        "update checks
         set closing_since = $2, closed_at = null, due_at = least(due_at, $2), expected_since = $2, tries = 0
         where report_id = $1 and closing_since is null",
        id.0,
        now
    );
    if begins.execute(&mut *conn).await?.rows_affected() == 1 {
        return Ok(Closing::Asked);
    }
    let stands = sqlx::query!(
        r#"select closed_at is not null as "is_answered!", closing_since < $2 as "is_too_long!", exists (
               select from executions where executions.report_id = checks.report_id and state in ('pending', 'ready')
           ) as "is_open!"
           from checks where report_id = $1"#,
        id.0,
        now - PATIENCE
    );
    let stands = stands.fetch_one(conn).await?;
    Ok(match (stands.is_answered, stands.is_open) {
        _ if stands.is_too_long => Closing::Closed,
        (false, _) => Closing::Asked,
        (true, true) => Closing::Open,
        (true, false) => Closing::Closed,
    })
}

/// Forgets that a report was over there: it is not, or another is there now.
pub(in super::super) async fn reopen(conn: &mut PgConnection, id: ReportId) -> Stored<()> {
    sqlx::query!(
        "update checks set closing_since = null, closed_at = null where report_id = $1 and closing_since is not null",
        id.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the runs of all registered reports expected, once after a start or a return of the database. Locks in the order of
/// ids, as a batch of callbacks does that may come at the same time.
pub async fn expect_all(conn: &mut PgConnection, now: DateTime<Utc>) -> Stored<u64> {
    let result = sqlx::query!(
        "with registered as (
             select checks.report_id from checks
             join registrations on registrations.report_id = checks.report_id and ended_at is null
             order by checks.report_id
             for update of checks
         )
         update checks
         set due_at = least(due_at, $1), expected_since = coalesce(expected_since, $1), tries = 0
         from registered
         where registered.report_id = checks.report_id",
        now
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected())
}

/// Claims up to `limit` due checks of reports that the API has, of accounts that can be used. The others stay due.
pub(in super::super) async fn claim(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Stored<Vec<Check>> {
    let rows = sqlx::query_as!(
        Claimed,
        r#"with due as (
               select checks.report_id, registrations.remote_id, reports.account_id, reports.execute_now,
                   reports.interval_hours, reports.adopted_at
               from checks
               join registrations on registrations.report_id = checks.report_id and ended_at is null
               join reports on reports.id = checks.report_id
               join accounts on accounts.id = account_id
               -- nothing waits longer than six hours: what is due later was set before the clock was set back
               where (checks.due_at <= $1 or checks.due_at > $1 + interval '7 hours')
                 and (checks.lease_until is null or checks.lease_until <= $1 or checks.lease_until - interval '30 seconds' > $2)
                 and accounts.state = 'active'
                 and (blocked_until is null or blocked_until <= $1 or blocked_until > $1 + interval '1 hour')
               order by checks.due_at
               limit $3
               for update of checks skip locked
           )
           update checks
           set lease = lease + 1, lease_until = $2, claimed_lease = lease + 1, claimed_calls = calls
           from due
           where checks.report_id = due.report_id
           returning checks.report_id as "report_id: _", due.remote_id, due.account_id as "account_id: _",
               due.execute_now, due.interval_hours, due.adopted_at, checks.lease, checks.calls, checks.done_calls, checks.manual,
               checks.expected_since, checks.tries, checks.good_at,
               checks.closing_since is not null and checks.closed_at is null as "closes!""#,
        now,
        now + LEASE,
        limit
    )
    .fetch_all(conn)
    .await?;
    let check = |row: Claimed| Check {
        report_id: row.report_id,
        remote_id: crate::insights::ReportId(row.remote_id),
        account_id: row.account_id,
        lease: row.lease,
        began_at: now,
        calls: row.calls,
        called: row.calls > row.done_calls,
        manual: row.manual || row.execute_now,
        expected: row.expected_since.is_some(),
        first: row.tries == 0,
        good_at: row.good_at,
        interval_hours: row.interval_hours,
        adopted_at: row.adopted_at,
        closes: row.closes,
    };
    Ok(rows.into_iter().map(check).collect())
}

struct Claimed {
    report_id: ReportId,
    remote_id: String,
    account_id: AccountId,
    lease: i64,
    calls: i64,
    done_calls: i64,
    manual: bool,
    execute_now: bool,
    expected_since: Option<DateTime<Utc>>,
    tries: i32,
    good_at: Option<DateTime<Utc>>,
    interval_hours: Option<i32>,
    adopted_at: Option<DateTime<Utc>>,
    closes: bool,
}

/// Renews the lease of a check.
pub(in super::super) async fn renew(conn: &mut PgConnection, check: &Check, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update checks set lease_until = $3 where report_id = $1 and lease = $2",
        check.report_id.0,
        check.lease,
        now + LEASE
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Gives a claim back that nothing came of: it is due as before.
pub(in super::super) async fn release(conn: &mut PgConnection, claim: &Check) -> Stored<()> {
    let result = sqlx::query!(
        "update checks set lease_until = null where report_id = $1 and lease = $2",
        claim.report_id.0,
        claim.lease
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// How a check stands that is being done.
pub(in super::super) struct Standing {
    pub(in super::super) calls: i64,
    /// When the first of the calls came that no finished check covers.
    pub(in super::super) called_since: Option<DateTime<Utc>>,
    /// Since when a run is expected.
    pub(in super::super) expected_since: Option<DateTime<Utc>>,
    /// How often it was asked for.
    pub(in super::super) tries: i32,
}

/// Locks a check that is still ours and tells how it stands.
pub(in super::super) async fn lock(conn: &mut PgConnection, check: &Check) -> Stored<Standing> {
    let row = sqlx::query_as!(
        Standing,
        "select calls, called_since, expected_since, tries from checks where report_id = $1 and lease = $2 for update",
        check.report_id.0,
        check.lease
    )
    .fetch_optional(conn)
    .await?
    .ok_or(db::StoreError::Lost)?;
    Ok(row)
}

/// Ends a check.
pub(in super::super) async fn finish(conn: &mut PgConnection, check: &Check, outcome: &Outcome) -> Stored<()> {
    let result = sqlx::query!(
        "update checks
         set lease_until = null, due_at = $3, done_calls = coalesce($4, done_calls), expected_since = $5, tries = $6,
             good_at = coalesce($7, good_at), manual = manual and not $8,
             closed_at = case when $9 then $7 else closed_at end,
             called_since = case when $4::bigint is null then called_since when calls > $4 then $10::timestamptz end
         where report_id = $1 and lease = $2",
        check.report_id.0,
        check.lease,
        outcome.due_at,
        outcome.done_calls,
        outcome.expected_since,
        outcome.tries,
        outcome.good_at,
        outcome.found,
        outcome.closed,
        outcome.began_at
    )
    .execute(conn)
    .await?;
    db::one(&result)
}
