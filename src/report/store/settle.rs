//! Bringing the API into line: the claims on `reports`, what came of them, and `registrations`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::super::{Report, Terms, There};
use super::checks;
use crate::clock::Clock;
use crate::db::{self, LEASE, Stored};
use crate::id::{AccountId, RegistrationId, ReportId};
use crate::insights;

/// A report to be brought into line, with the claim on it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The report.
    pub id: ReportId,
    /// Whose.
    pub account_id: AccountId,
    /// The number of the claim.
    pub lease: i64,
    /// How often it was tried before.
    pub tries: i32,
}

/// Claims up to `limit` reports that are not as we want them, of accounts that can be used.
pub(in super::super) async fn claim(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Stored<Vec<Claimed>> {
    let rows = sqlx::query_as!(
        Claimed,
        r#"with due as (
               select reports.id
               from reports
               join accounts on accounts.id = account_id
               -- nothing waits longer than an hour: what is due later was set before the clock was set back
               where (settle_at <= $1 or settle_at > $1 + interval '2 hours')
                 and (lease_until is null or lease_until <= $1 or lease_until - interval '30 seconds' > $2)
                 and accounts.state = 'active'
                 and (blocked_until is null or blocked_until <= $1 or blocked_until > $1 + interval '1 hour')
               order by settle_at, reports.id
               limit $3
               for update of reports skip locked
           )
           update reports
           set lease = lease + 1, lease_until = $2, settle_tries = settle_tries + 1
           from due
           where reports.id = due.id
           returning reports.id as "id: _", account_id as "account_id: _", lease, settle_tries - 1 as "tries!""#,
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
        "update reports set lease_until = $3 where id = $1 and lease = $2",
        claim.id.0,
        claim.lease,
        now + LEASE
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Gives a claim back that nothing came of: it is due as before.
pub(in super::super) async fn release(conn: &mut PgConnection, claim: &Claimed) -> Stored<()> {
    let result =
        sqlx::query!("update reports set lease_until = null where id = $1 and lease = $2", claim.id.0, claim.lease)
            .execute(conn)
            .await?;
    db::one(&result)
}

/// What is left to be changed there once a report is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Left {
    /// It was made as we want it now.
    Nothing,
    /// It was found as we want it; what was marked as changed meanwhile still is.
    WhatWas,
    /// It was found, and is not as we want it.
    Changes,
}

/// Records that the API has the report under this id and with these terms.
pub(in super::super) async fn registered(
    conn: &mut PgConnection,
    clock: &Clock,
    claim: &Claimed,
    remote: &insights::ReportId,
    terms: &Terms,
    left: Left,
) -> Stored<()> {
    let now = clock.now();
    register(conn, clock, claim.id, remote).await?;
    // The state may have been changed meanwhile (paused, retired): then there is more to do at once.
    let result = sqlx::query!(
        "update reports
         set there = 'active', state = case when state = 'draft' then 'registered' else state end,
             start_at = case when $6 or not (amend or $7) then $3 else start_at end, sent = $5,
             expected_at = case when state in ('draft', 'registered') then $3::timestamptz end,
             remake = remake and not $6, amend = (amend or $7) and not $6,
             settle_at = case
                 when state in ('draft', 'registered') and ($6 or not (remake or amend or $7)) then null
                 else $4::timestamptz end,
             settle_tries = 0, lease_until = null, last_failure = null, updated_at = $4
         where id = $1 and lease = $2",
        claim.id.0,
        claim.lease,
        terms.start_at,
        now,
        serde_json::json!(terms),
        left == Left::Nothing,
        left == Left::Changes
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// How many drafts of the account others are at work on that came before this one: of all kinds, and that run at once.
pub(in super::super) async fn rivals(
    conn: &mut PgConnection,
    claim: &Claimed,
    now: DateTime<Utc>,
) -> Stored<(usize, usize)> {
    let row = sqlx::query!(
        r#"select count(*) as "all!", count(*) filter (where execute_now) as "at_once!"
           from reports
           where account_id = $1 and id < $2 and state = 'draft' and settle_at is not null
             and lease_until > $3 and lease_until - interval '30 seconds' <= $4"#,
        claim.account_id.0,
        claim.id.0,
        now,
        now + LEASE
    )
    .fetch_one(conn)
    .await?;
    let count = |count: i64| usize::try_from(count).unwrap_or(usize::MAX);
    Ok((count(row.all), count(row.at_once)))
}

/// When reports of the account were made there since then that ran at once: the newest `most`, newest first.
pub(in super::super) async fn made_at_once(
    conn: &mut PgConnection,
    claim: &Claimed,
    since: DateTime<Utc>,
    most: usize,
) -> Stored<Vec<DateTime<Utc>>> {
    let made = sqlx::query_scalar!(
        "select registrations.created_at
         from registrations
         join reports on reports.id = report_id
         where account_id = $1 and execute_now and adopted_at is null and registrations.created_at > $2
         order by registrations.created_at desc
         limit $3",
        claim.account_id.0,
        since,
        i64::try_from(most).unwrap_or(i64::MAX)
    )
    .fetch_all(conn)
    .await?;
    Ok(made)
}

/// Under which ids the API knew the report before: those are not taken up again.
pub(in super::super) async fn past_registrations(
    conn: &mut PgConnection,
    id: ReportId,
) -> Stored<Vec<insights::ReportId>> {
    let ids =
        sqlx::query_scalar!("select remote_id from registrations where report_id = $1 and ended_at is not null", id.0)
            .fetch_all(conn)
            .await?;
    Ok(ids.into_iter().map(insights::ReportId).collect())
}

/// Notes under which id the API has a report. One that it has already violates `registrations_remote_id_key`.
pub(super) async fn register(
    conn: &mut PgConnection,
    clock: &Clock,
    id: ReportId,
    remote: &insights::ReportId,
) -> Stored<()> {
    sqlx::query!(
        "insert into registrations (id, report_id, remote_id, created_at) values ($1, $2, $3, $4)",
        clock.new_id::<RegistrationId>().0,
        id.0,
        remote.0,
        clock.now()
    )
    .execute(&mut *conn)
    .await?;
    checks::reopen(conn, id).await
}

/// Records that the API has these terms of the report now, and that it ran so often with those before. With none, nothing
/// could be sent, because no run is left.
pub(in super::super) async fn amended(
    conn: &mut PgConnection,
    claim: &Claimed,
    (terms, ran): (Option<&Terms>, i32),
    there: There,
    now: DateTime<Utc>,
) -> Stored<()> {
    let result = sqlx::query!(
        "update reports
         set there = $3, amend = false, drift = null, drift_since = null,
             sent = coalesce($4, sent), ran = case when $4::jsonb is null then ran else $5 end,
             start_at = coalesce($6, start_at),
             -- what is overdue may still come
             expected_at = case when state <> 'registered' or expected_at <= $7 then expected_at
                 else coalesce($6, expected_at) end,
             settle_at = case
                 when $3 = 'active' and state = 'registered' and not remake then null
                 when $3 = 'paused' and state = 'paused' and not remake then null
                 else $7::timestamptz end,
             settle_tries = 0, lease_until = null, last_failure = null, updated_at = $7
         where id = $1 and lease = $2",
        claim.id.0,
        claim.lease,
        there.as_str(),
        terms.map(|terms| serde_json::json!(terms)),
        ran,
        terms.and_then(|terms| terms.start_at),
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Records what the API has of the report now, and when it is expected if it runs again. Where it is gone, `ran` says how often
/// it ran there.
pub(in super::super) async fn is_there(
    conn: &mut PgConnection,
    claim: &Claimed,
    there: There,
    (expected_at, ran): (Option<DateTime<Utc>>, i32),
    now: DateTime<Utc>,
) -> Stored<()> {
    if there == There::None {
        leave(conn, claim.id, now).await?;
    }
    let result = sqlx::query!(
        "update reports
         set there = $3, remake = remake and $3 <> 'none', amend = amend and $3 <> 'none',
             sent = case when $3 <> 'none' then sent end, ran = case when $3 = 'none' then $6 else ran end,
             drift = case when $3 <> 'none' then drift end, drift_since = case when $3 <> 'none' then drift_since end,
             state = case when $3 = 'none' and state = 'registered' then 'draft' else state end,
             settle_at = case
                 -- a paused one is made anew there when it is resumed
                 when $3 = 'none' and state in ('retired', 'rejected', 'paused') then null
                 when $3 = 'active' and state = 'registered' and not (remake or amend) then null
                 when $3 = 'paused' and state = 'paused' and not (remake or amend) then null
                 else $4::timestamptz end,
             expected_at = case when state = 'registered' then coalesce(expected_at, $5) end,
             settle_tries = 0, lease_until = null, last_failure = null, updated_at = $4
         where id = $1 and lease = $2",
        claim.id.0,
        claim.lease,
        there.as_str(),
        now,
        expected_at,
        ran
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Notes that a report is no longer the one there that it was.
pub(super) async fn leave(conn: &mut PgConnection, id: ReportId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!("update registrations set ended_at = $2 where report_id = $1 and ended_at is null", id.0, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that there is nothing to do for a report as it was read; what was wanted since is still to be done.
pub(in super::super) async fn settled(conn: &mut PgConnection, claim: &Claimed, read: &Report) -> Stored<()> {
    let result = sqlx::query!(
        "update reports set settle_at = null, settle_tries = 0, lease_until = null
         where id = $1 and lease = $2 and updated_at = $3",
        claim.id.0,
        claim.lease,
        read.updated_at
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Records that it did not work, or could not be done yet, and when to try again.
pub(in super::super) async fn later(
    conn: &mut PgConnection,
    claim: &Claimed,
    why: Option<&str>,
    at: DateTime<Utc>,
    counts: bool,
) -> Stored<()> {
    let result = sqlx::query!(
        "update reports
         set settle_at = $3, settle_tries = settle_tries - $5::int, lease_until = null, last_failure = $4
         where id = $1 and lease = $2",
        claim.id.0,
        claim.lease,
        at,
        why,
        i32::from(!counts)
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Makes what waits until all that it made is here go on.
pub(in super::super) async fn go_on(conn: &mut PgConnection, id: ReportId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!("update reports set settle_at = $2 where id = $1 and remake and settle_at > $2", id.0, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that the API refused. A draft is rejected by that; what is there already is still to be brought into line, so
/// that is tried again `later`.
pub(in super::super) async fn refused(
    conn: &mut PgConnection,
    claim: &Claimed,
    why: &str,
    later: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Stored<()> {
    let result = sqlx::query!(
        "update reports
         set state = case when state = 'draft' and there = 'none' then 'rejected' else state end,
             settle_at = case when state = 'draft' and there = 'none' then null else $5::timestamptz end,
             lease_until = null, last_failure = $3, updated_at = $4
         where id = $1 and lease = $2",
        claim.id.0,
        claim.lease,
        why,
        now,
        later
    )
    .execute(conn)
    .await?;
    db::one(&result)
}
