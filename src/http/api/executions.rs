//! `/executions`: the runs of reports, each with its file once it is stored.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::FileView;
use crate::access;
use crate::app::App;
use crate::download::{self, File};
use crate::execution::{self, Execution, FoundBy, State as ExecutionState};
use crate::http::error::ApiError;
use crate::http::extract::{MayRead, MayWrite, Page, Paging, Params, PathId};
use crate::id::{ExecutionId, ReportId};
use crate::wake::Topic;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(retry))
}

/// One run of a report.
#[derive(Debug, Serialize, ToSchema)]
struct ExecutionView {
    id: ExecutionId,
    report_id: ReportId,
    /// Its id at the API.
    remote_id: String,
    /// The API's word.
    status: String,
    state: ExecutionState,
    found_by: FoundBy,
    generated_at: Option<DateTime<Utc>>,
    found_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// Why there is no file.
    failure: Option<String>,
    file: Option<FileView>,
}

impl ExecutionView {
    fn of(execution: Execution, files: &[File]) -> Self {
        let file = files.iter().find(|file| file.execution_id == execution.id);
        Self {
            id: execution.id,
            report_id: execution.report_id,
            remote_id: execution.remote_id.0,
            status: execution.status,
            state: execution.state,
            found_by: execution.found_by,
            generated_at: execution.generated_at,
            found_at: execution.found_at,
            updated_at: execution.updated_at,
            failure: execution.failure,
            file: file.map(FileView::of),
        }
    }
}

/// Which executions to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ExecutionFilter {
    report_id: Option<ReportId>,
    #[param(inline)]
    state: Option<ExecutionState>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// List executions, newest first
#[utoipa::path(get, path = "/executions", tag = "executions", params(ExecutionFilter),
    responses((status = 200, body = Page<ExecutionView>)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    Params(filter): Params<ExecutionFilter>,
) -> Result<Json<Page<ExecutionView>>, ApiError> {
    let (limit, before) = Paging { limit: filter.limit, cursor: filter.cursor }.read()?;
    let mut conn = app.pool.acquire().await?;
    let found = execution::store::list(&mut conn, filter.report_id, filter.state, before, limit).await?;
    let ids: Vec<ExecutionId> = found.iter().map(|execution| execution.id).collect();
    let files = download::store::of_executions(&mut conn, &ids).await?;
    let items = found.into_iter().map(|execution| ExecutionView::of(execution, &files)).collect();
    Ok(Json(Page::new(items, limit, |execution: &ExecutionView| execution.id.to_string())))
}

/// Show an execution
#[utoipa::path(get, path = "/executions/{id}", tag = "executions", params(("id" = ExecutionId, Path)),
    responses((status = 200, body = ExecutionView), (status = 404, body = crate::http::error::Problem)))]
async fn show(
    State(app): State<App>,
    _: MayRead,
    PathId(id): PathId<ExecutionId>,
) -> Result<Json<ExecutionView>, ApiError> {
    find(&app, id).await.map(Json)
}

/// Fetch the file of a failed execution again
#[utoipa::path(post, path = "/executions/{id}/retry", tag = "executions", params(("id" = ExecutionId, Path)),
    responses((status = 202, body = ExecutionView), (status = 409, body = crate::http::error::Problem)))]
async fn retry(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<ExecutionId>,
) -> Result<(axum::http::StatusCode, Json<ExecutionView>), ApiError> {
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    let execution = execution::store::find(&mut tx, id).await?.ok_or(ApiError::NotFound("no such execution"))?;
    if execution.state != ExecutionState::Failed {
        let state = execution.state.as_str();
        return Err(ApiError::Conflict(format!("only a failed execution can be tried again; this one is {state}")));
    }
    if !execution.has_file_there() {
        let status = execution.status;
        return Err(ApiError::Conflict(format!("the API says {status}: there is no file to fetch")));
    }
    execution::store::reopen(&mut tx, id, now).await?;
    download::store::reopen(&mut tx, id, now).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "execution.retry", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Executions);
    Ok((axum::http::StatusCode::ACCEPTED, Json(find(&app, id).await?)))
}

async fn find(app: &App, id: ExecutionId) -> Result<ExecutionView, ApiError> {
    let mut conn = app.pool.acquire().await?;
    let execution = execution::store::find(&mut conn, id).await?.ok_or(ApiError::NotFound("no such execution"))?;
    let files = download::store::of_executions(&mut conn, &[id]).await?;
    Ok(ExecutionView::of(execution, &files))
}
