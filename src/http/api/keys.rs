//! `/keys`: API keys. A key is shown once, on creation.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::store::{self, Key};
use crate::access::{self, Scope};
use crate::app::App;
use crate::field::FieldErrors;
use crate::http::error::ApiError;
use crate::http::extract::{Body, MayAdmin, Page, Paging, Params, PathId};
use crate::id::KeyId;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(remove))
}

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyInput {
    name: Option<String>,
    /// The strongest counts: `admin` may write, `write` may read.
    scopes: Option<Vec<Scope>>,
}

/// A key, this once with the key itself.
#[derive(Debug, Serialize, ToSchema)]
struct NewKey {
    #[serde(flatten)]
    about: Key,
    key: String,
}

/// Make a key; it is shown this once
#[utoipa::path(post, path = "/keys", tag = "keys", request_body = KeyInput,
    responses((status = 201, body = NewKey), (status = 422, body = crate::http::error::Problem)))]
async fn create(
    State(app): State<App>,
    MayAdmin(actor): MayAdmin,
    Body(input): Body<KeyInput>,
) -> Result<(StatusCode, Json<NewKey>), ApiError> {
    let mut errors = FieldErrors::default();
    let (name, scopes) = (input.name.unwrap_or_default(), input.scopes.unwrap_or_default());
    errors.text("name", &name, 100);
    errors.expect(!scopes.is_empty(), "scopes", "must name at least one of read, write, admin");
    let name = errors.result(name)?;
    let mut tx = app.pool.begin().await?;
    let (about, secret) = app.access.create_key(&mut tx, name.trim(), &scopes).await?;
    access::store::note(&mut tx, &app.clock, &actor.name, "key.create", &about.id.to_string()).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(NewKey { about, key: secret.expose().to_owned() })))
}

/// List keys, newest first
#[utoipa::path(get, path = "/keys", tag = "keys", params(Paging), responses((status = 200, body = Page<Key>)))]
async fn list(
    State(app): State<App>,
    _: MayAdmin,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<Key>>, ApiError> {
    let (limit, before) = paging.read()?;
    let items = store::keys(&mut *app.pool.acquire().await?, before, limit).await?;
    Ok(Json(Page::new(items, limit, |key| key.id.to_string())))
}

/// End a key, and the dashboard sessions that it opened
#[utoipa::path(delete, path = "/keys/{id}", tag = "keys", params(("id" = KeyId, Path)),
    responses((status = 204), (status = 404, body = crate::http::error::Problem)))]
async fn remove(
    State(app): State<App>,
    MayAdmin(actor): MayAdmin,
    PathId(id): PathId<KeyId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.pool.begin().await?;
    if !store::delete_key(&mut tx, id).await? {
        return Err(ApiError::NotFound("no such key"));
    }
    access::store::note(&mut tx, &app.clock, &actor.name, "key.remove", &id.to_string()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
