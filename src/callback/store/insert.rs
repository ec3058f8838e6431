//! Adds calls. A trigger of the table makes the checks of their reports due and hints at them, in the same transaction, and it
//! marks the calls whose report is gone.

use std::borrow::Cow;
use std::io::Write;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use crate::callback::{Call, escaped};
use crate::db::Stored;
use crate::db::copy::{Copy, Rows};
use crate::id::CallbackId;

/// What a row is made of, in the order of [`gather`] and of [`TYPES`].
macro_rules! columns {
    () => {
        "(id, received_at, report_id, method, path, query, headers, body, body_escaped, body_cut, remote_address)"
    };
}

const COLUMNS: i16 = 11;
const INSERT: &str =
    concat!("insert into callbacks ", columns!(), " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
/// The numbers of the columns' types, which are the same in every Postgres.
const TYPES: [Oid; 11] = [UUID, TIMESTAMPTZ, UUID, TEXT, TEXT, TEXT, TEXT, TEXT, BOOL, BOOL, TEXT];
const BOOL: Oid = Oid(16);
const TEXT: Oid = Oid(25);
const TIMESTAMPTZ: Oid = Oid(1184);
const UUID: Oid = Oid(2950);
const COPY: &str = concat!("copy callbacks ", columns!(), " from stdin (format binary)");

/// Adds a call, whose body is a text by now, to those that are about to be added; tells how many bytes it takes.
pub(in crate::callback) fn gather(
    calls: &mut Rows,
    id: CallbackId,
    now: DateTime<Utc>,
    call: &Call<'_>,
    (body, body_escaped): (Cow<'_, str>, bool),
) -> Stored<usize> {
    calls.add(COLUMNS, |row| {
        row.field(id.0)?.field(now)?.field(call.report_id.0)?.field(call.method)?;
        row.field(escaped(call.path.as_bytes()).0)?.field(call.query.as_deref())?;
        row.text(|to| serde_json::to_writer(to, &call.headers))?;
        row.field(body)?.field(body_escaped)?.field(call.body_cut)?;
        match call.remote_address {
            Some(address) => row.text(|to| write!(to, "{address}"))?,
            None => row.field(None::<&str>)?,
        };
        Ok(())
    })
}

/// Adds calls, all in one statement, and so in one transaction.
pub(in crate::callback) async fn insert(conn: &mut PgConnection, calls: &mut Rows) -> Stored<()> {
    // A copy takes one round trip more.
    if calls.count() == 1 {
        return calls.insert_first(conn, INSERT, &TYPES).await;
    }
    begin(conn).await?.finish(calls).await?;
    Ok(())
}

/// Begins to add calls before it is known which.
pub(in crate::callback) async fn begin(conn: &mut PgConnection) -> Stored<Copy<'_>> {
    Copy::begin(conn, COPY).await
}
