//! What a client is told when something is wrong: `application/problem+json` (RFC 9457). Internals never leave.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::access::Scope;
use crate::account::session::CallError;
use crate::db::StoreError;
use crate::db::batch::NotWritten;
use crate::field::{FieldError, FieldErrors};

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum ApiError {
    /// Who asks is not known.
    Unauthorized,
    /// Who asks may not do that.
    Forbidden(&'static str),
    /// The key of who asks has too little a scope.
    LacksScope { has: Scope, needs: Scope },
    /// There is no such thing.
    NotFound(&'static str),
    /// The thing is there, but cannot be asked for in this way.
    MethodNotAllowed,
    /// Fields are wrong or missing: all of them.
    Invalid(FieldErrors),
    /// The body cannot be read at all.
    Malformed(String),
    /// The body is too large.
    TooLarge,
    /// As things are, it cannot be done.
    Conflict(String),
    /// It is gone.
    Gone(&'static str),
    /// Some of the events asked for were removed; none is missing after this number.
    Removed(i64),
    /// Microsoft did not do it: its own words.
    Upstream(String),
    /// Come back later.
    Busy,
    /// Ours; logged, not told.
    Internal,
}

/// The body of a problem.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(super) struct Problem {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The same for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What it is about this time.
    detail: String,
    /// Of a feed whose next events were removed: none is missing from this number on.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seq: Option<i64>,
    /// Fields that are wrong or missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl ApiError {
    /// One wrong field.
    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(field, message);
        Self::Invalid(errors)
    }

    fn problem(self) -> Problem {
        let first_seq = if let Self::Removed(seq) = self { Some(seq + 1) } else { None };
        let (status, name, title, detail, errors) = match self {
            Self::Unauthorized => (
                401,
                "unauthorized",
                "Unauthorized",
                "send Authorization: Bearer <api key>, with a key of this service that has not been ended".into(),
                Vec::new(),
            ),
            Self::Forbidden(what) => (403, "forbidden", "Forbidden", what.into(), Vec::new()),
            Self::LacksScope { has, needs } => (
                403,
                "forbidden",
                "Forbidden",
                format!("this needs an API key with the scope {}; this one has {}", needs.as_str(), has.as_str()),
                Vec::new(),
            ),
            Self::NotFound(what) => (404, "not-found", "Not found", what.into(), Vec::new()),
            Self::MethodNotAllowed => {
                (405, "method-not-allowed", "Method not allowed", "see /docs for what can be asked".into(), Vec::new())
            }
            Self::Invalid(errors) => (422, "invalid", "Invalid fields", errors.to_string(), errors.0),
            Self::Malformed(what) => (400, "malformed", "Malformed request", what, Vec::new()),
            Self::TooLarge => (413, "too-large", "Too large", "a body may have at most 1 MiB".into(), Vec::new()),
            Self::Conflict(what) => (409, "conflict", "Conflict", what, Vec::new()),
            Self::Gone(what) => (410, "gone", "Gone", what.into(), Vec::new()),
            Self::Removed(seq) => (
                410,
                "events-removed",
                "Events removed",
                format!("events up to number {seq} were removed because of their age; go on with after={seq}"),
                Vec::new(),
            ),
            Self::Upstream(what) => (502, "upstream", "Partner Insights did not do it", what, Vec::new()),
            Self::Busy => (503, "busy", "Busy", "too much is under way; try again".into(), Vec::new()),
            Self::Internal => {
                (500, "internal", "Internal error", "something went wrong here; the log says more".into(), Vec::new())
            }
        };
        Problem { kind: format!("urn:tidings:problem:{name}"), title, status, detail, first_seq, errors }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = self.problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl From<NotWritten> for ApiError {
    fn from(_: NotWritten) -> Self {
        Self::Busy
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<StoreError> for ApiError {
    /// A refused constraint becomes a client's error by its name.
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("accounts_name_key") => Self::field("name", "is taken by another account"),
            Some("reports_account_id_name_key") => Self::field("name", "is taken by another report of this account"),
            Some("queries_account_id_name_key") => Self::field("name", "is taken by another query of this account"),
            Some("queries_account_id_fkey" | "reports_account_id_fkey") if !is_delete(&error) => {
                Self::field("account_id", "names no account")
            }
            Some("queries_account_id_fkey" | "reports_account_id_fkey") => Self::Conflict(
                "the account has reports; retired ones count too, because their files stay here: it can't be removed"
                    .into(),
            ),
            Some("reports_query_id_fkey") if is_delete(&error) => {
                Self::Conflict("a report uses the query, or did before it was retired".into())
            }
            Some("reports_query_id_fkey") => Self::field("query_id", "names no query"),
            Some("registrations_remote_id_key") => Self::Conflict("the report there is one of ours already".into()),
            _ if matches!(error, StoreError::Lost) => {
                Self::Conflict("it changed meanwhile, or its state does not allow that".into())
            }
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                if is_away(&error) { Self::Busy } else { Self::Internal }
            }
        }
    }
}

fn is_delete(error: &StoreError) -> bool {
    // Postgres says "update or delete on table" when the referenced row was to go.
    matches!(error, StoreError::Database(error)
        if error.as_database_error().is_some_and(|error| error.message().starts_with("update or delete")))
}

fn is_away(error: &StoreError) -> bool {
    matches!(error, StoreError::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed))
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Store(error) => error.into(),
            CallError::Waiting(_) | CallError::Api(_) => Self::Upstream(error.to_string()),
        }
    }
}
