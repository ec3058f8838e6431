//! The admin API: one file per resource, each call documented beside its handler.

mod account_input;
mod accounts;
mod callbacks;
mod datasets;
mod deliveries;
mod drift;
mod events;
mod executions;
mod files;
mod keys;
mod queries;
mod remote_reports;
mod report_view;
mod reports;
mod status;
mod subscriptions;
mod valid;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use super::error::ApiError;
use super::gate;
use crate::app::App;

/// What every call needs to be told once.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidings",
        description = "Registers Partner Insights reports, hears when they are ready, archives them and tells everyone who asked.",
        license(name = "MIT")
    ),
    servers((url = "/api/v1")),
    security(("api_key" = [])),
    components(schemas(super::error::Problem))
)]
struct Document;

/// All calls below `/api/v1`.
pub fn router(app: App) -> Router<App> {
    let (router, _) = calls().split_for_parts();
    router
        .fallback(async || ApiError::NotFound("no such resource; see /docs"))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn_with_state(app.clone(), gate::idempotency))
        .layer(from_fn_with_state(app, gate::authenticate))
}

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, mut document) = calls().split_for_parts();
    let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    document.components.get_or_insert_default().add_security_scheme("api_key", scheme);
    document
}

fn calls() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(accounts::router())
        .merge(datasets::router())
        .merge(queries::router())
        .merge(reports::router())
        .merge(drift::router())
        .merge(remote_reports::router())
        .merge(callbacks::router())
        .merge(executions::router())
        .merge(files::router())
        .merge(events::router())
        .merge(subscriptions::router())
        .merge(deliveries::router())
        .merge(keys::router())
        .merge(status::router())
}
