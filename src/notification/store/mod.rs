//! The tables of this stage: `subscriptions` here; `fan_out`, `deliveries` and `attempts` beside.

pub mod deliveries;
pub(super) mod fan_out;
pub mod prune;
pub mod reseal;

pub use fan_out::behind;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::subscribe::{Checked, Terms};
use super::{FirstRows, Subscription, SubscriptionState};
use crate::channel::{Channel, Endpoint};
use crate::clock::Clock;
use crate::db::{self, StoreError, Stored};
use crate::event::Kind;
use crate::id::{ReportId, SubscriptionId};
use crate::secret::{Keyring, Sealed, Secret};

struct Row {
    id: SubscriptionId,
    name: String,
    channel: String,
    endpoint_shown: String,
    kinds: Option<Vec<String>>,
    report_ids: Option<Vec<Uuid>>,
    owner: Option<String>,
    first_rows: String,
    state: String,
    last_failure: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for Subscription {
    type Error = StoreError;

    fn try_from(row: Row) -> Stored<Self> {
        let id = row.id.to_string();
        let corrupt = |what: &str| StoreError::Corrupt { table: "subscriptions", id: id.clone(), what: what.into() };
        let kinds = row.kinds.map(|kinds| kinds.iter().map(|kind| kind.parse::<Kind>()).collect::<Result<_, _>>());
        Ok(Self {
            id: row.id,
            name: row.name,
            channel: row.channel.parse().map_err(|_| corrupt("channel"))?,
            endpoint_shown: row.endpoint_shown,
            kinds: kinds.transpose().map_err(|()| corrupt("kinds"))?,
            report_ids: row.report_ids.map(|ids| ids.into_iter().map(ReportId).collect()),
            owner: row.owner,
            first_rows: if row.first_rows == "masked" { FirstRows::Masked } else { FirstRows::Off },
            state: match row.state.as_str() {
                "active" => SubscriptionState::Active,
                "paused" => SubscriptionState::Paused,
                "suspended" => SubscriptionState::Suspended,
                _ => return Err(corrupt("state")),
            },
            last_failure: row.last_failure,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn words(kinds: Option<&Vec<Kind>>) -> Option<Vec<String>> {
    kinds.map(|kinds| kinds.iter().map(|kind| kind.as_str().to_owned()).collect())
}

fn bare(ids: Option<&Vec<ReportId>>) -> Option<Vec<Uuid>> {
    ids.map(|ids| ids.iter().map(|id| id.0).collect())
}

/// Whether a subscription has this name; locks the name, as there may be none to be locked.
pub(super) async fn is_taken(conn: &mut PgConnection, name: &str) -> Stored<bool> {
    let lock = format!("subscriptions:name:{name}");
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", lock).execute(&mut *conn).await?;
    // A statement of its own: it sees what was made before the lock was had.
    let taken = sqlx::query_scalar!(
        "select exists (select 1 from subscriptions where name = $1 and removed_at is null) as \"taken!\"",
        name
    );
    Ok(taken.fetch_one(conn).await?)
}

pub(super) async fn insert_subscription(
    conn: &mut PgConnection,
    clock: &Clock,
    keyring: &Keyring,
    id: SubscriptionId,
    new: &Checked,
) -> Stored<()> {
    let address = address(&new.endpoint);
    let secret = match &new.endpoint {
        Endpoint::Webhook { secret, .. } => Some(secret),
        Endpoint::Email { .. } | Endpoint::Slack { .. } | Endpoint::Teams { .. } => None,
    };
    let (kinds, report_ids) = (words(new.kinds.as_ref()), bare(new.report_ids.as_ref()));
    sqlx::query!(
        "insert into subscriptions (id, name, channel, endpoint, endpoint_shown, endpoint_print, secret, kinds, report_ids,
             owner, first_rows, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
        id.0,
        new.name,
        new.endpoint.channel().as_str(),
        keyring.seal(&place(id, "endpoint"), &address).0,
        new.endpoint.shown(),
        keyring.fingerprint(&address),
        secret.map(|secret| keyring.seal(&place(id, "secret"), secret).0),
        kinds.as_deref(),
        report_ids.as_deref(),
        new.owner,
        new.first_rows.as_str(),
        clock.now()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// One subscription that was not removed.
pub async fn subscription(conn: &mut PgConnection, id: SubscriptionId) -> Stored<Option<Subscription>> {
    Ok(select(conn, Some(id), None, 1).await?.pop())
}

/// Newest first.
pub async fn subscriptions(
    conn: &mut PgConnection,
    before: Option<SubscriptionId>,
    limit: i64,
) -> Stored<Vec<Subscription>> {
    select(conn, None, before, limit).await
}

async fn select(
    conn: &mut PgConnection,
    id: Option<SubscriptionId>,
    before: Option<SubscriptionId>,
    limit: i64,
) -> Stored<Vec<Subscription>> {
    sqlx::query_as!(
        Row,
        r#"select id as "id: _", name, channel, endpoint_shown, kinds, report_ids, owner, first_rows, state, last_failure,
               created_at, updated_at
           from subscriptions
           where removed_at is null and ($1::uuid is null or id = $1) and ($2::uuid is null or id < $2)
           order by id desc
           limit $3"#,
        id.map(|id| id.0),
        before.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Subscription::try_from)
    .collect()
}

/// A subscription with its endpoint opened, for sending.
pub(super) async fn endpoint(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: SubscriptionId,
) -> Stored<Option<(Subscription, Endpoint)>> {
    let Some(subscription) = subscription(conn, id).await? else { return Ok(None) };
    let row = sqlx::query!("select endpoint, secret from subscriptions where id = $1", id.0).fetch_one(conn).await?;
    let open = |column: &str, sealed: Vec<u8>| {
        keyring.open(&place(id, column), &Sealed(sealed)).map_err(|error| StoreError::Corrupt {
            table: "subscriptions",
            id: id.to_string(),
            what: format!("{column} is {error}"),
        })
    };
    let address = open("endpoint", row.endpoint)?;
    let endpoint = match subscription.channel {
        Channel::Email => Endpoint::Email { to: address.expose().to_owned() },
        Channel::Slack => Endpoint::Slack { url: address },
        Channel::Teams => Endpoint::Teams { url: address },
        Channel::Webhook => Endpoint::Webhook { url: address, secret: open("secret", row.secret.unwrap_or_default())? },
    };
    Ok(Some((subscription, endpoint)))
}

/// Changes what a subscription asks for.
pub async fn set_terms(conn: &mut PgConnection, id: SubscriptionId, terms: &Terms, now: DateTime<Utc>) -> Stored<()> {
    let (kinds, report_ids) = (words(terms.kinds.as_ref()), bare(terms.report_ids.as_ref()));
    let result = sqlx::query!(
        "update subscriptions
         set name = $2, kinds = $3, report_ids = $4, owner = $5, first_rows = $6, updated_at = $7
         where id = $1 and removed_at is null",
        id.0,
        terms.name,
        kinds.as_deref(),
        report_ids.as_deref(),
        terms.owner,
        terms.first_rows.as_str(),
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Replaces the endpoint by another of the same channel; a webhook keeps its secret. A suspended one is active again.
pub async fn set_endpoint(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: SubscriptionId,
    endpoint: &Endpoint,
    now: DateTime<Utc>,
) -> Stored<()> {
    let address = address(endpoint);
    let result = sqlx::query!(
        "update subscriptions
         set endpoint = $3, endpoint_shown = $4, endpoint_print = $5, updated_at = $6,
             state = case when state = 'suspended' then 'active' else state end
         where id = $1 and channel = $2 and removed_at is null",
        id.0,
        endpoint.channel().as_str(),
        keyring.seal(&place(id, "endpoint"), &address).0,
        endpoint.shown(),
        keyring.fingerprint(&address),
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Whether a subscription has this endpoint already.
pub async fn has_endpoint(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: SubscriptionId,
    endpoint: &Endpoint,
) -> Stored<bool> {
    let print = sqlx::query_scalar!(
        "select endpoint_print from subscriptions where id = $1 and channel = $2 and removed_at is null",
        id.0,
        endpoint.channel().as_str()
    )
    .fetch_optional(conn)
    .await?;
    Ok(print.is_some_and(|print| keyring.fingerprints(&address(endpoint)).contains(&print)))
}

fn address(endpoint: &Endpoint) -> Secret {
    match endpoint {
        Endpoint::Email { to } => Secret::new(to.as_str()),
        Endpoint::Slack { url } | Endpoint::Teams { url } | Endpoint::Webhook { url, .. } => url.clone(),
    }
}

/// Pauses a subscription, or makes it active again, also after it was suspended.
pub async fn set_paused(conn: &mut PgConnection, id: SubscriptionId, paused: bool, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update subscriptions
         set state = case when $2 then 'paused' else 'active' end, last_failure = null, updated_at = $3
         where id = $1 and removed_at is null",
        id.0,
        paused,
        now
    )
    .execute(conn)
    .await?;
    db::one(&result)
}

/// Marks an endpoint as gone, unless the subscription has another one meanwhile. Gives the subscription's name if that was
/// news.
pub(super) async fn suspend(
    conn: &mut PgConnection,
    id: SubscriptionId,
    endpoint_print: &[u8],
    why: &str,
    now: DateTime<Utc>,
) -> Stored<Option<String>> {
    let name = sqlx::query_scalar!(
        "update subscriptions set state = 'suspended', last_failure = $3, updated_at = $4
         where id = $1 and endpoint_print = $2 and state = 'active'
         returning name",
        id.0,
        endpoint_print,
        why,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(name)
}

/// Removes a subscription; what is pending for it is cancelled, what it was told stays readable.
pub async fn remove(conn: &mut PgConnection, id: SubscriptionId, now: DateTime<Utc>) -> Stored<()> {
    let result = sqlx::query!(
        "update subscriptions set removed_at = $2, updated_at = $2 where id = $1 and removed_at is null",
        id.0,
        now
    )
    .execute(&mut *conn)
    .await?;
    db::one(&result)?;
    sqlx::query!(
        "update deliveries set state = 'cancelled', reason = 'the subscription was removed', finished_at = $2
         where subscription_id = $1 and state = 'pending'",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn place(id: SubscriptionId, column: &str) -> String {
    format!("subscriptions:{column}:{id}")
}

/// Pauses a subscription because its reader asked; asking again changes nothing.
pub async fn unsubscribe(conn: &mut PgConnection, id: SubscriptionId, now: DateTime<Utc>) -> Stored<()> {
    sqlx::query!(
        "update subscriptions set state = 'paused', last_failure = 'its reader unsubscribed', updated_at = $2
         where id = $1 and removed_at is null",
        id.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
