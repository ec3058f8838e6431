//! The gate in front of the API: throttling and failures of the service come first, then the token is looked at.

use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Json, Response};
use hyper::ext::ReasonPhrase;
use serde_json::json;

use super::envelope::wrapped;
use crate::sandbox::fault::Fault;
use crate::sandbox::handle::Handle;
use crate::sandbox::rules::Refusal;
use crate::sandbox::sign_in::{self, Bearer};
use crate::sandbox::world::{Caller, Program};

const RETRY_AFTER_SECONDS: u32 = 2;
/// Those that are met before the token.
const FAULTS: &[Fault] = &[
    Fault::Throttled,
    Fault::ServerError,
    Fault::FrontDoorError,
    Fault::HtmlError,
    Fault::EmptyError,
    Fault::RequestTimeout,
];
const INVALID_TOKEN: (header::HeaderName, &str) = (header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");

/// Lets a request pass, as its account's, or answers in the place of the API.
pub(super) async fn gate(
    State((handle, program)): State<(Handle, Program)>,
    mut request: Request,
    next: Next,
) -> Response {
    let fault = handle.with(|world| {
        world.counts.api_requests += 1;
        world.faults.first_of(FAULTS)
    });
    if let Some(fault) = fault {
        return failed(fault);
    }
    // The nested router has cut the address.
    let uri = request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().clone(), |uri| uri.0.clone());
    let bearer = match bearer(&handle, program, request.headers()) {
        Ok(bearer) => bearer,
        Err(refused) => return wrapped(&handle, program, &uri, refused.into_response()),
    };
    let asks_for_mfa = is_true(request.headers(), "validatemfa");
    request.extensions_mut().insert(Caller { program, account: bearer.account });
    let mut response = wrapped(&handle, program, &uri, next.run(request).await);
    if asks_for_mfa && bearer.user {
        let answer = HeaderValue::from_static(if bearer.mfa { "true" } else { "false" });
        response.headers_mut().insert("ismfacompliant", answer);
    }
    response
}

fn failed(fault: Fault) -> Response {
    match fault {
        Fault::Throttled => {
            let message = format!("Rate limit is exceeded. Try again in {RETRY_AFTER_SECONDS} seconds.");
            let retry_after = [(header::RETRY_AFTER, RETRY_AFTER_SECONDS.to_string())];
            let body = json!({"statusCode": 429, "message": message});
            (StatusCode::TOO_MANY_REQUESTS, retry_after, Json(body)).into_response()
        }
        Fault::FrontDoorError => front_door(StatusCode::BAD_REQUEST, 2000, "Account Id has to be set."),
        Fault::HtmlError => {
            let page = "<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>";
            (StatusCode::SERVICE_UNAVAILABLE, Html(page)).into_response()
        }
        Fault::EmptyError => StatusCode::BAD_GATEWAY.into_response(),
        Fault::RequestTimeout => {
            let body = json!({"statusCode": 408, "message": "Request timed out."});
            (StatusCode::REQUEST_TIMEOUT, Json(body)).into_response()
        }
        _ => {
            let body = json!({"statusCode": 500, "message": "Internal server error"});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        }
    }
}

/// An error in the shape of what stands before all of Partner Center's addresses.
fn front_door(status: StatusCode, code: u32, description: &str) -> Response {
    let body = json!({"code": code, "description": description, "data": [], "source": "PartnerFD"});
    (status, Json(body)).into_response()
}

/// Why a token does not pass.
enum Refused {
    Unauthorized,
    /// As users without a second factor were refused at first: by a header and the words beside the status.
    MfaChallenge,
    /// As they are refused since 2026.
    MfaCode,
    Forbidden(&'static str),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let refusal = |status, message: &str| Refusal { status, message: message.to_owned() };
        match self {
            Self::Unauthorized => ([INVALID_TOKEN], refusal(StatusCode::UNAUTHORIZED, "Unauthorized")).into_response(),
            Self::MfaChallenge => {
                let mut response = (StatusCode::UNAUTHORIZED, [INVALID_TOKEN]).into_response();
                response.extensions_mut().insert(ReasonPhrase::from_static(b"Unauthorized - MFA required"));
                response
            }
            Self::MfaCode => front_door(StatusCode::UNAUTHORIZED, 900_421, "Unauthorized: MFA is required."),
            Self::Forbidden(message) => refusal(StatusCode::FORBIDDEN, message).into_response(),
        }
    }
}

/// Whose token this is. Refusals of good tokens are faults; the others are the token's own.
fn bearer(handle: &Handle, program: Program, headers: &HeaderMap) -> Result<Bearer, Refused> {
    let bearer = token(headers).and_then(|token| sign_in::read_access(handle, token)).ok_or(Refused::Unauthorized)?;
    let (fault, mfa_demanded) = handle.with(|world| {
        let fault =
            world.faults.first_of(&[Fault::TokenRefused, Fault::Forbidden, Fault::MfaRequired, Fault::Mfa900421]);
        (fault, world.sign_ins.mfa_demanded)
    });
    match fault {
        Some(Fault::MfaRequired) => Err(Refused::MfaChallenge),
        Some(Fault::Mfa900421) => Err(Refused::MfaCode),
        Some(Fault::Forbidden) => Err(Refused::Forbidden("Forbidden")),
        Some(_) => Err(Refused::Unauthorized),
        None if mfa_demanded && bearer.user && !bearer.mfa => Err(Refused::MfaCode),
        None if program == Program::Mpn && !bearer.user && !handle.settings().app_only_mpn => {
            Err(Refused::Forbidden("Forbidden: the token carries no user"))
        }
        None => Ok(bearer),
    }
}

/// The token of either header: with the word before it or, in the undocumented one, without.
fn token(headers: &HeaderMap) -> Option<&str> {
    let named = text(headers, "authorization").and_then(|value| value.split_once(' '));
    if let Some((_, token)) = named.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
        return Some(token.trim());
    }
    text(headers, "x-aaduserticket").map(|value| value.strip_prefix("Bearer ").unwrap_or(value).trim())
}

fn is_true(headers: &HeaderMap, name: &str) -> bool {
    text(headers, name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}
