//! Who may see and do what here: the session of a viewer, and whether a change was asked for by our own pages.
//!
//! A handler that takes a [`Viewer`] can't be reached without a session: the browser is led to the sign-in and back.

use axum::extract::FromRequestParts;
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use url::Url;

use super::page::PageError;
use crate::access::Actor;
use crate::app::App;
use crate::secret::Secret;

const COOKIE: &str = "tidings_session";
const LONGEST_NEXT: usize = 500;

/// Somebody who has signed in.
#[derive(Debug)]
pub(super) struct Viewer(pub(super) Actor);

impl FromRequestParts<App> for Viewer {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        if parts.method != Method::GET && !is_asked_by_us(&parts.headers, app) {
            return Err(PageError::CrossSite);
        }
        let jar = CookieJar::from_headers(&parts.headers);
        let actor = match session(&jar) {
            Some(session) => app.access.by_session(&session).await?,
            None => None,
        };
        let next = || if parts.method == Method::GET { local(parts.uri.path()) } else { "/" };
        actor.map(Self).ok_or_else(|| PageError::NotSignedIn { next: next().to_owned() })
    }
}

/// Whether a request comes from our own pages, by what the browser says of it. A request that says nothing was not made by
/// a browser, so nobody's session was lent to it.
pub(super) fn is_asked_by_us(headers: &HeaderMap, app: &App) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("not a text"));
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let is_host = origin.split_once("://").is_some_and(|(_, host)| text(HOST.as_str()) == Some(host));
            let is_public = app.links.page("").is_some_and(|url| url.origin().ascii_serialization() == origin);
            is_host || is_public
        }
        (None, None) => true,
    }
}

/// What the cookie holds.
pub(super) fn session(jar: &CookieJar) -> Option<Secret> {
    jar.get(COOKIE).map(|cookie| Secret::new(cookie.value()))
}

/// The cookie of a session. It ends with the browser or with the session, whichever is first.
pub(super) fn cookie(session: &Secret, app: &App) -> Cookie<'static> {
    Cookie::build((COOKIE, session.expose().to_owned()))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.links.page("").as_ref().map(Url::scheme) == Some("https"))
        .path("/")
        .build()
}

/// The cookie to be taken away.
pub(super) fn no_cookie() -> Cookie<'static> {
    Cookie::build(COOKIE).path("/").build()
}

/// A path of ours to go on to after the sign-in; anything else leads to the first page.
pub(super) fn local(path: &str) -> &str {
    let leads_elsewhere = !path.starts_with('/') || path.starts_with("//") || path.contains('\\');
    let odd = path.len() > LONGEST_NEXT || path.chars().any(|c| c.is_control() || !c.is_ascii());
    if leads_elsewhere || odd { "/" } else { path }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn a_sign_in_leads_on_to_pages_of_ours_only() {
        assert_eq!(local("/reports/1?before=2"), "/reports/1?before=2");
        for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "", "/a\r\nb", "/\t/x"] {
            assert_eq!(local(elsewhere), "/", "{elsewhere:?}");
        }
        assert_eq!(local(&format!("/{}", "x".repeat(600))), "/");
    }
}
