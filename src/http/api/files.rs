//! `/files`: report files in the archive.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access;
use crate::app::App;
use crate::download::{self, Encoding, File};
use crate::http::content;
use crate::http::error::ApiError;
use crate::http::extract::{MayRead, MayWrite, Page, Paging, Params, PathId};
use crate::id::{ExecutionId, FileId, ReportId};
use crate::notification::links::SHARE_LIFE;
use crate::report;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(read)).routes(routes!(share))
}

/// A report file. Size, rows and checksum are those of the report itself, decoded.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FileView {
    id: FileId,
    report_id: ReportId,
    execution_id: ExecutionId,
    format: String,
    encoding: Encoding,
    size_bytes: i64,
    /// What the archive holds.
    stored_bytes: i64,
    sha256: String,
    rows: i64,
    columns: Vec<String>,
    /// Where it is in the archive.
    location: String,
    stored_at: DateTime<Utc>,
}

impl FileView {
    pub(super) fn of(file: &File) -> Self {
        Self {
            id: file.id,
            report_id: file.report_id,
            execution_id: file.execution_id,
            format: file.format.clone(),
            encoding: file.encoding,
            size_bytes: file.size_bytes,
            stored_bytes: file.stored_bytes,
            sha256: file.sha256.clone(),
            rows: file.rows,
            columns: file.columns.clone(),
            location: file.location.clone(),
            stored_at: file.stored_at,
        }
    }
}

/// An address that anyone may fetch the file from, for a while.
#[derive(Debug, Serialize, ToSchema)]
struct Shared {
    url: String,
    expires_at: DateTime<Utc>,
}

/// Which files to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FileFilter {
    report_id: Option<ReportId>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// List files, newest first
#[utoipa::path(get, path = "/files", tag = "files", params(FileFilter), responses((status = 200, body = Page<FileView>)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    Params(filter): Params<FileFilter>,
) -> Result<Json<Page<FileView>>, ApiError> {
    let (limit, before) = Paging { limit: filter.limit, cursor: filter.cursor }.read()?;
    let files = download::store::list(&mut *app.pool.acquire().await?, filter.report_id, before, limit).await?;
    let items = files.iter().map(FileView::of).collect();
    Ok(Json(Page::new(items, limit, |file: &FileView| file.id.to_string())))
}

/// Show what is known of a file
#[utoipa::path(get, path = "/files/{id}", tag = "files", params(("id" = FileId, Path)),
    responses((status = 200, body = FileView), (status = 404, body = crate::http::error::Problem)))]
async fn show(State(app): State<App>, _: MayRead, PathId(id): PathId<FileId>) -> Result<Json<FileView>, ApiError> {
    Ok(Json(FileView::of(&find(&app, id).await?)))
}

/// The file itself; `Range` counts in decoded bytes
#[utoipa::path(get, path = "/files/{id}/content", tag = "files", params(("id" = FileId, Path)),
    responses((status = 200, content_type = "text/csv", body = Vec<u8>), (status = 206), (status = 416)))]
async fn read(
    State(app): State<App>,
    _: MayRead,
    PathId(id): PathId<FileId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file = find(&app, id).await?;
    let report = report::store::find(&mut *app.pool.acquire().await?, file.report_id).await?;
    let slug = report.map_or_else(|| "report".into(), |report| report.slug);
    content::answer(&app, &file, &content::file_name(&slug, &file), &headers).await
}

/// Make an address that anyone may fetch the file from, for seven days
#[utoipa::path(post, path = "/files/{id}/share", tag = "files", params(("id" = FileId, Path)),
    responses((status = 201, body = Shared), (status = 404, body = crate::http::error::Problem)))]
async fn share(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<FileId>,
) -> Result<(StatusCode, Json<Shared>), ApiError> {
    find(&app, id).await?;
    let mut conn = app.pool.acquire().await?;
    access::store::note(&mut conn, &app.clock, &actor.name, "file.share", &id.to_string()).await?;
    let expires_at = app.clock.now() + SHARE_LIFE;
    Ok((StatusCode::CREATED, Json(Shared { url: app.links.share(id, expires_at).into(), expires_at })))
}

async fn find(app: &App, id: FileId) -> Result<File, ApiError> {
    let file = download::store::find(&mut *app.pool.acquire().await?, id).await?;
    file.ok_or(ApiError::NotFound("no such file"))
}
