//! What handlers take: a JSON body, query parameters, an id of the path, who asks, and a page of a list. Each says what is
//! wrong as a problem.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::error::ApiError;
use crate::access::{Actor, Scope};
use crate::app::App;
use crate::field::in_plain_words;

/// A body in JSON. A wrong type or an unknown field is named.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let bytes = axum::body::Bytes::from_request(request, app).await.map_err(|error| {
            if error.status() == 413 { ApiError::TooLarge } else { ApiError::Malformed(error.body_text()) }
        })?;
        let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { &b"{}"[..] } else { &bytes[..] };
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        match serde_path_to_error::deserialize(&mut reader) {
            Ok(value) => reader.end().map(|()| Self(value)).map_err(|error| ApiError::Malformed(error.to_string())),
            Err(error) => {
                let (path, inner) = (error.path().to_string(), error.into_inner());
                if inner.is_data() {
                    let message = inner.to_string();
                    // The place in the text tells nothing that the field does not.
                    let message = in_plain_words(message.split(" at line ").next().unwrap_or_default());
                    Err(ApiError::field(if path == "." { "body" } else { &path }, message))
                } else {
                    Err(ApiError::Malformed(format!("the body is not JSON: {inner}")))
                }
            }
        }
    }
}

/// A field of a change that is given as null: back to what it is without it. One that is not given stays.
#[expect(clippy::option_option, reason = "null and not given differ")]
pub(super) fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Query parameters.
pub(super) struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        query.map(|Query(value)| Self(value)).map_err(|error| {
            let text = error.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            let (field, message) = text.split_once(": ").unwrap_or(("query string", text));
            ApiError::field(field, in_plain_words(message))
        })
    }
}

/// The last id of the path; a text that is no id names nothing.
pub(super) struct PathId<T>(pub T);

impl<T: FromStr> FromRequestParts<App> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, app).await.map_err(|_| ApiError::NotFound("no such id"))?;
        text.parse().map(Self).map_err(|_| ApiError::NotFound("no such id"))
    }
}

/// Who asks, allowed to look.
pub(super) struct MayRead(pub Actor);
/// Who asks, allowed to change reports, subscriptions and deliveries.
pub(super) struct MayWrite(pub Actor);
/// Who asks, allowed to change accounts and keys too.
pub(super) struct MayAdmin(pub Actor);

fn allowed(parts: &Parts, scope: Scope) -> Result<Actor, ApiError> {
    let actor = parts.extensions.get::<Actor>().cloned().ok_or(ApiError::Unauthorized)?;
    if actor.may(scope) { Ok(actor) } else { Err(ApiError::LacksScope { has: actor.scope(), needs: scope }) }
}

impl FromRequestParts<App> for MayRead {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        allowed(parts, Scope::Read).map(Self)
    }
}

impl FromRequestParts<App> for MayWrite {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        allowed(parts, Scope::Write).map(Self)
    }
}

impl FromRequestParts<App> for MayAdmin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        allowed(parts, Scope::Admin).map(Self)
    }
}

const DEFAULT_LIMIT: u32 = 50;
const MOST: u32 = 200;

/// How much of a list to give.
#[derive(Debug, Default, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// 1 to 200; 50 when not given.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    /// The limit, and the id to go on after.
    pub(super) fn read<I: FromStr>(&self) -> Result<(i64, Option<I>), ApiError> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MOST).contains(&limit) {
            return Err(ApiError::field("limit", "must be between 1 and 200"));
        }
        let cursor = self.cursor.as_ref().map(|cursor| cursor.parse()).transpose();
        let cursor = cursor.map_err(|_| ApiError::field("cursor", "must be the next_cursor of the page before"))?;
        Ok((i64::from(limit), cursor))
    }
}

/// A page of a list, newest first.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(super) struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A full page has one after it, beginning after its last id.
    pub(super) fn new(items: Vec<T>, limit: i64, id: impl Fn(&T) -> String) -> Self {
        let full = i64::try_from(items.len()).unwrap_or(i64::MAX) >= limit;
        let next_cursor = items.last().filter(|_| full).map(id);
        Self { items, next_cursor }
    }
}
