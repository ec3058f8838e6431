//! Refusals of the sign-in, in the shape that Entra gives all of them.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

use crate::sandbox::fault::Fault;
use crate::sandbox::handle::Handle;

/// Why no token is given.
#[derive(Debug)]
pub(super) struct Refusal {
    error: &'static str,
    code: u32,
    text: String,
}

impl Refusal {
    pub(super) fn new(error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Self { error, code, text: text.into() }
    }

    pub(super) fn bad_grant(text: &str) -> Self {
        Self::new("invalid_grant", 70000, text)
    }

    pub(super) fn mfa() -> Self {
        Self::named(Fault::SignInRequired)
    }

    pub(super) fn idle_refresh_token() -> Self {
        Self::named(Fault::RefreshTokenIdle)
    }

    pub(super) fn expired_secret() -> Self {
        Self::named(Fault::SecretExpired)
    }

    /// The refusal that a fault asks for.
    pub(super) fn named(fault: Fault) -> Self {
        let (error, code, text) = match fault {
            Fault::MfaRegistration => (
                "interaction_required",
                50079,
                "Due to a configuration change made by your administrator, or because you moved to a new location, you \
                 must enroll in multi-factor authentication.",
            ),
            Fault::SignInBlocked => {
                ("interaction_required", 53003, "Access has been blocked by Conditional Access policies.")
            }
            Fault::ConsentMissing => {
                ("invalid_grant", 65001, "The user or administrator has not consented to use the application.")
            }
            Fault::ResourceMissing => (
                "invalid_resource",
                650_057,
                "The client has requested access to a resource which is not listed in the requested permissions in the \
                 client's application registration.",
            ),
            Fault::GrantExpired => {
                ("invalid_grant", 70008, "The provided authorization code or refresh token has expired.")
            }
            Fault::RefreshTokenIdle => (
                "invalid_grant",
                700_082,
                "The refresh token has expired due to inactivity: it was not used for 90.00:00:00.",
            ),
            Fault::SecretExpired => {
                ("invalid_client", 7_000_222, "The provided client secret keys for the application are expired.")
            }
            Fault::ClientRefused => (
                "invalid_client",
                70002,
                "The request body must contain the following parameter: 'client_secret or client_assertion'.",
            ),
            Fault::SignInBusy => {
                ("temporarily_unavailable", 90033, "A transient error has occurred. Please try again.")
            }
            _ => (
                "interaction_required",
                50076,
                "Due to a configuration change made by your administrator, or because you moved to a new location, you \
                 must use multi-factor authentication to access the resource.",
            ),
        };
        Self::new(error, code, text)
    }

    pub(super) fn answer(self, handle: &Handle) -> Response {
        let (trace_id, correlation_id) = handle.with(|world| (world.ids.next(), world.ids.next()));
        let timestamp = handle.now().format("%Y-%m-%d %H:%M:%SZ").to_string();
        let description = format!(
            "AADSTS{}: {}\r\nTrace ID: {trace_id}\r\nCorrelation ID: {correlation_id}\r\nTimestamp: {timestamp}",
            self.code, self.text
        );
        let status = match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut body = json!({
            "error": self.error,
            "error_description": description,
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
        });
        if self.error == "interaction_required" {
            body["suberror"] = json!("basic_action");
            body["claims"] = json!(r#"{"access_token":{"capolids":{"essential":true,"values":["sandbox"]}}}"#);
        }
        (status, Json(body)).into_response()
    }
}
