//! `/reports`: the standing orders. What is wanted is recorded at once; a step brings the API into line with it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{self, Actor};
use crate::app::App;
use crate::db::StoreError;
use crate::field::FieldErrors;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayRead, MayWrite, Page, Paging, Params, PathId};
use crate::id::{AccountId, QueryId, ReportId};
use crate::report::{self, Change, Draft, Report, State as ReportState, check, lifecycle, lifecycle::Want, query};
use crate::wake::Topic;

/// An answer waits this long for the API to be in line; it is brought into line regardless.
const SETTLE_WAIT: Duration = Duration::from_secs(10);
/// Another replica may do it, and its hint may be lost.
const SETTLE_POLL: Duration = Duration::from_millis(250);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show, change, retire))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(check_now))
}

/// A report to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReportInput {
    account_id: Option<AccountId>,
    /// Unique within the account, at most 256 characters, no `;`.
    name: Option<String>,
    description: Option<String>,
    /// A query that is kept already…
    query_id: Option<QueryId>,
    /// …or its text…
    query: Option<String>,
    /// …or the id of one that exists at the API, such as a system query.
    remote_query_id: Option<String>,
    /// At least four hours ahead; four hours and five minutes when not given.
    start_at: Option<DateTime<Utc>>,
    /// 4 to 2160; needed unless `execute_now`.
    interval_hours: Option<i32>,
    /// For ever when not given.
    occurrences: Option<i32>,
    /// `csv` (default) or `tsv`.
    format: Option<String>,
    /// `POST` (default) or `GET`.
    callback_method: Option<String>,
    /// Once, at once; then no start and no interval.
    execute_now: Option<bool>,
    query_start_at: Option<DateTime<Utc>>,
    query_end_at: Option<DateTime<Utc>>,
}

/// What shall change; what is not given stays. The report is made anew there and keeps its history here.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReportChange {
    name: Option<String>,
    description: Option<String>,
    query: Option<String>,
    start_at: Option<DateTime<Utc>>,
    interval_hours: Option<i32>,
    occurrences: Option<i32>,
    format: Option<String>,
    callback_method: Option<String>,
}

/// A report.
#[derive(Debug, Serialize, ToSchema)]
struct ReportView {
    id: ReportId,
    account_id: AccountId,
    name: String,
    description: Option<String>,
    query_id: QueryId,
    query: String,
    start_at: Option<DateTime<Utc>>,
    interval_hours: Option<i32>,
    occurrences: Option<i32>,
    format: String,
    callback_method: String,
    execute_now: bool,
    query_start_at: Option<DateTime<Utc>>,
    query_end_at: Option<DateTime<Utc>>,
    state: ReportState,
    /// Its id at the API.
    remote_id: Option<String>,
    /// The last characters of the callback address: the rest is a secret.
    callback_address: String,
    /// Whether the API is still to be brought into line.
    settling: bool,
    last_failure: Option<String>,
    expected_at: Option<DateTime<Utc>>,
    late_since: Option<DateTime<Utc>>,
    arrived_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl ReportView {
    fn of(app: &App, report: Report) -> Self {
        Self {
            callback_address: app.addresses.tail(report.id),
            id: report.id,
            account_id: report.account_id,
            name: report.name,
            description: report.description,
            query_id: report.query_id,
            query: report.query,
            start_at: report.start_at,
            interval_hours: report.interval_hours,
            occurrences: report.occurrences,
            format: report.format,
            callback_method: report.callback_method,
            execute_now: report.execute_now,
            query_start_at: report.query_start_at,
            query_end_at: report.query_end_at,
            state: report.state,
            remote_id: report.remote_id.map(|id| id.0),
            settling: report.settling,
            last_failure: report.last_failure,
            expected_at: report.expected_at,
            late_since: report.late_since,
            arrived_at: report.arrived_at,
            created_at: report.created_at,
            updated_at: report.updated_at,
        }
    }
}

/// Which reports to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ReportFilter {
    account_id: Option<AccountId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Make a report; it is a draft at once and registered by a step
#[utoipa::path(post, path = "/reports", tag = "reports", request_body = ReportInput,
    responses((status = 201, body = ReportView), (status = 422, body = crate::http::error::Problem)))]
async fn create(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    Body(input): Body<ReportInput>,
) -> Result<(StatusCode, Json<ReportView>), ApiError> {
    let (account, now) = (input.account_id, app.clock.now());
    let draft = Draft {
        account_id: account.unwrap_or(AccountId(uuid::Uuid::nil())),
        name: input.name.unwrap_or_default(),
        description: input.description,
        // Which one it is will be known when the API has been asked.
        query_id: input.query_id.or(input.remote_query_id.as_ref().map(|_| QueryId(uuid::Uuid::nil()))),
        query: input.query,
        start_at: input.start_at,
        interval_hours: input.interval_hours,
        occurrences: input.occurrences,
        format: input.format,
        callback_method: input.callback_method,
        execute_now: input.execute_now.unwrap_or(false),
        query_start_at: input.query_start_at,
        query_end_at: input.query_end_at,
    };
    let mut errors = match input.remote_query_id {
        None => query::misfits_of(&app.datasets, &draft).await?,
        Some(_) => FieldErrors::default(),
    };
    let alone = input.query_id.is_none() || input.remote_query_id.is_none();
    errors.expect(alone, "remote_query_id", "give either query_id or remote_query_id");
    errors.expect(account.is_some(), "account_id", "is needed");
    let mut checked = match draft.check(now) {
        Ok(checked) => errors.result(checked)?,
        Err(mut more) => {
            more.0.extend(errors.0);
            return Err(more.into());
        }
    };
    if let Some(remote) = input.remote_query_id {
        let id = query::adopt(&app.datasets, checked.0.account_id, &remote).await?;
        checked.0.query_id = Some(id.ok_or_else(|| ApiError::field("remote_query_id", "names no query there"))?);
        query::misfits_of(&app.datasets, &checked.0).await?.result(())?;
    }
    let mut tx = app.pool.begin().await?;
    let id = report::store::insert(&mut tx, &app.clock, &checked).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "report.create", &id.to_string()).await?;
    tx.commit().await?;
    let view = find(&app, id).await?;
    app.wake.hint(Topic::Reports);
    Ok((StatusCode::CREATED, Json(view)))
}

/// List reports, newest first
#[utoipa::path(get, path = "/reports", tag = "reports", params(ReportFilter),
    responses((status = 200, body = Page<ReportView>)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    Params(filter): Params<ReportFilter>,
) -> Result<Json<Page<ReportView>>, ApiError> {
    let (limit, before) = Paging { limit: filter.limit, cursor: filter.cursor }.read()?;
    let reports = report::store::list(&mut *app.pool.acquire().await?, filter.account_id, before, limit).await?;
    let items = reports.into_iter().map(|report| ReportView::of(&app, report)).collect();
    Ok(Json(Page::new(items, limit, |report: &ReportView| report.id.to_string())))
}

/// Show a report
#[utoipa::path(get, path = "/reports/{id}", tag = "reports", params(("id" = ReportId, Path)),
    responses((status = 200, body = ReportView), (status = 404, body = crate::http::error::Problem)))]
async fn show(State(app): State<App>, _: MayRead, PathId(id): PathId<ReportId>) -> Result<Json<ReportView>, ApiError> {
    find(&app, id).await.map(Json)
}

/// Change a report; it is made anew there and keeps its history here
#[utoipa::path(patch, path = "/reports/{id}", tag = "reports", params(("id" = ReportId, Path)),
    request_body = ReportChange, responses((status = 200, body = ReportView), (status = 422, body = crate::http::error::Problem)))]
async fn change(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<ReportId>,
    Body(input): Body<ReportChange>,
) -> Result<Json<ReportView>, ApiError> {
    let report = report::store::find(&mut *app.pool.acquire().await?, id).await?;
    let report = report.ok_or(ApiError::NotFound("no such report"))?;
    let asks_otherwise = input.query.is_some() || input.interval_hours.is_some();
    let change = Change {
        name: input.name,
        description: input.description,
        query: input.query,
        start_at: input.start_at,
        interval_hours: input.interval_hours,
        occurrences: input.occurrences,
        format: input.format,
        callback_method: input.callback_method,
    };
    if !change.changes(&report) {
        return Ok(Json(ReportView::of(&app, report)));
    }
    let checked = change.check(&report, app.clock.now())?;
    if asks_otherwise {
        query::misfits_of(&app.datasets, &checked.0).await?.result(())?;
    }
    let mut tx = app.pool.begin().await?;
    report::store::update(&mut tx, &app.clock, id, &checked).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "report.change", &id.to_string()).await?;
    tx.commit().await?;
    settled(&app, id).await.map(Json)
}

/// Retire a report: deleted there, its files stay here
#[utoipa::path(delete, path = "/reports/{id}", tag = "reports", params(("id" = ReportId, Path)),
    responses((status = 204), (status = 404, body = crate::http::error::Problem)))]
async fn retire(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<ReportId>,
) -> Result<StatusCode, ApiError> {
    if find(&app, id).await?.state != ReportState::Retired {
        wanted(&app, &actor, id, Want::Retired).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Stop a report from running
#[utoipa::path(post, path = "/reports/{id}/pause", tag = "reports", params(("id" = ReportId, Path)),
    responses((status = 200, body = ReportView), (status = 409, body = crate::http::error::Problem)))]
async fn pause(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<ReportId>,
) -> Result<Json<ReportView>, ApiError> {
    wanted(&app, &actor, id, Want::Paused).await.map(Json)
}

/// Let a paused report run again, or try a rejected one again
#[utoipa::path(post, path = "/reports/{id}/resume", tag = "reports", params(("id" = ReportId, Path)),
    responses((status = 200, body = ReportView), (status = 409, body = crate::http::error::Problem)))]
async fn resume(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<ReportId>,
) -> Result<Json<ReportView>, ApiError> {
    wanted(&app, &actor, id, Want::Resumed).await.map(Json)
}

/// Ask the API now whether there is something new
#[utoipa::path(post, path = "/reports/{id}/check", tag = "reports", params(("id" = ReportId, Path)),
    responses((status = 202, body = ReportView), (status = 404, body = crate::http::error::Problem)))]
async fn check_now(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<ReportId>,
) -> Result<(StatusCode, Json<ReportView>), ApiError> {
    let report = find(&app, id).await?;
    let mut tx = app.pool.begin().await?;
    check::ask(&mut tx, id, app.clock.now()).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "report.check", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Checks);
    Ok((StatusCode::ACCEPTED, Json(report)))
}

/// Notes what is wanted, and waits a while until the API is in line.
async fn wanted(app: &App, actor: &Actor, id: ReportId, want: Want) -> Result<ReportView, ApiError> {
    let state = find(app, id).await?.state.as_str();
    let mut tx = app.pool.begin().await?;
    lifecycle::want(&mut tx, id, want, app.clock.now()).await.map_err(|error| match error {
        StoreError::Lost => ApiError::Conflict(format!("a report that is {state} can't be {}", want.as_str())),
        error => error.into(),
    })?;
    let action = format!("report.{}", want.as_str());
    access::store::note(&mut tx, &app.clock, &actor.name, &action, &id.to_string()).await?;
    tx.commit().await?;
    settled(app, id).await
}

async fn find(app: &App, id: ReportId) -> Result<ReportView, ApiError> {
    let report = report::store::find(&mut *app.pool.acquire().await?, id).await?;
    report.map(|report| ReportView::of(app, report)).ok_or(ApiError::NotFound("no such report"))
}

/// The report once the API is in line, or has said what is wrong, or some seconds later.
async fn settled(app: &App, id: ReportId) -> Result<ReportView, ApiError> {
    app.wake.hint(Topic::Reports);
    let mut ear = app.wake.ear();
    let began = tokio::time::Instant::now();
    loop {
        let report = find(app, id).await?;
        if !report.settling || report.last_failure.is_some() || began.elapsed() > SETTLE_WAIT {
            return Ok(report);
        }
        let _ = tokio::time::timeout(SETTLE_POLL, ear.hear(&[Topic::Reports])).await;
    }
}
