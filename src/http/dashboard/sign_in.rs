//! Signing in and out: with an API key, or with a one-time link.
//!
//! Looking at a link does nothing, because mail scanners look at links too: its page shows a button, and that uses it.

use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::CookieJar;
use minijinja::context;

use super::guard::{self, Viewer};
use super::page::{Named, PageError, render};
use crate::app::App;
use crate::secret::Secret;

const UNKNOWN_KEY: &str = "This key is not known here, or it may only read. A key with the scope write or admin opens the \
                           dashboard.";
const USED_LINK: &str = "This link was used before, or its quarter of an hour is over. Ask for a new one, or sign in with \
                         a key.";

#[derive(Debug, serde::Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct KeyForm {
    key: Secret,
    #[serde(default)]
    next: String,
}

/// The form.
pub(super) async fn form(Query(next): Query<Next>) -> Result<Html<String>, PageError> {
    shown(&next.next, None)
}

/// Opens a session with a key.
pub(super) async fn by_key(
    State(app): State<App>,
    headers: HeaderMap,
    jar: CookieJar,
    Form(form): Form<KeyForm>,
) -> Result<Response, PageError> {
    if !guard::is_asked_by_us(&headers, &app) {
        return Err(PageError::CrossSite);
    }
    let key = Secret::new(form.key.expose().trim());
    match app.access.sign_in(&key).await? {
        Some(session) => Ok(opened(&app, jar, &session, guard::local(&form.next))),
        None => Ok((StatusCode::UNAUTHORIZED, shown(&form.next, Some(UNKNOWN_KEY))?).into_response()),
    }
}

/// The page of a one-time link. It does not even look whether the link is good.
pub(super) async fn link() -> Result<Html<String>, PageError> {
    Ok(Html(render("link.html", context! { signed_in => false })?))
}

/// Opens a session with a one-time link.
pub(super) async fn by_link(
    State(app): State<App>,
    headers: HeaderMap,
    jar: CookieJar,
    Named(token): Named<Secret>,
) -> Result<Response, PageError> {
    if !guard::is_asked_by_us(&headers, &app) {
        return Err(PageError::CrossSite);
    }
    match app.access.use_link(&token).await? {
        Some(session) => Ok(opened(&app, jar, &session, "/")),
        None => Ok((StatusCode::UNAUTHORIZED, shown("/", Some(USED_LINK))?).into_response()),
    }
}

/// Ends the session, here and in the browser.
pub(super) async fn sign_out(_: Viewer, State(app): State<App>, jar: CookieJar) -> Result<Response, PageError> {
    if let Some(session) = guard::session(&jar) {
        app.access.sign_out(&session).await?;
    }
    Ok((jar.remove(guard::no_cookie()), Redirect::to("/sign-in")).into_response())
}

fn opened(app: &App, jar: CookieJar, session: &Secret, next: &str) -> Response {
    (jar.add(guard::cookie(session, app)), Redirect::to(next)).into_response()
}

fn shown(next: &str, refusal: Option<&str>) -> Result<Html<String>, PageError> {
    let page = context! { signed_in => false, next => guard::local(next), refusal };
    Ok(Html(render("sign_in.html", page)?))
}
