//! `/subscriptions`: who wants which events, and where.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::valid::Valid;
use crate::access;
use crate::app::App;
use crate::channel::{Channel, Endpoint};
use crate::event::Kind;
use crate::field::FieldErrors;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayRead, MayWrite, Page, Paging, Params, PathId, or_null};
use crate::id::{EventId, ReportId, SubscriptionId};
use crate::notification::subscribe::{self, Terms};
use crate::notification::{FirstRows, Subscription, SubscriptionState, store};
use crate::report;
use crate::secret::Secret;
use crate::wake::Topic;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(show, change, remove))
        .routes(routes!(compare))
        .routes(routes!(validate))
        .routes(routes!(test))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// Where messages go: `{channel: email, to}` or `{channel: slack|teams|webhook, url}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndpointInput {
    channel: Option<Channel>,
    to: Option<String>,
    #[schema(value_type = Option<String>, write_only)]
    url: Option<Secret>,
}

/// A subscription to be made or changed; when changing, what is not given stays, and what is null is as in one made
/// without it.
#[expect(clippy::option_option, reason = "null and not given differ")]
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubscriptionInput {
    name: Option<String>,
    endpoint: Option<EndpointInput>,
    /// Which kinds; all when not given.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<Vec<String>>)]
    events: Option<Option<Vec<String>>>,
    /// Which reports; all when not given.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<Vec<ReportId>>)]
    report_ids: Option<Option<Vec<ReportId>>>,
    /// A mail address.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<String>)]
    owner: Option<Option<String>>,
    /// Whether messages show the first rows of a report; `off` when not given.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<FirstRows>)]
    first_rows: Option<Option<FirstRows>>,
    /// Of one to be made: whether it is refused where another subscription has its name. Two that are asked for in this way
    /// at once never have the same.
    unique_name: Option<bool>,
}

/// The endpoint, as far as it may be shown.
#[derive(Debug, Serialize, ToSchema)]
struct EndpointView {
    channel: Channel,
    /// Part of a mail address, or scheme and host of an address.
    shown: String,
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
struct SubscriptionView {
    id: SubscriptionId,
    name: String,
    endpoint: EndpointView,
    events: Option<Vec<Kind>>,
    report_ids: Option<Vec<ReportId>>,
    owner: Option<String>,
    first_rows: FirstRows,
    state: SubscriptionState,
    last_failure: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// What a webhook's calls are signed with; shown once, on creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<Subscription> for SubscriptionView {
    fn from(subscription: Subscription) -> Self {
        Self {
            id: subscription.id,
            name: subscription.name,
            endpoint: EndpointView { channel: subscription.channel, shown: subscription.endpoint_shown },
            events: subscription.kinds,
            report_ids: subscription.report_ids,
            owner: subscription.owner,
            first_rows: subscription.first_rows,
            state: subscription.state,
            last_failure: subscription.last_failure,
            created_at: subscription.created_at,
            updated_at: subscription.updated_at,
            secret: None,
        }
    }
}

/// The fields that a change would change.
#[derive(Debug, Serialize, ToSchema)]
struct Compared {
    #[schema(value_type = Vec<String>)]
    differs: Vec<&'static str>,
}

/// What a test made.
#[derive(Debug, Serialize, ToSchema)]
struct Tested {
    event_id: EventId,
}

/// Make a subscription; a webhook's secret is shown this once
#[utoipa::path(post, path = "/subscriptions", tag = "subscriptions", request_body = SubscriptionInput,
    responses((status = 201, body = SubscriptionView), (status = 422, body = crate::http::error::Problem)))]
async fn create(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    Body(input): Body<SubscriptionInput>,
) -> Result<(StatusCode, Json<SubscriptionView>), ApiError> {
    let checked = checked(&app, input).await?;
    let mut tx = app.pool.begin().await?;
    subscribe::misfits(&mut tx, &checked).await?.result(())?;
    let (id, secret) = subscribe::create(&mut tx, &app.clock, &app.keyring, &checked).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "subscription.create", &id.to_string()).await?;
    tx.commit().await?;
    let view = find(&app, id).await?;
    let secret = secret.map(|secret| secret.expose().to_owned());
    Ok((StatusCode::CREATED, Json(SubscriptionView { secret, ..view.into() })))
}

/// Say what is wrong with a subscription, or that it could be made
#[utoipa::path(post, path = "/subscriptions/validate", tag = "subscriptions", request_body = SubscriptionInput,
    responses((status = 200, body = Valid), (status = 422, body = crate::http::error::Problem)))]
async fn validate(
    State(app): State<App>,
    _: MayWrite,
    Body(input): Body<SubscriptionInput>,
) -> Result<Json<Valid>, ApiError> {
    let checked = checked(&app, input).await?;
    subscribe::misfits(&mut *app.pool.begin().await?, &checked).await?.result(())?;
    Ok(Json(Valid::default()))
}

async fn checked(app: &App, input: SubscriptionInput) -> Result<subscribe::Checked, ApiError> {
    let endpoint = input.endpoint.unwrap_or(EndpointInput { channel: None, to: None, url: None });
    let draft = subscribe::Draft {
        name: input.name.unwrap_or_default(),
        channel: endpoint.channel.unwrap_or(Channel::Email),
        to: endpoint.to,
        url: endpoint.url,
        events: input.events.flatten(),
        report_ids: input.report_ids.flatten(),
        owner: input.owner.flatten(),
        first_rows: input.first_rows.flatten().unwrap_or(FirstRows::Off),
        unique_name: input.unique_name.unwrap_or(false),
    };
    reports_exist(app, draft.report_ids.as_deref()).await?;
    match (draft.check(&app.guard), endpoint.channel) {
        (Ok(checked), Some(_)) => Ok(checked),
        (checked, channel) => {
            let mut errors = checked.err().unwrap_or_default();
            if channel.is_none() {
                errors.0.retain(|error| !error.field.starts_with("endpoint."));
                errors.add("endpoint.channel", "is needed: email, slack, teams or webhook");
            }
            Err(ApiError::Invalid(errors))
        }
    }
}

/// List subscriptions, newest first
#[utoipa::path(get, path = "/subscriptions", tag = "subscriptions", params(Paging),
    responses((status = 200, body = Page<SubscriptionView>)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<SubscriptionView>>, ApiError> {
    let (limit, before) = paging.read()?;
    let found = store::subscriptions(&mut *app.pool.acquire().await?, before, limit).await?;
    let items = found.into_iter().map(SubscriptionView::from).collect();
    Ok(Json(Page::new(items, limit, |one: &SubscriptionView| one.id.to_string())))
}

/// Show a subscription
#[utoipa::path(get, path = "/subscriptions/{id}", tag = "subscriptions", params(("id" = SubscriptionId, Path)),
    responses((status = 200, body = SubscriptionView), (status = 404, body = crate::http::error::Problem)))]
async fn show(
    State(app): State<App>,
    _: MayRead,
    PathId(id): PathId<SubscriptionId>,
) -> Result<Json<SubscriptionView>, ApiError> {
    Ok(Json(find(&app, id).await?.into()))
}

/// Change a subscription; a new endpoint must be of the same channel
#[utoipa::path(patch, path = "/subscriptions/{id}", tag = "subscriptions", params(("id" = SubscriptionId, Path)),
    request_body = SubscriptionInput,
    responses((status = 200, body = SubscriptionView), (status = 422, body = crate::http::error::Problem)))]
async fn change(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<SubscriptionId>,
    Body(input): Body<SubscriptionInput>,
) -> Result<Json<SubscriptionView>, ApiError> {
    let old = find(&app, id).await?;
    let (terms, endpoint) = changed(&app, &old, input).await?;
    let now = app.clock.now();
    let mut tx = app.pool.begin().await?;
    store::set_terms(&mut tx, id, &terms, now).await?;
    if let Some(endpoint) = endpoint {
        store::set_endpoint(&mut tx, &app.keyring, id, &endpoint, now).await?;
    }
    access::store::note(&mut tx, &app.clock, &actor.name, "subscription.change", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Deliveries);
    Ok(Json(find(&app, id).await?.into()))
}

/// Tell what a change would change, so that who keeps the wish elsewhere need not keep what was wished before
#[utoipa::path(post, path = "/subscriptions/{id}/compare", tag = "subscriptions", params(("id" = SubscriptionId, Path)),
    request_body = SubscriptionInput,
    responses((status = 200, body = Compared), (status = 422, body = crate::http::error::Problem)))]
async fn compare(
    State(app): State<App>,
    _: MayWrite,
    PathId(id): PathId<SubscriptionId>,
    Body(input): Body<SubscriptionInput>,
) -> Result<Json<Compared>, ApiError> {
    let old = find(&app, id).await?;
    let (terms, endpoint) = changed(&app, &old, input).await?;
    let mut differs = terms.differs(&old);
    if let Some(endpoint) = endpoint
        && !store::has_endpoint(&mut *app.pool.acquire().await?, &app.keyring, id, &endpoint).await?
    {
        differs.push(if old.channel == Channel::Email { "endpoint.to" } else { "endpoint.url" });
    }
    Ok(Json(Compared { differs }))
}

/// A subscription's terms as they shall be, and its endpoint if that is given.
async fn changed(
    app: &App,
    old: &Subscription,
    input: SubscriptionInput,
) -> Result<(Terms, Option<Endpoint>), ApiError> {
    reports_exist(app, input.report_ids.iter().flatten().next().map(Vec::as_slice)).await?;
    let mut errors = FieldErrors::default();
    errors.expect(input.unique_name.is_none(), "unique_name", "goes with one that is to be made");
    let endpoint = input.endpoint.and_then(|input| changed_endpoint(app, &mut errors, old.channel, input));
    let words = |kinds: &Vec<Kind>| kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    let terms = subscribe::check_terms(
        &mut errors,
        input.name.as_deref().unwrap_or(&old.name),
        input.events.unwrap_or_else(|| old.kinds.as_ref().map(words)),
        input.report_ids.unwrap_or_else(|| old.report_ids.clone()),
        input.owner.unwrap_or_else(|| old.owner.clone()),
        input.first_rows.map_or(old.first_rows, |rows| rows.unwrap_or(FirstRows::Off)),
    );
    Ok(errors.result((terms, endpoint))?)
}

fn changed_endpoint(app: &App, errors: &mut FieldErrors, channel: Channel, input: EndpointInput) -> Option<Endpoint> {
    if input.channel.is_some_and(|new| new != channel) {
        errors.add("endpoint.channel", "cannot be changed; make another subscription");
        return None;
    }
    let draft = subscribe::Draft {
        name: "unchanged".into(),
        channel,
        to: input.to,
        url: input.url,
        events: None,
        report_ids: None,
        owner: None,
        first_rows: FirstRows::Off,
        unique_name: false,
    };
    match draft.check(&app.guard) {
        Ok(checked) => Some(checked.into_endpoint()),
        Err(wrong) => {
            errors.0.extend(wrong.0);
            None
        }
    }
}

/// Remove a subscription; what it was told stays readable
#[utoipa::path(delete, path = "/subscriptions/{id}", tag = "subscriptions", params(("id" = SubscriptionId, Path)),
    responses((status = 204), (status = 404, body = crate::http::error::Problem)))]
async fn remove(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<SubscriptionId>,
) -> Result<StatusCode, ApiError> {
    find(&app, id).await?;
    let mut tx = app.pool.begin().await?;
    store::remove(&mut tx, id, app.clock.now()).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "subscription.remove", &id.to_string()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a message to look at, to this subscription only
#[utoipa::path(post, path = "/subscriptions/{id}/test", tag = "subscriptions", params(("id" = SubscriptionId, Path)),
    responses((status = 202, body = Tested), (status = 404, body = crate::http::error::Problem)))]
async fn test(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<SubscriptionId>,
) -> Result<(StatusCode, Json<Tested>), ApiError> {
    find(&app, id).await?;
    let mut tx = app.pool.begin().await?;
    let event_id = subscribe::test(&mut tx, &app.clock, id).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "subscription.test", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Events);
    Ok((StatusCode::ACCEPTED, Json(Tested { event_id })))
}

/// Stop telling, until resumed
#[utoipa::path(post, path = "/subscriptions/{id}/pause", tag = "subscriptions", params(("id" = SubscriptionId, Path)),
    responses((status = 200, body = SubscriptionView), (status = 404, body = crate::http::error::Problem)))]
async fn pause(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<SubscriptionId>,
) -> Result<Json<SubscriptionView>, ApiError> {
    set_paused(&app, &actor.name, id, true).await
}

/// Go on telling, also after the endpoint was gone
#[utoipa::path(post, path = "/subscriptions/{id}/resume", tag = "subscriptions", params(("id" = SubscriptionId, Path)),
    responses((status = 200, body = SubscriptionView), (status = 404, body = crate::http::error::Problem)))]
async fn resume(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<SubscriptionId>,
) -> Result<Json<SubscriptionView>, ApiError> {
    set_paused(&app, &actor.name, id, false).await
}

async fn set_paused(
    app: &App,
    actor: &str,
    id: SubscriptionId,
    paused: bool,
) -> Result<Json<SubscriptionView>, ApiError> {
    find(app, id).await?;
    let mut tx = app.pool.begin().await?;
    store::set_paused(&mut tx, id, paused, app.clock.now()).await?;
    let action = if paused { "subscription.pause" } else { "subscription.resume" };
    access::store::note(&mut tx, &app.clock, actor, action, &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Deliveries);
    Ok(Json(find(app, id).await?.into()))
}

/// A subscription for a report that does not exist would never tell anything.
async fn reports_exist(app: &App, ids: Option<&[ReportId]>) -> Result<(), ApiError> {
    let Some(ids) = ids else { return Ok(()) };
    let ids = &ids[..ids.len().min(subscribe::MOST_REPORTS)];
    let known = report::store::known(&mut *app.pool.acquire().await?, ids).await?;
    match ids.iter().find(|id| !known.contains(id)) {
        Some(unknown) => Err(ApiError::field("report_ids", format!("{unknown} is no report"))),
        None => Ok(()),
    }
}

async fn find(app: &App, id: SubscriptionId) -> Result<Subscription, ApiError> {
    let found = store::subscription(&mut *app.pool.acquire().await?, id).await?;
    found.ok_or(ApiError::NotFound("no such subscription"))
}
