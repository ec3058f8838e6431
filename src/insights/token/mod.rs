//! Signing in: one request of a token, and what the answer means.
//!
//! Version 1 of the endpoint takes a resource and writes numbers as texts, version 2 takes scopes and writes numbers; both
//! are read alike. We prove which application asks by a secret or by a certificate; some have neither.
//!
//! | what is said | what it means | where it is tried |
//! |---|---|---|
//! | 200 with a token, numbers as texts or numbers | signed in | `account::proof`, `both_versions_of_the_token_endpoint_are_read` |
//! | 400, 401 or 403 with any `error` (50076, 50079, 53003, 65001, 650057, 70008, 700082, 7000215, 7000218, 7000222, 70002, 700016, 90002, 50126, 500011) | a person must mend it | `account::refused`, `every_refusal_that_only_a_person_can_mend_…` |
//! | `temporarily_unavailable`, `server_error`, 408, 5xx, no answer | passes; the account waits longer each time | `a_sign_in_that_is_busy_passes_…` |
//! | 429, or 503 with `Retry-After` | passes; the account waits as long as it says | `a_throttled_account_…` |
//! | `authorization_pending`, `slow_down`, `expired_token`, `authorization_declined` | how a sign-in by code stands | `account::sign_in` |

mod assertion;
mod device;

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use url::Url;

use super::error::Error;
use super::guid;
use super::wire::Fields;
use crate::outbound::{self, Outbound};
use crate::secret::Secret;

pub use assertion::{BadCertificate, Certificate};
pub use device::{DeviceCode, Progress as DeviceProgress, begin_device, poll_device};

/// Whom the token is for.
const RESOURCE: &str = "https://api.partnercenter.microsoft.com";
const USER_SCOPE: &str = "https://api.partnercenter.microsoft.com/user_impersonation offline_access openid";
const APPLICATION_SCOPE: &str = "https://api.partnercenter.microsoft.com/.default";
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Below [`crate::db::LEASE`]: the lease of a renewal must outlast its call.
const TIMEOUT: Duration = Duration::from_secs(20);
const LARGEST_ANSWER: usize = 256 * 1024;
const DEFAULT_LIFE: Duration = Duration::from_secs(3600);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_THROTTLE: Duration = Duration::from_secs(60);
const LONGEST_SAID: usize = 300;

/// Which token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenVersion {
    /// `oauth2/token`, for a resource.
    V1,
    /// `oauth2/v2.0/token`, for scopes.
    V2,
}

/// How we prove which application asks.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// Not at all: a public client.
    None,
    /// By its secret.
    Secret(&'a Secret),
    /// By its certificate.
    Certificate(&'a Certificate),
}

/// Who asks for a token, and where.
#[derive(Debug, Clone, Copy)]
pub struct Application<'a> {
    /// Where sign-in is.
    pub login: &'a Url,
    /// The directory.
    pub tenant: &'a str,
    /// The application.
    pub client_id: &'a str,
    /// How it proves that.
    pub proof: Proof<'a>,
    /// Which endpoint.
    pub version: TokenVersion,
    /// The time now: a certificate's statement is good for minutes.
    pub now: DateTime<Utc>,
}

/// On whose behalf.
#[derive(Debug)]
pub enum Grant<'a> {
    /// On behalf of a user who once signed in; the answer brings the next refresh token.
    RefreshToken(&'a Secret),
    /// As an application.
    ClientCredentials,
    /// With a user's password: legacy, fails as soon as MFA is asked for.
    Password(&'a str, &'a Secret),
    /// On behalf of a user who signs in on another device.
    Device(&'a Secret),
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

/// Asks the application's token endpoint for a token.
pub async fn request_token(
    outbound: &Outbound,
    application: &Application<'_>,
    grant: &Grant<'_>,
) -> Result<Token, Error> {
    let form = application.form(grant);
    let (status, fields) = answer(post(outbound, application.token_endpoint(), &form).await?)?;
    if (200..300).contains(&status) { read(&fields) } else { Err(refusal(status, &fields)) }
}

type Form = Vec<(&'static str, String)>;

impl Application<'_> {
    fn endpoint(&self, path: &str) -> Url {
        let mut url = self.login.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{}/{path}", self.tenant));
        url
    }

    fn token_endpoint(&self) -> Url {
        self.endpoint(match self.version {
            TokenVersion::V1 => "oauth2/token",
            TokenVersion::V2 => "oauth2/v2.0/token",
        })
    }

    fn form(&self, grant: &Grant<'_>) -> Form {
        let mut form = vec![("client_id", self.client_id.to_owned()), ("grant_type", grant.kind().to_owned())];
        match self.version {
            TokenVersion::V1 => form.push(("resource", RESOURCE.into())),
            TokenVersion::V2 => form.push(("scope", grant.scope().into())),
        }
        if self.version == TokenVersion::V1 && !matches!(grant, Grant::ClientCredentials) {
            form.push(("scope", "openid".into()));
        }
        match grant {
            Grant::RefreshToken(token) => form.push(("refresh_token", token.expose().into())),
            Grant::ClientCredentials => {}
            Grant::Password(username, password) => {
                form.extend([("username", (*username).to_owned()), ("password", password.expose().into())]);
            }
            Grant::Device(code) => form.push(("device_code", code.expose().into())),
        }
        match self.proof {
            Proof::None => {}
            Proof::Secret(secret) => form.push(("client_secret", secret.expose().into())),
            Proof::Certificate(certificate) => {
                let assertion = certificate.assertion(self.client_id, &self.token_endpoint(), self.now);
                form.push(("client_assertion_type", ASSERTION_TYPE.into()));
                form.push(("client_assertion", assertion.expose().into()));
            }
        }
        form
    }
}

impl Grant<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::RefreshToken(_) => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Password(..) => "password",
            Self::Device(_) => DEVICE_GRANT,
        }
    }

    fn scope(&self) -> &'static str {
        if matches!(self, Self::ClientCredentials) { APPLICATION_SCOPE } else { USER_SCOPE }
    }
}

type Answer = (u16, HeaderMap, bytes::Bytes);

async fn post(outbound: &Outbound, url: Url, form: &Form) -> Result<Answer, Error> {
    let http = outbound.client(&url).map_err(|refused| Error::refused_address(&refused))?;
    let id = guid();
    let no_answer = |error: &reqwest::Error| Error::no_answer(error, true).traced(&id);
    let request = http.post(url).timeout(TIMEOUT).header("client-request-id", &id).form(form);
    let answer = request.send().await.map_err(|error| no_answer(&error))?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let read = outbound::read_bounded(answer, LARGEST_ANSWER).await;
    Ok((status, headers, read.map_err(|error| no_answer(&error))?.0))
}

/// The status and what was said, unless it was "later".
fn answer((status, headers, body): Answer) -> Result<(u16, Fields), Error> {
    let fields = serde_json::from_slice::<Value>(&body).map(Fields::of).unwrap_or_default();
    match status {
        429 | 503 if status == 429 || headers.contains_key(RETRY_AFTER) => {
            let after = outbound::retry_after(&headers).unwrap_or(DEFAULT_THROTTLE);
            Err(Error::Throttled { after, said: said(&fields) })
        }
        408 | 500..=599 => Err(Error::away(format!("the sign-in answered {status}: {}", said(&fields)))),
        _ => Ok((status, fields)),
    }
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
    match fields.text("error").unwrap_or_default().as_str() {
        "temporarily_unavailable" | "server_error" => Error::away(said(fields)),
        // Codes and texts may change; that a request was refused and not put off is what the status says.
        error if !error.is_empty() && matches!(status, 400 | 401 | 403) => Error::SignInRequired(said(fields)),
        _ => Error::away(format!("the sign-in answered {status}: {}", said(fields))),
    }
}

/// The first line of what the sign-in says, and by what Microsoft finds this call again.
fn said(fields: &Fields) -> String {
    let said = fields.text("error_description").or_else(|| fields.text("error"));
    let said = said.unwrap_or_else(|| "no reason given".into());
    let line: String = said.lines().next().unwrap_or_default().chars().take(LONGEST_SAID).collect();
    let known = |id: &String| id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    match fields.text("correlation_id").filter(known) {
        Some(id) => format!("{line} (correlation {id})"),
        None => line,
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
    fn every_refusal_that_only_a_person_can_mend_is_told_apart_from_what_passes() {
        let refused = |status: u16, kind: &str, code: u32| {
            let said = format!("AADSTS{code}: Why.\r\nTrace ID: 1\r\nCorrelation ID: 2");
            let body = json!({
                "error": kind, "error_description": said, "error_codes": [code], "correlation_id": "0-2",
                "suberror": "basic_action", "claims": "{\"access_token\":{}}", "timestamp": "2026-01-05 08:00:00Z",
            });
            refusal(status, &Fields::of(body))
        };
        for (status, kind, code) in [
            (400, "interaction_required", 50076),
            (400, "invalid_grant", 50076),
            (400, "interaction_required", 50079),
            (401, "invalid_client", 7_000_218),
            (401, "invalid_client", 70002),
            (400, "invalid_resource", 650_057),
            (401, "invalid_client", 7_000_215),
            (401, "invalid_client", 7_000_222),
            (400, "unauthorized_client", 700_016),
            (400, "invalid_request", 90002),
            (400, "invalid_grant", 50126),
            (400, "invalid_grant", 65001),
            (400, "invalid_grant", 70008),
            (400, "invalid_grant", 700_082),
            (400, "invalid_grant", 53003),
            (400, "invalid_resource", 500_011),
            (400, "a word of next year", 1),
        ] {
            let error = refused(status, kind, code);
            let expected = format!("AADSTS{code}: Why. (correlation 0-2)");
            assert!(matches!(&error, Error::SignInRequired(said) if *said == expected), "{kind}: {error}");
        }
        for (status, kind) in [(400, "temporarily_unavailable"), (400, "server_error"), (404, "not_found")] {
            assert!(matches!(refused(status, kind, 90033), Error::Unavailable { reading: true, .. }), "{kind}");
        }
    }

    fn application(version: TokenVersion, login: &Url) -> Application<'_> {
        Application {
            login,
            tenant: "contoso",
            client_id: "app",
            proof: Proof::None,
            version,
            now: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_version_is_asked_at_its_own_address_for_its_own_kind_of_audience() {
        let login: Url = "https://login.example/base/".parse().unwrap();
        let token = Secret::new("r");
        let named =
            |form: &Form, name: &str| form.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());

        let one = application(TokenVersion::V1, &login);
        assert_eq!(one.token_endpoint().as_str(), "https://login.example/base/contoso/oauth2/token");
        let form = one.form(&Grant::RefreshToken(&token));
        assert_eq!(named(&form, "resource").as_deref(), Some(RESOURCE));
        assert_eq!(named(&form, "scope").as_deref(), Some("openid"));

        let two = application(TokenVersion::V2, &login);
        assert_eq!(two.token_endpoint().as_str(), "https://login.example/base/contoso/oauth2/v2.0/token");
        let form = two.form(&Grant::RefreshToken(&token));
        assert_eq!(named(&form, "resource"), None);
        assert!(named(&form, "scope").unwrap().contains("/user_impersonation offline_access"));
        let form = two.form(&Grant::ClientCredentials);
        assert_eq!(named(&form, "scope").as_deref(), Some("https://api.partnercenter.microsoft.com/.default"));
    }
}
