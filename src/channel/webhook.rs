//! The signed webhook: one POST as Standard Webhooks 1.0 describes it.
//!
//! Only 2xx is a success; a redirect is a failure and is not followed. What a receiver calls malformed today it may take
//! after its next release, so such an answer is marked but tried again.

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::call::{self, Answer};
use super::{Class, Message, Refusal, Sent, signature};
use crate::outbound::Outbound;
use crate::secret::Secret;

/// Sends the message's payload, signed with each of `secrets` at this moment.
pub(super) async fn send(
    outbound: &Outbound,
    url: &Secret,
    secrets: &[Secret],
    message: &Message,
    now: DateTime<Utc>,
) -> Result<Sent, Refusal> {
    let body = message.payload.to_string().into_bytes();
    let headers = headers(secrets, message, now, &body)?;
    judge(&call::post(outbound, url, headers, body).await?)
}

fn headers(secrets: &[Secret], message: &Message, now: DateTime<Utc>, body: &[u8]) -> Result<HeaderMap, Refusal> {
    let ours =
        |error: &dyn std::fmt::Display| Refusal::new(Class::Ours, format!("could not sign the webhook: {error}"));
    let signature = signature::sign(secrets, &message.id, now, body).map_err(|error| ours(&error))?;
    let values = [
        ("webhook-id", message.id.clone()),
        ("webhook-timestamp", now.timestamp().to_string()),
        ("webhook-signature", signature),
    ];
    let mut headers = call::json();
    for (name, value) in values {
        headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).map_err(|error| ours(&error))?);
    }
    Ok(headers)
}

fn judge(answer: &Answer) -> Result<Sent, Refusal> {
    match answer.status {
        200..=299 => Ok(answer.sent()),
        410 => Err(answer.refused(Class::Gone)),
        400 | 413 | 415 | 422 => {
            let mut refusal = answer.refused(Class::Payload);
            refusal.failure.kind = crate::retry::Kind::Transient;
            Err(refusal)
        }
        _ => Err(answer.refused(Class::Retry)),
    }
}
