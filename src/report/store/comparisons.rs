//! The table `comparisons`, and what a comparison writes to `reports`: only where the row is still as it was read.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::super::{Report, There};
use super::{Filter, select, settle};
use crate::db::{self, LEASE, Stored};
use crate::id::AccountId;

/// More than the API lets an account have at once.
const MOST_REPORTS: i64 = 1_000;
/// A new account has nothing that could have been changed yet.
const FIRST: TimeDelta = TimeDelta::hours(24);

/// An account whose reports are to be compared, with the claim on it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Whose reports.
    pub account_id: AccountId,
    lease: i64,
}

/// Makes sure that the reports of an account are compared some day.
pub(super) async fn insert(conn: &mut PgConnection, account: AccountId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!(
        "insert into comparisons (account_id, due_at)
         select id, $2 from accounts where id = $1
         on conflict (account_id) do nothing",
        account.0,
        now + FIRST
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the comparison of an account due.
pub(in super::super) async fn due(conn: &mut PgConnection, account: AccountId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!("update comparisons set due_at = least(due_at, $2) where account_id = $1", account.0, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes all comparisons due, once after a start: our own address may have changed.
pub async fn due_all(conn: &mut PgConnection, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!("update comparisons set due_at = least(due_at, $1)", now).execute(conn).await?;
    Ok(())
}

/// Makes the comparison of an account due, even of one without reports: what is left over there is deleted with it.
pub async fn soon(conn: &mut PgConnection, account: AccountId, now: DateTime<Utc>) -> Stored<()> {
    insert(conn, account, now).await?;
    due(conn, account, now).await
}

/// Claims up to `limit` due comparisons of accounts that can be used.
pub(in super::super) async fn claim(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Stored<Vec<Claimed>> {
    let rows = sqlx::query_as!(
        Claimed,
        r#"with due as (
               select account_id
               from comparisons
               join accounts on accounts.id = account_id
               -- nothing waits longer than a day: what is due later was set before the clock was set back
               where (due_at <= $1 or due_at > $1 + interval '25 hours')
                 and (lease_until is null or lease_until <= $1 or lease_until - interval '30 seconds' > $2)
                 and accounts.state = 'active'
                 and (blocked_until is null or blocked_until <= $1 or blocked_until > $1 + interval '1 hour')
               order by due_at
               limit $3
               for update of comparisons skip locked
           )
           update comparisons
           set lease = lease + 1, lease_until = $2
           from due
           where comparisons.account_id = due.account_id
           returning comparisons.account_id as "account_id: _", lease"#,
        now,
        now + LEASE,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Renews the lease of a claim.
pub(in super::super) async fn renew(conn: &mut PgConnection, claim: &Claimed, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update comparisons set lease_until = $3 where account_id = $1 and lease = $2",
        claim.account_id.0,
        claim.lease,
        now + LEASE
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Gives a claim back that nothing came of: it is due as before.
pub(in super::super) async fn release(conn: &mut PgConnection, claim: &Claimed) -> Stored<()> {
    let result = sqlx::query!(
        "update comparisons set lease_until = null where account_id = $1 and lease = $2",
        claim.account_id.0,
        claim.lease
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Ends a comparison, and says when the next one is due.
pub(in super::super) async fn finish(conn: &mut PgConnection, claim: &Claimed, due_at: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update comparisons set due_at = $3, lease_until = null where account_id = $1 and lease = $2",
        claim.account_id.0,
        claim.lease,
        due_at
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// The reports of an account that are in line as far as we know, newest first.
pub(in super::super) async fn reports(conn: &mut PgConnection, account: AccountId) -> Stored<Vec<Report>> {
    select(conn, Filter { account: Some(account), is_settled: true, ..Filter::default() }, MOST_REPORTS).await
}

/// Records how a report differs, or that it does not, and what is there where that is known. Tells since when it differs, and
/// whether it does so in this way since now; none where it does not, or the row has changed since it was read.
pub(in super::super) async fn found(
    conn: &mut PgConnection,
    read: &Report,
    (drift, there): (Option<&serde_json::Value>, Option<There>),
    now: DateTime<Utc>,
) -> Stored<Option<(DateTime<Utc>, bool)>> {
    let found = sqlx::query!(
        r#"with before as (select id, drift from reports where id = $1 for no key update)
         update reports
         set drift = $3, drift_since = case when $3::jsonb is not null then coalesce(drift_since, $5) end, compared_at = $5,
             there = coalesce($4, there)
         from before
         where reports.id = before.id and updated_at = $2 and settle_at is null
         returning drift_since, before.drift is distinct from reports.drift as "is_news!""#,
        read.id.0,
        read.updated_at,
        drift,
        there.map(There::as_str),
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.and_then(|row| Some((row.drift_since?, row.is_news))))
}

/// Notes which key the address was made with that was sent.
pub(in super::super) async fn name_key(conn: &mut PgConnection, read: &Report, key: &str) -> Stored<()> {
    sqlx::query!(
        "update reports set sent = jsonb_set(sent, '{callback_key}', to_jsonb($3::text))
         where id = $1 and updated_at = $2 and settle_at is null",
        read.id.0,
        read.updated_at,
        key
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What shall happen there to a report that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Again {
    /// It is changed.
    Change,
    /// It is made anew, with the runs that are left.
    Remake,
    /// It has run for the last time, and is made anew from its first run on.
    Restart,
}

/// Has a report changed or made anew there.
pub(in super::super) async fn settle_again(
    conn: &mut PgConnection,
    read: &Report,
    again: Again,
    now: DateTime<Utc>,
) -> Stored<()> {
    sqlx::query!(
        "update reports
         set amend = amend or not $4, remake = remake or $4, sent = case when $5 then null else sent end,
             ran = case when $5 then 0 else ran end, drift = case when $4 then null else drift end,
             drift_since = case when $4 then null else drift_since end, settle_at = $3, settle_tries = 0,
             compared_at = $3, updated_at = $3
         where id = $1 and updated_at = $2 and settle_at is null",
        read.id.0,
        read.updated_at,
        now,
        again != Again::Change,
        again == Again::Restart
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Leaves a report that is over there as it is, and has it made anew; it ran so often until now.
pub(in super::super) async fn leave(
    conn: &mut PgConnection,
    read: &Report,
    ran: i32,
    now: DateTime<Utc>,
) -> Stored<()> {
    let result = sqlx::query!(
        "update reports
         set there = 'none', sent = null, ran = $3, remake = false, amend = false, drift = null, drift_since = null,
             state = case when state = 'registered' then 'draft' else state end,
             -- a paused one is made anew there when it is resumed
             settle_at = case when state = 'registered' then $4::timestamptz end,
             settle_tries = 0, compared_at = $4, updated_at = $4
         where id = $1 and updated_at = $2 and settle_at is null",
        read.id.0,
        read.updated_at,
        ran,
        now
    );
    if result.execute(&mut *conn).await?.rows_affected() == 1 {
        settle::leave(conn, read.id, now).await?;
    }
    Ok(())
}

/// Ends a report; false if the row has changed since it was read.
pub(in super::super) async fn end(conn: &mut PgConnection, read: &Report, now: DateTime<Utc>) -> Stored<bool> {
    let result = sqlx::query!(
        "update reports
         set state = 'ended', expected_at = null, late_since = null, drift = null, drift_since = null, compared_at = $3,
             updated_at = $3
         where id = $1 and updated_at = $2 and settle_at is null",
        read.id.0,
        read.updated_at,
        now
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Has the differences of a report mended. [`db::StoreError::Lost`]: the row has changed since it was read.
pub async fn mend(conn: &mut PgConnection, read: &Report, now: DateTime<Utc>) -> Stored<()> {
    let drift = read.drift.as_deref().unwrap_or_default();
    let anew = drift.iter().any(super::super::drift::Difference::needs_a_new_one);
    // Of one that is not there any more nothing is left to wait for.
    let is_deleted = drift.iter().any(super::super::drift::Difference::is_deleted);
    if is_deleted {
        super::settle::leave(&mut *conn, read.id, now).await?;
    }
    let result = sqlx::query!(
        "update reports
         set remake = (remake or $3) and not $6, amend = (amend or $4) and not $6, drift = null, drift_since = null,
             last_failure = null, state = case when $3 and state = 'registered' then 'draft' else state end,
             there = case when $6 then 'none' else there end, sent = case when not $6 then sent end,
             ran = case when $6 then $7 else ran end, settle_at = $5, settle_tries = 0, updated_at = $5
         where id = $1 and updated_at = $2 and settle_at is null",
        read.id.0,
        read.updated_at,
        anew,
        !anew && drift.iter().any(|difference| difference.field != "state"),
        now,
        is_deleted,
        read.runs(now)
    )
    .execute(conn)
    .await?;
    db::one(&result)
}
