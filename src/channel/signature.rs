//! Signatures of outgoing webhooks, as Standard Webhooks 1.0 describes them (`v1`: HMAC-SHA256).
//!
//! What is signed are the very bytes that are sent. A secret is shown as `whsec_` and base64; an empty or short one would
//! make every signature forgeable and is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::{Secret, random_bytes};

const PREFIX: &str = "whsec_";
const GENERATED_BYTES: usize = 32;
/// What the specification allows for a secret.
const ALLOWED_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The secret can't sign anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ followed by 24 to 64 bytes as base64")]
pub struct BadSecret;

/// A fresh secret of 256 random bits.
pub fn generate() -> Secret {
    Secret::new(format!("{PREFIX}{}", STANDARD.encode(random_bytes::<GENERATED_BYTES>())))
}

/// Whether a secret can be used to sign.
pub fn check(secret: &Secret) -> Result<(), BadSecret> {
    key(secret).map(|_| ())
}

/// The value of `webhook-signature`: one signature per secret, so that a receiver may hold the old one or the new one.
pub fn sign(secrets: &[Secret], id: &str, at: DateTime<Utc>, body: &[u8]) -> Result<String, BadSecret> {
    let signatures: Vec<String> = (secrets.iter())
        .map(|secret| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).map_err(|_| BadSecret)?;
            mac.update(format!("{id}.{}.", at.timestamp()).as_bytes());
            mac.update(body);
            Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        })
        .collect::<Result<_, _>>()?;
    if signatures.is_empty() { Err(BadSecret) } else { Ok(signatures.join(" ")) }
}

fn key(secret: &Secret) -> Result<Vec<u8>, BadSecret> {
    let text = secret.expose().strip_prefix(PREFIX).ok_or(BadSecret)?;
    let key = STANDARD.decode(text).map_err(|_| BadSecret)?;
    if ALLOWED_BYTES.contains(&key.len()) { Ok(key) } else { Err(BadSecret) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const SECOND: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ARRIVED: &str = r#"{"type":"report.arrived","timestamp":"2026-11-20T06:02:11Z","data":{"report":"daily-sales","period":"2026-11-19","rows":12431}}"#;

    fn signed(secrets: &[&str], id: &str, at: i64, body: &str) -> String {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        sign(&secrets, id, DateTime::from_timestamp(at, 0).unwrap(), body.as_bytes()).unwrap()
    }

    #[test]
    fn signatures_equal_those_of_the_reference_libraries() {
        #[rustfmt::skip]
        let vectors = [
            (FIRST, "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553,
             r#"{"email":"test@example.com","username":"test_user"}"#, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
            (SECOND, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330,
             r#"{"test": 2432232314}"#, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            (FIRST, "msg_rpt_0001", 1_795_154_531, ARRIVED, "v1,C7x7JH5jzJb7Bd8pAmHZtRAocSNMtnaz0ppfiaFiCVE="),
            (SECOND, "msg_rpt_0001", 1_795_154_531, ARRIVED, "v1,UMixUiXecAtYdoiSgPTn2PfDC2mY/CNr6zWbyuVECnE="),
            (FIRST, "msg_rpt_0002", 1_795_154_531,
             r#"{"report":"Übersicht — Größe"}"#, "v1,Na8KjrLMXA/FHnq4whF9KhiYFHHvHe59uuPFSFTqC58="),
        ];
        for (secret, id, at, body, expected) in vectors {
            assert_eq!(signed(&[secret], id, at, body), expected, "{id}");
        }
    }

    #[test]
    fn during_a_rotation_both_secrets_sign() {
        assert_eq!(
            signed(&[FIRST, SECOND], "msg_rpt_0001", 1_795_154_531, ARRIVED),
            "v1,C7x7JH5jzJb7Bd8pAmHZtRAocSNMtnaz0ppfiaFiCVE= v1,UMixUiXecAtYdoiSgPTn2PfDC2mY/CNr6zWbyuVECnE="
        );
    }

    #[test]
    fn empty_short_and_malformed_secrets_are_refused() {
        for secret in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64!", &SECOND[6..]] {
            assert_eq!(check(&Secret::new(secret)), Err(BadSecret), "{secret}");
        }
        assert_eq!(sign(&[], "id", DateTime::UNIX_EPOCH, b""), Err(BadSecret));
        assert_eq!(check(&generate()), Ok(()));
        assert!(!generate().matches(&generate()));
    }
}
