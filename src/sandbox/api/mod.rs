//! The API itself: its addresses, and the envelope around every answer.

mod executions;
mod gate;
mod params;
mod queries;
mod reports;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, put};
use serde_json::{Value, json};

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
        .layer(from_fn_with_state((handle.clone(), program), gate::gate))
}

/// The envelope of a success.
fn found(program: Program, values: Vec<Value>, message: Option<&str>) -> Response {
    let mut body = json!({"totalCount": values.len(), "message": message, "statusCode": 200});
    body["value"] = Value::Array(values);
    if program == Program::Mpn {
        body["nextLink"] = Value::Null;
        body["dataRedacted"] = json!(false);
    }
    Json(body).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"value": [], "totalCount": 0, "message": self.message, "statusCode": self.status.as_u16()});
        (self.status, Json(body)).into_response()
    }
}
