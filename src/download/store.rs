//! The table `downloads`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::profile::Profile;
use super::{Encoding, File};
use crate::clock::Clock;
use crate::db::{self, Due, LEASE, StoreError, Stored};
use crate::id::{AccountId, ExecutionId, FileId, ReportId};

/// A download to be done, with the claim on it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The id that the file will have.
    pub id: FileId,
    /// Of which execution.
    pub execution_id: ExecutionId,
    /// Of which report.
    pub report_id: ReportId,
    /// Whose.
    pub account_id: AccountId,
    /// The number of the claim.
    pub lease: i64,
    /// How often it was tried before.
    pub tries: i32,
    /// Since when it is tried.
    pub since: DateTime<Utc>,
}

/// Adds a row for each execution whose file is there and not yet here. Two replicas add each once.
pub(super) async fn find_work(conn: &mut PgConnection, clock: &Clock, limit: i64) -> Stored<()> {
    let ready = sqlx::query!(
        r#"select executions.id as "id: ExecutionId", report_id as "report_id: ReportId"
           from executions
           -- in the order that only the index of states has, oldest first
           where state = any(array['ready']) and not exists (select from downloads where execution_id = executions.id)
           order by state desc, executions.id
           limit $1"#,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    if ready.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into downloads (id, execution_id, report_id, due_at, since)
         select id, execution_id, report_id, $4, $4
         from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as new (id, execution_id, report_id)
         on conflict (execution_id) do nothing",
        &ready.iter().map(|_| clock.new_id::<FileId>().0).collect::<Vec<_>>(),
        &ready.iter().map(|row| row.id.0).collect::<Vec<_>>(),
        &ready.iter().map(|row| row.report_id.0).collect::<Vec<_>>(),
        clock.now()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Claims up to `limit` due downloads of accounts that can be used.
pub(super) async fn claim(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Stored<Vec<Claimed>> {
    let rows = sqlx::query_as!(
        Claimed,
        r#"with due as (
               select downloads.id, account_id
               from downloads
               join reports on reports.id = report_id
               join accounts on accounts.id = account_id
               -- nothing waits longer than an hour: what is due later was set before the clock was set back
               where downloads.state = 'open' and (due_at <= $1 or due_at > $1 + interval '2 hours')
                 and (downloads.lease_until is null or downloads.lease_until <= $1 or downloads.lease_until - interval '30 seconds' > $2)
                 and accounts.state = 'active'
                 and (blocked_until is null or blocked_until <= $1 or blocked_until > $1 + interval '1 hour')
               order by due_at
               limit $3
               for update of downloads skip locked
           )
           update downloads
           set lease = lease + 1, lease_until = $2, tries = tries + 1,
               -- what waited for its account was not tried
               since = case when tries = 0 then $1 else since end
           from due
           where downloads.id = due.id
           returning downloads.id as "id: _", execution_id as "execution_id: _", report_id as "report_id: _",
               due.account_id as "account_id: _", lease, tries - 1 as "tries!", since"#,
        now,
        now + LEASE,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// The downloads that are due, of accounts that can be used; counts no further than `most`.
pub async fn due(conn: &mut PgConnection, now: DateTime<Utc>, most: i64) -> Stored<Due> {
    let due = sqlx::query_as!(
        Due,
        r#"select count(*) as "count!", min(due_at) as oldest_at
           from (
               select due_at from downloads
               join reports on reports.id = report_id
               join accounts on accounts.id = account_id
               where downloads.state = 'open' and due_at <= $1 and accounts.state = 'active'
               order by due_at limit $2
           ) as due"#,
        now,
        most
    )
    .fetch_one(conn)
    .await?;
    Ok(due)
}

/// Renews the lease of a claim.
pub(super) async fn renew(conn: &mut PgConnection, claim: &Claimed, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update downloads set lease_until = $3 where id = $1 and lease = $2 and state = 'open'",
        claim.id.0,
        claim.lease,
        now + LEASE
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Gives a claim back that nothing came of: it is due as before.
pub(super) async fn release(conn: &mut PgConnection, claim: &Claimed) -> Stored<()> {
    let result = sqlx::query!(
        "update downloads set lease_until = null where id = $1 and lease = $2 and state = 'open'",
        claim.id.0,
        claim.lease
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Records the file.
pub(super) async fn stored(
    conn: &mut PgConnection,
    claim: &Claimed,
    (location, format, stored_bytes): (&str, &str, i64),
    profile: &Profile,
    now: DateTime<Utc>,
) -> Stored<()> {
    let result = sqlx::query!(
        "update downloads
         set state = 'stored', lease_until = null, last_failure = null, location = $3, format = $4, stored_bytes = $5,
             encoding = $6, size_bytes = $7, sha256 = $8, rows = $9, columns = $10, first_rows = $11, stored_at = $12
         where id = $1 and lease = $2 and state = 'open'",
        claim.id.0,
        claim.lease,
        location,
        format,
        stored_bytes,
        profile.encoding.as_str(),
        i64::try_from(profile.size_bytes).unwrap_or(i64::MAX),
        profile.sha256,
        i64::try_from(profile.rows).unwrap_or(i64::MAX),
        serde_json::json!(profile.columns),
        serde_json::json!(profile.first_rows),
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Records that it did not work, and when to try again. A try that was only a wait does not count.
pub(super) async fn later(
    conn: &mut PgConnection,
    claim: &Claimed,
    why: &str,
    at: DateTime<Utc>,
    counts: bool,
) -> Stored<()> {
    let result = sqlx::query!(
        "update downloads set due_at = $3, last_failure = $4, tries = tries - $5::int, lease_until = null
         where id = $1 and lease = $2 and state = 'open'",
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

/// Records that it will not work.
pub(super) async fn failed(conn: &mut PgConnection, claim: &Claimed, why: &str) -> Stored<()> {
    let result = sqlx::query!(
        "update downloads set state = 'failed', last_failure = $3, lease_until = null
         where id = $1 and lease = $2 and state = 'open'",
        claim.id.0,
        claim.lease,
        why
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Lets a failed download be tried again at once.
pub async fn reopen(conn: &mut PgConnection, execution: ExecutionId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!(
        "update downloads set state = 'open', due_at = $2, since = $2, tries = 0
         where execution_id = $1 and state = 'failed'",
        execution.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

struct Row {
    id: FileId,
    execution_id: ExecutionId,
    report_id: ReportId,
    location: Option<String>,
    format: Option<String>,
    encoding: Option<String>,
    size_bytes: Option<i64>,
    stored_bytes: Option<i64>,
    sha256: Option<String>,
    rows: Option<i64>,
    columns: Option<serde_json::Value>,
    first_rows: Option<serde_json::Value>,
    stored_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for File {
    type Error = StoreError;

    fn try_from(row: Row) -> Stored<Self> {
        let id = row.id.to_string();
        let corrupt = |what: &str| StoreError::Corrupt { table: "downloads", id: id.clone(), what: what.into() };
        let missing = || corrupt("a stored file lacks a value");
        Ok(Self {
            id: row.id,
            execution_id: row.execution_id,
            report_id: row.report_id,
            location: row.location.ok_or_else(missing)?,
            format: row.format.ok_or_else(missing)?,
            encoding: match row.encoding.as_deref() {
                Some("gzip") => Encoding::Gzip,
                Some("identity") => Encoding::Identity,
                _ => return Err(corrupt("encoding")),
            },
            size_bytes: row.size_bytes.ok_or_else(missing)?,
            stored_bytes: row.stored_bytes.ok_or_else(missing)?,
            sha256: row.sha256.ok_or_else(missing)?,
            rows: row.rows.ok_or_else(missing)?,
            columns: serde_json::from_value(row.columns.ok_or_else(missing)?).map_err(|_| corrupt("columns"))?,
            first_rows: serde_json::from_value(row.first_rows.unwrap_or_default()).unwrap_or_default(),
            stored_at: row.stored_at.ok_or_else(missing)?,
        })
    }
}

/// One file.
pub async fn find(conn: &mut PgConnection, id: FileId) -> Stored<Option<File>> {
    Ok(select(conn, Some(id), &[], None, None, 1).await?.pop())
}

/// The files of these executions, where they are stored.
pub async fn of_executions(conn: &mut PgConnection, executions: &[ExecutionId]) -> Stored<Vec<File>> {
    let limit = i64::try_from(executions.len()).unwrap_or(i64::MAX);
    if executions.is_empty() { Ok(Vec::new()) } else { select(conn, None, executions, None, None, limit).await }
}

/// Newest first; of one report where given.
pub async fn list(
    conn: &mut PgConnection,
    report: Option<ReportId>,
    before: Option<FileId>,
    limit: i64,
) -> Stored<Vec<File>> {
    select(conn, None, &[], report, before, limit).await
}

async fn select(
    conn: &mut PgConnection,
    id: Option<FileId>,
    executions: &[ExecutionId],
    report: Option<ReportId>,
    before: Option<FileId>,
    limit: i64,
) -> Stored<Vec<File>> {
    let executions: Vec<uuid::Uuid> = executions.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        Row,
        r#"select id as "id: _", execution_id as "execution_id: _", report_id as "report_id: _", location, format, encoding,
               size_bytes, stored_bytes, sha256, rows, columns, first_rows, stored_at
           from downloads
           -- each branch walks the one index that has its order
           where state = 'stored' and id = any(array(
               (select $1::uuid)
               union all
               (select id from downloads where execution_id = any($2))
               union all
               (select id from downloads
                where $1 is null and cardinality($2) = 0 and $3::uuid is null and state = 'stored' and id < $4
                order by id desc limit $5)
               union all
               (select id from downloads
                where report_id = any(array[$3]) and state = 'stored' and id < $4
                order by report_id, id desc limit $5)))
           order by id desc"#,
        id.map(|id| id.0),
        &executions,
        report.map(|id| id.0),
        before.map_or(uuid::Uuid::max(), |id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(File::try_from)
    .collect()
}

/// The columns of the file that was generated last before `at`, of one report, for comparison with those of `execution`.
pub(super) async fn columns_before(
    conn: &mut PgConnection,
    (report, execution): (ReportId, ExecutionId),
    at: DateTime<Utc>,
) -> Stored<Vec<String>> {
    let columns = sqlx::query_scalar!(
        "select columns
         from (
             select id, coalesce(generated_at, found_at) as made_at from executions
             where report_id = $1 and state = 'stored' and coalesce(generated_at, found_at) < $3 and id <> $2
             order by coalesce(generated_at, found_at) desc
             limit 1
         ) as last
         join downloads on execution_id = last.id",
        report.0,
        execution.0,
        at
    )
    .fetch_optional(conn)
    .await?
    .flatten();
    Ok(columns.and_then(|columns| serde_json::from_value(columns).ok()).unwrap_or_default())
}

/// How a download that is not done stands: tries and the last failure.
pub async fn progress(conn: &mut PgConnection, execution: ExecutionId) -> Stored<Option<(i32, Option<String>)>> {
    let row = sqlx::query!("select tries, last_failure from downloads where execution_id = $1", execution.0)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| (row.tries, row.last_failure)))
}
