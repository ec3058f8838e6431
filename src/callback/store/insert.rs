//! Adds calls. A trigger of the table makes the checks of their reports due and hints at them, in the same transaction, and it
//! marks the calls whose report is gone.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::callback::{Call, Verdict, escaped};
use crate::db::Stored;
use crate::db::copy::Rows;
use crate::id::CallbackId;

const COLUMNS: i16 = 12;
const COPY: &str = "copy callbacks
    (id, received_at, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut, remote_address)
    from stdin (format binary)";

/// Adds calls under these ids, all in one statement, and so in one transaction.
pub(in crate::callback) async fn insert(
    conn: &mut PgConnection,
    ids: &[CallbackId],
    calls: &[Call],
    now: DateTime<Utc>,
) -> Stored<()> {
    // A copy takes one round trip more.
    if let ([id], [call]) = (ids, calls) { one(conn, *id, call, now).await } else { all(conn, ids, calls, now).await }
}

async fn one(conn: &mut PgConnection, id: CallbackId, call: &Call, now: DateTime<Utc>) -> Stored<()> {
    let (body, body_escaped) = escaped(&call.body);
    sqlx::query!(
        "insert into callbacks
             (id, received_at, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut, remote_address)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        id.0,
        now,
        call.report_id.0,
        Verdict::Accepted.as_str(),
        call.method,
        &path(call),
        call.query,
        Json(&call.headers) as _,
        &body,
        body_escaped,
        call.body_cut,
        call.remote_address
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn all(conn: &mut PgConnection, ids: &[CallbackId], calls: &[Call], now: DateTime<Utc>) -> Stored<()> {
    let mut rows = Rows::with_capacity(calls.iter().map(Call::bytes).sum());
    for (id, call) in ids.iter().zip(calls) {
        let (body, body_escaped) = escaped(&call.body);
        rows.row(COLUMNS);
        rows.field(id.0)?.field(now)?.field(call.report_id.0)?.field(Verdict::Accepted.as_str())?;
        rows.field(&call.method)?.field(path(call))?.field(call.query.as_deref())?.field(Json(&call.headers))?;
        rows.field(body)?.field(body_escaped)?.field(call.body_cut)?.field(call.remote_address.as_deref())?;
    }
    rows.copy(conn, COPY).await?;
    Ok(())
}

fn path(call: &Call) -> Cow<'_, str> {
    escaped(call.path.as_bytes()).0
}
