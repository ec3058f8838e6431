//! What an answer of the API means when it is not what we asked for.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::Value;

use super::wire::{Envelope, Fields};
use crate::outbound;
use crate::retry::Failure;

const LONGEST_TEXT: usize = 500;
const DEFAULT_THROTTLE: Duration = Duration::from_secs(60);
const MFA_CODE: i64 = 900_421;
const NO_MFA: &str = "the API wants a sign-in with multi-factor authentication";

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
    #[error("the API is throttling; it asked to wait {} s: {said}", after.as_secs())]
    Throttled {
        /// How long to wait.
        after: Duration,
        /// Its own words.
        said: String,
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
    #[error("the API is not available: {why}")]
    Unavailable {
        /// What was seen.
        why: String,
        /// Whether nothing was to be changed, so that the fault is the service's: a creation may fail for a bad date.
        reading: bool,
        /// Whether it took too long.
        timed_out: bool,
    },
    /// The test of a query took too long: that says nothing, neither of the query nor of the service.
    #[error("the API was not ready in time: {0}")]
    TimedOut(String),
    /// A limit that the API has per user is reached; it was not asked.
    #[error("{0}")]
    Quota(String),
    /// An answer that cannot be read.
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
}

impl Error {
    /// There was no answer.
    pub(super) fn no_answer(error: &reqwest::Error, reading: bool) -> Self {
        Self::Unavailable { why: outbound::describe(error), reading, timed_out: error.is_timeout() }
    }

    /// The service says that it cannot answer now.
    pub(super) fn away(why: String) -> Self {
        Self::Unavailable { why, reading: true, timed_out: false }
    }

    /// The same, where a query was tried that may take longer than the API waits.
    pub(super) fn of_a_test(self) -> Self {
        match self {
            Self::Unavailable { why, timed_out: true, .. } => Self::TimedOut(why),
            other => other,
        }
    }

    /// The same with what Microsoft finds the call by.
    pub(super) fn traced(mut self, correlation: &str) -> Self {
        let text = match &mut self {
            Self::Unauthorized(text)
            | Self::SignInRequired(text)
            | Self::NotFound(text)
            | Self::Malformed(text)
            | Self::TimedOut(text)
            | Self::Quota(text)
            | Self::Throttled { said: text, .. }
            | Self::Refused { message: text, .. }
            | Self::Unavailable { why: text, .. } => text,
        };
        text.push_str(" (correlation ");
        text.push_str(correlation);
        text.push(')');
        self
    }

    pub(super) fn refused_address(refused: &outbound::Refused) -> Self {
        Self::Refused { status: 0, message: format!("its address {refused}") }
    }

    /// Whether and when it makes sense to try again.
    pub fn failure(&self) -> Failure {
        let text = self.to_string();
        match self {
            Self::Throttled { after, .. } => Failure::transient(text).after(Some(*after)),
            Self::Refused { .. } | Self::NotFound(_) | Self::Quota(_) => Failure::permanent(text),
            Self::Unauthorized(_)
            | Self::SignInRequired(_)
            | Self::Unavailable { .. }
            | Self::TimedOut(_)
            | Self::Malformed(_) => Failure::transient(text),
        }
    }
}

/// Reads an answer, by its HTTP status and by the envelope's own, which may differ. `reading` tells whether nothing was to
/// be changed; `reason` is the phrase of the status line, where it is not the usual one.
pub(super) fn judge(
    status: StatusCode,
    reason: &[u8],
    headers: &HeaderMap,
    body: &[u8],
    reading: bool,
) -> Result<Envelope, Error> {
    let fields = serde_json::from_slice::<Value>(body).map(Fields::of);
    let inner = fields.as_ref().ok().and_then(|fields| fields.number("statuscode")).unwrap_or(0);
    let status = match u16::try_from(inner) {
        Ok(inner @ 400..=599) if status.is_success() => inner,
        _ => status.as_u16(),
    };
    let said = || message(fields.as_ref().ok(), body, headers);
    match status {
        200..=299 => match fields {
            Ok(fields) => Ok(Envelope::read(fields, headers)),
            Err(error) => Err(Error::Malformed(error.to_string())),
        },
        401 if asks_for_sign_in(fields.as_ref().ok(), reason, headers, body) => {
            Err(Error::SignInRequired(if body.is_empty() { NO_MFA.into() } else { said() }))
        }
        401 => Err(Error::Unauthorized(said())),
        404 => Err(Error::NotFound(said())),
        429 | 503 if status == 429 || headers.contains_key(RETRY_AFTER) => {
            let after = outbound::retry_after(headers).unwrap_or(DEFAULT_THROTTLE);
            Err(Error::Throttled { after, said: said() })
        }
        // Nothing is moved there for good: somebody stands in front of it.
        300..=399 | 408 | 500..=599 => {
            let timed_out = matches!(status, 408 | 504);
            Err(Error::Unavailable { why: format!("{status}: {}", said()), reading, timed_out })
        }
        _ => Err(Error::Refused { status, message: said() }),
    }
}

/// Whether a refusal of the token is one that only a person can mend. It is said in many places: the body, a header, and,
/// by older versions of the API, the status line alone.
fn asks_for_sign_in(fields: Option<&Fields>, reason: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let code = fields.and_then(|fields| fields.number("code").or_else(|| fields.number("errorcode")));
    let header = headers.get(WWW_AUTHENTICATE).map_or(&[][..], |value| value.as_bytes());
    // Without the words of the status line, which newer versions of HTTP have not, there is nothing but this.
    let says_nothing_more = body.is_empty() && String::from_utf8_lossy(header).contains("invalid_token");
    code == Some(MFA_CODE)
        || says_nothing_more
        || [reason, header, &body[..body.len().min(2000)]].into_iter().any(|text| {
            let text = String::from_utf8_lossy(text).to_ascii_lowercase();
            ["900421", "mfa required", "insufficient_claims", "interaction_required"]
                .iter()
                .any(|word| text.contains(word))
        })
}

fn message(fields: Option<&Fields>, body: &[u8], headers: &HeaderMap) -> String {
    let named = |fields: &Fields| {
        ["message", "description", "error_description", "error"].iter().find_map(|name| fields.text(name))
    };
    let named = fields.and_then(|fields| named(fields).or_else(|| named(&fields.inner("error"))));
    let said = named.unwrap_or_else(|| match headers.get("content-type").and_then(|value| value.to_str().ok()) {
        Some(kind) if kind.starts_with("text/plain") => String::from_utf8_lossy(body).trim().to_owned(),
        _ => String::new(),
    });
    let said: String = said.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
    if said.is_empty() { "no reason given".to_owned() } else { said }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn judged(status: u16, body: &str) -> Result<Envelope, Error> {
        judge(StatusCode::from_u16(status).unwrap(), b"", &HeaderMap::new(), body.as_bytes(), true)
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

    #[test]
    fn a_token_without_mfa_is_told_apart_from_one_that_ran_out_wherever_that_is_said() {
        let judged = |reason: &str, header: &'static str, body: &str| {
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(header))]);
            judge(StatusCode::UNAUTHORIZED, reason.as_bytes(), &headers, body.as_bytes(), true).unwrap_err()
        };
        for (reason, header, body) in [
            ("Unauthorized - MFA required", r#"Bearer error="invalid_token""#, ""),
            ("", r#"Bearer error="invalid_token""#, ""),
            ("", r#"Bearer error="insufficient_claims", claims="e30=""#, ""),
            ("", r#"Bearer error="interaction_required""#, ""),
            ("", "Bearer", r#"{"code":"900421","description":"Not allowed"}"#),
            ("", "Bearer", r#"{"errorCode":900421}"#),
            ("", "Bearer", "Error 900421"),
            ("", "Bearer", r#"{"description":"Authentication failed. MFA required. (10001)"}"#),
        ] {
            let error = judged(reason, header, body);
            assert!(matches!(error, Error::SignInRequired(_)), "{reason} {header} {body}: {error}");
        }
        let ran_out = judged("", r#"Bearer error="invalid_token""#, r#"{"statusCode":401,"message":"Unauthorized"}"#);
        assert!(matches!(ran_out, Error::Unauthorized(_)), "{ran_out}");
    }

    #[test]
    fn what_passes_is_told_apart_from_what_is_to_be_waited_for() {
        let wait = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("17"))]);
        let none = HeaderMap::new();
        let judged =
            |status, headers| judge(StatusCode::from_u16(status).unwrap(), b"", headers, b"", true).unwrap_err();
        for status in [302, 408, 500, 502, 503, 504] {
            let error = judged(status, &none);
            assert!(matches!(error, Error::Unavailable { reading: true, .. }), "{status}: {error}");
        }
        for status in [429, 503] {
            let error = judged(status, &wait);
            assert!(matches!(error, Error::Throttled { after, .. } if after.as_secs() == 17), "{status}: {error}");
        }
    }

    #[test]
    fn what_a_call_is_found_by_stands_in_every_error() {
        for (status, body) in [(400, ""), (401, ""), (401, "900421"), (404, ""), (429, ""), (503, ""), (200, "odd")] {
            let text = judged(status, body).unwrap_err().traced("0-1-2").to_string();
            assert!(text.ends_with("(correlation 0-1-2)"), "{status}: {text}");
        }
    }
}
