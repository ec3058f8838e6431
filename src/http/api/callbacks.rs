//! `/callbacks`: what arrived.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::callback::{self, Callback};
use crate::http::error::ApiError;
use crate::http::extract::{MayRead, Page, Paging, Params, PathId};
use crate::id::{CallbackId, ReportId};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Which callbacks to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct CallbackFilter {
    report_id: Option<ReportId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// List callbacks, newest first, without their bodies
#[utoipa::path(get, path = "/callbacks", tag = "callbacks", params(CallbackFilter),
    responses((status = 200, body = Page<Callback>)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    Params(filter): Params<CallbackFilter>,
) -> Result<Json<Page<Callback>>, ApiError> {
    let (limit, before) = Paging { limit: filter.limit, cursor: filter.cursor }.read()?;
    let items = callback::store::list(&mut *app.pool.acquire().await?, filter.report_id, before, limit).await?;
    Ok(Json(Page::new(items, limit, |callback| callback.id.to_string())))
}

/// Show a callback, whole
#[utoipa::path(get, path = "/callbacks/{id}", tag = "callbacks", params(("id" = CallbackId, Path)),
    responses((status = 200, body = Callback), (status = 404, body = crate::http::error::Problem)))]
async fn show(State(app): State<App>, _: MayRead, PathId(id): PathId<CallbackId>) -> Result<Json<Callback>, ApiError> {
    let found = callback::store::find(&mut *app.pool.acquire().await?, id).await?;
    found.map(Json).ok_or(ApiError::NotFound("no such callback"))
}
