//! `/reports`: the standing orders. What is wanted is recorded at once; a step brings the API into line with it.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::report_view::{ReportChange, ReportInput, ReportView};
use super::valid::Valid;
use crate::access::{self, Actor};
use crate::account::{self, ProgramName};
use crate::app::App;
use crate::db::StoreError;
use crate::field::FieldErrors;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayRead, MayWrite, Page, Paging, Params, PathId};
use crate::id::{AccountId, QueryId, ReportId};
use crate::report::{self, Change, Checked, Report, State as ReportState, check, lifecycle, lifecycle::Want, query};
use crate::wake::Topic;

/// An answer waits this long for the API to be in line; it is brought into line regardless.
const SETTLE_WAIT: Duration = Duration::from_secs(10);
/// Another replica may do it, and its hint may be lost.
const SETTLE_POLL: Duration = Duration::from_millis(250);

const NO_END: &str = "is not taken by accounts of the program mpn; give occurrences instead";

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show, change, retire))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(check_now))
        .routes(routes!(validate))
        .routes(routes!(validate_change))
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
    let remote_query_id = input.remote_query_id.clone();
    let mut checked = checked(&app, input).await?;
    if let Some(remote) = remote_query_id {
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

/// Say what is wrong with a report, or that it could be made; an account that is not there yet has any id
#[utoipa::path(post, path = "/reports/validate", tag = "reports", request_body = ReportInput,
    responses((status = 200, body = Valid), (status = 422, body = crate::http::error::Problem)))]
async fn validate(
    State(app): State<App>,
    _: MayWrite,
    Body(input): Body<ReportInput>,
) -> Result<Json<Valid>, ApiError> {
    checked(&app, input).await?;
    Ok(Json(Valid::default()))
}

/// A new report that keeps the rules; a query that exists there is still to be found.
async fn checked(app: &App, input: ReportInput) -> Result<Checked, ApiError> {
    let (account, now) = (input.account_id, app.clock.now());
    let alone = input.query_id.is_none() || input.remote_query_id.is_none();
    let remote_query_id = input.remote_query_id.clone();
    let mut draft = input.draft(account.unwrap_or(AccountId(uuid::Uuid::nil())));
    // Which one it is will be known when the API has been asked.
    draft.query_id = draft.query_id.or(remote_query_id.as_ref().map(|_| QueryId(uuid::Uuid::nil())));
    let mut errors = match remote_query_id {
        None => query::misfits_of(&app.datasets, &draft).await?,
        Some(_) => FieldErrors::default(),
    };
    errors.expect(alone, "remote_query_id", "give either query_id or remote_query_id");
    errors.expect(account.is_some(), "account_id", "is needed");
    let may_end = may_end(&mut *app.pool.acquire().await?, draft.account_id, draft.end_at).await?;
    errors.expect(may_end, "end_at", NO_END);
    match draft.check(now) {
        Ok(checked) => Ok(errors.result(checked)?),
        Err(mut more) => {
            more.0.extend(errors.0);
            Err(more.into())
        }
    }
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

/// Change a report there; with another query it is made anew and keeps its history here
#[utoipa::path(patch, path = "/reports/{id}", tag = "reports", params(("id" = ReportId, Path)),
    request_body = ReportChange, responses((status = 200, body = ReportView), (status = 422, body = crate::http::error::Problem)))]
async fn change(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<ReportId>,
    Body(input): Body<ReportChange>,
) -> Result<Json<ReportView>, ApiError> {
    let (report, checked) = checked_change(&app, id, input).await?;
    let Some(checked) = checked else { return Ok(Json(ReportView::of(&app, report))) };
    let warnings = checked.warnings(&report, app.clock.now());
    let mut tx = app.pool.begin().await?;
    report::store::update(&mut tx, &app.clock, &report, &checked).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "report.change", &id.to_string()).await?;
    tx.commit().await?;
    Ok(Json(ReportView { warnings, ..settled(&app, id).await? }))
}

/// Say what is wrong with a change of a report, or what it would cost
#[utoipa::path(post, path = "/reports/{id}/validate", tag = "reports", params(("id" = ReportId, Path)),
    request_body = ReportChange, responses((status = 200, body = Valid), (status = 422, body = crate::http::error::Problem)))]
async fn validate_change(
    State(app): State<App>,
    _: MayWrite,
    PathId(id): PathId<ReportId>,
    Body(input): Body<ReportChange>,
) -> Result<Json<Valid>, ApiError> {
    let (report, checked) = checked_change(&app, id, input).await?;
    let warnings = checked.map(|checked| checked.warnings(&report, app.clock.now()));
    Ok(Json(Valid { warnings: warnings.unwrap_or_default() }))
}

/// A report, and what it shall be; nothing where that is what it is.
async fn checked_change(app: &App, id: ReportId, input: ReportChange) -> Result<(Report, Option<Checked>), ApiError> {
    let report = report::store::find(&mut *app.pool.acquire().await?, id).await?;
    let report = report.ok_or(ApiError::NotFound("no such report"))?;
    let asks_otherwise = input.query.is_some() || input.interval_hours.is_some();
    let change = Change::from(input);
    if !change.changes(&report) {
        return Ok((report, None));
    }
    if report.state == ReportState::Retired {
        return Err(ApiError::Conflict("a report that is retired can't be changed".into()));
    }
    let may_end = may_end(&mut *app.pool.acquire().await?, report.account_id, change.end_at.flatten()).await?;
    let checked = match change.check(&report, app.clock.now()) {
        Ok(checked) if may_end => checked,
        checked => {
            let mut errors = checked.err().unwrap_or_default();
            errors.expect(may_end, "end_at", NO_END);
            return Err(ApiError::Invalid(errors));
        }
    };
    if asks_otherwise {
        query::misfits_of(&app.datasets, &checked.0).await?.result(())?;
    }
    Ok((report, Some(checked)))
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

/// Let a paused report run again, try a rejected one again, or make one anew that has ended
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
    responses((status = 202, body = ReportView), (status = 404, body = crate::http::error::Problem),
    (status = 409, body = crate::http::error::Problem)))]
async fn check_now(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<ReportId>,
) -> Result<(StatusCode, Json<ReportView>), ApiError> {
    let report = find(&app, id).await?;
    if report.state == ReportState::Retired {
        return Err(ApiError::Conflict("a report that is retired can't be checked".into()));
    }
    let mut tx = app.pool.begin().await?;
    check::ask(&mut tx, id, app.clock.now()).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "report.check", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Checks);
    Ok((StatusCode::ACCEPTED, Json(report)))
}

/// Whether the account's program takes this end of the schedule.
async fn may_end(
    conn: &mut sqlx::PgConnection,
    account: AccountId,
    end_at: Option<DateTime<Utc>>,
) -> Result<bool, ApiError> {
    if end_at.is_none() {
        return Ok(true);
    }
    let account = account::store::find(conn, account).await?;
    Ok(account.is_none_or(|account| account.program == ProgramName::Cmp))
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
pub(super) async fn settled(app: &App, id: ReportId) -> Result<ReportView, ApiError> {
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
