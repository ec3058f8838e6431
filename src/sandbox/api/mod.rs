//! The API itself: the gate in front of it, its addresses, and the envelope around every answer.
//!
//! The gate meets a request first: throttling and failures of the service come before the token is looked at.

mod executions;
mod params;
mod queries;
mod reports;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, put};
use axum::{Extension, Router};
use serde_json::{Value, json};

use super::fault::Fault;
use super::handle::Handle;
use super::rules::Refusal;
use super::sign_in;
use super::world::Program;

const MAX_BODY: usize = 256 * 1024;
const RETRY_AFTER_SECONDS: u32 = 2;

/// Both products at the addresses that are documented for them.
pub(super) fn router(handle: Handle) -> Router {
    Router::new()
        .nest("/insights/v1/mpn", endpoints(Program::Mpn))
        .nest("/insights/v1/cmp", endpoints(Program::Cmp))
        .nest("/insights/v1.1/cmp", endpoints(Program::Cmp))
        .layer(from_fn_with_state(handle.clone(), gate))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(handle)
}

fn endpoints(program: Program) -> Router<Handle> {
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
        .layer(Extension(program))
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

async fn gate(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let fault = handle.with(|world| {
        world.counts.api_requests += 1;
        [Fault::Throttled, Fault::ServerError].into_iter().find(|fault| world.faults.take(*fault))
    });
    match fault {
        Some(Fault::Throttled) => throttled(),
        Some(_) => {
            let body = json!({"statusCode": 500, "message": "Internal server error"});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        }
        None if !may_pass(&handle, request.headers()) => unauthorized(),
        None => next.run(request).await,
    }
}

fn throttled() -> Response {
    let message = format!("Rate limit is exceeded. Try again in {RETRY_AFTER_SECONDS} seconds.");
    let retry_after = [(header::RETRY_AFTER, RETRY_AFTER_SECONDS.to_string())];
    (StatusCode::TOO_MANY_REQUESTS, retry_after, Json(json!({"statusCode": 429, "message": message}))).into_response()
}

fn unauthorized() -> Response {
    let refusal = Refusal { status: StatusCode::UNAUTHORIZED, message: "Unauthorized".to_owned() };
    ([(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")], refusal).into_response()
}

fn may_pass(handle: &Handle, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bearer = text("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(token) = bearer.or_else(|| text("x-aaduserticket")) else { return false };
    sign_in::accepts(handle.keys(), token, handle.now()) && !handle.with(|world| world.faults.take(Fault::TokenRefused))
}
