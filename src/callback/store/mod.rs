//! The table `callbacks`.

mod insert;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

pub(super) use insert::{begin, gather, insert};

use super::{Callback, Verdict};
use crate::db::Stored;
use crate::db::prune::{self, Step};
use crate::id::{CallbackId, ReportId};

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::UnknownReport => "unknown_report",
        }
    }
}

struct Row {
    id: CallbackId,
    received_at: DateTime<Utc>,
    report_id: ReportId,
    verdict: String,
    method: String,
    path: String,
    query: Option<String>,
    headers: serde_json::Value,
    body: Option<String>,
    body_escaped: bool,
    body_cut: bool,
    remote_address: Option<String>,
}

impl From<Row> for Callback {
    fn from(row: Row) -> Self {
        let accepted = row.verdict == Verdict::Accepted.as_str();
        Self {
            id: row.id,
            received_at: row.received_at,
            report_id: row.report_id,
            verdict: if accepted { Verdict::Accepted } else { Verdict::UnknownReport },
            method: row.method,
            path: row.path,
            query: row.query,
            headers: row.headers,
            body: row.body,
            body_escaped: row.body_escaped,
            body_cut: row.body_cut,
            remote_address: row.remote_address,
        }
    }
}

/// One callback.
pub async fn find(conn: &mut PgConnection, id: CallbackId) -> Stored<Option<Callback>> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: _", received_at, report_id as "report_id: _", verdict, method, path, query,
               headers::json as "headers!", body as "body?", body_escaped, body_cut, remote_address
           from callbacks where id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(Callback::from))
}

/// Newest first, without their bodies; of one report where given.
pub async fn list(
    conn: &mut PgConnection,
    report: Option<ReportId>,
    before: Option<CallbackId>,
    limit: i64,
) -> Stored<Vec<Callback>> {
    // Two statements, and always an upper end: whatever plan is kept, it walks an index from there.
    let before = before.map_or(Uuid::max(), |id| id.0);
    let rows = match report {
        Some(report) => of_report(conn, report, before, limit).await?,
        None => of_all(conn, before, limit).await?,
    };
    Ok(rows.into_iter().map(Callback::from).collect())
}

async fn of_all(conn: &mut PgConnection, before: Uuid, limit: i64) -> Stored<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: _", received_at, report_id as "report_id: _", verdict, method, path, query,
               headers::json as "headers!", null as body, body_escaped, body_cut, remote_address
           from callbacks
           where id < $1
           order by id desc
           limit $2"#,
        before,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

async fn of_report(conn: &mut PgConnection, report: ReportId, before: Uuid, limit: i64) -> Stored<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: _", received_at, report_id as "report_id: _", verdict, method, path, query,
               headers::json as "headers!", null as body, body_escaped, body_cut, remote_address
           from callbacks
           where report_id = $1 and id < $2
           order by id desc
           limit $3"#,
        report.0,
        before,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Removes the next callbacks behind `after` that are older than `before`, in one step; `None` if there are none.
pub async fn prune(conn: &mut PgConnection, after: Uuid, before: Uuid) -> Stored<Option<Step>> {
    let to = sqlx::query_scalar!(
        "select id from (select id from callbacks where id > $1 and id < $2 order by id limit $3) as next
         order by id desc limit 1",
        after,
        before,
        prune::STEP
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(to) = to else { return Ok(None) };
    let result = sqlx::query!("delete from callbacks where id > $1 and id <= $2", after, to).execute(conn).await?;
    Ok(Some(Step { removed: result.rows_affected(), to }))
}
