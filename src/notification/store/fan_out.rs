//! The table `fan_out`, and the deliveries that are made from events.

use sqlx::PgConnection;

use crate::clock::Clock;
use crate::db::{Due, Stored};
use crate::id::{DeliveryId, EventId, SubscriptionId};

/// Locks the mark of how far the fan-out is; `None` while another holds it.
pub(in super::super) async fn lock_mark(conn: &mut PgConnection) -> Stored<Option<i64>> {
    Ok(sqlx::query_scalar!("select seq from fan_out for update skip locked").fetch_optional(conn).await?)
}

pub(in super::super) async fn move_mark(conn: &mut PgConnection, seq: i64) -> Stored<()> {
    sqlx::query!("update fan_out set seq = $1", seq).execute(conn).await?;
    Ok(())
}

/// The events that are not fanned out yet; counts no further than `most`, and as many again that have no number yet.
pub async fn behind(conn: &mut PgConnection, most: i64) -> Stored<Due> {
    let due = sqlx::query_as!(
        Due,
        r#"select count(*) as "count!", min(occurred_at) as oldest_at
           from (
               (select occurred_at from events where seq is null order by id limit $1)
               union all
               (select occurred_at from events where seq > (select seq from fan_out) order by seq limit $1)
           ) as behind"#,
        most
    )
    .fetch_one(conn)
    .await?;
    Ok(due)
}

/// How many events are next after `seq`, and the number of the last of them: at most `limit`, and so few that there are at
/// most `matches` of them with subscriptions, but at least one.
pub(in super::super) async fn next_events(
    conn: &mut PgConnection,
    seq: i64,
    limit: i64,
    matches: i64,
) -> Stored<(i64, Option<i64>)> {
    let next = sqlx::query!(
        r#"select count(*) as "count!", max(seq) as last
           from (
               select seq from events where seq > $1 order by seq
               limit least($2, greatest(1, $3 / greatest(1, (select count(*) from subscriptions where removed_at is null))))
           ) as next"#,
        seq,
        limit,
        matches
    )
    .fetch_one(conn)
    .await?;
    Ok((next.count, next.last))
}

/// An event and a subscription that match.
pub(in super::super) struct Match {
    event_id: EventId,
    subscription_id: SubscriptionId,
    state: String,
    reason: Option<String>,
}

/// Who is to be told of the events after `seq` up to `last`.
pub(in super::super) async fn matches(conn: &mut PgConnection, seq: i64, last: i64) -> Stored<Vec<Match>> {
    let rows = sqlx::query_as!(
        Match,
        r#"select next.id as "event_id!: _", subscriptions.id as "subscription_id!: _",
               case subscriptions.state when 'active' then 'pending' when 'paused' then 'cancelled' else 'failed' end
                   as "state!",
               case subscriptions.state when 'paused' then 'the subscription was paused'
                   when 'suspended' then 'the subscription was suspended' end as reason
           from events as next
           join subscriptions on removed_at is null and case
               -- a test is for its own subscription only
               when next.kind = 'subscription.test' then subscriptions.id = next.subscription_id
               -- who can't be reached is not told so
               when next.kind = 'subscription.suspended' and subscriptions.id = next.subscription_id then false
               else (kinds is null or next.kind = any(kinds))
                   -- chosen reports narrow what is about reports, and leave out the rest unless it is named
                   and (report_ids is null or next.report_id = any(report_ids)
                       or (next.report_id is null and kinds is not null))
           end
           where next.seq > $1 and next.seq <= $2
           order by next.seq, subscriptions.id"#,
        seq,
        last
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

pub(in super::super) async fn insert(conn: &mut PgConnection, clock: &Clock, matches: &[Match]) -> Stored<()> {
    sqlx::query!(
        "insert into deliveries (id, event_id, subscription_id, state, reason, due_at, since, created_at, finished_at)
         select id, event_id, subscription_id, state, reason, $6, $6, $6,
             case when state = 'pending' then null else $6::timestamptz end
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])
             as new (id, event_id, subscription_id, state, reason)
         on conflict (event_id, subscription_id) do nothing",
        &matches.iter().map(|_| clock.new_id::<DeliveryId>().0).collect::<Vec<_>>(),
        &matches.iter().map(|one| one.event_id.0).collect::<Vec<_>>(),
        &matches.iter().map(|one| one.subscription_id.0).collect::<Vec<_>>(),
        &matches.iter().map(|one| one.state.clone()).collect::<Vec<_>>(),
        &matches.iter().map(|one| one.reason.clone()).collect::<Vec<_>>() as &[Option<String>],
        clock.now()
    )
    .execute(conn)
    .await?;
    Ok(())
}
