//! The dashboard: every report's whole story, for people who have signed in.
//!
//! Pages are made on the server and work without a script; a small one keeps a story up to date. Nothing is loaded from
//! elsewhere, and the policy sent with every page forbids it. What must hold: no page without a session but the sign-in, no
//! change asked for by another site, no secret on any page. A handler that takes a `guard::Viewer` keeps the first two.

mod accounts;
mod actions;
mod files;
mod guard;
mod live;
mod page;
mod reports;
mod sign_in;
mod step;
mod store;
mod story;
mod text;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::Response;
use axum::routing::{get, post};

use crate::app::App;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const LONGEST_FORM: usize = 4 * 1024;

/// The dashboard's pages, and the page for addresses that nobody has.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(reports::list))
        .route("/reports/{id}", get(reports::show))
        .route("/reports/{id}/timeline", get(reports::timeline))
        .route("/reports/{id}/live", get(live::changes))
        .route("/reports/{id}/check", post(actions::check))
        .route("/reports/{id}/mend", post(actions::mend))
        .route("/reports/{id}/deliveries/{delivery_id}/resend", post(actions::resend))
        .route("/reports/{id}/files/{file_id}", get(files::download))
        .route("/accounts", get(accounts::list))
        .route("/accounts/{id}", get(accounts::show))
        .route("/accounts/{id}/part", get(accounts::part))
        .route("/accounts/{id}/live", get(live::account_changes))
        .route("/accounts/{id}/sign-in", post(accounts::sign_in))
        .route("/sign-in", get(sign_in::form).post(sign_in::by_key))
        .route("/sign-in/{token}", get(sign_in::link).post(sign_in::by_link))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/assets/{name}", get(page::asset))
        .fallback(page::nobodys)
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
        .layer(axum::middleware::map_response(guarded))
}

/// Adds what keeps a page from being framed, sniffed, cached, or from loading anything from elsewhere.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    // With `no-referrer` browsers would send `Origin: null` with our own forms; other sites learn nothing either way.
    set(REFERRER_POLICY, "same-origin");
    set(CACHE_CONTROL, "no-store");
    response
}
