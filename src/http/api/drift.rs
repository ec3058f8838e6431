//! `/reports/{id}/drift`: how what is there differs from what we made of it, and mending that.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::report_view::ReportView;
use super::reports;
use crate::access::{self, Scope};
use crate::app::App;
use crate::http::error::ApiError;
use crate::http::extract::{MayRead, MayWrite, Params, PathId};
use crate::id::ReportId;
use crate::report::{self, Difference, Report, store::comparisons};

const NOTHING: &str = "there is nothing to mend that is known of";

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(mend))
}

/// How a report there differs from ours.
#[derive(Debug, Serialize, ToSchema)]
struct Drift {
    /// When it was last compared; null if it never was.
    checked_at: Option<DateTime<Utc>>,
    /// Of callback addresses the tail of ours and the host of others is shown.
    differences: Vec<Difference>,
    /// Why it could not be compared now, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_compared: Option<&'static str>,
    /// The runs that would not happen if it were mended now.
    warnings: Vec<String>,
}

/// How to compare.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Fresh {
    /// Ask the API now, instead of telling what the last daily comparison found.
    fresh: Option<bool>,
}

/// Show how what is there differs from what we made
#[utoipa::path(get, path = "/reports/{id}/drift", tag = "reports", params(("id" = ReportId, Path), Fresh),
    responses((status = 200, body = Drift), (status = 502, body = crate::http::error::Problem)))]
async fn show(
    State(app): State<App>,
    MayRead(actor): MayRead,
    PathId(id): PathId<ReportId>,
    Params(params): Params<Fresh>,
) -> Result<Json<Drift>, ApiError> {
    let mut report = find(&app, id).await?;
    let mut not_compared = None;
    if params.fresh == Some(true) {
        // What is found is told, and may have a report made anew.
        if !actor.may(Scope::Write) {
            return Err(ApiError::Forbidden("`fresh` needs an API key that may write"));
        }
        (report, not_compared) = compared(&app, report).await?;
    }
    let warnings = if report.drift.is_some() { report.mend_warnings(app.clock.now()) } else { Vec::new() };
    Ok(Json(Drift {
        checked_at: report.compared_at,
        differences: report.drift.unwrap_or_default(),
        not_compared,
        warnings,
    }))
}

/// Bring the API into line with what we made: changed back, paused or resumed, or made anew if it was deleted
#[utoipa::path(post, path = "/reports/{id}/mend", tag = "reports", params(("id" = ReportId, Path)),
    responses((status = 200, body = ReportView), (status = 409, body = crate::http::error::Problem),
        (status = 502, body = crate::http::error::Problem)))]
async fn mend(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<ReportId>,
) -> Result<Json<ReportView>, ApiError> {
    let mut report = find(&app, id).await?;
    if report.drift.is_none() {
        let why;
        (report, why) = compared(&app, report).await?;
        if report.drift.is_none() {
            let why = why.map_or_else(|| NOTHING.into(), |why| format!("{NOTHING}; not compared now: {why}"));
            return Ok(Json(ReportView { warnings: vec![why], ..ReportView::of(&app, report) }));
        }
    }
    let warnings = report.mend_warnings(app.clock.now());
    let mut tx = app.pool.begin().await?;
    comparisons::mend(&mut tx, &report, app.clock.now()).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "report.mend", &id.to_string()).await?;
    tx.commit().await?;
    Ok(Json(ReportView { warnings, ..reports::settled(&app, id).await? }))
}

/// Compares a report now; tells why where that could not be done.
async fn compared(app: &App, report: Report) -> Result<(Report, Option<&'static str>), ApiError> {
    let last = report.compared_at;
    app.compare.look(report.account_id).await?;
    let report = find(app, report.id).await?;
    let why = (report.compared_at == last).then(|| report.why_not_compared());
    Ok((report, why))
}

async fn find(app: &App, id: ReportId) -> Result<Report, ApiError> {
    let report = report::store::find(&mut *app.pool.acquire().await?, id).await?;
    report.ok_or(ApiError::NotFound("no such report"))
}
