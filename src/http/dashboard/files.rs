//! A report file for download.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use super::guard::Viewer;
use super::page::{Named, PageError};
use crate::app::App;
use crate::http::content;
use crate::id::{FileId, ReportId};
use crate::{download, report};

/// Streams a file of a report.
pub(super) async fn download(
    _: Viewer,
    State(app): State<App>,
    Named((report_id, id)): Named<(ReportId, FileId)>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let mut conn = app.pool.acquire().await?;
    let report = report::store::find(&mut conn, report_id).await?.ok_or(PageError::NotFound)?;
    let file = download::store::find(&mut conn, id).await?.filter(|file| file.report_id == report_id);
    let file = file.ok_or(PageError::NotFound)?;
    drop(conn);
    Ok(content::answer(&app, &file, &content::file_name(&report.slug, &file), &headers).await.into_response())
}
