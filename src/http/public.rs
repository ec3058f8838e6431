//! What the world reaches by a signed address: a shared file, and the end of a subscription.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Response};

use super::content;
use super::error::ApiError;
use crate::app::App;
use crate::{download, notification, report};

const NOBODY: &str = "no such address";

/// Gives a shared file until its address has expired.
pub(super) async fn shared(
    State(app): State<App>,
    Path(signed): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (id, expires_at) = app.links.shared(&signed).ok_or(ApiError::NotFound(NOBODY))?;
    if app.clock.now() >= expires_at {
        return Err(ApiError::Gone("this address has expired; ask for a fresh one where you found it"));
    }
    let mut conn = app.pool.acquire().await?;
    let file = download::store::find(&mut conn, id).await?.ok_or(ApiError::Gone("the file is gone"))?;
    let report = report::store::find(&mut conn, file.report_id).await?.ok_or(ApiError::Gone("the file is gone"))?;
    drop(conn);
    content::answer(&app, &file, &content::file_name(&report.slug, &file), &headers).await
}

/// Asks whether to end a subscription. Looking ends nothing: mail scanners follow every link.
pub(super) async fn ask_unsubscribe(
    State(app): State<App>,
    Path(signed): Path<String>,
) -> Result<Html<String>, ApiError> {
    let id = app.links.unsubscribed(&signed).ok_or(ApiError::NotFound(NOBODY))?;
    let mut conn = app.pool.acquire().await?;
    let subscription = notification::store::subscription(&mut conn, id).await?.ok_or(ApiError::Gone("it has ended"))?;
    let question = format!(
        "<p>Stop all messages of the subscription “{}”?</p>\
         <form method=\"post\"><button>Stop these messages</button></form>",
        escape(&subscription.name)
    );
    Ok(page(&question))
}

/// Ends a subscription with one click (RFC 8058): it is paused, and an admin sees why.
pub(super) async fn unsubscribe(State(app): State<App>, Path(signed): Path<String>) -> Result<Response, ApiError> {
    let id = app.links.unsubscribed(&signed).ok_or(ApiError::NotFound(NOBODY))?;
    let mut conn = app.pool.acquire().await?;
    notification::store::unsubscribe(&mut conn, id, app.clock.now()).await?;
    Ok(page("<p>Done. You get no more of these messages.</p>").into_response())
}

fn page(content: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Tidings</title><h1>Tidings</h1>{content}</html>"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
