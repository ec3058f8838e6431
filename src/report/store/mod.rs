//! The tables of this stage: `reports` as it is wanted here; how it is brought into line, what is expected of it, and the
//! other tables beside.

pub mod adopted;
pub mod checks;
pub mod comparisons;
pub(super) mod datasets;
pub(super) mod expected;
pub mod lag;
pub mod queries;
pub(super) mod settle;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::draft::Resend;
use super::limits::GRACE;
use super::{Checked, Report, State, There, slug};
use crate::clock::Clock;
use crate::db::{self, StoreError, Stored};
use crate::id::{AccountId, QueryId, ReportId};
use crate::insights;

pub use settle::Claimed;

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
    end_at: Option<DateTime<Utc>>,
    recreate: bool,
    grace_hours: i32,
    execute_now: bool,
    query_start_at: Option<DateTime<Utc>>,
    query_end_at: Option<DateTime<Utc>>,
    format: String,
    callback_method: String,
    state: String,
    there: String,
    settle_at: Option<DateTime<Utc>>,
    remake: bool,
    amend: bool,
    sent: Option<serde_json::Value>,
    ran: i32,
    adopted_at: Option<DateTime<Utc>>,
    drift: Option<serde_json::Value>,
    drift_since: Option<DateTime<Utc>>,
    compared_at: Option<DateTime<Utc>>,
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
                "ended" => State::Ended,
                other => return Err(corrupt(format!("state {other}"))),
            },
            there: match row.there.as_str() {
                "none" => There::None,
                "active" => There::Active,
                "paused" => There::Paused,
                other => return Err(corrupt(format!("there {other}"))),
            },
            sent: match row.sent.map(serde_json::from_value).transpose() {
                Ok(sent) => sent,
                Err(error) => return Err(corrupt(format!("sent: {error}"))),
            },
            drift: match row.drift.map(serde_json::from_value).transpose() {
                Ok(drift) => drift,
                Err(error) => return Err(corrupt(format!("drift: {error}"))),
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
            end_at: row.end_at,
            recreate: row.recreate,
            grace_hours: row.grace_hours,
            execute_now: row.execute_now,
            query_start_at: row.query_start_at,
            query_end_at: row.query_end_at,
            format: row.format,
            callback_method: row.callback_method,
            settling: row.settle_at.is_some(),
            remake: row.remake,
            amend: row.amend,
            ran: row.ran,
            adopted_at: row.adopted_at,
            drift_since: row.drift_since,
            compared_at: row.compared_at,
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
    Ok(select(conn, Filter { id: Some(id), ..Filter::default() }, 1).await?.pop())
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
    select(conn, Filter { account, before, ..Filter::default() }, limit).await
}

/// Those of a query, retired ones too, newest first.
pub async fn of_query(conn: &mut PgConnection, query: QueryId, limit: i64) -> Stored<Vec<Report>> {
    select(conn, Filter { query: Some(query), ..Filter::default() }, limit).await
}

/// Which reports; what is not given does not matter.
#[derive(Debug, Default)]
struct Filter {
    id: Option<ReportId>,
    account: Option<AccountId>,
    query: Option<QueryId>,
    before: Option<ReportId>,
    /// Only those that the API has, and that are in line as far as we know.
    is_settled: bool,
}

async fn select(conn: &mut PgConnection, filter: Filter, limit: i64) -> Stored<Vec<Report>> {
    sqlx::query_as!(
        Row,
        r#"select reports.id as "id: _", reports.account_id as "account_id: _", query_id as "query_id: _",
               queries.text as query, reports.name, slug, description, start_at, interval_hours, occurrences, end_at,
               recreate, grace_hours, execute_now, query_start_at, query_end_at, format, callback_method, state, there, settle_at, remake,
               amend, sent, ran, adopted_at, drift, drift_since, compared_at, registrations.remote_id as "remote_id?", last_failure, expected_at, late_since, arrived_at,
               reports.created_at, updated_at
           from reports
           join queries on queries.id = query_id
           left join registrations on registrations.report_id = reports.id and registrations.ended_at is null
           where ($1::uuid is null or reports.id = $1)
             and ($2::uuid is null or reports.account_id = $2)
             and ($3::uuid is null or reports.id < $3)
             and (not $4 or (state in ('registered', 'paused') and settle_at is null and registrations.remote_id is not null))
             and ($6::uuid is null or reports.query_id = $6)
           order by reports.id desc
           limit $5"#,
        filter.id.map(|id| id.0),
        filter.account.map(|id| id.0),
        filter.before.map(|id| id.0),
        filter.is_settled,
        limit,
        filter.query.map(|id| id.0)
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
             execute_now, query_start_at, query_end_at, format, callback_method, end_at, recreate, grace_hours, settle_at,
             created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18, $18)",
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
        draft.end_at,
        draft.recreate,
        draft.grace_hours.unwrap_or(GRACE),
        now
    )
    .execute(&mut *conn)
    .await?;
    comparisons::insert(conn, draft.account_id, now).await?;
    checks::insert(conn, id).await?;
    Ok(id)
}

/// Changes what a report asks for. What the API has, or may have after a try that was cut off, is changed there, or made anew
/// where that cannot be; a draft or a rejected one is tried again, and one that has ended waits until it is resumed. A step
/// that is at work on the report loses its claim: what it asked for is old. [`StoreError::Lost`]: the report was changed since
/// it was read.
pub async fn update(conn: &mut PgConnection, clock: &Clock, report: &Report, checked: &Checked) -> Stored<()> {
    let draft = &checked.0;
    let query_id = queries::for_draft(conn, clock, draft).await?;
    let how = Resend::of(report, draft);
    let result = sqlx::query!(
        "update reports
         set query_id = $2, name = $3, description = $4, start_at = $5, interval_hours = $6, occurrences = $7, format = $8,
             callback_method = $9, end_at = $10, recreate = $11, grace_hours = $16,
             remake = remake or ($12 and state <> 'ended' and (there <> 'none' or settle_tries > 0)),
             amend = amend or ($13 and state <> 'ended' and (there <> 'none' or settle_tries > 0)),
             lease = lease + 1,
             state = case when state = 'rejected' then 'draft' else state end, last_failure = null,
             settle_at = $14, settle_tries = 0, updated_at = $14
         where id = $1 and state <> 'retired' and updated_at = $15",
        report.id.0,
        query_id.0,
        draft.name.trim(),
        draft.description,
        draft.start_at,
        draft.interval_hours,
        draft.occurrences,
        draft.format,
        draft.callback_method,
        draft.end_at,
        draft.recreate,
        how == Resend::Anew,
        how == Resend::Update,
        clock.now(),
        report.updated_at,
        draft.grace_hours.unwrap_or(report.grace_hours)
    )
    .execute(&mut *conn)
    .await?;
    db::one(&result)?;
    queries::drop_idle(conn, report.query_id).await
}

/// Sets what we want of a report, if it is in one of the states where that makes sense; the API is brought into line by a
/// step. One that is at work on the report loses its claim: what it does is not what is wanted now.
pub async fn want(conn: &mut PgConnection, id: ReportId, from: &[State], to: State, now: DateTime<Utc>) -> Stored<()> {
    let from: Vec<String> = from.iter().map(|state| state.as_str().to_owned()).collect();
    let result = sqlx::query!(
        "update reports
         set state = $3, settle_at = $4, settle_tries = 0, last_failure = null, updated_at = $4, lease = lease + 1,
             -- one that has ended is made anew from its first run on
             remake = remake or (state = 'ended' and $3 = 'draft'),
             ran = case when state = 'ended' then 0 else ran end,
             sent = case when state = 'ended' then null else sent end,
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

/// How many reports are in each state; counts `most` in all.
pub async fn count(conn: &mut PgConnection, most: i64) -> Stored<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select state, count(*) as "count!" from (select state from reports order by id desc limit $1) as newest
           group by state order by state"#,
        most
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.state, row.count)).collect())
}

/// How many reports there have an address of ours that was made with each key; under no name those of which that is not known.
pub async fn signed_by(conn: &mut PgConnection) -> Stored<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select coalesce(sent ->> 'callback_key', '') as "key!", count(*) as "count!"
           from reports
           where sent ->> 'callback' is not null and there <> 'none' and state <> 'ended'
           group by 1"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.count)).collect())
}
