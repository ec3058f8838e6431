//! The sign-in: access tokens for four grants, in the shapes of both versions of the token endpoint.
//!
//! Version 1 writes numbers as texts and always renews the refresh token of a user; version 2 writes numbers and renews it
//! for `offline_access` only. Access tokens last an hour by the sandbox's clock, refresh tokens 90 idle days.

mod application;
mod assertion;
mod device;
mod grant;
mod refusal;
mod state;
mod token;

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use url::Url;

use self::refusal::Refusal;
use super::fault::Fault;
use super::handle::Handle;
use super::settings::Audience;

pub(super) use assertion::is_certificate;
pub(super) use device::confirm;
pub(super) use state::SignIns;
pub(super) use token::{Bearer, read_access};

const RESOURCE: &str = "https://api.partnercenter.microsoft.com";
/// Which clients of old, and Microsoft's samples, ask for in its place.
const OLD_RESOURCES: &[&str] = &["https://graph.windows.net", "https://graph.ppe.windows.net"];
const MAX_BODY: usize = 64 * 1024;
/// Those that are met once the application has proved itself.
const FAULTS: &[Fault] = &[
    Fault::SignInRequired,
    Fault::MfaRegistration,
    Fault::SignInBlocked,
    Fault::ConsentMissing,
    Fault::ResourceMissing,
    Fault::GrantExpired,
    Fault::RefreshTokenIdle,
    Fault::SecretExpired,
    Fault::ClientRefused,
];

/// Both versions of the token endpoint, and device codes.
pub(super) fn router(handle: Handle) -> Router {
    Router::new()
        .route("/{tenant}/oauth2/token", post(version_1))
        .route("/{tenant}/oauth2/v2.0/token", post(version_2))
        .route("/{tenant}/oauth2/v2.0/devicecode", post(device_code))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(handle)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Where a question came in.
struct Endpoint {
    version: Version,
    tenant: String,
    /// The name that the client called us by.
    host: String,
}

impl Endpoint {
    fn new(version: Version, tenant: String, headers: &HeaderMap) -> Self {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self { version, tenant, host: host.to_owned() }
    }

    /// Whether an address is the token endpoint's, in either version.
    fn is(&self, handle: &Handle, address: &str) -> bool {
        let Ok(url) = Url::parse(address) else { return false };
        let ours = [self.host.as_str(), handle.url().authority()];
        let path = url.path().trim_matches('/');
        ours.contains(&url.authority())
            && ["oauth2/token", "oauth2/v2.0/token"].iter().any(|end| path == format!("{}/{end}", self.tenant))
    }
}

/// The form of a question: names in lower case, all values trimmed.
struct Form(HashMap<String, String>);

impl Form {
    fn read(body: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(body);
        Self(pairs.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect())
    }

    /// A value; empty when it is missing.
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn scopes(&self) -> impl Iterator<Item = &str> {
        self.text("scope").split_whitespace()
    }
}

async fn version_1(
    State(handle): State<Handle>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    sign_in(&handle, &Endpoint::new(Version::One, tenant, &headers), &Form::read(&body))
}

async fn version_2(
    State(handle): State<Handle>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    sign_in(&handle, &Endpoint::new(Version::Two, tenant, &headers), &Form::read(&body))
}

async fn device_code(
    State(handle): State<Handle>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let endpoint = Endpoint::new(Version::Two, tenant, &headers);
    device::begin(&handle, &endpoint, &Form::read(&body)).unwrap_or_else(|refusal| refusal.answer(&handle))
}

fn sign_in(handle: &Handle, endpoint: &Endpoint, form: &Form) -> Response {
    match granted(handle, endpoint, form) {
        Ok(granted) => Json(token::answer(handle, endpoint.version, &granted)).into_response(),
        Err(refusal) => refusal.answer(handle),
    }
}

fn granted(handle: &Handle, endpoint: &Endpoint, form: &Form) -> Result<grant::Granted, Refusal> {
    let busy = handle.with(|world| {
        world.counts.token_requests += 1;
        world.faults.take(Fault::SignInBusy)
    });
    if busy {
        return Err(Refusal::named(Fault::SignInBusy));
    }
    let accounts = application::proven(handle, endpoint, form)?;
    check_audience(handle, endpoint.version, form)?;
    match handle.with(|world| world.faults.first_of(FAULTS)) {
        Some(fault) => Err(Refusal::named(fault)),
        None => grant::check(handle, &accounts, form),
    }
}

fn check_audience(handle: &Handle, version: Version, form: &Form) -> Result<(), Refusal> {
    match version {
        Version::One if !audiences(handle).any(|known| form.text("resource").trim_end_matches('/') == known) => {
            let text = format!("The resource principal named '{}' was not found.", form.text("resource"));
            Err(Refusal::new("invalid_resource", 500_011, text))
        }
        // A device code and a refresh token know their scopes already.
        Version::Two if grant::knows_its_scope(form) && form.text("scope").is_empty() => Ok(()),
        Version::Two if form.text("grant_type") == "client_credentials" => check_default_scope(handle, form),
        Version::Two => check_scopes(handle, form),
        Version::One => Ok(()),
    }
}

/// Whom a token may be asked for.
fn audiences(handle: &Handle) -> impl Iterator<Item = &'static str> {
    let old = if handle.settings().audience == Audience::Any { OLD_RESOURCES } else { &[] };
    std::iter::once(RESOURCE).chain(old.iter().copied())
}

fn check_scopes(handle: &Handle, form: &Form) -> Result<(), Refusal> {
    let text = "The provided value for the input parameter 'scope' is not valid.";
    let known = form.scopes().any(|scope| audiences(handle).any(|known| scope.starts_with(known)));
    known.then_some(()).ok_or_else(|| Refusal::new("invalid_scope", 70011, text))
}

/// An application has the rights that it was given, all of them.
fn check_default_scope(handle: &Handle, form: &Form) -> Result<(), Refusal> {
    check_scopes(handle, form)?;
    let text = "Client credential flows must have a scope value with /.default suffixed to the resource identifier.";
    let known = form.text("scope").trim_end().ends_with("/.default");
    known.then_some(()).ok_or_else(|| Refusal::new("invalid_scope", 1_002_012, text))
}
