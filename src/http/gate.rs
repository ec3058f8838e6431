//! What every request of the admin API passes: the check of its key, and of its idempotency key.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::error::ApiError;
use crate::access::Actor;
use crate::access::store::{self, Before};
use crate::app::App;
use crate::db::Stored;
use crate::secret::{Sealed, Secret};

/// The largest body of a request, and of an answer that is kept for a repeat.
pub(super) const MOST_BODY: usize = 1024 * 1024;
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;
const LONGEST_KEY: usize = 255;
const CUT_OFF: &str = "the first request with this key was cut off and its outcome is not known: look what is there, then use \
                       a new key";
const KEY_REMOVED: &str = "the first request with this key was answered, and the secret key that its answer was kept under is \
                           gone: look what is there, then use a new key";

/// Finds out who asks.
pub(super) async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key =
        header.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, key)) = key else { return ApiError::Unauthorized.into_response() };
    match app.access.by_key(&Secret::new(key.trim())).await {
        Ok(Some(actor)) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Ok(None) => ApiError::Unauthorized.into_response(),
        Err(error) => ApiError::from(error).into_response(),
    }
}

/// Answers the repeat of a `POST` with the answer that it had.
pub(super) async fn idempotency(State(app): State<App>, request: Request, next: Next) -> Response {
    let key = request.headers().get("idempotency-key").cloned();
    let actor = request.extensions().get::<Actor>().cloned();
    match (request.method() == Method::POST, key, actor) {
        (true, Some(key), Some(actor)) => {
            once(&app, &actor, &key, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
        _ => next.run(request).await,
    }
}

async fn once(app: &App, actor: &Actor, key: &HeaderValue, request: Request, next: Next) -> Result<Response, ApiError> {
    let wrong = || ApiError::field("Idempotency-Key", "must be 1 to 255 visible ASCII characters");
    let key = key.to_str().ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len())).ok_or_else(wrong)?;
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MOST_BODY).await.map_err(|_| ApiError::TooLarge)?;
    let mut hash = Sha256::new();
    hash.update(parts.uri.path_and_query().map_or("/", PathAndQuery::as_str));
    hash.update([0]);
    hash.update(&body);
    let mut conn = app.pool.acquire().await?;
    let hash = hash.finalize();
    let before = store::take_idempotency_key(&mut conn, &actor.name, key, &hash, app.clock.now()).await?;
    drop(conn);
    match before {
        Before::AnotherRequest => {
            return Err(ApiError::field("Idempotency-Key", "was used for another request"));
        }
        Before::UnderWay => return Err(ApiError::Conflict("the first request with this key is under way".into())),
        Before::CutOff => return Err(ApiError::Conflict(CUT_OFF.into())),
        Before::Answered(status, sealed) => return answered(app, actor, key, status, sealed),
        Before::Nothing => {}
    }
    // The work goes on when the caller leaves: its answer is what the repeat will get.
    let (app, actor, key) = (app.clone(), actor.clone(), key.to_owned());
    let work = async move {
        let (parts, body) = next.run(Request::from_parts(parts, Body::from(body))).await.into_parts();
        let body = to_bytes(body, LARGEST_ANSWER).await.map_err(|_| ApiError::Internal)?;
        if let Err(error) = keep(&app, &actor, &key, parts.status, &body).await {
            // What was asked for is done: that must be told, whatever a repeat will be answered.
            tracing::warn!(%error, "the answer to a request was not kept under its idempotency key");
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    };
    tokio::spawn(work).await.unwrap_or(Err(ApiError::Internal))
}

async fn keep(app: &App, actor: &Actor, key: &str, status: StatusCode, body: &[u8]) -> Stored<()> {
    let mut conn = app.pool.acquire().await?;
    // An answer that is too large to keep is one of a look at data: to look again does no harm.
    if status.is_server_error() || body.len() > MOST_BODY {
        return store::release_idempotency_key(&mut conn, &actor.name, key).await;
    }
    let text = Secret::new(String::from_utf8_lossy(body));
    let sealed = app.keyring.seal(&place(actor, key), &text);
    store::keep_answer(&mut conn, &actor.name, key, status.as_u16(), &sealed.0).await
}

fn answered(app: &App, actor: &Actor, key: &str, status: u16, sealed: Vec<u8>) -> Result<Response, ApiError> {
    let opened = app.keyring.open(&place(actor, key), &Sealed(sealed));
    let body = opened.map_err(|_| ApiError::Conflict(KEY_REMOVED.into()))?;
    let status = StatusCode::from_u16(status).map_err(|_| ApiError::Internal)?;
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let headers = [(header::CONTENT_TYPE, kind), (header::HeaderName::from_static("idempotent-replayed"), "true")];
    Ok((status, headers, body.expose().to_owned()).into_response())
}

fn place(actor: &Actor, key: &str) -> String {
    format!("idempotency:answer:{}:{key}", actor.name)
}
