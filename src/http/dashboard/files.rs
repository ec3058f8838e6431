//! A report file for download, as the archive holds it; a gzipped one is decoded by the browser on the way to the disk.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use tokio_util::io::ReaderStream;

use super::guard::Viewer;
use super::page::{Named, PageError};
use crate::app::App;
use crate::db::Stored;
use crate::download::{self, Encoding, File};
use crate::id::{FileId, ReportId};
use crate::{execution, report};

const CHUNK: usize = 64 * 1024;

/// Streams a file of a report.
pub(super) async fn download(
    _: Viewer,
    State(app): State<App>,
    Named((report_id, id)): Named<(ReportId, FileId)>,
) -> Result<Response, PageError> {
    let (file, name) = find(&app, report_id, id).await?.ok_or(PageError::NotFound)?;
    let content = tokio::fs::File::open(app.archive.path(&file.location)).await.map_err(PageError::Archive)?;
    let body = Body::from_stream(ReaderStream::with_capacity(content, CHUNK));
    let kind = if file.format == "tsv" { "text/tab-separated-values" } else { "text/csv" };
    let disposition = format!("attachment; filename=\"{name}\"");
    let mut response = ([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, disposition)], body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, file.stored_bytes.into());
    if file.encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// The file, if it is this report's, and its name for people. A slug holds letters, digits and dashes only.
async fn find(app: &App, report_id: ReportId, id: FileId) -> Stored<Option<(File, String)>> {
    let mut conn = app.pool.acquire().await?;
    let Some(file) = download::store::find(&mut conn, id).await?.filter(|file| file.report_id == report_id) else {
        return Ok(None);
    };
    let report = report::store::find(&mut conn, report_id).await?;
    let execution = execution::store::find(&mut conn, file.execution_id).await?;
    let name = report.zip(execution).map(|(report, execution)| {
        let extension = if file.format == "tsv" { "tsv" } else { "csv" };
        format!("{}-{}.{extension}", report.slug, execution.archive_date)
    });
    Ok(name.map(|name| (file, name)))
}
