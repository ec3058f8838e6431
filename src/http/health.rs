//! Whether the process lives, whether it can work, and its figures.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::lag::Lag;
use crate::app::App;
use crate::db;

/// More than this between our clock and the database's is told.
const MOST_DIFFERENCE_MS: i64 = 5000;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// The process lives.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// The database answers: work can be done.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let asked = async {
        let mut conn = app.pool.acquire().await?;
        db::clock_difference(&mut conn, &app.clock).await
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(difference)) => {
            let clock_is_off = difference.abs() > MOST_DIFFERENCE_MS;
            Json(json!({ "ready": true, "database_clock_ahead_ms": difference, "clock_is_off": clock_is_off }))
                .into_response()
        }
        Ok(Err(_)) | Err(_) => {
            let body = json!({ "ready": false, "reason": "the database does not answer" });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

/// Figures for Prometheus: those of this process, and how far behind the whole service is. Where the database does not answer
/// the latter are missing, so that no old ones are taken for good.
pub(super) async fn metrics(State(app): State<App>) -> Response {
    let mut text = app.metrics.as_ref().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default();
    let now = app.clock.now();
    let asked = async { Lag::read(&mut *app.pool.acquire().await?, now).await };
    let lag = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(lag)) => Some(lag),
        Ok(Err(error)) => {
            tracing::warn!(%error, "failed to read how far behind the stages are");
            None
        }
        Err(_) => None,
    };
    text.push_str("# HELP tidings_database_up Whether the database answers.\n# TYPE tidings_database_up gauge\n");
    text.push_str(if lag.is_some() { "tidings_database_up 1\n" } else { "tidings_database_up 0\n" });
    text.extend(lag.map(|lag| lag.render(now)));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
