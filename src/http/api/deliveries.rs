//! `/deliveries`: what was told to whom, and why not.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access;
use crate::app::App;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayRead, MayWrite, Page, Paging, Params, PathId};
use crate::id::{DeliveryId, SubscriptionId};
use crate::notification::store::deliveries::{self, Filter};
use crate::notification::{Attempt, Delivery, DeliveryState};
use crate::wake::Topic;

const MOST_RESENT: i64 = 10_000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(resend_all)).routes(routes!(show)).routes(routes!(resend))
}

/// Which deliveries to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DeliveryFilter {
    subscription_id: Option<SubscriptionId>,
    #[param(inline)]
    state: Option<DeliveryState>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// A delivery with its attempts.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryView {
    #[serde(flatten)]
    delivery: Delivery,
    /// Oldest first; at most the last 100.
    attempts: Vec<Attempt>,
}

/// Which deliveries to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResendInput {
    subscription_id: Option<SubscriptionId>,
    /// `failed` when not given.
    state: Option<DeliveryState>,
}

/// How many are sent again.
#[derive(Debug, Serialize, ToSchema)]
struct Resent {
    /// At most 10000 at a time.
    count: u64,
}

/// List deliveries, newest first
#[utoipa::path(get, path = "/deliveries", tag = "deliveries", params(DeliveryFilter),
    responses((status = 200, body = Page<Delivery>)))]
async fn list(
    State(app): State<App>,
    _: MayRead,
    Params(filter): Params<DeliveryFilter>,
) -> Result<Json<Page<Delivery>>, ApiError> {
    let (limit, before) = Paging { limit: filter.limit, cursor: filter.cursor }.read()?;
    let filter = Filter { subscription_id: filter.subscription_id, state: filter.state };
    let items = deliveries::list(&mut *app.pool.acquire().await?, filter, before, limit).await?;
    Ok(Json(Page::new(items, limit, |delivery| delivery.id.to_string())))
}

/// Show a delivery with its attempts
#[utoipa::path(get, path = "/deliveries/{id}", tag = "deliveries", params(("id" = DeliveryId, Path)),
    responses((status = 200, body = DeliveryView), (status = 404, body = crate::http::error::Problem)))]
async fn show(
    State(app): State<App>,
    _: MayRead,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<DeliveryView>, ApiError> {
    find(&app, id).await.map(Json)
}

/// Send a delivery again under the same id, or a pending one now
#[utoipa::path(post, path = "/deliveries/{id}/resend", tag = "deliveries", params(("id" = DeliveryId, Path)),
    responses((status = 202, body = DeliveryView), (status = 409, body = crate::http::error::Problem)))]
async fn resend(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    PathId(id): PathId<DeliveryId>,
) -> Result<(StatusCode, Json<DeliveryView>), ApiError> {
    find(&app, id).await?;
    let mut tx = app.pool.begin().await?;
    deliveries::resend(&mut tx, id, app.clock.now()).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "delivery.resend", &id.to_string()).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Deliveries);
    Ok((StatusCode::ACCEPTED, Json(find(&app, id).await?)))
}

/// Send all deliveries of a kind again, up to 10000 at a time
#[utoipa::path(post, path = "/deliveries/resend", tag = "deliveries", request_body = ResendInput,
    responses((status = 202, body = Resent), (status = 422, body = crate::http::error::Problem)))]
async fn resend_all(
    State(app): State<App>,
    MayWrite(actor): MayWrite,
    Body(input): Body<ResendInput>,
) -> Result<(StatusCode, Json<Resent>), ApiError> {
    let state = input.state.unwrap_or(DeliveryState::Failed);
    let mut tx = app.pool.begin().await?;
    let now = app.clock.now();
    let count = deliveries::resend_all(&mut tx, input.subscription_id, state, now, MOST_RESENT).await?;
    let subject = format!("{count} {}", state.as_str());
    access::store::note(&mut tx, &app.clock, &actor.name, "delivery.resend_all", &subject).await?;
    tx.commit().await?;
    app.wake.hint(Topic::Deliveries);
    Ok((StatusCode::ACCEPTED, Json(Resent { count })))
}

async fn find(app: &App, id: DeliveryId) -> Result<DeliveryView, ApiError> {
    let mut conn = app.pool.acquire().await?;
    let delivery = deliveries::find(&mut conn, id).await?.ok_or(ApiError::NotFound("no such delivery"))?;
    Ok(DeliveryView { delivery, attempts: deliveries::attempts(&mut conn, id).await? })
}
