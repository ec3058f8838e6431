//! `/accounts/{id}/queries`: the queries that we keep for an account.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access;
use crate::account;
use crate::app::App;
use crate::field::FieldErrors;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayRead, MayWrite, Page, Paging, Params, PathId};
use crate::id::{AccountId, QueryId};
use crate::insights;
use crate::report::store::queries::{self, Query};

const LONGEST_QUERY: usize = 20_000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(remove)).routes(routes!(test))
}

/// A query to be kept, or tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QueryInput {
    name: Option<String>,
    /// Such as `SELECT Month, CustomerName FROM OfficeUsage TIMESPAN LAST_MONTH`.
    #[serde(alias = "query")]
    text: Option<String>,
}

/// The first rows that a query gave.
#[derive(Debug, Serialize, ToSchema)]
struct Tried {
    /// As the API sent them; at most 100.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<serde_json::Value>,
}

fn checked_text(errors: &mut FieldErrors, text: Option<String>) -> String {
    let text = text.unwrap_or_default().trim().to_owned();
    let fine = !text.is_empty() && text.len() <= LONGEST_QUERY && !text.contains('\0');
    errors.expect(fine, "text", "must have 1 to 20000 bytes, such as SELECT Month FROM OfficeUsage");
    text
}

async fn account_exists(app: &App, id: AccountId) -> Result<(), ApiError> {
    let found = account::store::find(&mut *app.pool.acquire().await?, id).await?;
    found.map(drop).ok_or(ApiError::NotFound("no such account"))
}

/// Keep a query
#[utoipa::path(post, path = "/accounts/{id}/queries", tag = "queries", params(("id" = AccountId, Path)),
    request_body = QueryInput, responses((status = 201, body = Query), (status = 422, body = crate::http::error::Problem)))]
async fn create(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(account): PathId<AccountId>,
    Body(input): Body<QueryInput>,
) -> Result<(StatusCode, Json<Query>), ApiError> {
    account_exists(&app, account).await?;
    let mut errors = FieldErrors::default();
    let name = input.name.unwrap_or_default();
    errors.text("name", &name, 200);
    let text = checked_text(&mut errors, input.text);
    let name = errors.result(name)?;
    let id: QueryId = app.clock.new_id();
    let mut tx = app.pool.begin().await?;
    queries::insert(&mut tx, &app.clock, id, account, name.trim(), &text).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "query.create", &id.to_string()).await?;
    tx.commit().await?;
    let query = queries::find(&mut *app.pool.acquire().await?, account, id).await?;
    Ok((StatusCode::CREATED, Json(query.ok_or(ApiError::Internal)?)))
}

/// List the queries of an account, newest first
#[utoipa::path(get, path = "/accounts/{id}/queries", tag = "queries", params(("id" = AccountId, Path), Paging),
    responses((status = 200, body = Page<Query>)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    PathId(account): PathId<AccountId>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<Query>>, ApiError> {
    account_exists(&app, account).await?;
    let (limit, before) = paging.read()?;
    let items = queries::list(&mut *app.pool.acquire().await?, account, before, limit).await?;
    Ok(Json(Page::new(items, limit, |query| query.id.to_string())))
}

/// Remove a query that no report uses, here and there
#[utoipa::path(delete, path = "/accounts/{id}/queries/{query_id}", tag = "queries",
    params(("id" = AccountId, Path), ("query_id" = QueryId, Path)),
    responses((status = 204), (status = 409, body = crate::http::error::Problem)))]
async fn remove(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    Path((account, id)): Path<(AccountId, QueryId)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.pool.begin().await?;
    let query = queries::find(&mut tx, account, id).await?.ok_or(ApiError::NotFound("no such query"))?;
    queries::delete(&mut tx, account, id).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "query.remove", &id.to_string()).await?;
    tx.commit().await?;
    if let Some(remote) = query.remote_id.map(insights::QueryId) {
        let remote = &remote;
        // What stays there is one of a hundred that the API allows; it can be deleted there by hand.
        if let Err(error) = app.sessions.call(account, |api| async move { api.delete_query(remote).await }).await {
            tracing::warn!(query = %id, %error, "the query is gone here, but not there");
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Run a query and show its first rows; takes up to two minutes
#[utoipa::path(post, path = "/accounts/{id}/queries/test", tag = "queries", params(("id" = AccountId, Path)),
    request_body = QueryInput, responses((status = 200, body = Tried), (status = 502, body = crate::http::error::Problem)))]
async fn test(
    State(app): State<App>,
    _: MayRead,
    PathId(account): PathId<AccountId>,
    Body(input): Body<QueryInput>,
) -> Result<Json<Tried>, ApiError> {
    account_exists(&app, account).await?;
    let mut errors = FieldErrors::default();
    let text = checked_text(&mut errors, input.text);
    let text = errors.result(text)?;
    let text = text.as_str();
    let rows = app.sessions.call(account, |api| async move { api.test_query(text).await }).await?;
    Ok(Json(Tried { rows }))
}
