//! The table `executions`.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::{Execution, FoundBy, State};
use crate::clock::Clock;
use crate::db::{self, StoreError, Stored};
use crate::id::{ExecutionId, ReportId};
use crate::insights;

struct Row {
    id: ExecutionId,
    report_id: ReportId,
    remote_id: String,
    remote_report_id: String,
    status: String,
    state: String,
    found_by: String,
    silent: bool,
    generated_at: Option<DateTime<Utc>>,
    archive_date: NaiveDate,
    failure: Option<String>,
    found_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for Execution {
    type Error = StoreError;

    fn try_from(row: Row) -> Stored<Self> {
        let corrupt = |what: String| StoreError::Corrupt { table: "executions", id: row.id.to_string(), what };
        Ok(Self {
            state: match row.state.as_str() {
                "pending" => State::Pending,
                "ready" => State::Ready,
                "stored" => State::Stored,
                "failed" => State::Failed,
                other => return Err(corrupt(format!("state {other}"))),
            },
            found_by: match row.found_by.as_str() {
                "callback" => FoundBy::Callback,
                "schedule" => FoundBy::Schedule,
                "manual" => FoundBy::Manual,
                other => return Err(corrupt(format!("found_by {other}"))),
            },
            id: row.id,
            report_id: row.report_id,
            remote_id: insights::ExecutionId(row.remote_id),
            remote_report_id: insights::ReportId(row.remote_report_id),
            status: row.status,
            silent: row.silent,
            generated_at: row.generated_at,
            archive_date: row.archive_date,
            failure: row.failure,
            found_at: row.found_at,
            updated_at: row.updated_at,
        })
    }
}

/// One execution.
pub async fn find(conn: &mut PgConnection, id: ExecutionId) -> Stored<Option<Execution>> {
    Ok(select(conn, Some(id), None, None, None, 1).await?.pop())
}

/// Newest first; of one report and in one state where given.
pub async fn list(
    conn: &mut PgConnection,
    report: Option<ReportId>,
    state: Option<State>,
    before: Option<ExecutionId>,
    limit: i64,
) -> Stored<Vec<Execution>> {
    select(conn, None, report, state, before, limit).await
}

async fn select(
    conn: &mut PgConnection,
    id: Option<ExecutionId>,
    report: Option<ReportId>,
    state: Option<State>,
    before: Option<ExecutionId>,
    limit: i64,
) -> Stored<Vec<Execution>> {
    sqlx::query_as!(
        Row,
        r#"select id as "id: _", report_id as "report_id: _", remote_id, remote_report_id, status, state, found_by, silent,
               generated_at, archive_date, failure, found_at, updated_at
           from executions
           -- each branch walks the one index that has its order
           where id = any(array(
               (select $1::uuid)
               union all
               (select id from executions
                where $1 is null and $2::uuid is null and $3::text is null and id < $4 order by id desc limit $5)
               union all
               (select id from executions
                where $2 is null and state = any(array[$3]) and id < $4 order by state, id desc limit $5)
               union all
               (select id from executions
                where $3 is null and report_id = any(array[$2]) and id < $4 order by report_id, id desc limit $5)
               union all
               (select id from executions
                where report_id = $2 and state = $3 and id < $4 order by id desc nulls last limit $5)))
           order by id desc"#,
        id.map(|id| id.0),
        report.map(|id| id.0),
        state.map(State::as_str),
        before.map_or(uuid::Uuid::max(), |id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Execution::try_from)
    .collect()
}

/// The remote ids of a report's executions that are under way there.
pub(super) async fn open(conn: &mut PgConnection, report: ReportId) -> Stored<Vec<insights::ExecutionId>> {
    let ids =
        sqlx::query_scalar!("select remote_id from executions where report_id = $1 and state = 'pending'", report.0)
            .fetch_all(conn)
            .await?;
    Ok(ids.into_iter().map(insights::ExecutionId).collect())
}

/// How many of these remote ids are executions that we know and that have ended there.
pub(super) async fn ended(conn: &mut PgConnection, report: ReportId, ids: &[&str]) -> Stored<usize> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from executions
           where report_id = $1 and remote_id = any($2) and state <> 'pending'"#,
        report.0,
        ids as &[&str]
    )
    .fetch_one(conn)
    .await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// What the API told of an execution.
pub(super) struct Told<'a> {
    pub(super) remote: &'a insights::Execution,
    pub(super) state: State,
    pub(super) failure: Option<&'a str>,
    /// Archived, but nobody is told.
    pub(super) silent: bool,
}

/// Inserts an execution never seen, or moves one that was under way. `None` if nothing changed; else its id, and whether
/// it is new.
pub(super) async fn note(
    conn: &mut PgConnection,
    clock: &Clock,
    (report, remote_report): (ReportId, &insights::ReportId),
    told: &Told<'_>,
    found_by: FoundBy,
) -> Stored<Option<(ExecutionId, bool)>> {
    let (id, now): (ExecutionId, _) = (clock.new_id(), clock.now());
    let day = told.remote.generated_at.unwrap_or(now).date_naive();
    let row = sqlx::query!(
        r#"insert into executions
               (id, report_id, remote_id, remote_report_id, status, state, found_by, generated_at, archive_date, failure,
                silent, found_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $11, $11)
           on conflict (report_id, remote_id) do update
           set status = excluded.status, state = excluded.state, failure = excluded.failure, updated_at = $11,
               generated_at = coalesce(excluded.generated_at, executions.generated_at),
               archive_date = excluded.archive_date
           -- only one that was under way can move
           where executions.state = 'pending' and excluded.state <> 'pending'
           returning id as "id: ExecutionId", (xmax = 0) as "new!""#,
        id.0,
        report.0,
        told.remote.id.0,
        remote_report.0,
        told.remote.status,
        told.state.as_str(),
        found_by.as_str(),
        told.remote.generated_at,
        day,
        told.failure,
        now,
        told.silent
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.id, row.new)))
}

/// Marks an execution as stored, in the transaction that stores its file.
pub async fn stored(conn: &mut PgConnection, id: ExecutionId, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update executions set state = 'stored', updated_at = $2 where id = $1 and state = 'ready'",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Marks an execution as failed: its file could not be fetched.
pub(super) async fn failed(conn: &mut PgConnection, id: ExecutionId, why: &str, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update executions set state = 'failed', failure = $2, updated_at = $3 where id = $1 and state = 'ready'",
        id.0,
        why,
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Lets a failed execution be tried again. [`StoreError::Lost`]: it has not failed.
pub async fn reopen(conn: &mut PgConnection, id: ExecutionId, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update executions set state = 'ready', failure = null, updated_at = $2 where id = $1 and state = 'failed'",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// How many executions are in each state; counts no further than `most`.
pub async fn count(conn: &mut PgConnection, most: i64) -> Stored<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select state as "state!",
               (select count(*) from (select from executions where executions.state = each.state limit $1) as few) as "count!"
           from unnest(array['pending', 'ready', 'stored', 'failed']) as each (state)"#,
        most
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.state, row.count)).collect())
}
