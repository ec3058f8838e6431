//! The frame that every page stands in, the pages for what went wrong, and the files that pages load.
//!
//! Templates are compiled in and escape what they show. An error tells a viewer what to do, and the log what happened.

use std::sync::LazyLock;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::db::StoreError;
use crate::secret::hex;

const STYLE: &str = include_str!("templates/style.css");
const SCRIPT: &str = include_str!("templates/live.js");
const ICON: &str = include_str!("templates/icon.svg");
/// The address of an asset holds a hash of all of them, so a browser may keep it.
const KEEP: &str = "public, max-age=31536000, immutable";

/// Why a page can't be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// Nothing is there.
    #[error("nothing is there")]
    NotFound,
    /// Nobody has signed in; `next` is where to go on after that.
    #[error("nobody has signed in")]
    NotSignedIn {
        /// A path of ours.
        next: String,
    },
    /// Another site asked for a change.
    #[error("another site asked for a change")]
    CrossSite,
    /// It makes no sense as things are.
    #[error("{0}")]
    Conflict(&'static str),
    /// Microsoft did not do it: its own words.
    #[error("{0}")]
    Microsoft(String),
    /// As many live connections as we keep.
    #[error("too many live connections")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A template is broken.
    #[error("failed to lay out a page")]
    Template(#[from] minijinja::Error),
}

/// What an address names; one that can't name anything is nobody's.
#[derive(Debug, FromRequestParts)]
#[from_request(via(Path), rejection(PageError))]
pub(super) struct Named<T>(pub(super) T);

impl From<PathRejection> for PageError {
    fn from(_: PathRejection) -> Self {
        Self::NotFound
    }
}

impl From<sqlx::Error> for PageError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, title, text) = match &self {
            Self::NotSignedIn { next } => {
                let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
                return Redirect::to(&format!("/sign-in?next={next}")).into_response();
            }
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "Nothing here", "There is no page at this address, or what it showed is gone.")
            }
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                "Not asked from here",
                "Your browser says that another site sent this request, so nothing was changed. Go back to the page and \
                 use its own button.",
            ),
            Self::Conflict(why) => (StatusCode::CONFLICT, "Not possible", *why),
            Self::Microsoft(why) => (StatusCode::BAD_GATEWAY, "Microsoft did not do it", why.as_str()),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many live pages",
                "The page works; reload it to see what is new.",
            ),
            Self::Store(_) | Self::Template(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something failed here",
                "The page could not be made. Reports are looked after all the same; try again in a moment. The service's \
                 log says what happened.",
            ),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = &self as &dyn std::error::Error, "failed to show a page of the dashboard");
        }
        let page = context! { title, text, status => status.as_u16() };
        // Without its template the status says enough.
        let page = render("error.html", page).unwrap_or_default();
        (status, Html(page)).into_response()
    }
}

/// A page in its frame, for somebody who has signed in.
pub(super) fn page(app: &App, template: &str, values: Value) -> Result<Response, PageError> {
    let sandbox = app.sandbox_page.as_ref().map(url::Url::as_str);
    let html = render(template, context! { signed_in => true, sandbox, ..values })?;
    Ok(Html(html).into_response())
}

/// A template with its values.
pub(super) fn render(template: &str, values: Value) -> Result<String, minijinja::Error> {
    TEMPLATES.get_template(template)?.render(values)
}

/// Style, script and icon: nothing secret, so nobody has to sign in for them.
pub(super) async fn asset(Named(name): Named<String>) -> Response {
    let (kind, content) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", STYLE),
        "live.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return PageError::NotFound.into_response(),
    };
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, KEEP)], content).into_response()
}

/// The page at addresses that nobody has.
pub(super) async fn nobodys(_: Uri) -> PageError {
    PageError::NotFound
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, source) in [
        ("frame.html", include_str!("templates/frame.html")),
        ("parts.html", include_str!("templates/parts.html")),
        ("sign_in.html", include_str!("templates/sign_in.html")),
        ("link.html", include_str!("templates/link.html")),
        ("reports.html", include_str!("templates/reports.html")),
        ("accounts.html", include_str!("templates/accounts.html")),
        ("account.html", include_str!("templates/account.html")),
        ("account_part.html", include_str!("templates/account_part.html")),
        ("empty.html", include_str!("templates/empty.html")),
        ("report.html", include_str!("templates/report.html")),
        ("story.html", include_str!("templates/story.html")),
        ("error.html", include_str!("templates/error.html")),
    ] {
        templates.add_template(name, source).expect("the embedded templates can be read; tests show each");
    }
    let assets = hex(&Sha256::digest([STYLE, SCRIPT, ICON].concat())[..6]);
    templates.add_global("assets", assets);
    templates
});
