//! The table `queries`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::super::draft::Draft;
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::id::{AccountId, QueryId};
use crate::insights;

/// A query that we keep for an account.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Query {
    /// Its id.
    pub id: QueryId,
    /// Unique within the account.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its id at the API, once it is there.
    pub remote_id: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The query that a draft names, or the one with its text, made if need be. A query of another account, or one that does
/// not exist, violates a foreign key when the report is written.
pub(super) async fn for_draft(conn: &mut PgConnection, clock: &Clock, draft: &Draft) -> Stored<QueryId> {
    if let Some(id) = draft.query_id {
        return Ok(id);
    }
    let text = draft.query.as_deref().unwrap_or_default().trim();
    let same = sqlx::query_scalar!(
        r#"select id as "id: QueryId" from queries where account_id = $1 and text = $2 order by id limit 1"#,
        draft.account_id.0,
        text
    )
    .fetch_optional(&mut *conn)
    .await?;
    match same {
        Some(id) => Ok(id),
        None => {
            let id: QueryId = clock.new_id();
            insert(conn, clock, id, draft.account_id, &name_for(&draft.name, id), text).await?;
            Ok(id)
        }
    }
}

/// The query of this id there, made if need be: a report that existed there runs it.
pub(super) async fn for_remote(
    conn: &mut PgConnection,
    clock: &Clock,
    account: AccountId,
    (report, text, remote): (&str, &str, Option<&insights::QueryId>),
) -> Stored<QueryId> {
    let same = sqlx::query_scalar!(
        r#"select id as "id: QueryId" from queries where account_id = $1 and remote_id = $2 order by id limit 1"#,
        account.0,
        remote.map(|remote| remote.0.as_str())
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(id) = same {
        return Ok(id);
    }
    let id: QueryId = clock.new_id();
    insert(conn, clock, id, account, &name_for(report, id), text).await?;
    if let Some(remote) = remote {
        set_remote(conn, id, remote).await?;
    }
    Ok(id)
}

/// A name for the query of a report that no other query has.
fn name_for(report: &str, id: QueryId) -> String {
    let tail = &id.0.simple().to_string()[24..];
    format!("{} {tail}", report.trim().chars().take(200).collect::<String>())
}

/// Adds a query. A name that is taken violates `queries_account_id_name_key`.
pub async fn insert(
    conn: &mut PgConnection,
    clock: &Clock,
    id: QueryId,
    account: AccountId,
    name: &str,
    text: &str,
) -> Stored<()> {
    sqlx::query!(
        "insert into queries (id, account_id, name, text, created_at) values ($1, $2, $3, $4, $5)",
        id.0,
        account.0,
        name,
        text,
        clock.now()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One query of an account.
pub async fn find(conn: &mut PgConnection, account: AccountId, id: QueryId) -> Stored<Option<Query>> {
    let row = sqlx::query_as!(
        Query,
        r#"select id as "id: _", name, text, remote_id, created_at from queries where account_id = $1 and id = $2"#,
        account.0,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row)
}

/// Newest first.
pub async fn list(
    conn: &mut PgConnection,
    account: AccountId,
    before: Option<QueryId>,
    limit: i64,
) -> Stored<Vec<Query>> {
    let rows = sqlx::query_as!(
        Query,
        r#"select id as "id: _", name, text, remote_id, created_at from queries
           where account_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3"#,
        account.0,
        before.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Removes a query; one that a report uses violates a foreign key.
pub async fn delete(conn: &mut PgConnection, account: AccountId, id: QueryId) -> Stored<()> {
    let result =
        sqlx::query!("delete from queries where account_id = $1 and id = $2", account.0, id.0).execute(conn).await?;
    if result.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Lost) }
}

/// Removes the queries of an account that no report uses.
pub async fn delete_unused(conn: &mut PgConnection, account: AccountId) -> Stored<()> {
    sqlx::query!(
        "delete from queries
         where account_id = $1 and not exists (select from reports where query_id = queries.id)",
        account.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The name, text and remote id of a query.
pub(in super::super) async fn of(conn: &mut PgConnection, id: QueryId) -> Stored<Query> {
    let row = sqlx::query_as!(
        Query,
        r#"select id as "id: _", name, text, remote_id, created_at from queries where id = $1"#,
        id.0
    )
    .fetch_one(conn)
    .await?;
    Ok(row)
}

/// Records under which id the API has a query.
pub(in super::super) async fn set_remote(
    conn: &mut PgConnection,
    id: QueryId,
    remote: &insights::QueryId,
) -> Stored<()> {
    sqlx::query!("update queries set remote_id = $2 where id = $1", id.0, remote.0).execute(conn).await?;
    Ok(())
}
