//! What a control call is given, as JSON by a program or as a form by the page, and how each is answered.
//!
//! A form is sent back to the page that it stood on, or shown why not; a program gets JSON. What a browser sends for another
//! site is refused: any page that is open in it could else make these calls.

use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Json, Redirect, Response};
use minijinja::context;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::sandbox::handle::Handle;

/// A call's values, and where its answer goes.
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) asker: Asker,
}

/// Who gets the answer.
pub(super) enum Asker {
    Program,
    /// A form of the page at this path.
    Page(String),
}

impl Asker {
    /// Answers a call that was carried out.
    pub(super) fn done(self, body: Value) -> Response {
        match self {
            Self::Program => Json(body).into_response(),
            Self::Page(path) => Redirect::to(&path).into_response(),
        }
    }

    /// Answers a call about something that isn't there.
    pub(super) fn missing(&self, what: &str) -> Response {
        self.not_done(StatusCode::NOT_FOUND, what)
    }

    /// Answers a call whose values can't be.
    pub(super) fn refused(&self, reason: &str) -> Response {
        self.not_done(StatusCode::UNPROCESSABLE_ENTITY, reason)
    }

    fn not_done(&self, status: StatusCode, reason: &str) -> Response {
        match self {
            Self::Program => (status, Json(json!({"message": reason}))).into_response(),
            Self::Page(path) => (status, super::shown("refused.html", context! { reason, path })).into_response(),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<Handle> for Given<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &Handle) -> Result<Self, Response> {
        let headers = request.headers().clone();
        if is_of_another_site(&headers, state.url()) {
            let message = "a page of another site may not call the sandbox";
            return Err((StatusCode::FORBIDDEN, Json(json!({"message": message}))).into_response());
        }
        let is_form = text(&headers, &header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded");
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        // `curl -d` calls everything a form.
        let is_form = is_form && !body.trim_ascii_start().starts_with(b"{");
        let value = if is_form { form(&body) } else { json(&body) };
        let asker = if is_form { Asker::Page(back(&headers)) } else { Asker::Program };
        match value {
            Ok(value) => Ok(Self { value, asker }),
            Err(reason) => Err(asker.refused(&reason)),
        }
    }
}

/// Whether a browser says that another site's page asks. It tells the site itself where it may, and else at least the origin,
/// which is `null` for pages that keep it to themselves.
fn is_of_another_site(headers: &HeaderMap, ours: &Url) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if let Some(site) = site {
        return !matches!(site, "same-origin" | "none");
    }
    let names = [text(headers, &header::HOST), ours.authority()];
    let is_ours = |origin: &str| Url::parse(origin).is_ok_and(|origin| names.contains(&origin.authority()));
    headers.contains_key(header::ORIGIN) && !is_ours(text(headers, &header::ORIGIN))
}

/// The fields of a form that were filled in.
fn form<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let filled = form_urlencoded::parse(body).filter(|(_, value)| !value.trim().is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(filled).finish();
    let uri: Uri = format!("/?{query}").parse().map_err(|_| "the form is too long".to_owned())?;
    Query::try_from_uri(&uri).map(|Query(value)| value).map_err(|error| error.body_text())
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// The page that the form stood on.
fn back(headers: &HeaderMap) -> String {
    let page = Url::parse(text(headers, &header::REFERER)).ok().map(|url| url.path().to_owned());
    page.filter(|path| path.starts_with("/sandbox")).unwrap_or_else(|| "/sandbox".to_owned())
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
