//! The sign-in: access tokens for three grants, in the shapes of both versions of the token endpoint.
//!
//! Version 1 writes numbers as texts and always renews the refresh token of a user; version 2 writes numbers and renews it
//! for `offline_access` only. Old refresh tokens stay good. Access tokens last an hour by the sandbox's clock. They carry
//! their own end and a signature, so that none of them is kept.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::fault::Fault;
use super::handle::Handle;
use super::world::new_id;
use crate::secret::{Keyring, Secret, random_bytes};

const RESOURCE: &str = "https://api.partnercenter.microsoft.com";
const LIFETIME_SECONDS: i64 = 3600;
const MAX_BODY: usize = 64 * 1024;
const ACCESS: &str = "sandbox access token";
const REFRESH: &str = "sandbox refresh token";

/// Both versions of the token endpoint.
pub(super) fn router(handle: Handle) -> Router {
    Router::new()
        .route("/{tenant}/oauth2/token", post(version_1))
        .route("/{tenant}/oauth2/v2.0/token", post(version_2))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(handle)
}

/// Whether the sign-in gave this access token, less than an hour ago.
pub(super) fn accepts(keys: &Keyring, token: &str, now: DateTime<Utc>) -> bool {
    let Some(payload) = keys.verify(ACCESS, token) else { return false };
    let until = payload.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
    until.is_some_and(|until| now.timestamp() < until)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Whom the token speaks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Application,
    User,
}

type Form = HashMap<String, String>;

async fn version_1(State(handle): State<Handle>, Path(tenant): Path<String>, body: Bytes) -> Response {
    sign_in(&handle, Version::One, &tenant, &body)
}

async fn version_2(State(handle): State<Handle>, Path(tenant): Path<String>, body: Bytes) -> Response {
    sign_in(&handle, Version::Two, &tenant, &body)
}

fn sign_in(handle: &Handle, version: Version, tenant: &str, body: &[u8]) -> Response {
    let form: Form = url::form_urlencoded::parse(body)
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    handle.with(|world| world.counts.token_requests += 1);
    let checked = check_application(handle, tenant, &form)
        .and_then(|()| check_audience(version, &form))
        .and_then(|()| check_grant(handle, &form));
    match checked {
        Ok(subject) => Json(tokens(handle, version, subject, &form)).into_response(),
        Err(refusal) => refusal.answer(handle.now()),
    }
}

fn check_application(handle: &Handle, tenant: &str, form: &Form) -> Result<(), Refusal> {
    let settings = handle.settings();
    if !tenant.eq_ignore_ascii_case(&settings.tenant) {
        return Err(Refusal::new("invalid_request", 90002, format!("Tenant '{tenant}' not found.")));
    }
    let client_id = field(form, "client_id");
    if !client_id.eq_ignore_ascii_case(&settings.client_id) {
        let text = format!("Application with identifier '{client_id}' was not found in the directory.");
        return Err(Refusal::new("unauthorized_client", 700_016, text));
    }
    let secret = field(form, "client_secret");
    if secret.is_empty() {
        let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        return Err(Refusal::new("invalid_client", 7_000_218, text));
    }
    if !settings.client_secret.matches(&Secret::new(secret)) {
        return Err(Refusal::new("invalid_client", 7_000_215, "Invalid client secret provided."));
    }
    Ok(())
}

fn check_audience(version: Version, form: &Form) -> Result<(), Refusal> {
    match version {
        Version::One if field(form, "resource").trim_end_matches('/') != RESOURCE => {
            let text = format!("The resource principal named '{}' was not found.", field(form, "resource"));
            Err(Refusal::new("invalid_resource", 500_011, text))
        }
        Version::Two if !scopes(form).any(|scope| scope.starts_with(RESOURCE)) => Err(Refusal::new(
            "invalid_scope",
            70011,
            "The provided value for the input parameter 'scope' is not valid.",
        )),
        _ => Ok(()),
    }
}

fn check_grant(handle: &Handle, form: &Form) -> Result<Subject, Refusal> {
    let settings = handle.settings();
    if handle.with(|world| world.faults.take(Fault::SignInRequired)) {
        let text = "Due to a configuration change made by your administrator, or because you moved to a new location, \
                    you must use multi-factor authentication to access the resource.";
        return Err(Refusal::new("interaction_required", 50076, text));
    }
    match field(form, "grant_type") {
        "client_credentials" => Ok(Subject::Application),
        "refresh_token" => {
            let token = field(form, "refresh_token");
            let first = settings.refresh_token.matches(&Secret::new(token));
            let known = first || handle.keys().verify(REFRESH, token).is_some();
            let refusal = || Refusal::new("invalid_grant", 70000, "The provided grant is invalid or malformed.");
            known.then_some(Subject::User).ok_or_else(refusal)
        }
        "password" => {
            let known = field(form, "username").eq_ignore_ascii_case(&settings.username)
                && settings.password.matches(&Secret::new(field(form, "password")));
            let refusal = || Refusal::new("invalid_grant", 50126, "Error validating credentials.");
            known.then_some(Subject::User).ok_or_else(refusal)
        }
        _ => Err(Refusal::new("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")),
    }
}

fn tokens(handle: &Handle, version: Version, subject: Subject, form: &Form) -> Value {
    let now = handle.now().timestamp();
    let until = now + LIFETIME_SECONDS;
    let payload = [&until.to_be_bytes()[..], &random_bytes::<16>()].concat();
    let mut answer = json!({"token_type": "Bearer", "access_token": handle.keys().sign(ACCESS, &payload)});
    let mut add = |name: &str, value: Value| answer[name] = value;
    let lifetime = LIFETIME_SECONDS - 1;
    match version {
        Version::One => {
            add("expires_in", json!(lifetime.to_string()));
            add("ext_expires_in", json!(lifetime.to_string()));
            add("expires_on", json!(until.to_string()));
            add("not_before", json!(now.to_string()));
            add("resource", json!(RESOURCE));
        }
        Version::Two => {
            add("expires_in", json!(lifetime));
            add("ext_expires_in", json!(lifetime));
        }
    }
    if subject == Subject::User {
        add("scope", json!("user_impersonation"));
        if version == Version::One || scopes(form).any(|scope| scope == "offline_access") {
            add("refresh_token", json!(handle.keys().sign(REFRESH, &random_bytes::<32>())));
        }
    }
    answer
}

fn field<'a>(form: &'a Form, name: &str) -> &'a str {
    form.get(name).map_or("", String::as_str)
}

fn scopes(form: &Form) -> impl Iterator<Item = &str> {
    field(form, "scope").split_whitespace()
}

/// A refusal in the shape that Entra gives all of them.
struct Refusal {
    error: &'static str,
    code: u32,
    text: String,
}

impl Refusal {
    fn new(error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Self { error, code, text: text.into() }
    }

    fn answer(self, now: DateTime<Utc>) -> Response {
        let (trace_id, correlation_id) = (new_id(), new_id());
        let timestamp = now.format("%Y-%m-%d %H:%M:%SZ").to_string();
        let description = format!(
            "AADSTS{}: {}\r\nTrace ID: {trace_id}\r\nCorrelation ID: {correlation_id}\r\nTimestamp: {timestamp}",
            self.code, self.text
        );
        let status = if self.error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        let body = json!({
            "error": self.error,
            "error_description": description,
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
        });
        (status, Json(body)).into_response()
    }
}
