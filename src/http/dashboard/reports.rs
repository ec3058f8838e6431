//! The list of all reports with the health at a glance, and the page of one report with its whole story.

use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Serialize;
use sqlx::PgConnection;
use url::Url;

use super::guard::Viewer;
use super::page::{Named, PageError, page, render};
use super::store::{self, Health, Listed, Locked, MOST_COUNTED, MOST_EVENTS, MOST_EXECUTIONS};
use super::story::{self, Rows};
use super::text::{Moment, number, size};
use crate::account::{self, Account};
use crate::app::App;
use crate::db::Stored;
use crate::id::ReportId;
use crate::report::{self, Report};

const PAGE: i64 = 50;
/// The numbers above the list are of the newest ones.
const MOST_REPORTS: i64 = 10_000;
const MOST_CALLBACKS: i64 = 50;
const MOST_DELIVERIES: i64 = 200;
const MOST_ATTEMPTS: i64 = 20;

/// Where a page of the list begins.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Cursor {
    pub(super) before: Option<String>,
}

/// All reports, newest first.
pub(super) async fn list(
    _: Viewer,
    State(app): State<App>,
    Query(cursor): Query<Cursor>,
) -> Result<Response, PageError> {
    let before = cursor.before.map(|text| text.parse()).transpose().map_err(|_| PageError::NotFound)?;
    let mut conn = app.pool.acquire().await?;
    let mut rows = store::reports(&mut conn, before, PAGE + 1).await?;
    let health = store::health(&mut conn).await?;
    let states = report::store::count(&mut conn, MOST_REPORTS).await?;
    let locked = store::locked_accounts(&mut conn).await?;
    drop(conn);
    let older = cut(&mut rows, PAGE);
    let next = rows.last().filter(|_| older).map(|row| row.id.to_string());
    let now = app.clock.now();
    let reports: Vec<Row> = rows.into_iter().map(|row| listed(&app, row, now)).collect();
    let locked: Vec<Value> = locked.into_iter().map(|account| alarm(account, now)).collect();
    let template = if reports.is_empty() && before.is_none() { "empty.html" } else { "reports.html" };
    let has_accounts = health.accounts > 0;
    let is_first = before.is_none();
    let page_values = context! {
        reports => Serde(&reports), next, is_first, locked, has_accounts,
        states => states.into_iter().map(|(state, count)| context! { state, count => number(count) }).collect::<Vec<_>>(),
        tiles => tiles(&health), url => app.links.page("").map(|url| url.as_str().trim_end_matches('/').to_owned()),
    };
    page(&app, template, page_values)
}

#[derive(Debug, Serialize)]
struct Row {
    id: ReportId,
    name: String,
    account: String,
    state: String,
    tone: &'static str,
    file: Option<(Moment, String, String)>,
    expected: Option<Moment>,
    late: Option<Moment>,
    trouble: Option<String>,
    callback: Option<String>,
}

fn listed(app: &App, row: Listed, now: DateTime<Utc>) -> Row {
    let failed = row.execution_state.as_deref() == Some("failed");
    let is_called = row.api_url.parse().is_ok_and(|api: Url| app.addresses.reachable_from(&api));
    let file = match (row.stored_at, row.rows, row.size_bytes) {
        (Some(at), Some(rows), Some(bytes)) => Some((Moment::new(at, now), number(rows), size(bytes))),
        _ => None,
    };
    Row {
        tone: state_tone(&row.state),
        trouble: row.execution_failure.filter(|_| failed).or(row.last_failure),
        callback: is_called.then(|| app.addresses.tail(row.id)),
        expected: row.expected_at.map(|at| Moment::new(at, now)),
        late: row.late_since.map(|at| Moment::new(at, now)),
        file,
        id: row.id,
        name: row.name,
        account: row.account,
        state: row.state,
    }
}

fn state_tone(state: &str) -> &'static str {
    match state {
        "registered" => "good",
        "draft" => "busy",
        "rejected" => "bad",
        _ => "calm",
    }
}

fn tiles(health: &Health) -> Vec<Value> {
    let tile = |label: &str, count: i64, tone: &str| {
        let shown = if count >= MOST_COUNTED { format!("{}+", number(MOST_COUNTED)) } else { number(count) };
        context! { label, shown, tone => if count > 0 { tone } else { "calm" } }
    };
    vec![
        tile("executions under way", health.executions_pending, "busy"),
        tile("to be downloaded", health.executions_ready, "busy"),
        tile("executions failed", health.executions_failed, "bad"),
        tile("deliveries pending", health.deliveries_pending, "busy"),
        tile("deliveries failed", health.deliveries_failed, "bad"),
    ]
}

fn alarm(account: Locked, now: DateTime<Utc>) -> Value {
    let since = account.since.map(|at| Moment::new(at, now));
    let (id, by_person) = (account.id.to_string(), account.by_person);
    context! { id, by_person, name => account.name, since => Serde(&since), why => account.why }
}

/// One report's whole story.
pub(super) async fn show(_: Viewer, State(app): State<App>, Named(id): Named<ReportId>) -> Result<Response, PageError> {
    let values = told(&app, id).await?.ok_or(PageError::NotFound)?;
    page(&app, "report.html", values)
}

/// The part of that page that changes, for its script.
pub(super) async fn timeline(
    _: Viewer,
    State(app): State<App>,
    Named(id): Named<ReportId>,
) -> Result<Response, PageError> {
    let values = told(&app, id).await?.ok_or(PageError::NotFound)?;
    Ok(Html(render("story.html", values)?).into_response())
}

async fn told(app: &App, id: ReportId) -> Result<Option<Value>, PageError> {
    let mut conn = app.pool.acquire().await?;
    // Before the rows: what changes while they are read shows as a newer version.
    let version = store::version(&mut conn, id).await?;
    let Some(report) = report::store::find(&mut conn, id).await? else { return Ok(None) };
    let Some(account) = account::store::find(&mut conn, report.account_id).await? else { return Ok(None) };
    let next_check = store::next_check(&mut conn, id).await?;
    let rows = read(&mut conn, id).await?;
    drop(conn);
    let now = app.clock.now();
    let chapters = story::tell(&rows, now);
    let moment = |at: Option<DateTime<Utc>>| Serde(at.map(|at| Moment::new(at, now)));
    Ok(Some(context! {
        id => id.to_string(), version, is_cut => rows.is_cut, most => MOST_EXECUTIONS, chapters => Serde(&chapters),
        name => &report.name, description => &report.description, query => &report.query, format => &report.format,
        state => report.state.as_str(), tone => state_tone(report.state.as_str()), trouble => &report.last_failure,
        account => &account.name, account_id => account.id.to_string(),
        locked => account.state == account::State::SignInRequired,
        locked_why => &account.last_failure, by_person => account.grant == account::Grant::RefreshToken,
        remote_id => report.remote_id.as_ref().map(|id| &id.0), callback => callback(app, &report, &account),
        every => every(&report), start => moment(report.start_at), expected => moment(report.expected_at),
        late => moment(report.late_since), grace => report.grace_hours, arrived => moment(report.arrived_at),
        next_check => moment(next_check), can_check => report.state != report::State::Retired, has_window => report.query_start_at.is_some(),
        drift => drift(&report), drift_since => moment(report.drift_since),
        window_start => moment(report.query_start_at), window_end => moment(report.query_end_at),
    }))
}

/// The rows of a story, each kind bounded.
async fn read(conn: &mut PgConnection, id: ReportId) -> Stored<Rows> {
    let mut executions = store::executions(conn, id, MOST_EXECUTIONS + 1).await?;
    let is_cut = cut(&mut executions, MOST_EXECUTIONS);
    let ids: Vec<_> = executions.iter().map(|execution| execution.id).collect();
    let events = store::events(conn, id, MOST_EVENTS).await?;
    let event_ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let deliveries = store::deliveries(conn, &event_ids, MOST_DELIVERIES).await?;
    let delivery_ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id).collect();
    Ok(Rows {
        callbacks: store::callbacks(conn, id, MOST_CALLBACKS).await?,
        downloads: store::downloads(conn, &ids).await?,
        attempts: store::attempts(conn, &delivery_ids, MOST_ATTEMPTS).await?,
        executions,
        is_cut,
        events,
        deliveries,
    })
}

/// The tail of the callback address, if the API can reach us there.
fn callback(app: &App, report: &Report, account: &Account) -> Option<String> {
    app.addresses.reachable_from(&account.api_url).then(|| app.addresses.tail(report.id))
}

/// How the report there differs: field, ours, theirs.
fn drift(report: &Report) -> Vec<Value> {
    let shown = |value: &serde_json::Value| match value {
        serde_json::Value::Null => "nothing".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let differences = report.drift.iter().flatten();
    differences
        .map(|one| context! { field => one.field.replace('_', " "), ours => shown(&one.ours), theirs => shown(&one.theirs) })
        .collect()
}

fn every(report: &Report) -> String {
    let times = report.occurrences.map(|count| format!(", {} times", number(count.into()))).unwrap_or_default();
    match report.interval_hours {
        None => "once, at once".into(),
        Some(hours) if hours % 24 == 0 && hours > 24 => format!("every {} days{times}", hours / 24),
        Some(24) => format!("every day{times}"),
        Some(hours) => format!("every {hours} hours{times}"),
    }
}

/// Keeps the first `most` rows; tells whether there were more.
pub(super) fn cut<T>(rows: &mut Vec<T>, most: i64) -> bool {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let is_more = rows.len() > most;
    rows.truncate(most);
    is_more
}
