//! The table `datasets`: one row per account, with all that the API showed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::db::Stored;
use crate::id::AccountId;
use crate::insights::Dataset;

/// What is kept of an account.
pub(in super::super) struct Kept {
    pub(in super::super) items: Vec<Dataset>,
    pub(in super::super) fetched_at: DateTime<Utc>,
    /// The account was changed since: it may be shown other ones.
    pub(in super::super) outdated: bool,
}

/// The datasets of an account as they were kept.
pub(in super::super) async fn find(conn: &mut PgConnection, account: AccountId) -> Stored<Option<Kept>> {
    let row = sqlx::query!(
        r#"select items as "items: Json<Vec<Dataset>>", fetched_at, updated_at > fetched_at as "outdated!"
           from datasets join accounts on accounts.id = account_id
           where account_id = $1"#,
        account.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Kept { items: row.items.0, fetched_at: row.fetched_at, outdated: row.outdated }))
}

/// Keeps the datasets of an account.
pub(in super::super) async fn keep(
    conn: &mut PgConnection,
    account: AccountId,
    items: &[Dataset],
    fetched_at: DateTime<Utc>,
) -> Stored<()> {
    sqlx::query!(
        "insert into datasets (account_id, items, fetched_at) values ($1, $2, $3)
         on conflict (account_id) do update set items = excluded.items, fetched_at = excluded.fetched_at",
        account.0,
        Json(items) as _,
        fetched_at
    )
    .execute(conn)
    .await?;
    Ok(())
}
