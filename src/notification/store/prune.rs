//! Removes what is old from `attempts` and `deliveries`, and the events that nothing needs any more.

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::db::Stored;
use crate::db::prune::{self, Step};
use crate::event;
use crate::id::EventId;

/// Removes the next attempts behind `after` that are older than `before`, but none of a delivery that is pending.
pub async fn attempts(conn: &mut PgConnection, after: Uuid, before: Uuid) -> Stored<Option<Step>> {
    let to = sqlx::query_scalar!(
        "select id from (select id from attempts where id > $1 and id < $2 order by id limit $3) as next
         order by id desc limit 1",
        after,
        before,
        prune::STEP
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(to) = to else { return Ok(None) };
    let result = sqlx::query!(
        "delete from attempts
         where id > $1 and id <= $2
           and not exists (select from deliveries where deliveries.id = delivery_id and state = 'pending')",
        after,
        to
    )
    .execute(conn)
    .await?;
    Ok(Some(Step { removed: result.rows_affected(), to }))
}

/// Removes the next deliveries behind `after` that are older than `before`, were done with before `done`, and have no attempt
/// left: one that was sent again is as young as that.
pub async fn deliveries(
    conn: &mut PgConnection,
    after: Uuid,
    before: Uuid,
    done: DateTime<Utc>,
) -> Stored<Option<Step>> {
    let to = sqlx::query_scalar!(
        "select id from (select id from deliveries where id > $1 and id < $2 order by id limit $3) as next
         order by id desc limit 1",
        after,
        before,
        prune::STEP
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(to) = to else { return Ok(None) };
    let result = sqlx::query!(
        "delete from deliveries
         where id > $1 and id <= $2 and state <> 'pending' and finished_at < $3
           and not exists (select from attempts where delivery_id = deliveries.id)",
        after,
        to,
        done
    )
    .execute(conn)
    .await?;
    Ok(Some(Step { removed: result.rows_affected(), to }))
}

/// Removes the next events behind `after` that are older than `before`, that everyone was told of who is to be told, and that
/// no delivery is left of.
pub async fn events(conn: &mut PgConnection, after: Uuid, before: Uuid) -> Stored<Option<Step>> {
    let mut tx = conn.begin().await?;
    let next = sqlx::query!(
        r#"select id as "id: EventId",
               (seq <= (select seq from fan_out) and not exists (select from deliveries where event_id = events.id))
                   as may_go
           from events where id > $1 and id < $2 order by id limit $3"#,
        after,
        before,
        prune::STEP
    )
    .fetch_all(&mut *tx)
    .await?;
    let Some(to) = next.last().map(|row| row.id.0) else { return Ok(None) };
    let gone: Vec<EventId> = next.into_iter().filter(|row| row.may_go == Some(true)).map(|row| row.id).collect();
    let removed = event::store::remove(&mut tx, &gone).await?;
    tx.commit().await?;
    Ok(Some(Step { removed, to }))
}
