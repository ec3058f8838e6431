//! The tables `deliveries` and `attempts`: what is due, what came of it, and what is shown of it.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::super::{Attempt, Delivery, DeliveryState};
use crate::db::{self, Due, LEASE, StoreError, Stored};
use crate::id::{AttemptId, DeliveryId, EventId, ReportId, SubscriptionId};

/// A delivery to be attempted, with the claim on it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The delivery.
    pub id: DeliveryId,
    /// Its event.
    pub event_id: EventId,
    /// Its subscription.
    pub subscription_id: SubscriptionId,
    /// Tells its endpoint from others.
    pub endpoint_print: Vec<u8>,
    /// What shares places while it is sent: the deliveries to one endpoint, or all mails, which go through one server.
    pub lane: Vec<u8>,
    /// The number of the claim.
    pub lease: i64,
    /// How many attempts there were.
    pub tries: i32,
    /// Since when it is tried.
    pub since: DateTime<Utc>,
    /// `schedule` or `resend`.
    pub trigger: String,
}

/// Claims up to `limit` deliveries that are due, at most `each` of one lane and none of the `busy` ones.
pub(in super::super) async fn claim(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    each: i64,
    busy: &[Vec<u8>],
    limit: i64,
) -> Stored<Vec<Claimed>> {
    let rows = sqlx::query_as!(
        Claimed,
        r#"with open as (
               select next.id, next.due_at, endpoint_print, lane,
                   row_number() over (partition by lane order by next.due_at) as place
               from (
                   select id, endpoint_print,
                       case channel when 'email' then 'email'::bytea else endpoint_print end as lane
                   from subscriptions where state = 'active' and removed_at is null
               ) as told
               cross join lateral (
                   select id, due_at from deliveries
                   where subscription_id = told.id and state = 'pending'
                     -- nothing waits longer than ten hours: what is due later was set before the clock was set back
                     and (due_at <= $1 or due_at > $1 + interval '11 hours')
                     and (lease_until is null or lease_until <= $1 or lease_until - interval '30 seconds' > $2)
                   order by due_at
                   limit $3
                   for update skip locked
               ) as next
               where lane <> all($5)
           ), due as (
               select id, endpoint_print, lane from open where place <= $3 order by due_at limit $4
           )
           update deliveries
           set lease = lease + 1, lease_until = $2
           from due
           where deliveries.id = due.id
           returning deliveries.id as "id: _", event_id as "event_id: _", subscription_id as "subscription_id: _",
               endpoint_print, lane as "lane!", lease, tries, since, trigger"#,
        now,
        now + LEASE,
        each,
        limit,
        busy
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Renews the lease of a claim.
pub(in super::super) async fn renew(conn: &mut PgConnection, claim: &Claimed, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update deliveries set lease_until = $3 where id = $1 and lease = $2 and state = 'pending'",
        claim.id.0,
        claim.lease,
        now + LEASE
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Gives a claim back that nothing came of: it is due as before.
pub(in super::super) async fn release(conn: &mut PgConnection, claim: &Claimed) -> Stored<()> {
    let result = sqlx::query!(
        "update deliveries set lease_until = null where id = $1 and lease = $2 and state = 'pending'",
        claim.id.0,
        claim.lease
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// What came of an attempt.
#[derive(Debug, Clone)]
pub(in super::super) struct Outcome {
    pub(in super::super) claim: Claimed,
    pub(in super::super) state: DeliveryState,
    pub(in super::super) due_at: DateTime<Utc>,
    pub(in super::super) attempt_id: AttemptId,
    pub(in super::super) number: i32,
    pub(in super::super) trigger: String,
    pub(in super::super) started_at: DateTime<Utc>,
    pub(in super::super) finished_at: DateTime<Utc>,
    pub(in super::super) word: &'static str,
    pub(in super::super) status: Option<i32>,
    pub(in super::super) detail: String,
}

/// Records attempts, all in one transaction. An attempt was made whoever holds the claim now; the delivery moves only if
/// the claim is still ours. Recording the same ones again changes nothing.
pub(in super::super) async fn record(pool: &PgPool, outcomes: &[Outcome]) -> Stored<()> {
    let ids: Vec<Uuid> = outcomes.iter().map(|one| one.claim.id.0).collect();
    let details: Vec<String> = outcomes.iter().map(|one| one.detail.replace('\0', "")).collect();
    let finished: Vec<DateTime<Utc>> = outcomes.iter().map(|one| one.finished_at).collect();
    let mut tx = pool.begin().await?;
    let made = sqlx::query!(
        "insert into attempts (id, delivery_id, number, trigger, started_at, finished_at, outcome, status, detail)
         select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[],
             $7::text[], $8::int[], $9::text[])
         on conflict (id) do nothing",
        &outcomes.iter().map(|one| one.attempt_id.0).collect::<Vec<_>>(),
        &ids,
        &outcomes.iter().map(|one| one.number).collect::<Vec<_>>(),
        &outcomes.iter().map(|one| one.trigger.clone()).collect::<Vec<_>>(),
        &outcomes.iter().map(|one| one.started_at).collect::<Vec<_>>(),
        &finished,
        &outcomes.iter().map(|one| one.word.to_owned()).collect::<Vec<_>>(),
        &outcomes.iter().map(|one| one.status).collect::<Vec<_>>() as &[Option<i32>],
        &details
    )
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == 0 {
        // It was committed before, and the answer to that was lost.
        return Ok(());
    }
    sqlx::query!(
        "update deliveries
         set state = new.state, due_at = new.due_at, tries = deliveries.tries + 1, trigger = 'schedule', lease_until = null,
             reason = case when new.state = 'delivered' then null else new.reason end,
             finished_at = case when new.state = 'pending' then null else new.finished_at end
         from unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::timestamptz[])
             as new (id, lease, state, due_at, reason, finished_at)
         where deliveries.id = new.id and deliveries.lease = new.lease and deliveries.state = 'pending'",
        &ids,
        &outcomes.iter().map(|one| one.claim.lease).collect::<Vec<_>>(),
        &outcomes.iter().map(|one| one.state.as_str().to_owned()).collect::<Vec<_>>(),
        &outcomes.iter().map(|one| one.due_at).collect::<Vec<_>>(),
        &details,
        &finished
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Reopens a delivery under the same id, or makes a pending one due now.
pub async fn resend(conn: &mut PgConnection, id: DeliveryId, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update deliveries
         set due_at = $2, since = case when state = 'pending' then since else $2 end,
             tries = case when state = 'pending' then tries else 0 end,
             state = 'pending', trigger = 'resend', reason = null, finished_at = null
         where id = $1
           and exists (select from subscriptions where id = subscription_id and removed_at is null)",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Reopens up to `limit` deliveries of a subscription that are in one state. Returns how many.
pub async fn resend_all(
    conn: &mut PgConnection,
    subscription: Option<SubscriptionId>,
    state: DeliveryState,
    now: DateTime<Utc>,
    limit: i64,
) -> Stored<u64> {
    let result = sqlx::query!(
        "update deliveries
         set due_at = $3, since = $3, tries = 0, state = 'pending', trigger = 'resend', reason = null, finished_at = null
         where id = any(array(
             select next.id from subscriptions
             cross join lateral (
                 select id from deliveries where subscription_id = subscriptions.id and deliveries.state = $2
                 order by id nulls first limit $4
             ) as next
             where removed_at is null and ($1::uuid is null or subscriptions.id = $1)
             order by next.id
             limit $4
         ))",
        subscription.map(|id| id.0),
        state.as_str(),
        now,
        limit
    )
    .execute(conn)
    .await?;
    Ok(result.rows_affected())
}

struct Row {
    id: DeliveryId,
    event_id: EventId,
    event_kind: String,
    report_id: Option<ReportId>,
    subscription_id: SubscriptionId,
    subscription_name: String,
    channel: String,
    state: String,
    reason: Option<String>,
    due_at: DateTime<Utc>,
    tries: i32,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Delivery {
    type Error = StoreError;

    fn try_from(row: Row) -> Stored<Self> {
        Ok(Self {
            state: match row.state.as_str() {
                "pending" => DeliveryState::Pending,
                "delivered" => DeliveryState::Delivered,
                "failed" => DeliveryState::Failed,
                "cancelled" => DeliveryState::Cancelled,
                other => {
                    let what = format!("state {other}");
                    return Err(StoreError::Corrupt { table: "deliveries", id: row.id.to_string(), what });
                }
            },
            id: row.id,
            event_id: row.event_id,
            event_kind: row.event_kind,
            report_id: row.report_id,
            subscription_id: row.subscription_id,
            subscription_name: row.subscription_name,
            channel: row.channel,
            reason: row.reason,
            due_at: row.due_at,
            tries: row.tries,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

/// One delivery.
pub async fn find(conn: &mut PgConnection, id: DeliveryId) -> Stored<Option<Delivery>> {
    Ok(select(conn, Some(id), Filter::default(), None, 1).await?.pop())
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Of one subscription.
    pub subscription_id: Option<SubscriptionId>,
    /// In one state.
    pub state: Option<DeliveryState>,
}

/// Newest first.
pub async fn list(
    conn: &mut PgConnection,
    filter: Filter,
    before: Option<DeliveryId>,
    limit: i64,
) -> Stored<Vec<Delivery>> {
    select(conn, None, filter, before, limit).await
}

async fn select(
    conn: &mut PgConnection,
    id: Option<DeliveryId>,
    filter: Filter,
    before: Option<DeliveryId>,
    limit: i64,
) -> Stored<Vec<Delivery>> {
    sqlx::query_as!(
        Row,
        r#"select deliveries.id as "id: _", event_id as "event_id: _", events.kind as event_kind,
               events.report_id as "report_id: _", deliveries.subscription_id as "subscription_id: _",
               subscriptions.name as subscription_name, channel, deliveries.state, reason, due_at, tries,
               deliveries.created_at, finished_at
           from deliveries
           join events on events.id = event_id
           join subscriptions on subscriptions.id = deliveries.subscription_id
           -- each branch walks the one index that has its order
           where deliveries.id = any(array(
               (select $1::uuid)
               union all
               (select id from deliveries
                where $1 is null and $2::uuid is null and $3::text is null and id < $4 order by id desc limit $5)
               union all
               (select id from deliveries
                where $2 is null and state = any(array[$3]) and id < $4 order by state, id desc limit $5)
               union all
               (select id from deliveries
                where $3 is null and subscription_id = any(array[$2]) and id < $4
                order by subscription_id, id desc limit $5)
               union all
               (select id from deliveries
                where subscription_id = $2 and state = $3 and id < $4 order by id desc nulls last limit $5)))
           order by deliveries.id desc"#,
        id.map(|id| id.0),
        filter.subscription_id.map(|id| id.0),
        filter.state.map(DeliveryState::as_str),
        before.map_or(Uuid::max(), |id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Delivery::try_from)
    .collect()
}

/// The attempts of a delivery, oldest first; at most the last 100.
pub async fn attempts(conn: &mut PgConnection, delivery: DeliveryId) -> Stored<Vec<Attempt>> {
    let mut rows = sqlx::query_as!(
        Attempt,
        r#"select id as "id: _", number, trigger, started_at, finished_at, outcome, status, detail from attempts
           where delivery_id = $1 order by id desc limit 100"#,
        delivery.0
    )
    .fetch_all(conn)
    .await?;
    rows.reverse();
    Ok(rows)
}

/// How many deliveries are in each state; counts no further than `most`.
pub async fn count(conn: &mut PgConnection, most: i64) -> Stored<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"select state as "state!",
               (select count(*) from (select from deliveries where deliveries.state = each.state limit $1) as few) as "count!"
           from unnest(array['pending', 'delivered', 'failed', 'cancelled']) as each (state)"#,
        most
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.state, row.count)).collect())
}

/// The deliveries that are due; counts no further than `most` for each subscription.
pub async fn due(conn: &mut PgConnection, now: DateTime<Utc>, most: i64) -> Stored<Due> {
    let due = sqlx::query_as!(
        Due,
        r#"select coalesce(sum(due.count), 0)::bigint as "count!", min(due.oldest_at) as oldest_at
           from subscriptions
           cross join lateral (
               select count(*) as count, min(due_at) as oldest_at
               from (select due_at from deliveries
                     where subscription_id = subscriptions.id and state = 'pending' and due_at <= $1
                     order by due_at limit $2) as first
           ) as due"#,
        now,
        most
    )
    .fetch_one(conn)
    .await?;
    Ok(due)
}
