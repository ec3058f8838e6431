//! The tables of this stage: `reports` and `registrations` here, the others beside.

pub mod checks;
pub(super) mod datasets;
pub mod queries;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Checked, Report, State, There, slug};
use crate::clock::Clock;
use crate::db::{self, LEASE, StoreError, Stored};
use crate::id::{AccountId, QueryId, RegistrationId, ReportId};
use crate::insights;

struct Row {
    id: ReportId,
    account_id: AccountId,
    query_id: QueryId,
    query: String,
    name: String,
    slug: String,
    description: Option<String>,
    start_at: Option<DateTime<Utc>>,
    interval_hours: Option<i32>,
    occurrences: Option<i32>,
    execute_now: bool,
    query_start_at: Option<DateTime<Utc>>,
    query_end_at: Option<DateTime<Utc>>,
    format: String,
    callback_method: String,
    state: String,
    there: String,
    settle_at: Option<DateTime<Utc>>,
    remake: bool,
    remote_id: Option<String>,
    last_failure: Option<String>,
    expected_at: Option<DateTime<Utc>>,
    late_since: Option<DateTime<Utc>>,
    arrived_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for Report {
    type Error = StoreError;

    fn try_from(row: Row) -> Stored<Self> {
        let corrupt = |what: String| StoreError::Corrupt { table: "reports", id: row.id.to_string(), what };
        Ok(Self {
            state: match row.state.as_str() {
                "draft" => State::Draft,
                "registered" => State::Registered,
                "paused" => State::Paused,
                "rejected" => State::Rejected,
                "retired" => State::Retired,
                other => return Err(corrupt(format!("state {other}"))),
            },
            there: match row.there.as_str() {
                "none" => There::None,
                "active" => There::Active,
                "paused" => There::Paused,
                other => return Err(corrupt(format!("there {other}"))),
            },
            id: row.id,
            account_id: row.account_id,
            query_id: row.query_id,
            query: row.query,
            name: row.name,
            slug: row.slug,
            description: row.description,
            start_at: row.start_at,
            interval_hours: row.interval_hours,
            occurrences: row.occurrences,
            execute_now: row.execute_now,
            query_start_at: row.query_start_at,
            query_end_at: row.query_end_at,
            format: row.format,
            callback_method: row.callback_method,
            settling: row.settle_at.is_some(),
            remake: row.remake,
            remote_id: row.remote_id.map(insights::ReportId),
            last_failure: row.last_failure,
            expected_at: row.expected_at,
            late_since: row.late_since,
            arrived_at: row.arrived_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// One report.
pub async fn find(conn: &mut PgConnection, id: ReportId) -> Stored<Option<Report>> {
    Ok(select(conn, Some(id), None, None, 1).await?.pop())
}

/// Those of these reports that there are.
pub async fn known(conn: &mut PgConnection, ids: &[ReportId]) -> Stored<Vec<ReportId>> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let known = sqlx::query_scalar!(r#"select id as "id: ReportId" from reports where id = any($1)"#, &ids)
        .fetch_all(conn)
        .await?;
    Ok(known)
}

/// Newest first; of one account where given.
pub async fn list(
    conn: &mut PgConnection,
    account: Option<AccountId>,
    before: Option<ReportId>,
    limit: i64,
) -> Stored<Vec<Report>> {
    select(conn, None, account, before, limit).await
}

async fn select(
    conn: &mut PgConnection,
    id: Option<ReportId>,
    account: Option<AccountId>,
    before: Option<ReportId>,
    limit: i64,
) -> Stored<Vec<Report>> {
    sqlx::query_as!(
        Row,
        r#"select reports.id as "id: _", reports.account_id as "account_id: _", query_id as "query_id: _",
               queries.text as query, reports.name, slug, description, start_at, interval_hours, occurrences, execute_now,
               query_start_at, query_end_at, format, callback_method, state, there, settle_at, remake,
               registrations.remote_id as "remote_id?", last_failure, expected_at, late_since, arrived_at,
               reports.created_at, updated_at
           from reports
           join queries on queries.id = query_id
           left join registrations on registrations.report_id = reports.id and registrations.ended_at is null
           where ($1::uuid is null or reports.id = $1)
             and ($2::uuid is null or reports.account_id = $2)
             and ($3::uuid is null or reports.id < $3)
           order by reports.id desc
           limit $4"#,
        id.map(|id| id.0),
        account.map(|id| id.0),
        before.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Report::try_from)
    .collect()
}

/// Adds a report as a draft, with its check. A name taken in the account violates `reports_account_id_name_key`.
pub async fn insert(conn: &mut PgConnection, clock: &Clock, checked: &Checked) -> Stored<ReportId> {
    let (id, now, draft): (ReportId, _, _) = (clock.new_id(), clock.now(), &checked.0);
    let query_id = queries::for_draft(conn, clock, draft).await?;
    sqlx::query!(
        "insert into reports (id, account_id, query_id, name, slug, description, start_at, interval_hours, occurrences,
             execute_now, query_start_at, query_end_at, format, callback_method, settle_at, settle_since, created_at,
             updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, $15, $15)",
        id.0,
        draft.account_id.0,
        query_id.0,
        draft.name.trim(),
        slug(&draft.name),
        draft.description,
        draft.start_at,
        draft.interval_hours,
        draft.occurrences,
        draft.execute_now,
        draft.query_start_at,
        draft.query_end_at,
        draft.format,
        draft.callback_method,
        now
    )
    .execute(&mut *conn)
    .await?;
    checks::insert(conn, id).await?;
    Ok(id)
}

/// Changes what a report asks for. What the API has, or may have after a try that was cut off, is made anew; a draft or a
/// rejected one is tried again. A step that is at work on the report loses its claim: what it asked for is old.
pub async fn update(conn: &mut PgConnection, clock: &Clock, id: ReportId, checked: &Checked) -> Stored<()> {
    let draft = &checked.0;
    let query_id = queries::for_draft(conn, clock, draft).await?;
    let result = sqlx::query!(
        "update reports
         set query_id = $2, name = $3, description = $4, start_at = $5, interval_hours = $6, occurrences = $7, format = $8,
             callback_method = $9, remake = remake or there <> 'none' or settle_tries > 0, lease = lease + 1,
             state = case when state = 'rejected' then 'draft' else state end, last_failure = null,
             settle_at = $10, settle_since = $10, settle_tries = 0, updated_at = $10
         where id = $1 and state <> 'retired'",
        id.0,
        query_id.0,
        draft.name.trim(),
        draft.description,
        draft.start_at,
        draft.interval_hours,
        draft.occurrences,
        draft.format,
        draft.callback_method,
        clock.now()
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Sets what we want of a report, if it is in one of the states where that makes sense; the API is brought into line by a
/// step.
pub async fn want(conn: &mut PgConnection, id: ReportId, from: &[State], to: State, now: DateTime<Utc>) -> Stored<()> {
    let from: Vec<String> = from.iter().map(|state| state.as_str().to_owned()).collect();
    let result = sqlx::query!(
        "update reports
         set state = $3, settle_at = $4, settle_since = $4, settle_tries = 0, last_failure = null, updated_at = $4,
             expected_at = case when $3 = 'registered' then expected_at end,
             late_since = case when $3 = 'registered' then late_since end
         where id = $1 and state = any($2)",
        id.0,
        &from,
        to.as_str(),
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

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
pub(super) async fn claim(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Stored<Vec<Claimed>> {
    let rows = sqlx::query_as!(
        Claimed,
        r#"with due as (
               select reports.id
               from reports
               join accounts on accounts.id = account_id
               -- nothing waits longer than an hour: what is due later was set before the clock was set back
               where (settle_at <= $1 or settle_at > $1 + interval '2 hours')
                 and (lease_until is null or lease_until <= $1 or lease_until > $2)
                 and accounts.state = 'active'
                 and (blocked_until is null or blocked_until <= $1 or blocked_until > $1 + interval '1 hour')
               order by settle_at
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
pub(super) async fn renew(conn: &mut PgConnection, claim: &Claimed, now: DateTime<Utc>) -> Stored<()> {
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

/// Records that the API has the report under this id.
pub(super) async fn registered(
    conn: &mut PgConnection,
    clock: &Clock,
    claim: &Claimed,
    remote: &insights::ReportId,
    start_at: Option<DateTime<Utc>>,
) -> Stored<()> {
    let now = clock.now();
    sqlx::query!(
        "insert into registrations (id, report_id, remote_id, created_at) values ($1, $2, $3, $4)",
        clock.new_id::<RegistrationId>().0,
        claim.id.0,
        remote.0,
        now
    )
    .execute(&mut *conn)
    .await?;
    // The state may have been changed meanwhile (paused, retired): then there is more to do at once.
    let result = sqlx::query!(
        "update reports
         set there = 'active', state = case when state = 'draft' then 'registered' else state end,
             start_at = $3, expected_at = case when state in ('draft', 'registered') then $3::timestamptz end,
             settle_at = case when state in ('draft', 'registered') and not remake then null else $4::timestamptz end,
             settle_tries = 0, lease_until = null, last_failure = null, updated_at = $4
         where id = $1 and lease = $2",
        claim.id.0,
        claim.lease,
        start_at,
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Under which ids the API knew the report before: those are not taken up again.
pub(super) async fn past_registrations(conn: &mut PgConnection, id: ReportId) -> Stored<Vec<insights::ReportId>> {
    let ids =
        sqlx::query_scalar!("select remote_id from registrations where report_id = $1 and ended_at is not null", id.0)
            .fetch_all(conn)
            .await?;
    Ok(ids.into_iter().map(insights::ReportId).collect())
}

/// Records what the API has of the report now, and when it is expected if it runs again.
pub(super) async fn is_there(
    conn: &mut PgConnection,
    claim: &Claimed,
    there: There,
    expected_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Stored<()> {
    if there == There::None {
        sqlx::query!(
            "update registrations set ended_at = $2 where report_id = $1 and ended_at is null",
            claim.id.0,
            now
        )
        .execute(&mut *conn)
        .await?;
    }
    let result = sqlx::query!(
        "update reports
         set there = $3, remake = remake and $3 <> 'none',
             state = case when $3 = 'none' and state = 'registered' then 'draft' else state end,
             settle_at = case
                 -- a paused one is made anew there when it is resumed
                 when $3 = 'none' and state in ('retired', 'rejected', 'paused') then null
                 when $3 = 'active' and state = 'registered' and not remake then null
                 when $3 = 'paused' and state = 'paused' and not remake then null
                 else $4::timestamptz end,
             expected_at = case when state = 'registered' then coalesce(expected_at, $5) end,
             settle_tries = 0, lease_until = null, last_failure = null, updated_at = $4
         where id = $1 and lease = $2",
        claim.id.0,
        claim.lease,
        there.as_str(),
        now,
        expected_at
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Records that there is nothing to do for a report as it was read; what was wanted since is still to be done.
pub(super) async fn settled(conn: &mut PgConnection, claim: &Claimed, read: &Report) -> Stored<()> {
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

/// Records that it did not work, and when to try again.
pub(super) async fn later(
    conn: &mut PgConnection,
    claim: &Claimed,
    why: &str,
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

/// Records that the API refused. A draft is rejected by that; what is there already is still to be brought into line, so
/// that is tried again `later`.
pub(super) async fn refused(
    conn: &mut PgConnection,
    claim: &Claimed,
    why: &str,
    later: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Stored<()> {
    let result = sqlx::query!(
        "update reports
         set state = case when state = 'draft' then 'rejected' else state end,
             settle_at = case when state = 'draft' then null else $5::timestamptz end,
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

/// One report, held until the transaction ends: two files that come at once move its expectation one after the other.
pub(super) async fn hold(conn: &mut PgConnection, id: ReportId) -> Stored<Report> {
    sqlx::query!("select id from reports where id = $1 for no key update", id.0).fetch_optional(&mut *conn).await?;
    find(conn, id).await?.ok_or(StoreError::Lost)
}

/// Moves the expectation after a file has come.
pub(super) async fn arrived(
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
pub(super) struct Late {
    pub(super) id: ReportId,
    pub(super) account_id: AccountId,
    pub(super) name: String,
    pub(super) expected_at: DateTime<Utc>,
}

/// Marks up to `limit` registered reports as late that were expected before `before`.
pub(super) async fn mark_late(
    conn: &mut PgConnection,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: i64,
) -> Stored<Vec<Late>> {
    let rows = sqlx::query_as!(
        Late,
        r#"update reports set late_since = $2
           where id in (
               select id from reports
               where expected_at < $1 and late_since is null and state = 'registered'
               order by expected_at limit $3 for update skip locked
           )
           returning id as "id: _", account_id as "account_id: _", name, expected_at as "expected_at!""#,
        before,
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// How many reports are in each state.
pub async fn count(conn: &mut PgConnection) -> Stored<Vec<(String, i64)>> {
    let rows = sqlx::query!(r#"select state, count(*) as "count!" from reports group by state order by state"#)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.state, row.count)).collect())
}
