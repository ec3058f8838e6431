//! The API itself: its addresses, the gate in front of them, and the envelope around every answer.

mod envelope;
mod executions;
mod gate;
mod params;
mod queries;
mod reports;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, put};

use super::handle::Handle;
use super::rules::Refusal;
use super::world::Program;

const MAX_BODY: usize = 256 * 1024;

/// Both products at the addresses that are documented for them.
pub(super) fn router(handle: Handle) -> Router {
    Router::new()
        .nest("/insights/v1/mpn", endpoints(&handle, Program::Mpn))
        .nest("/insights/v1/cmp", endpoints(&handle, Program::Cmp))
        .nest("/insights/v1.1/cmp", endpoints(&handle, Program::Cmp))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(handle)
}

fn endpoints(handle: &Handle, program: Program) -> Router<Handle> {
    Router::new()
        .route("/ScheduledDataset", get(queries::datasets))
        .route("/ScheduledQueries", get(queries::list).post(queries::create))
        .route("/ScheduledQueries/{id}", delete(queries::remove))
        .route("/ScheduledQueries/testQueryResult", get(queries::test))
        .route("/ScheduledReport", get(reports::list).post(reports::create))
        .route("/ScheduledReport/{id}", put(reports::update).delete(reports::remove))
        .route("/ScheduledReport/pause/{id}", put(reports::pause))
        .route("/ScheduledReport/resume/{id}", put(reports::resume))
        .route("/ScheduledReport/execution/{ids}", get(executions::list))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "Resource not found"))
        .method_not_allowed_fallback(async || refusal(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"))
        .layer(from_fn_with_state((handle.clone(), program), gate::gate))
}

fn refusal(status: StatusCode, message: &str) -> Refusal {
    Refusal { status, message: message.to_owned() }
}
