//! The table `callbacks`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Call, Callback, Verdict, escaped};
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

/// Adds calls under these ids and makes the checks of their reports due, all in one statement, and so in one transaction of
/// one round trip. Tells whether a check became due that was not.
pub(super) async fn insert(
    conn: &mut PgConnection,
    ids: &[CallbackId],
    calls: &[Call],
    now: DateTime<Utc>,
) -> Stored<bool> {
    let per_report = per_report(calls);
    let (reports, counts): (Vec<Uuid>, Vec<i64>) = per_report.into_iter().unzip();
    let texts = |of: fn(&Call) -> &str| calls.iter().map(of).collect::<Vec<&str>>();
    let paths: Vec<Cow<'_, str>> = calls.iter().map(|call| escaped(call.path.as_bytes()).0).collect();
    let (bodies, body_escaped): (Vec<Cow<'_, str>>, Vec<bool>) = calls.iter().map(|call| escaped(&call.body)).unzip();
    // The count of what was inserted is asked for, so that the locks of the checks are taken last. An array that is selected
    // looks equally long in every plan: else Postgres would make a new plan for each batch, which takes longer than the rest.
    let is_news = sqlx::query_scalar!(
        r#"with inserted as (
               insert into callbacks
                   (id, received_at, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut,
                    remote_address)
               select id, $2, new.report_id, case when checks.report_id is null then $13 else $14 end, method, path, query,
                   headers::jsonb, body, body_escaped, body_cut, remote_address
               from unnest((select $1::uuid[]), (select $3::uuid[]), (select $4::text[]), (select $5::text[]),
                       (select $6::text[]), (select $7::text[]), (select $8::text[]), (select $9::bool[]),
                       (select $10::bool[]), (select $11::text[]))
                   as new (id, report_id, method, path, query, headers, body, body_escaped, body_cut, remote_address)
               left join checks on checks.report_id = new.report_id
               returning 1
           )
           select checks_called($12, $15, $2) as "is_news!" from (select count(*) from inserted) as all_inserted"#,
        ids as &[CallbackId],
        now,
        &calls.iter().map(|call| call.report_id.0).collect::<Vec<_>>(),
        &texts(|call| &call.method) as &[&str],
        &paths as &[Cow<'_, str>],
        &calls.iter().map(|call| call.query.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &texts(|call| &call.headers) as &[&str],
        &bodies as &[Cow<'_, str>],
        &body_escaped,
        &calls.iter().map(|call| call.body_cut).collect::<Vec<_>>(),
        &calls.iter().map(|call| call.remote_address.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &reports,
        Verdict::UnknownReport.as_str(),
        Verdict::Accepted.as_str(),
        &counts,
    )
    .fetch_one(conn)
    .await?;
    Ok(is_news)
}

fn per_report(calls: &[Call]) -> BTreeMap<Uuid, i64> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.report_id.0).or_default() += 1;
    }
    counts
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
        r#"select id as "id: _", received_at, report_id as "report_id: _", verdict, method, path, query, headers,
               null as body, body_escaped, body_cut, remote_address
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
        r#"select id as "id: _", received_at, report_id as "report_id: _", verdict, method, path, query, headers,
               null as body, body_escaped, body_cut, remote_address
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
