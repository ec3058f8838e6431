//! The table `events`, and the numbers given to its rows.

use sqlx::PgConnection;

use super::{About, Event, Fact, Kind};
use crate::clock::Clock;
use crate::db::{StoreError, Stored};
use crate::id::{EventId, ReportId};

struct Row {
    id: EventId,
    seq: Option<i64>,
    kind: String,
    occurred_at: chrono::DateTime<chrono::Utc>,
    account_id: Option<crate::id::AccountId>,
    report_id: Option<ReportId>,
    execution_id: Option<crate::id::ExecutionId>,
    file_id: Option<crate::id::FileId>,
    subscription_id: Option<crate::id::SubscriptionId>,
    data: serde_json::Value,
}

impl TryFrom<Row> for Event {
    type Error = StoreError;

    fn try_from(row: Row) -> Stored<Self> {
        let corrupt = |what| StoreError::Corrupt { table: "events", id: row.id.to_string(), what };
        Ok(Self {
            kind: row.kind.parse().map_err(|()| corrupt(format!("unknown kind {}", row.kind)))?,
            id: row.id,
            seq: row.seq,
            occurred_at: row.occurred_at,
            about: About {
                account_id: row.account_id,
                report_id: row.report_id,
                execution_id: row.execution_id,
                file_id: row.file_id,
                subscription_id: row.subscription_id,
            },
            data: row.data,
        })
    }
}

/// Appends a fact; `None` if one with its key is there already.
pub async fn append(conn: &mut PgConnection, clock: &Clock, fact: Fact) -> Stored<Option<EventId>> {
    let id: EventId = clock.new_id();
    let about = fact.about;
    let result = sqlx::query!(
        "insert into events
             (id, kind, key, occurred_at, account_id, report_id, execution_id, file_id, subscription_id, data)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (key) do nothing",
        id.0,
        fact.kind.as_str(),
        fact.key,
        clock.now(),
        about.account_id.map(|id| id.0),
        about.report_id.map(|id| id.0),
        about.execution_id.map(|id| id.0),
        about.file_id.map(|id| id.0),
        about.subscription_id.map(|id| id.0),
        fact.data,
    )
    .execute(conn)
    .await?;
    Ok((result.rows_affected() == 1).then_some(id))
}

/// Gives numbers to up to `limit` facts that have none. Whoever numbers holds the one row until its commit, so a number
/// never becomes visible before a smaller one. Returns how many; none if somebody else is numbering.
pub async fn number(conn: &mut PgConnection, limit: i64) -> Stored<u64> {
    let last = sqlx::query_scalar!("select last_seq from event_numbers for update skip locked")
        .fetch_optional(&mut *conn)
        .await?;
    let Some(last) = last else { return Ok(0) };
    let result = sqlx::query!(
        "update events
         set seq = $1 + numbered.place
         from (
             select id, row_number() over (order by id) as place
             from (select id from events where seq is null order by id limit $2) as bare
         ) as numbered
         where events.id = numbered.id",
        last,
        limit,
    )
    .execute(&mut *conn)
    .await?;
    let count = result.rows_affected();
    if count > 0 {
        let last = last + i64::try_from(count).unwrap_or(i64::MAX);
        sqlx::query!("update event_numbers set last_seq = $1", last).execute(conn).await?;
    }
    Ok(count)
}

/// One fact.
pub async fn find(conn: &mut PgConnection, id: EventId) -> Stored<Option<Event>> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: _", seq, kind, occurred_at, account_id as "account_id: _", report_id as "report_id: _",
               execution_id as "execution_id: _", file_id as "file_id: _", subscription_id as "subscription_id: _", data
           from events where id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    row.map(Event::try_from).transpose()
}

/// Newest first, older than `before` where given.
pub async fn list(
    conn: &mut PgConnection,
    kind: Option<Kind>,
    report_id: Option<ReportId>,
    before: Option<EventId>,
    limit: i64,
) -> Stored<Vec<Event>> {
    sqlx::query_as!(
        Row,
        r#"select id as "id: _", seq, kind, occurred_at, account_id as "account_id: _", report_id as "report_id: _",
               execution_id as "execution_id: _", file_id as "file_id: _", subscription_id as "subscription_id: _", data
           from events
           -- each branch walks the one index that has its order
           where id = any(array(
               (select id from events where $1::text is null and $2::uuid is null and id < $3 order by id desc limit $4)
               union all
               (select id from events
                where $2 is null and kind = any(array[$1]) and id < $3 order by kind, id desc limit $4)
               union all
               (select id from events
                where $1 is null and report_id = any(array[$2]) and id < $3 order by report_id, id desc limit $4)
               union all
               (select id from events
                where report_id = $2 and kind = $1 and id < $3 order by id desc nulls last limit $4)))
           order by id desc"#,
        kind.map(Kind::as_str),
        report_id.map(|id| id.0),
        before.map_or(uuid::Uuid::max(), |id| id.0),
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Event::try_from)
    .collect()
}

/// What a reader who goes by numbers gets.
#[derive(Debug)]
pub enum Next {
    /// The next facts.
    Events(Vec<Event>),
    /// Some of the next facts were removed; none is missing after this number.
    Removed(i64),
}

/// Oldest first, with numbers above `seq`: none is ever missed, or that is told.
pub async fn after(conn: &mut PgConnection, seq: i64, limit: i64) -> Stored<Next> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: _", seq, kind, occurred_at, account_id as "account_id: _", report_id as "report_id: _",
               execution_id as "execution_id: _", file_id as "file_id: _", subscription_id as "subscription_id: _", data
           from events where seq > $1 order by seq limit $2"#,
        seq,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    // Last, so that it tells of all that was not there any more to be read.
    let removed = sqlx::query_scalar!("select last_seq from event_removals").fetch_one(conn).await?;
    if seq < removed {
        return Ok(Next::Removed(removed));
    }
    rows.into_iter().map(Event::try_from).collect::<Stored<_>>().map(Next::Events)
}

/// The last number given.
pub async fn last_seq(conn: &mut PgConnection) -> Stored<i64> {
    Ok(sqlx::query_scalar!("select last_seq from event_numbers").fetch_one(conn).await?)
}

/// Removes facts. Who reads by number and has not come as far as the last of them is told from now on.
pub async fn remove(conn: &mut PgConnection, ids: &[EventId]) -> Stored<u64> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let last =
        sqlx::query_scalar!("select max(seq) from events where id = any($1)", &ids).fetch_one(&mut *conn).await?;
    let Some(last) = last else { return Ok(0) };
    sqlx::query!("update event_removals set last_seq = greatest(last_seq, $1)", last).execute(&mut *conn).await?;
    Ok(sqlx::query!("delete from events where id = any($1)", &ids).execute(conn).await?.rows_affected())
}
