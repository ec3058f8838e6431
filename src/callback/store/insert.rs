//! Adds calls. A trigger of the table makes the checks of their reports due and hints at them, in the same transaction, and it
//! marks the calls whose report is gone.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use crate::callback::{Call, Verdict, escaped};
use crate::db::Stored;
use crate::db::copy::{Copy, Row};
use crate::id::CallbackId;

/// What a row is made of, in the order of [`row`] and of [`TYPES`].
macro_rules! columns {
    () => {
        "(id, received_at, report_id, verdict, method, path, query, headers, body, body_escaped, body_cut, remote_address)"
    };
}

const COLUMNS: i16 = 12;
const INSERT: &str =
    concat!("insert into callbacks ", columns!(), " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
/// The numbers of the columns' types, which are the same in every Postgres.
const TYPES: [Oid; 12] = [UUID, TIMESTAMPTZ, UUID, TEXT, TEXT, TEXT, TEXT, JSON, TEXT, BOOL, BOOL, TEXT];
const BOOL: Oid = Oid(16);
const JSON: Oid = Oid(114);
const TEXT: Oid = Oid(25);
const TIMESTAMPTZ: Oid = Oid(1184);
const UUID: Oid = Oid(2950);
const COPY: &str = concat!("copy callbacks ", columns!(), " from stdin (format binary)");

/// A call as a row of the table.
pub(in crate::callback) fn row(id: CallbackId, now: DateTime<Utc>, call: &Call<'_>) -> Stored<Row> {
    let (body, body_escaped) = escaped(&call.body);
    let headers = serde_json::to_string(&call.headers).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let mut row = Row::of(COLUMNS, call.bytes());
    row.field(id.0)?.field(now)?.field(call.report_id.0)?.field(Verdict::Accepted.as_str())?;
    row.field(call.method)?.field(escaped(call.path.as_bytes()).0)?.field(call.query.as_deref())?;
    row.field(&headers)?.field(body)?.field(body_escaped)?.field(call.body_cut)?;
    row.field(call.remote_address.map(|address| address.to_string()))?;
    Ok(row)
}

/// Adds calls, all in one statement, and so in one transaction.
pub(in crate::callback) async fn insert(conn: &mut PgConnection, rows: &[Row], buffer: &mut Vec<u8>) -> Stored<()> {
    // A copy takes one round trip more.
    if let [row] = rows {
        return row.insert(conn, INSERT, &TYPES).await;
    }
    begin(conn).await?.finish(rows, buffer).await?;
    Ok(())
}

/// Begins to add calls before it is known which.
pub(in crate::callback) async fn begin(conn: &mut PgConnection) -> Stored<Copy<'_>> {
    Copy::begin(conn, COPY).await
}
