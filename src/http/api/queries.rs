//! `/accounts/{id}/queries`: the queries that we keep for an account, and those that are there.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::valid::Valid;
use crate::access;
use crate::account::{self, Account, ProgramName, session::CallError};
use crate::app::App;
use crate::field::FieldErrors;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayRead, MayWrite, Page, Paging, Params, PathId};
use crate::id::{AccountId, QueryId};
use crate::insights::{Error, Window};
use crate::report;
use crate::report::query::{check_text, misfits};
use crate::report::store::comparisons;
use crate::report::store::queries::{self, Query};
use crate::wake::Topic;

const LONGEST_NAME: usize = 200;
/// No account may have more reports there.
const MOST_NAMED: i64 = 1000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(change, remove))
        .routes(routes!(test))
        .routes(routes!(validate))
        .routes(routes!(validate_change))
}

/// A query to be kept; when changing, what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QueryInput {
    /// Unique within the account, at most 200 characters. The API keeps the name that a query was registered with.
    name: Option<String>,
    /// Such as `SELECT Month, CustomerName FROM OfficeUsage TIMESPAN LAST_MONTH`. Changed, all reports that use it are made
    /// anew there.
    #[serde(alias = "text")]
    query: Option<String>,
}

/// A query to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TrialInput {
    /// Its text…
    #[serde(alias = "text")]
    query: Option<String>,
    /// …or one that is kept.
    query_id: Option<QueryId>,
    /// Where its data begins, instead of its TIMESPAN; for accounts of the program `mpn` only.
    start_at: Option<DateTime<Utc>>,
    /// Where its data ends.
    end_at: Option<DateTime<Utc>>,
}

/// The first rows that a query gave.
#[derive(Debug, Serialize, ToSchema)]
struct Tried {
    /// As the API sent them; at most 100.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<serde_json::Value>,
    /// Whether the API ran it. It gives up after 100 seconds; as a report the query may work all the same.
    validated: bool,
    /// Why it was not validated.
    problem: Option<String>,
}

/// Which queries to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct QueryFilter {
    /// All that exist at the API, the system's own too, instead of those that we keep; not in pages.
    #[serde(default)]
    there: bool,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// A query.
#[derive(Debug, Serialize, ToSchema)]
struct QueryView {
    /// Its id, if we keep it.
    id: Option<QueryId>,
    /// Unique within the account.
    name: String,
    /// Its text.
    text: String,
    /// Its id at the API, once it is there.
    remote_id: Option<String>,
    /// Of one that was asked for at the API: `userDefined` or `system`.
    r#type: Option<String>,
    /// When it was made.
    created_at: Option<DateTime<Utc>>,
    /// What whoever made this change should know, such as a run of a report that will not happen.
    warnings: Vec<String>,
}

impl From<Query> for QueryView {
    fn from(query: Query) -> Self {
        Self {
            id: Some(query.id),
            name: query.name,
            text: query.text,
            remote_id: query.remote_id,
            r#type: None,
            created_at: Some(query.created_at),
            warnings: Vec::new(),
        }
    }
}

async fn account(app: &App, id: AccountId) -> Result<Account, ApiError> {
    let found = account::store::find(&mut *app.pool.acquire().await?, id).await?;
    found.ok_or(ApiError::NotFound("no such account"))
}

async fn find(app: &App, account: AccountId, id: QueryId) -> Result<Query, ApiError> {
    let found = queries::find(&mut *app.pool.acquire().await?, account, id).await?;
    found.ok_or(ApiError::NotFound("no such query"))
}

/// Keep a query
#[utoipa::path(post, path = "/accounts/{id}/queries", tag = "queries", params(("id" = AccountId, Path)),
    request_body = QueryInput, responses((status = 201, body = QueryView), (status = 422, body = crate::http::error::Problem)))]
async fn create(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<AccountId>,
    Body(input): Body<QueryInput>,
) -> Result<(StatusCode, Json<QueryView>), ApiError> {
    let account = account(&app, id).await?.id;
    let (name, text) = checked(&app, account, input).await?;
    let id: QueryId = app.clock.new_id();
    let mut tx = app.pool.begin().await?;
    queries::insert(&mut tx, &app.clock, id, account, name.trim(), text.trim()).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "query.create", &id.to_string()).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(find(&app, account, id).await?.into())))
}

/// Say what is wrong with a query, or that it could be kept; an account that is not there yet has any id
#[utoipa::path(post, path = "/accounts/{id}/queries/validate", tag = "queries", params(("id" = AccountId, Path)),
    request_body = QueryInput, responses((status = 200, body = Valid), (status = 422, body = crate::http::error::Problem)))]
async fn validate(
    State(app): State<App>,
    _: MayWrite,
    PathId(account): PathId<AccountId>,
    Body(input): Body<QueryInput>,
) -> Result<Json<Valid>, ApiError> {
    checked(&app, account, input).await?;
    Ok(Json(Valid::default()))
}

/// The name and text of a new query that can work.
async fn checked(app: &App, account: AccountId, input: QueryInput) -> Result<(String, String), ApiError> {
    let (name, text) = (input.name.unwrap_or_default(), input.query.unwrap_or_default());
    let mut errors = FieldErrors::default();
    errors.text("name", &name, LONGEST_NAME);
    check_text(&mut errors, &text);
    errors.0.extend(misfits(&app.datasets, account, &text, None).await?.0);
    Ok(errors.result((name, text))?)
}

/// List the queries of an account, newest first
#[utoipa::path(get, path = "/accounts/{id}/queries", tag = "queries", params(("id" = AccountId, Path), QueryFilter),
    responses((status = 200, body = Page<QueryView>), (status = 502, body = crate::http::error::Problem)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    PathId(id): PathId<AccountId>,
    Params(filter): Params<QueryFilter>,
) -> Result<Json<Page<QueryView>>, ApiError> {
    let account = account(&app, id).await?.id;
    let (limit, before) = Paging { limit: filter.limit, cursor: filter.cursor }.read()?;
    if filter.there {
        return Ok(Json(Page { items: there(&app, account).await?, next_cursor: None }));
    }
    let items = queries::list(&mut *app.pool.acquire().await?, account, before, limit).await?;
    let next_cursor = Page::new(items.iter().collect(), limit, |query| query.id.to_string()).next_cursor;
    Ok(Json(Page { items: items.into_iter().map(QueryView::from).collect(), next_cursor }))
}

async fn there(app: &App, account: AccountId) -> Result<Vec<QueryView>, ApiError> {
    let there = app.sessions.call(account, |api| async move { api.all_queries().await }).await?;
    let kept = queries::kept_there(&mut *app.pool.acquire().await?, account).await?;
    let views = there.into_iter().map(|query| QueryView {
        id: kept.iter().find(|(_, remote)| *remote == query.id).map(|(id, _)| *id),
        name: query.name,
        text: query.text,
        remote_id: Some(query.id.0),
        r#type: query.kind,
        created_at: query.created_at,
        warnings: Vec::new(),
    });
    Ok(views.collect())
}

/// Change a query; all reports that use it are made anew there
#[utoipa::path(patch, path = "/accounts/{id}/queries/{query_id}", tag = "queries",
    params(("id" = AccountId, Path), ("query_id" = QueryId, Path)),
    request_body = QueryInput, responses((status = 200, body = QueryView), (status = 422, body = crate::http::error::Problem)))]
async fn change(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    Path((account, id)): Path<(AccountId, QueryId)>,
    Body(input): Body<QueryInput>,
) -> Result<Json<QueryView>, ApiError> {
    let (name, text, warnings) = checked_change(&app, account, id, input).await?;
    let change = (name.as_deref().map(str::trim), text.as_deref().map(str::trim));
    let mut tx = app.pool.begin().await?;
    queries::change(&mut tx, account, id, change, app.clock.now()).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "query.change", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Reports);
    Ok(Json(QueryView { warnings, ..find(&app, account, id).await?.into() }))
}

/// Say what is wrong with a change of a query, or what it would cost
#[utoipa::path(post, path = "/accounts/{id}/queries/{query_id}/validate", tag = "queries",
    params(("id" = AccountId, Path), ("query_id" = QueryId, Path)),
    request_body = QueryInput, responses((status = 200, body = Valid), (status = 422, body = crate::http::error::Problem)))]
async fn validate_change(
    State(app): State<App>,
    _: MayWrite,
    Path((account, id)): Path<(AccountId, QueryId)>,
    Body(input): Body<QueryInput>,
) -> Result<Json<Valid>, ApiError> {
    let (_, _, warnings) = checked_change(&app, account, id, input).await?;
    Ok(Json(Valid { warnings }))
}

/// A query's name and text where they are given, and what it costs its reports to be made anew.
async fn checked_change(
    app: &App,
    account: AccountId,
    id: QueryId,
    input: QueryInput,
) -> Result<(Option<String>, Option<String>, Vec<String>), ApiError> {
    let query = find(app, account, id).await?;
    let mut warnings = Vec::new();
    let mut errors = FieldErrors::default();
    errors.text("name", input.name.as_ref().unwrap_or(&query.name), LONGEST_NAME);
    if let Some(text) = input.query.as_deref().filter(|text| text.trim() != query.text) {
        check_text(&mut errors, text);
        let shortest = queries::shortest_interval(&mut *app.pool.acquire().await?, id).await?;
        for mut error in misfits(&app.datasets, account, text, shortest).await?.0 {
            if error.field == "interval_hours" {
                error = of_reports(&error.message);
            }
            errors.0.push(error);
        }
        let reports = report::store::of_query(&mut *app.pool.acquire().await?, id, MOST_NAMED).await?;
        for report in reports {
            let lost = report.restart_warnings(app.clock.now());
            warnings.extend(lost.into_iter().map(|what| format!("{}: {what}", report.name)));
        }
    }
    Ok(errors.result((input.name, input.query, warnings))?)
}

/// What is wrong with the interval of a report that uses the query is wrong with the query here.
fn of_reports(message: &str) -> crate::field::FieldError {
    crate::field::FieldError {
        field: "query".into(),
        message: format!("a report that uses it runs too often; its interval_hours {message}"),
    }
}

/// Remove a query that no report uses, here at once and there by a step
#[utoipa::path(delete, path = "/accounts/{id}/queries/{query_id}", tag = "queries",
    params(("id" = AccountId, Path), ("query_id" = QueryId, Path)),
    responses((status = 204), (status = 409, body = crate::http::error::Problem)))]
async fn remove(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    Path((account, id)): Path<(AccountId, QueryId)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.pool.begin().await?;
    queries::find(&mut tx, account, id).await?.ok_or(ApiError::NotFound("no such query"))?;
    let reports = report::store::of_query(&mut tx, id, MOST_NAMED).await?;
    if !reports.is_empty() {
        let of = |report: &report::Report| format!("\"{}\" ({})", report.name, report.state.as_str());
        let names: Vec<String> = reports.iter().map(of).collect();
        return Err(ApiError::Conflict(format!("the query is used by {}", names.join(", "))));
    }
    queries::delete(&mut tx, account, id).await?;
    comparisons::soon(&mut tx, account, app.clock.now()).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "query.remove", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Reports);
    Ok(StatusCode::NO_CONTENT)
}

/// Run a query and show its first rows; takes up to two minutes
#[utoipa::path(post, path = "/accounts/{id}/queries/test", tag = "queries", params(("id" = AccountId, Path)),
    request_body = TrialInput, responses((status = 200, body = Tried), (status = 422, body = crate::http::error::Problem),
    (status = 502, body = crate::http::error::Problem)))]
async fn test(
    State(app): State<App>,
    _: MayRead,
    PathId(id): PathId<AccountId>,
    Body(input): Body<TrialInput>,
) -> Result<Json<Tried>, ApiError> {
    let account = account(&app, id).await?;
    let window = (input.start_at, input.end_at);
    let mut errors = wrong_window(&account, window);
    let text = match (input.query, input.query_id) {
        (Some(text), None) => text,
        (None, Some(query)) => find(&app, account.id, query).await?.text,
        _ => {
            errors.add("query", "give either query or query_id");
            return Err(errors.into());
        }
    };
    if input.query_id.is_none() {
        check_text(&mut errors, &text);
        errors.0.extend(misfits(&app.datasets, account.id, &text, None).await?.0);
    }
    let text = errors.result(text.trim())?;
    match app.sessions.call(account.id, |api| async move { api.test_query(text, window).await }).await {
        Ok(rows) => Ok(Json(Tried { rows, validated: true, problem: None })),
        Err(CallError::Api(error @ Error::TimedOut(_))) => {
            let problem = format!("{error}; as a report the query may work all the same");
            Ok(Json(Tried { rows: Vec::new(), validated: false, problem: Some(problem) }))
        }
        Err(error) => Err(error.into()),
    }
}

fn wrong_window(account: &Account, (start, end): Window) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if account.program != ProgramName::Mpn {
        for (field, given) in [("start_at", start.is_some()), ("end_at", end.is_some())] {
            errors.expect(!given, field, "can be given for accounts of the program mpn only");
        }
    }
    if let (Some(start), Some(end)) = (start, end) {
        errors.expect(start < end, "end_at", "must be after start_at");
    }
    errors
}
