//! Signing in: one request of a token, and what the answer means.
//!
//! Version 1 of the endpoint writes numbers as texts, version 2 as numbers; both are read.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::error::Error;
use super::wire::Fields;
use crate::outbound::{self, Outbound};
use crate::secret::Secret;

/// Whom the token is for.
const RESOURCE: &str = "https://api.partnercenter.microsoft.com";
/// Below [`crate::db::LEASE`]: the lease of a renewal must outlast its call.
const TIMEOUT: Duration = Duration::from_secs(20);
const LARGEST_ANSWER: usize = 256 * 1024;
const DEFAULT_LIFE: Duration = Duration::from_secs(3600);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How we prove who we are.
#[derive(Debug)]
pub enum Grant<'a> {
    /// On behalf of a user who once signed in; the answer brings the next refresh token.
    RefreshToken(&'a Secret),
    /// As an application.
    ClientCredentials,
    /// With a user's password: legacy, fails as soon as MFA is asked for.
    Password(&'a str, &'a Secret),
}

/// What signing in gives.
#[derive(Debug)]
pub struct Token {
    /// Goes with every call.
    pub access: Secret,
    /// How long it is good.
    pub life: Duration,
    /// The next refresh token: to be kept before the access token is used.
    pub refresh: Option<Secret>,
}

/// Asks `{login}/{tenant}/oauth2/token` for a token.
pub async fn request_token(
    outbound: &Outbound,
    login: &Url,
    tenant: &str,
    client: (&str, Option<&Secret>),
    grant: &Grant<'_>,
) -> Result<Token, Error> {
    let mut url = login.clone();
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/{tenant}/oauth2/token"));
    let http = outbound.client(&url).map_err(|refused| Error::refused_address(&refused))?;
    let request = http.post(url).timeout(TIMEOUT).form(&form(client, grant));
    let answer = request.send().await.map_err(|error| Error::unavailable(&error))?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let (body, _) = outbound::read_bounded(answer, LARGEST_ANSWER).await.map_err(|error| Error::unavailable(&error))?;
    let fields = serde_json::from_slice::<Value>(&body).map(Fields::of).unwrap_or_default();
    match status {
        200..=299 => read(&fields),
        429 => Err(Error::Throttled { after: outbound::retry_after(&headers).unwrap_or(Duration::from_secs(60)) }),
        408 | 500..=599 => Err(Error::Unavailable(format!("the sign-in answered {status}"))),
        _ => Err(refusal(status, &fields)),
    }
}

fn form<'a>((id, secret): (&'a str, Option<&'a Secret>), grant: &'a Grant<'_>) -> Vec<(&'static str, &'a str)> {
    let mut form = vec![("resource", RESOURCE), ("client_id", id)];
    if let Some(secret) = secret {
        form.push(("client_secret", secret.expose()));
    }
    match grant {
        Grant::RefreshToken(token) => {
            form.extend([("grant_type", "refresh_token"), ("refresh_token", token.expose()), ("scope", "openid")]);
        }
        Grant::ClientCredentials => form.push(("grant_type", "client_credentials")),
        Grant::Password(username, password) => {
            form.extend([("grant_type", "password"), ("username", username), ("scope", "openid")]);
            form.push(("password", password.expose()));
        }
    }
    form
}

pub(super) fn read(fields: &Fields) -> Result<Token, Error> {
    let access = fields.text("access_token").ok_or_else(|| Error::Malformed("the sign-in gave no token".into()))?;
    let life = fields.number("expires_in").and_then(|seconds| u64::try_from(seconds).ok());
    Ok(Token {
        access: Secret::new(access),
        life: life.map_or(DEFAULT_LIFE, Duration::from_secs).min(LONGEST_LIFE),
        refresh: fields.text("refresh_token").map(Secret::new),
    })
}

/// Everything that only a person can mend is a matter of signing in again: a revoked or expired grant, MFA, a wrong or
/// expired secret, an unknown application.
pub(super) fn refusal(status: u16, fields: &Fields) -> Error {
    let kind = fields.text("error").unwrap_or_default();
    let said = fields.text("error_description").unwrap_or_else(|| kind.clone());
    let said: String = said.lines().next().unwrap_or_default().chars().take(300).collect();
    let person = matches!(
        kind.as_str(),
        "interaction_required"
            | "invalid_grant"
            | "invalid_client"
            | "unauthorized_client"
            | "consent_required"
            | "login_required"
            | "invalid_resource"
    );
    match kind.as_str() {
        "temporarily_unavailable" | "server_error" => Error::Unavailable(said),
        _ if person || matches!(status, 400 | 401 | 403) => Error::SignInRequired(said),
        _ => Error::Unavailable(format!("the sign-in answered {status}: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_versions_of_the_token_endpoint_are_read() {
        for answer in [
            json!({"access_token": "a", "expires_in": "3599", "expires_on": "1795154531", "refresh_token": "r"}),
            json!({"access_token": "a", "expires_in": 3599, "refresh_token": "r"}),
        ] {
            let token = read(&Fields::of(answer)).unwrap();

            assert_eq!(token.access.expose(), "a");
            assert_eq!(token.life, Duration::from_secs(3599));
            assert_eq!(token.refresh.unwrap().expose(), "r");
        }
    }

    #[test]
    fn what_only_a_person_can_mend_is_told_apart_from_what_passes() {
        let refused =
            |kind: &str| refusal(400, &Fields::of(json!({"error": kind, "error_description": "AADSTS1: x\r\nTrace"})));

        assert!(matches!(refused("interaction_required"), Error::SignInRequired(said) if said == "AADSTS1: x"));
        assert!(matches!(refused("invalid_grant"), Error::SignInRequired(_)));
        assert!(matches!(refused("temporarily_unavailable"), Error::Unavailable(_)));
    }
}
