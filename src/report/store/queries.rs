//! The tables `queries` and `leftovers`: what we keep, and what is there and of no use any more.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::super::draft::Draft;
use crate::clock::Clock;
use crate::db::{self, StoreError, Stored};
use crate::id::{AccountId, QueryId};
use crate::insights;

/// A query that we keep for an account.
#[derive(Debug, Clone)]
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
            insert(conn, clock, id, draft.account_id, &name_of(id, &draft.name), text).await?;
            sqlx::query!("update queries set incidental = true where id = $1", id.0).execute(conn).await?;
            Ok(id)
        }
    }
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

/// Changes what is given of a query. With another text it is another query there: what the API has of it is left over, and every report
/// that uses it is made anew there. A step that is at work on such a report loses its claim: what it asked for is old.
pub async fn change(
    conn: &mut PgConnection,
    account: AccountId,
    id: QueryId,
    (name, text): (Option<&str>, Option<&str>),
    now: DateTime<Utc>,
) -> Stored<()> {
    let differs = sqlx::query_scalar!(
        r#"select coalesce(text <> $3, false) as "differs!" from queries where account_id = $1 and id = $2 for update"#,
        account.0,
        id.0,
        text
    );
    let differs = differs.fetch_optional(&mut *conn).await?.ok_or(StoreError::Lost)?;
    if differs {
        leave(conn, account, id).await?;
        remake(conn, id, now).await?;
    }
    sqlx::query!(
        "update queries
         set name = coalesce($2, name), text = coalesce($3, text), remote_id = case when $4 then null else remote_id end, adopted = adopted and not $4,
             incidental = false
         where id = $1",
        id.0,
        name,
        text,
        differs
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn remake(conn: &mut PgConnection, id: QueryId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!(
        "update reports
         set remake = remake or there <> 'none' or settle_tries > 0, lease = lease + 1,
             state = case when state = 'rejected' then 'draft' else state end, last_failure = null,
             settle_at = $2, settle_tries = 0, updated_at = $2
         where query_id = $1 and state not in ('retired', 'ended')",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The shortest interval of the reports that run a query.
pub async fn shortest_interval(conn: &mut PgConnection, id: QueryId) -> Stored<Option<i32>> {
    let shortest =
        sqlx::query_scalar!("select min(interval_hours) from reports where query_id = $1 and state <> 'retired'", id.0);
    Ok(shortest.fetch_one(conn).await?)
}

/// Removes a query; one that a report uses violates a foreign key. What the API has of it is left over.
pub async fn delete(conn: &mut PgConnection, account: AccountId, id: QueryId) -> Stored<()> {
    leave(conn, account, id).await?;
    let result =
        sqlx::query!("delete from queries where account_id = $1 and id = $2", account.0, id.0).execute(conn).await?;
    db::one(&result)
}

async fn leave(conn: &mut PgConnection, account: AccountId, id: QueryId) -> Stored<()> {
    sqlx::query!(
        r#"insert into leftovers (account_id, remote_id)
           select account_id, remote_id as "remote_id!" from queries
           where account_id = $1 and id = $2 and remote_id is not null and not adopted
             -- two of the same name and text are one there
             and not exists (
                 select from queries as other
                 where other.account_id = $1 and other.remote_id = queries.remote_id and other.id <> $2
             )
           on conflict do nothing"#,
        account.0,
        id.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes a query that was made for a report's text and that no report uses any more, retired ones counted: nobody ever
/// named it. What the API has of it is left over.
pub(super) async fn drop_idle(conn: &mut PgConnection, id: QueryId) -> Stored<()> {
    sqlx::query!(
        r#"with dropped as (
               delete from queries
               where id = $1 and incidental and not adopted
                 and not exists (select from reports where query_id = queries.id)
               returning id, account_id, remote_id
           )
           insert into leftovers (account_id, remote_id)
           select account_id, remote_id as "remote_id!" from dropped
           where remote_id is not null and not exists (
               select from queries as other
               where other.account_id = dropped.account_id and other.remote_id = dropped.remote_id
                 and other.id <> dropped.id
           )
           on conflict do nothing"#,
        id.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the API has of incidental queries that no report uses any more is left over.
pub(in super::super) async fn release(conn: &mut PgConnection, account: AccountId) -> Stored<()> {
    sqlx::query!(
        r#"with released as (
               update queries set remote_id = null
               from queries as before
               where before.id = queries.id and queries.account_id = $1 and queries.remote_id is not null
                 and queries.incidental and not queries.adopted
                 and not exists (select from reports where query_id = queries.id and state <> 'retired')
               returning queries.id, before.remote_id
           )
           insert into leftovers (account_id, remote_id)
           select distinct $1::uuid, remote_id as "remote_id!" from released
           where not exists (
               select from queries as other
               where other.account_id = $1 and other.remote_id = released.remote_id
                 and other.id not in (select id from released)
           )
           on conflict do nothing"#,
        account.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Queries there that are of no use any more.
pub(in super::super) async fn leftovers(conn: &mut PgConnection, account: AccountId) -> Stored<Vec<insights::QueryId>> {
    let ids =
        sqlx::query_scalar!("select remote_id from leftovers where account_id = $1 order by remote_id", account.0);
    Ok(ids.fetch_all(conn).await?.into_iter().map(insights::QueryId).collect())
}

/// Some of them that no report runs there: none, as long as any of the account's reports is still to be deleted there.
pub(in super::super) async fn idle_leftovers(
    conn: &mut PgConnection,
    account: AccountId,
    most: i64,
) -> Stored<Vec<insights::QueryId>> {
    let ids = sqlx::query_scalar!(
        "select remote_id from leftovers
         where account_id = $1
           and not exists (
               select from reports
               where account_id = $1 and there <> 'none' and (remake or state in ('retired', 'rejected'))
           )
         order by remote_id limit $2",
        account.0,
        most
    );
    Ok(ids.fetch_all(conn).await?.into_iter().map(insights::QueryId).collect())
}

/// A query there is gone, or will stay.
pub(in super::super) async fn forget_leftover(
    conn: &mut PgConnection,
    account: AccountId,
    id: &insights::QueryId,
) -> Stored<()> {
    sqlx::query!("delete from leftovers where account_id = $1 and remote_id = $2", account.0, id.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Keeps a query that exists there, under its name or one like it; the one that is kept already if there is one. Where its
/// id there is not told it is a query like any other.
pub(in super::super) async fn adopt(
    conn: &mut PgConnection,
    clock: &Clock,
    account: AccountId,
    (name, text, remote): (&str, &str, Option<&insights::QueryId>),
) -> Stored<QueryId> {
    let remote_id = remote.map(|remote| remote.0.as_str());
    let kept = sqlx::query_scalar!(
        r#"select id as "id: QueryId" from queries where account_id = $1 and remote_id = $2 order by id limit 1"#,
        account.0,
        remote_id
    );
    if let Some(id) = kept.fetch_optional(&mut *conn).await? {
        return Ok(id);
    }
    let id: QueryId = clock.new_id();
    insert(conn, clock, id, account, &name_of(id, name), text.trim()).await?;
    sqlx::query!("update queries set remote_id = $2, adopted = $2::text is not null where id = $1", id.0, remote_id)
        .execute(&mut *conn)
        .await?;
    if let Some(remote) = remote {
        forget_leftover(conn, account, remote).await?;
    }
    Ok(id)
}

/// A name that no other query has.
fn name_of(id: QueryId, like: &str) -> String {
    let tail = &id.0.simple().to_string()[24..];
    let like: String = like.trim().chars().filter(|c| !c.is_control()).take(180).collect();
    format!("{like} {tail}").trim().to_owned()
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

/// Records under which id the API has a query, as it was read. False: it has another text or id by now, and what was made
/// for it there is left over.
pub(in super::super) async fn set_remote(
    conn: &mut PgConnection,
    read: &Query,
    account: AccountId,
    remote: &insights::QueryId,
) -> Stored<bool> {
    let result = sqlx::query!(
        "update queries set remote_id = $2 where id = $1 and text = $3 and (remote_id is null or remote_id = $2)",
        read.id.0,
        remote.0,
        read.text
    );
    if result.execute(&mut *conn).await?.rows_affected() == 1 {
        return Ok(true);
    }
    sqlx::query!(
        "insert into leftovers (account_id, remote_id) values ($1, $2) on conflict do nothing",
        account.0,
        remote.0
    )
    .execute(conn)
    .await?;
    Ok(false)
}

/// Forgets the id of a query there, so that it is made anew. False: it has another by now, or no text to be made from.
pub(in super::super) async fn forget_remote(
    conn: &mut PgConnection,
    id: QueryId,
    remote: &insights::QueryId,
) -> Stored<bool> {
    let result = sqlx::query!(
        "update queries set remote_id = null, adopted = false where id = $1 and remote_id = $2 and text <> ''",
        id.0,
        remote.0
    );
    Ok(result.execute(conn).await?.rows_affected() == 1)
}

/// Which queries of an account the API has, by their ids here and there.
pub async fn kept_there(conn: &mut PgConnection, account: AccountId) -> Stored<Vec<(QueryId, insights::QueryId)>> {
    let rows = sqlx::query!(
        r#"select id as "id: QueryId", remote_id as "remote_id!" from queries
           where account_id = $1 and remote_id is not null"#,
        account.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, insights::QueryId(row.remote_id))).collect())
}
