//! Signing in on another device: a person types a short code at Microsoft's page, and we ask meanwhile whether they have.
//!
//! Both calls go to version 2 of the sign-in: version 1 has no device codes. The refresh token that comes is good at both.

use std::time::Duration;

use super::super::error::Error;
use super::super::wire::Fields;
use super::{Application, Grant, Token, TokenVersion, answer, post};
use crate::outbound::Outbound;
use crate::secret::Secret;

const DEFAULT_LIFE: Duration = Duration::from_secs(900);
const LONGEST_LIFE: Duration = Duration::from_secs(3600);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const LONGEST_INTERVAL: Duration = Duration::from_secs(120);
/// What is shown to people is no longer.
const LONGEST_TEXT: usize = 500;

/// A sign-in that waits for a person.
#[derive(Debug)]
pub struct DeviceCode {
    /// What we ask with.
    pub device_code: Secret,
    /// What the person types…
    pub user_code: String,
    /// …and where.
    pub verification_uri: String,
    /// The same as a sentence, in Microsoft's words.
    pub message: String,
    /// How long the code is good.
    pub life: Duration,
    /// How often we may ask.
    pub interval: Duration,
}

/// What became of a sign-in that waits for a person.
#[derive(Debug)]
pub enum Progress {
    /// Nobody has typed the code yet.
    Waiting,
    /// Nobody has, and we are to ask less often: five seconds more each time.
    SlowDown,
    /// Nobody did in time.
    Expired,
    /// The person, or the directory, said no.
    Refused(String),
    /// The person has signed in.
    Done(Token),
}

/// Asks for a code that a person can type.
pub async fn begin_device(outbound: &Outbound, application: &Application<'_>) -> Result<DeviceCode, Error> {
    let application = Application { version: TokenVersion::V2, ..*application };
    let form = vec![
        ("client_id", application.client_id.to_owned()),
        ("scope", Grant::Device(&Secret::default()).scope().to_owned()),
    ];
    let url = application.endpoint("oauth2/v2.0/devicecode");
    let (status, fields) = answer(post(outbound, url, &form).await?)?;
    if !(200..300).contains(&status) {
        return Err(super::refusal(status, &fields));
    }
    read(&fields).ok_or_else(|| Error::Malformed("the sign-in gave no code to type".into()))
}

fn read(fields: &Fields) -> Option<DeviceCode> {
    let shown = |text: String| text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect::<String>();
    let seconds = |name: &str| fields.number(name).and_then(|count| u64::try_from(count).ok()).map(Duration::from_secs);
    let user_code = shown(fields.text("user_code")?);
    // Version 1 and older libraries call it an URL.
    let verification_uri = shown(fields.text("verification_uri").or_else(|| fields.text("verification_url"))?);
    let message = fields
        .text("message")
        .map_or_else(|| format!("To sign in, open {verification_uri} and enter the code {user_code}."), shown);
    Some(DeviceCode {
        device_code: Secret::new(fields.text("device_code")?),
        life: seconds("expires_in").unwrap_or(DEFAULT_LIFE).min(LONGEST_LIFE),
        interval: seconds("interval").unwrap_or(DEFAULT_INTERVAL).clamp(Duration::from_secs(1), LONGEST_INTERVAL),
        user_code,
        verification_uri,
        message,
    })
}

/// Asks whether the person has signed in. An error is trouble that passes.
pub async fn poll_device(
    outbound: &Outbound,
    application: &Application<'_>,
    device_code: &Secret,
) -> Result<Progress, Error> {
    let application = Application { version: TokenVersion::V2, ..*application };
    let form = application.form(&Grant::Device(device_code));
    let (status, fields) = answer(post(outbound, application.token_endpoint(), &form).await?)?;
    if (200..300).contains(&status) {
        return super::read(&fields).map(Progress::Done);
    }
    Ok(match fields.text("error").unwrap_or_default().as_str() {
        "authorization_pending" => Progress::Waiting,
        "slow_down" => Progress::SlowDown,
        "expired_token" | "code_expired" => Progress::Expired,
        _ => match super::refusal(status, &fields) {
            Error::SignInRequired(why) => Progress::Refused(why),
            error => return Err(error),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_code_is_read_with_numbers_as_numbers_and_as_texts_and_kept_within_bounds() {
        for (life, interval) in [(json!(900), json!(5)), (json!("900"), json!("5"))] {
            let code = read(&Fields::of(json!({
                "device_code": "d", "user_code": "ABC", "verification_uri": "https://m.example/device",
                "expires_in": life, "interval": interval,
            })));
            let code = code.unwrap();
            assert_eq!((code.life.as_secs(), code.interval.as_secs()), (900, 5));
            assert_eq!(code.message, "To sign in, open https://m.example/device and enter the code ABC.");
        }
        let odd = json!({
            "device_code": "d", "user_code": "A\r\nB", "verification_url": "u", "expires_in": 1_000_000, "interval": 0,
        });
        let odd = read(&Fields::of(odd)).unwrap();
        assert_eq!((odd.user_code.as_str(), odd.life.as_secs(), odd.interval.as_secs()), ("AB", 3600, 1));
        assert!(read(&Fields::of(json!({"user_code": "A", "verification_uri": "u"}))).is_none());
    }
}
