//! The table `callbacks`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Call, Callback, Verdict, escaped};
use crate::db::Stored;
use crate::db::prune::{self, Step};
use crate::id::{CallbackId, ReportId};

pub(super) struct NewCallback<'a> {
    pub(super) id: CallbackId,
    pub(super) verdict: Verdict,
    pub(super) call: &'a Call,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::UnknownReport => "unknown_report",
        }
    }
}

/// Adds calls, all in one statement.
pub(super) async fn insert(conn: &mut PgConnection, rows: &[NewCallback<'_>], now: DateTime<Utc>) -> Stored<()> {
    let column = |of: fn(&Call) -> String| rows.iter().map(|row| of(row.call)).collect::<Vec<_>>();
    let (bodies, body_escaped): (Vec<String>, Vec<bool>) = rows.iter().map(|row| escaped(&row.call.body)).unzip();
    let headers: Vec<serde_json::Value> = rows.iter().map(|row| serde_json::json!(row.call.headers)).collect();
    sqlx::query!(
        "insert into callbacks
             (id, received_at, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut,
              remote_address)
         select id, $2, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut, remote_address
         from unnest($1::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::text[],
                 $10::bool[], $11::bool[], $12::text[])
             as new (id, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut, remote_address)",
        &rows.iter().map(|row| row.id.0).collect::<Vec<_>>(),
        now,
        &rows.iter().map(|row| row.call.report_id.0).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.verdict.as_str().to_owned()).collect::<Vec<_>>(),
        &column(|call| call.method.clone()),
        &column(|call| escaped(call.path.as_bytes()).0),
        &rows.iter().map(|row| row.call.query.clone()).collect::<Vec<_>>() as &[Option<String>],
        &headers,
        &bodies,
        &body_escaped,
        &rows.iter().map(|row| row.call.body_cut).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.call.remote_address.clone()).collect::<Vec<_>>() as &[Option<String>],
    )
    .execute(conn)
    .await?;
    Ok(())
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
        r#"select id as "id: _", received_at, report_id as "report_id: _", verdict, method, path, query, headers, body as "body?",
               body_escaped, body_cut, remote_address
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
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: _", received_at, report_id as "report_id: _", verdict, method, path, query, headers, null as body,
               body_escaped, body_cut, remote_address
           from callbacks
           -- each branch walks the one index that has its order
           where id = any(array(
               (select id from callbacks where $1::uuid is null and id < $2 order by id desc limit $3)
               union all
               (select id from callbacks where report_id = any(array[$1]) and id < $2 order by report_id, id desc limit $3)))
           order by id desc"#,
        report.map(|id| id.0),
        before.map_or(Uuid::max(), |id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Callback::from).collect())
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
