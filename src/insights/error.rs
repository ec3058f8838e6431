//! What an answer of the API means when it is not what we asked for.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::wire::{Envelope, Fields};
use crate::outbound;
use crate::retry::Failure;

const LONGEST_TEXT: usize = 500;
const DEFAULT_THROTTLE: Duration = Duration::from_secs(60);
const MFA_CODE: i64 = 900_421;

/// Why a call of the API, or of its sign-in, failed. No variant holds a token or a link.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The token was not taken; a new one may be.
    #[error("the API did not take the token: {0}")]
    Unauthorized(String),
    /// A person must sign in again: MFA, a revoked or expired grant, a wrong secret. Repeating cannot help.
    #[error("sign-in is required: {0}")]
    SignInRequired(String),
    /// What we named is not there.
    #[error("not found there: {0}")]
    NotFound(String),
    /// Too many calls; wait.
    #[error("the API is throttling; it asked to wait {} s", after.as_secs())]
    Throttled {
        /// How long to wait.
        after: Duration,
    },
    /// The API understood and refused. Its own words.
    #[error("the API refused ({status}): {message}")]
    Refused {
        /// The status, of the envelope or of HTTP.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// No answer, or one that says "later".
    #[error("the API is not available: {0}")]
    Unavailable(String),
    /// No answer in time.
    #[error("the API is not available: {0}")]
    TimedOut(String),
    /// A limit that the API has per user is reached; it was not asked.
    #[error("{0}")]
    Quota(String),
    /// An answer that cannot be read.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
}

impl Error {
    pub(super) fn unavailable(error: &reqwest::Error) -> Self {
        let said = outbound::describe(error);
        if error.is_timeout() { Self::TimedOut(said) } else { Self::Unavailable(said) }
    }

    pub(super) fn refused_address(refused: &outbound::Refused) -> Self {
        Self::Refused { status: 0, message: format!("its address {refused}") }
    }

    /// Whether and when it makes sense to try again.
    pub fn failure(&self) -> Failure {
        let text = self.to_string();
        match self {
            Self::Throttled { after } => Failure::transient(text).after(Some(*after)),
            Self::Refused { .. } | Self::NotFound(_) | Self::Quota(_) => Failure::permanent(text),
            Self::Unauthorized(_)
            | Self::SignInRequired(_)
            | Self::Unavailable(_)
            | Self::TimedOut(_)
            | Self::Malformed(_) => Failure::transient(text),
        }
    }
}

/// Reads an answer, by its HTTP status and by the envelope's own, which may differ.
pub(super) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    correlation: &str,
) -> Result<Envelope, Error> {
    let fields = serde_json::from_slice::<Value>(body).map(Fields::of);
    let inner = fields.as_ref().ok().and_then(|fields| fields.number("statuscode")).unwrap_or(0);
    let status = match u16::try_from(inner) {
        Ok(inner @ 400..=599) if status.is_success() => inner,
        _ => status.as_u16(),
    };
    let said = || message(fields.as_ref().ok(), body, headers, correlation);
    match status {
        200..=299 => match fields {
            Ok(fields) => Ok(Envelope::read(fields)),
            Err(error) => Err(Error::Malformed(format!("{error} (correlation {correlation})"))),
        },
        401 if asks_for_sign_in(fields.as_ref().ok(), headers, body) => Err(Error::SignInRequired(said())),
        401 => Err(Error::Unauthorized(said())),
        404 => Err(Error::NotFound(said())),
        429 => Err(Error::Throttled { after: outbound::retry_after(headers).unwrap_or(DEFAULT_THROTTLE) }),
        408 | 504 => Err(Error::TimedOut(format!("{status}: {}", said()))),
        500..=599 => Err(Error::Unavailable(format!("{status}: {}", said()))),
        _ => Err(Error::Refused { status, message: said() }),
    }
}

fn asks_for_sign_in(fields: Option<&Fields>, headers: &HeaderMap, body: &[u8]) -> bool {
    let code = fields.and_then(|fields| fields.number("code").or_else(|| fields.number("errorcode")));
    let words = String::from_utf8_lossy(&body[..body.len().min(2000)]);
    code == Some(MFA_CODE)
        || words.contains("900421")
        || words.contains("MFA required")
        || headers.get("www-authenticate").and_then(|value| value.to_str().ok()).is_some_and(|value| {
            value.contains("MFA") || value.contains("insufficient_claims") || value.contains("interaction_required")
        })
}

fn message(fields: Option<&Fields>, body: &[u8], headers: &HeaderMap, correlation: &str) -> String {
    let named = |fields: &Fields| {
        ["message", "description", "error_description", "error"].iter().find_map(|name| fields.text(name))
    };
    let named = fields.and_then(|fields| named(fields).or_else(|| named(&fields.inner("error"))));
    let said = named.unwrap_or_else(|| match headers.get("content-type").and_then(|value| value.to_str().ok()) {
        Some(kind) if kind.starts_with("text/plain") => String::from_utf8_lossy(body).trim().to_owned(),
        _ => String::new(),
    });
    let said: String = said.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
    let said = if said.is_empty() { "no reason given".to_owned() } else { said };
    format!("{said} (correlation {correlation})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<Envelope, Error> {
        judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), "c")
    }

    #[test]
    fn an_envelope_that_says_no_under_200_is_an_error() {
        let error = judged(200, r#"{"value":[],"StatusCode":"400","Message":"Invalid QueryID"}"#).unwrap_err();

        assert!(matches!(error, Error::Refused { status: 400, ref message } if message.contains("Invalid QueryID")));
    }

    #[test]
    fn every_shape_of_error_is_read() {
        let cases = [
            (404, r#"{"value":[],"message":"No item found with given filters."}"#, "not found"),
            (429, r#"{"statusCode":429,"message":"Rate limit is exceeded."}"#, "throttling"),
            (400, r#"{"code":2000,"description":"Account Id has to be set."}"#, "Account Id has to be set."),
            (401, r#"{"code":900421,"description":"MFA"}"#, "sign-in is required"),
            (400, r#"{"error":{"code":"BadRequest","Message":"No."}}"#, "No."),
            (401, "", "did not take the token"),
            (504, "", "not available"),
            (503, "<html>busy</html>", "not available"),
            (200, "<html>hello</html>", "cannot be read"),
        ];
        for (status, body, expected) in cases {
            let text = judged(status, body).unwrap_err().to_string();
            assert!(text.contains(expected), "{status}: {text}");
        }
    }
}
