//! `/accounts/{id}/reports`: what exists at the API, whoever made it, and taking it over.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::report_view::ReportView;
use super::reports;
use crate::access;
use crate::account::{self, Account};
use crate::app::App;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayRead, MayWrite, Page, PathId};
use crate::id::{AccountId, ReportId};
use crate::insights;
use crate::report::adopt::{Adoption, Planned};
use crate::report::store::adopted;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(adopt))
}

/// A report that exists at the API.
#[derive(Debug, Serialize, ToSchema)]
struct RemoteReport {
    remote_id: String,
    name: String,
    description: Option<String>,
    /// `Active`, `Paused`, `Inactive`, or a word we don't know.
    status: String,
    query_id: Option<String>,
    query: Option<String>,
    start_at: Option<DateTime<Utc>>,
    interval_hours: Option<i32>,
    occurrences: Option<i32>,
    end_at: Option<DateTime<Utc>>,
    format: Option<String>,
    /// Whose address it calls.
    callback: CallbackOf,
    /// All that is shown of the address.
    callback_host: Option<String>,
    /// Our report, if it is one.
    report_id: Option<ReportId>,
}

/// Whose address a report calls.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CallbackOf {
    /// One of ours.
    Ours,
    /// Somebody else's.
    Other,
    /// Nobody's.
    None,
}

/// How a report shall be taken over.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Adopt {
    /// As there when not given.
    name: Option<String>,
    /// As there when not given.
    description: Option<String>,
    /// Only tell what would change there.
    dry_run: Option<bool>,
}

/// What taking a report over would change there.
#[derive(Debug, Serialize, ToSchema)]
struct Plan {
    changes: Vec<Planned>,
    /// Such as a run that would not happen.
    warnings: Vec<String>,
}

/// List the reports that exist at the API
#[utoipa::path(get, path = "/accounts/{id}/reports", tag = "accounts", params(("id" = AccountId, Path)),
    responses((status = 200, body = Page<RemoteReport>), (status = 502, body = crate::http::error::Problem)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    PathId(id): PathId<AccountId>,
) -> Result<Json<Page<RemoteReport>>, ApiError> {
    find(&app, id).await?;
    let there = app.sessions.call(id, |api| async move { api.reports().await }).await?;
    let known = known(&app, id, &there).await?;
    let items = there.into_iter().map(|remote| view(&app, &known, remote)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// Take a report over that exists at the API: it calls us from then on, what it made before is archived in silence
#[utoipa::path(post, path = "/accounts/{id}/reports/{remote_id}/adopt", tag = "accounts",
    params(("id" = AccountId, Path), ("remote_id" = String, Path)), request_body = Adopt,
    responses((status = 200, body = Plan, description = "with dry_run"), (status = 201, body = ReportView),
        (status = 404, body = crate::http::error::Problem), (status = 409, body = crate::http::error::Problem)))]
async fn adopt(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    Path((account_id, remote_id)): Path<(AccountId, String)>,
    Body(input): Body<Adopt>,
) -> Result<Response, ApiError> {
    let account = find(&app, account_id).await?;
    let there = app.sessions.call(account_id, |api| async move { api.reports().await }).await?;
    let remote = there.into_iter().find(|remote| remote.id.0.eq_ignore_ascii_case(&remote_id));
    let remote = remote.ok_or(ApiError::NotFound("the API shows no such report"))?;
    if let Some(report) = known(&app, account_id, std::slice::from_ref(&remote)).await?.values().next() {
        return Err(ApiError::Conflict(format!("it is ours already: report {report}")));
    }
    let words = (input.name, input.description);
    let adoption = Adoption::new((account_id, &account.api_url), remote, words, (&app.addresses, &app.clock))?;
    let warnings = adoption.warnings(&app.addresses, app.clock.now());
    if input.dry_run == Some(true) {
        return Ok(Json(Plan { changes: adoption.changes(&app.addresses, app.clock.now()), warnings }).into_response());
    }
    let mut tx = app.pool.begin().await?;
    let id = adoption.take(&mut tx, &app.clock, &app.addresses).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "report.adopt", &id.to_string()).await?;
    tx.commit().await?;
    let report = ReportView { warnings, ..reports::settled(&app, id).await? };
    app.wake.hint(crate::wake::Topic::Checks);
    Ok((StatusCode::CREATED, Json(report)).into_response())
}

async fn find(app: &App, id: AccountId) -> Result<Account, ApiError> {
    let account = account::store::find(&mut *app.pool.acquire().await?, id).await?;
    account.ok_or(ApiError::NotFound("no such account"))
}

/// Our reports among those there: by registration, or by the address that they call while the registration is not recorded.
async fn known(
    app: &App,
    account: AccountId,
    there: &[insights::Report],
) -> Result<HashMap<String, ReportId>, ApiError> {
    let ids: Vec<&str> = there.iter().map(|remote| remote.id.0.as_str()).collect();
    let owner = |remote: &insights::Report| {
        let owner = app.addresses.owner(remote.callback_url.as_ref()?.expose())?;
        Some((remote.id.0.clone(), owner))
    };
    let called: HashMap<String, ReportId> = there.iter().filter_map(owner).collect();
    let mut conn = app.pool.acquire().await?;
    let registered = adopted::known(&mut conn, account, &ids).await?;
    let owners: Vec<ReportId> = called.values().copied().collect();
    let alive = crate::report::store::known(&mut conn, &owners).await?;
    let mut known: HashMap<String, ReportId> = called.into_iter().filter(|(_, id)| alive.contains(id)).collect();
    known.extend(registered.into_iter().map(|(remote, id)| (remote.0, id)));
    Ok(known)
}

fn view(app: &App, known: &HashMap<String, ReportId>, remote: insights::Report) -> RemoteReport {
    let callback = match &remote.callback_url {
        None => CallbackOf::None,
        Some(address) if app.addresses.owner(address.expose()).is_some() => CallbackOf::Ours,
        Some(_) => CallbackOf::Other,
    };
    RemoteReport {
        callback,
        callback_host: remote.callback_host(),
        report_id: known.get(&remote.id.0).copied(),
        remote_id: remote.id.0,
        name: remote.name,
        description: remote.description,
        status: remote.status,
        query_id: remote.query_id.map(|id| id.0),
        query: remote.query,
        start_at: remote.start_at,
        interval_hours: remote.interval_hours,
        occurrences: remote.occurrences,
        end_at: remote.end_at,
        format: remote.format,
    }
}
