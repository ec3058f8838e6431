//! `/accounts/{id}/datasets`: what an account can ask for.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::account;
use crate::app::App;
use crate::http::error::ApiError;
use crate::http::extract::{MayRead, Params, PathId};
use crate::id::AccountId;
use crate::insights::Dataset;
use crate::report::dataset::Known;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// How new it must be.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Freshness {
    /// Ask the API now; otherwise what it showed within the last 24 hours will do.
    #[serde(default)]
    refresh: bool,
}

/// What can be asked for.
#[derive(Debug, Serialize, ToSchema)]
struct DatasetsView {
    /// All of them.
    items: Vec<Dataset>,
    /// There are no further pages.
    next_cursor: Option<String>,
    /// When the API showed them.
    fetched_at: DateTime<Utc>,
    /// Why they are older than was asked for.
    problem: Option<String>,
}

/// What can be asked for
#[utoipa::path(get, path = "/accounts/{id}/datasets", tag = "accounts", params(("id" = AccountId, Path), Freshness),
    responses((status = 200, body = DatasetsView), (status = 502, body = crate::http::error::Problem)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    PathId(id): PathId<AccountId>,
    Params(Freshness { refresh }): Params<Freshness>,
) -> Result<Json<DatasetsView>, ApiError> {
    let found = account::store::find(&mut *app.pool.acquire().await?, id).await?;
    found.ok_or(ApiError::NotFound("no such account"))?;
    let Known { items, fetched_at, problem } = app.datasets.of(id, refresh).await?;
    Ok(Json(DatasetsView { items, next_cursor: None, fetched_at, problem }))
}
