//! The tables `secret_keys`, `api_keys`, `sign_in_links`, `sessions`, `idempotency` and `audit`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Actor, Scope};
use crate::clock::Clock;
use crate::db::Stored;
use crate::db::prune::{self, Step};
use crate::id::{AuditId, KeyId};

/// An API key, without the key.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// No request of the admin API is under way for longer.
const LONGEST_REQUEST: TimeDelta = TimeDelta::minutes(5);
const PRUNE_ROWS: i64 = 1000;
const PRUNE_STEPS: usize = 100;
const MOST_ANSWERS: i64 = 2000;

struct Row {
    id: KeyId,
    name: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Row> for Key {
    fn from(row: Row) -> Self {
        let all = [Scope::Read, Scope::Write, Scope::Admin];
        let scopes = all.into_iter().filter(|scope| row.scopes.iter().any(|text| text == scope.as_str())).collect();
        Self { id: row.id, name: row.name, scopes, created_at: row.created_at, last_used_at: row.last_used_at }
    }
}

pub(super) async fn insert_key(conn: &mut PgConnection, key: &Key, digest: &[u8]) -> Stored<()> {
    let scopes: Vec<String> = key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    sqlx::query!(
        "insert into api_keys (id, name, digest, scopes, created_at) values ($1, $2, $3, $4, $5)",
        key.id.0,
        key.name,
        digest,
        &scopes,
        key.created_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn key_by_digest(conn: &mut PgConnection, digest: &[u8], now: DateTime<Utc>) -> Stored<Option<Key>> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: _", name, scopes, created_at, last_used_at from api_keys where digest = $1"#,
        digest
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(key) = row.map(Key::from) else { return Ok(None) };
    // Once a minute is enough to see whether a key is still in use.
    if key.last_used_at.is_none_or(|last| now - last > TimeDelta::minutes(1)) {
        sqlx::query!("update api_keys set last_used_at = $2 where id = $1", key.id.0, now).execute(conn).await?;
    }
    Ok(Some(key))
}

/// Newest first.
pub async fn keys(conn: &mut PgConnection, before: Option<KeyId>, limit: i64) -> Stored<Vec<Key>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: _", name, scopes, created_at, last_used_at from api_keys
           where ($1::uuid is null or id < $1) order by id desc limit $2"#,
        before.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(Key::from).collect())
}

/// Ends a key and the sessions that were opened with it; false if there is none.
pub async fn delete_key(conn: &mut PgConnection, id: KeyId) -> Stored<bool> {
    let result = sqlx::query!("delete from api_keys where id = $1", id.0).execute(conn).await?;
    Ok(result.rows_affected() == 1)
}

pub(super) async fn insert_link(conn: &mut PgConnection, digest: &[u8], expires_at: DateTime<Utc>) -> Stored<()> {
    sqlx::query!("insert into sign_in_links (digest, expires_at) values ($1, $2)", digest, expires_at)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn take_link(conn: &mut PgConnection, digest: &[u8], now: DateTime<Utc>) -> Stored<bool> {
    let taken = sqlx::query_scalar!("delete from sign_in_links where digest = $1 returning expires_at", digest)
        .fetch_optional(&mut *conn)
        .await?;
    Ok(taken.is_some_and(|expires_at| expires_at > now))
}

pub(super) async fn insert_session(
    conn: &mut PgConnection,
    digest: &[u8],
    actor: &Actor,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Stored<()> {
    sqlx::query!(
        "insert into sessions (digest, actor, key_id, created_at, expires_at) values ($1, $2, $3, $4, $5)",
        digest,
        actor.name,
        actor.key_id.map(|id| id.0),
        created_at,
        expires_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn session(conn: &mut PgConnection, digest: &[u8], now: DateTime<Utc>) -> Stored<Option<String>> {
    let actor = sqlx::query_scalar!("select actor from sessions where digest = $1 and expires_at > $2", digest, now)
        .fetch_optional(conn)
        .await?;
    Ok(actor)
}

pub(super) async fn delete_session(conn: &mut PgConnection, digest: &[u8]) -> Stored<()> {
    sqlx::query!("delete from sessions where digest = $1", digest).execute(conn).await?;
    Ok(())
}

pub(super) async fn key_checks(conn: &mut PgConnection) -> Stored<Vec<(String, Vec<u8>)>> {
    let rows = sqlx::query!("select key_id, check_value from secret_keys").fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.key_id, row.check_value)).collect())
}

pub(super) async fn insert_key_check(
    conn: &mut PgConnection,
    id: &str,
    value: &[u8],
    now: DateTime<Utc>,
) -> Stored<()> {
    sqlx::query!(
        "insert into secret_keys (key_id, check_value, created_at) values ($1, $2, $3) on conflict do nothing",
        id,
        value,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes who changed what.
pub async fn note(conn: &mut PgConnection, clock: &Clock, actor: &str, action: &str, subject: &str) -> Stored<()> {
    sqlx::query!(
        "insert into audit (id, at, actor, action, subject) values ($1, $2, $3, $4, $5)",
        clock.new_id::<AuditId>().0,
        clock.now(),
        actor,
        action,
        subject
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What an idempotency key was used for before.
#[derive(Debug)]
pub enum Before {
    /// Nothing: it is ours now.
    Nothing,
    /// A request that differs from this one.
    AnotherRequest,
    /// The same request, still under way.
    UnderWay,
    /// The same request, so long ago that its process must have ended before the answer was kept.
    CutOff,
    /// The same request: its status and sealed answer.
    Answered(u16, Vec<u8>),
}

/// Takes an idempotency key, or tells what it was used for.
pub async fn take_idempotency_key(
    conn: &mut PgConnection,
    actor: &str,
    key: &str,
    request: &[u8],
    now: DateTime<Utc>,
) -> Stored<Before> {
    let taken = sqlx::query!(
        "insert into idempotency (actor, key, request, created_at) values ($1, $2, $3, $4) on conflict do nothing",
        actor,
        key,
        request,
        now
    )
    .execute(&mut *conn)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(Before::Nothing);
    }
    let row = sqlx::query!(
        "select request, status, answer, created_at from idempotency where actor = $1 and key = $2",
        actor,
        key
    )
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some(row) if row.request != request => Before::AnotherRequest,
        Some(row) => match (row.status.and_then(|status| u16::try_from(status).ok()), row.answer) {
            (Some(status), Some(answer)) => Before::Answered(status, answer),
            _ if now - row.created_at > LONGEST_REQUEST => Before::CutOff,
            _ => Before::UnderWay,
        },
        None => Before::UnderWay,
    })
}

/// Keeps the answer to a request under its idempotency key.
pub async fn keep_answer(conn: &mut PgConnection, actor: &str, key: &str, status: u16, answer: &[u8]) -> Stored<()> {
    sqlx::query!(
        "update idempotency set status = $3, answer = $4 where actor = $1 and key = $2",
        actor,
        key,
        i32::from(status),
        answer
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives an idempotency key back: its request changed nothing.
pub async fn release_idempotency_key(conn: &mut PgConnection, actor: &str, key: &str) -> Stored<()> {
    sqlx::query!("delete from idempotency where actor = $1 and key = $2 and status is null", actor, key)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes what has run out: in steps, so that no statement is long, and not without end.
pub async fn prune(conn: &mut PgConnection, now: DateTime<Utc>) -> Stored<()> {
    for _ in 0..PRUNE_STEPS {
        let removed = prune_some(conn, now).await?;
        if removed < PRUNE_ROWS.unsigned_abs() {
            break;
        }
    }
    Ok(())
}

/// One step for each table; tells the most rows that one of them lost.
async fn prune_some(conn: &mut PgConnection, now: DateTime<Utc>) -> Stored<u64> {
    let sessions = sqlx::query!(
        "delete from sessions where digest in (select digest from sessions where expires_at < $1 limit $2)",
        now,
        PRUNE_ROWS
    )
    .execute(&mut *conn)
    .await?;
    let links = sqlx::query!(
        "delete from sign_in_links where digest in (select digest from sign_in_links where expires_at < $1 limit $2)",
        now,
        PRUNE_ROWS
    )
    .execute(&mut *conn)
    .await?;
    let answers = sqlx::query!(
        "delete from idempotency where (actor, key) in
             (select actor, key from idempotency where created_at < $1 limit $2)",
        now - TimeDelta::hours(24),
        PRUNE_ROWS
    )
    .execute(conn)
    .await?;
    Ok(sessions.rows_affected().max(links.rows_affected()).max(answers.rows_affected()))
}

/// Removes the next lines of the audit log behind `after` that are older than `before`, in one step; `None` if there are none.
pub async fn prune_audit(conn: &mut PgConnection, after: Uuid, before: Uuid) -> Stored<Option<Step>> {
    let to = sqlx::query_scalar!(
        "select id from (select id from audit where id > $1 and id < $2 order by id limit $3) as next
         order by id desc limit 1",
        after,
        before,
        prune::STEP
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(to) = to else { return Ok(None) };
    let result = sqlx::query!("delete from audit where id > $1 and id <= $2", after, to).execute(conn).await?;
    Ok(Some(Step { removed: result.rows_affected(), to }))
}

/// How many answers kept for a repeat rest under each key; of the oldest few thousand, among which those of an old key are.
/// They are gone after a day.
pub async fn answers_sealed_by(conn: &mut PgConnection) -> Stored<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select encode(substring(answer from 1 for 4), 'hex') as "key!", count(*) as "count!"
           from (select answer from idempotency where answer is not null order by created_at limit $1) as oldest
           group by 1"#,
        MOST_ANSWERS
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.count)).collect())
}

/// The ids of the keys that the database was ever used with, oldest first.
pub async fn known_keys(conn: &mut PgConnection) -> Stored<Vec<String>> {
    Ok(sqlx::query_scalar!("select key_id from secret_keys order by created_at, key_id").fetch_all(conn).await?)
}
