//! An application's proof by certificate: a JWT that it signed, for this endpoint and for a short time.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use sha2::{Digest, Sha256};

use super::refusal::Refusal;
use crate::sandbox::settings::Account;

/// What `client_assertion_type` must say.
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(serde::Deserialize)]
struct Claims {
    #[serde(default)]
    aud: String,
    #[serde(default)]
    iss: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    exp: i64,
    #[serde(default)]
    nbf: i64,
}

/// Whether a certificate is one that assertions can be checked with.
pub(in crate::sandbox) fn is_certificate(pem: &str) -> bool {
    DecodingKey::from_rsa_pem(pem.as_bytes()).is_ok() && thumbprint(pem).is_some()
}

/// Checks an assertion; `is_audience` knows the addresses that it may be meant for.
pub(super) fn check(
    account: &Account,
    assertion: &str,
    is_audience: impl FnOnce(&str) -> bool,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let bad_signature = |text: &str| Refusal::new("invalid_client", 700_027, text);
    let certificate = account
        .certificate
        .as_deref()
        .ok_or_else(|| bad_signature("Client assertion failed signature validation: no certificate is registered."))?;
    let key = DecodingKey::from_rsa_pem(certificate.as_bytes())
        .map_err(|_| bad_signature("The registered certificate can't be read."))?;
    let header = decode_header(assertion)
        .map_err(|_| Refusal::new("invalid_client", 50027, "JWT token is invalid or malformed."))?;
    if !names_certificate(&header, certificate) {
        return Err(bad_signature(
            "The certificate with the thumbprint of the header ('x5t#S256' or 'x5t') is not registered.",
        ));
    }
    let claims = decode::<Claims>(assertion, &key, &signature_only())
        .map_err(|_| bad_signature("Client assertion contains an invalid signature."))?
        .claims;
    check_claims(&claims, account, is_audience, now)
}

fn check_claims(
    claims: &Claims,
    account: &Account,
    is_audience: impl FnOnce(&str) -> bool,
    now: DateTime<Utc>,
) -> Result<(), Refusal> {
    let refused = |code, text: &str| Err(Refusal::new("invalid_client", code, text));
    let is_client = |text: &str| text.eq_ignore_ascii_case(&account.client_id);
    if !is_client(&claims.iss) || !is_client(&claims.sub) {
        return refused(700_021, "Client assertion's 'iss' and 'sub' must both be the application's identifier.");
    }
    if !is_audience(&claims.aud) {
        return refused(700_023, "Client assertion's audience claim does not match this token endpoint.");
    }
    if claims.exp <= now.timestamp() || claims.nbf > now.timestamp() {
        return refused(700_024, "Client assertion is not within its valid time range.");
    }
    Ok(())
}

/// Its times are those of the sandbox's clock, which the library doesn't know.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.algorithms = vec![Algorithm::RS256, Algorithm::PS256];
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// An `x5t` is a SHA-1, which nothing else here needs: that it is there must do.
fn names_certificate(header: &Header, certificate: &str) -> bool {
    match &header.x5t_s256 {
        Some(named) => thumbprint(certificate).is_some_and(|ours| ours == named.trim_end_matches('=')),
        None => header.x5t.is_some() || header.kid.is_some(),
    }
}

/// The SHA-256 of a PEM's bytes, as a header names it.
fn thumbprint(pem: &str) -> Option<String> {
    let (_, from) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = from.split_once("-----END CERTIFICATE-----")?;
    let der = STANDARD.decode(body.split_whitespace().collect::<String>()).ok()?;
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(der)))
}
