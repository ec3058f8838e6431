//! What the dashboard reads: rows of all stages, side by side. It writes nothing.
//!
//! Every query is bounded and walks an index, so that a page costs the same however much is stored. What is wanted newest
//! first of one report is ordered by the report too: only the index that begins with it has that order, and no other is taken.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::db::Stored;
use crate::id::{AccountId, DeliveryId, EventId, ExecutionId, FileId, ReportId};

/// Counting stops here: that there are more is all one needs to know.
pub(super) const MOST_COUNTED: i64 = 1000;
/// A story goes back this many executions…
pub(super) const MOST_EXECUTIONS: i64 = 20;
/// …and facts.
pub(super) const MOST_EVENTS: i64 = 100;
const MOST_ALARMS: i64 = 20;

/// The health at a glance.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) executions_pending: i64,
    pub(super) executions_ready: i64,
    pub(super) executions_failed: i64,
    pub(super) deliveries_pending: i64,
    pub(super) deliveries_failed: i64,
    pub(super) accounts: i64,
}

pub(super) async fn health(conn: &mut PgConnection) -> Stored<Health> {
    let health = sqlx::query_as!(
        Health,
        r#"select
               (select count(*) from (select from executions where state = 'pending' limit $1) as few)
                   as "executions_pending!",
               (select count(*) from (select from executions where state = 'ready' limit $1) as few)
                   as "executions_ready!",
               (select count(*) from (select from executions where state = 'failed' limit $1) as few)
                   as "executions_failed!",
               (select count(*) from (select from deliveries where state = 'pending' limit $1) as few)
                   as "deliveries_pending!",
               (select count(*) from (select from deliveries where state = 'failed' limit $1) as few)
                   as "deliveries_failed!",
               (select count(*) from (select from accounts limit $1) as few) as "accounts!""#,
        MOST_COUNTED
    )
    .fetch_one(conn)
    .await?;
    Ok(health)
}

/// An account whose work waits until it can sign in.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) id: AccountId,
    pub(super) name: String,
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) why: Option<String>,
    /// Whether a person can do that.
    pub(super) by_person: bool,
}

/// Those that wait longest first; at most twenty.
pub(super) async fn locked_accounts(conn: &mut PgConnection) -> Stored<Vec<Locked>> {
    let rows = sqlx::query_as!(
        Locked,
        r#"select id as "id: _", name, sign_in_since as since, last_failure as why,
               grant_kind = 'refresh_token' as "by_person!"
           from accounts where state = 'sign_in_required' order by sign_in_since limit $1"#,
        MOST_ALARMS
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Changes whenever the page of an account would.
pub(super) async fn account_version(conn: &mut PgConnection, id: AccountId) -> Stored<String> {
    let version = sqlx::query_scalar!(
        r#"select md5(concat_ws('|', accounts.updated_at, refreshed_at, accounts.state, accounts.last_failure, blocked_until,
               sign_ins.state, begun_at)) as "version!"
           from accounts left join sign_ins on account_id = id
           where id = $1"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(version.unwrap_or_default())
}

/// A report in the list, with its last execution and its last file.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) id: ReportId,
    pub(super) name: String,
    pub(super) account: String,
    pub(super) api_url: String,
    pub(super) state: String,
    pub(super) last_failure: Option<String>,
    pub(super) expected_at: Option<DateTime<Utc>>,
    pub(super) late_since: Option<DateTime<Utc>>,
    pub(super) execution_state: Option<String>,
    pub(super) execution_failure: Option<String>,
    pub(super) stored_at: Option<DateTime<Utc>>,
    pub(super) rows: Option<i64>,
    pub(super) size_bytes: Option<i64>,
}

/// Newest first, older than `before` where given.
pub(super) async fn reports(conn: &mut PgConnection, before: Option<ReportId>, limit: i64) -> Stored<Vec<Listed>> {
    let rows = sqlx::query_as!(
        Listed,
        r#"select reports.id as "id: _", reports.name, accounts.name as account, api_url, reports.state,
               reports.last_failure, expected_at, late_since, last.state as "execution_state?",
               last.failure as "execution_failure?", file.stored_at as "stored_at?", file.rows as "rows?",
               file.size_bytes as "size_bytes?"
           from (
               select * from reports where $1::uuid is null or id < $1 order by id desc limit $2
           ) as reports
           join accounts on accounts.id = reports.account_id
           left join lateral (
               select state, failure from executions where report_id = any(array[reports.id])
               order by report_id, id desc limit 1
           ) as last on true
           left join lateral (
               select stored_at, rows, size_bytes from downloads
               where report_id = any(array[reports.id]) and state = 'stored' order by report_id, id desc limit 1
           ) as file on true
           order by reports.id desc"#,
        before.map(|id| id.0),
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// A callback without its headers and body.
#[derive(Debug, Clone)]
pub(super) struct Callback {
    pub(super) received_at: DateTime<Utc>,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) remote_address: Option<String>,
}

/// Newest first.
pub(super) async fn callbacks(conn: &mut PgConnection, report: ReportId, limit: i64) -> Stored<Vec<Callback>> {
    let rows = sqlx::query_as!(
        Callback,
        "select received_at, method, path, query, remote_address from callbacks
         where report_id = any(array[$1::uuid]) order by report_id, id desc limit $2",
        report.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// One run of a report.
#[derive(Debug, Clone)]
pub(super) struct Execution {
    pub(super) id: ExecutionId,
    pub(super) remote_id: String,
    pub(super) status: String,
    pub(super) state: String,
    pub(super) found_by: String,
    pub(super) silent: bool,
    pub(super) generated_at: Option<DateTime<Utc>>,
    pub(super) failure: Option<String>,
    pub(super) found_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// Newest first.
pub(super) async fn executions(conn: &mut PgConnection, report: ReportId, limit: i64) -> Stored<Vec<Execution>> {
    let rows = sqlx::query_as!(
        Execution,
        r#"select id as "id: _", remote_id, status, state, found_by, silent, generated_at, failure, found_at, updated_at
           from executions where report_id = any(array[$1::uuid]) order by report_id, id desc limit $2"#,
        report.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// A fact about a report.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) id: EventId,
    pub(super) kind: String,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) execution_id: Option<ExecutionId>,
    pub(super) data: serde_json::Value,
}

/// Newest first.
pub(super) async fn events(conn: &mut PgConnection, report: ReportId, limit: i64) -> Stored<Vec<Event>> {
    let rows = sqlx::query_as!(
        Event,
        r#"select id as "id: _", kind, occurred_at, execution_id as "execution_id: _", data
           from events where report_id = any(array[$1::uuid]) order by report_id, id desc limit $2"#,
        report.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// How the fetch of an execution's file stands, and the file once it is stored.
#[derive(Debug, Clone)]
pub(super) struct Download {
    pub(super) id: FileId,
    pub(super) execution_id: ExecutionId,
    pub(super) state: String,
    pub(super) since: DateTime<Utc>,
    pub(super) due_at: DateTime<Utc>,
    pub(super) tries: i32,
    pub(super) last_failure: Option<String>,
    pub(super) size_bytes: Option<i64>,
    pub(super) stored_bytes: Option<i64>,
    pub(super) sha256: Option<String>,
    pub(super) rows: Option<i64>,
    pub(super) columns: Option<i32>,
    pub(super) stored_at: Option<DateTime<Utc>>,
}

pub(super) async fn downloads(conn: &mut PgConnection, executions: &[ExecutionId]) -> Stored<Vec<Download>> {
    let rows = sqlx::query_as!(
        Download,
        r#"select id as "id: _", execution_id as "execution_id: _", state, since, due_at, tries, last_failure, size_bytes,
               stored_bytes, sha256, rows,
               case when jsonb_typeof(columns) = 'array' then jsonb_array_length(columns) end as columns, stored_at
           from downloads where execution_id = any($1)"#,
        &executions.iter().map(|id| id.0).collect::<Vec<_>>()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// A delivery and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) id: DeliveryId,
    pub(super) event_id: EventId,
    pub(super) subscription: String,
    pub(super) channel: String,
    pub(super) endpoint_shown: String,
    pub(super) removed: bool,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) due_at: DateTime<Utc>,
    pub(super) finished_at: Option<DateTime<Utc>>,
}

/// The deliveries of these events, newest first.
pub(super) async fn deliveries(conn: &mut PgConnection, events: &[EventId], limit: i64) -> Stored<Vec<Delivery>> {
    let rows = sqlx::query_as!(
        Delivery,
        r#"select deliveries.id as "id: _", event_id as "event_id: _", subscriptions.name as subscription, channel,
               endpoint_shown, removed_at is not null as "removed!", deliveries.state, reason, due_at,
               finished_at
           from deliveries
           join subscriptions on subscriptions.id = subscription_id
           where event_id = any($1)
           order by deliveries.id desc
           limit $2"#,
        &events.iter().map(|id| id.0).collect::<Vec<_>>(),
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// One try of a delivery.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) delivery_id: DeliveryId,
    pub(super) number: i32,
    pub(super) trigger: String,
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished_at: DateTime<Utc>,
    pub(super) outcome: String,
    pub(super) status: Option<i32>,
    pub(super) detail: String,
}

/// The last attempts of each of these deliveries, at most `each`, oldest first.
pub(super) async fn attempts(conn: &mut PgConnection, deliveries: &[DeliveryId], each: i64) -> Stored<Vec<Attempt>> {
    let rows = sqlx::query_as!(
        Attempt,
        r#"select last.delivery_id as "delivery_id!: _", last.number as "number!", last.trigger as "trigger!",
               last.started_at as "started_at!", last.finished_at as "finished_at!", last.outcome as "outcome!",
               last.status, last.detail as "detail!"
           from unnest($1::uuid[]) as wanted (id)
           cross join lateral (
               select * from attempts where delivery_id = wanted.id order by id desc limit $2
           ) as last
           order by last.id"#,
        &deliveries.iter().map(|id| id.0).collect::<Vec<_>>(),
        each
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// A text that differs when anything differs that the page of a report shows: short, and cheaper than the page.
pub(super) async fn version(conn: &mut PgConnection, report: ReportId) -> Stored<String> {
    let version = sqlx::query_scalar!(
        r#"with recent_executions as (
               select * from executions where report_id = any(array[$1::uuid]) order by report_id, id desc limit $2
           ), recent_events as (
               select id from events where report_id = any(array[$1::uuid]) order by report_id, id desc limit $3
           )
           select md5(concat_ws('|',
               (select concat_ws(' ', updated_at, state, last_failure, expected_at, late_since, drift) from reports
                where id = $1),
               (select concat_ws(' ', state, last_failure) from accounts
                where id = (select account_id from reports where id = $1)),
               (select concat_ws(' ', due_at, good_at) from checks where report_id = $1),
               (select id from callbacks where report_id = any(array[$1::uuid]) order by report_id, id desc limit 1),
               (select string_agg(concat_ws(' ', id, state, updated_at), ',') from recent_executions),
               (select string_agg(concat_ws(' ', id, state, tries, last_failure), ',' order by id) from downloads
                where execution_id in (select id from recent_executions)),
               (select string_agg(id::text, ',') from recent_events),
               (select string_agg(concat_ws(' ', id, state, tries, due_at), ',' order by id) from deliveries
                where event_id in (select id from recent_events))
           )) as "version!""#,
        report.0,
        MOST_EXECUTIONS,
        MOST_EVENTS
    )
    .fetch_one(conn)
    .await?;
    Ok(version)
}

/// When the API is next asked for executions of a report.
pub(super) async fn next_check(conn: &mut PgConnection, report: ReportId) -> Stored<Option<DateTime<Utc>>> {
    let due_at =
        sqlx::query_scalar!("select due_at from checks where report_id = $1", report.0).fetch_optional(conn).await?;
    Ok(due_at.flatten())
}
