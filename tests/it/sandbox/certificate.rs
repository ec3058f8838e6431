//! Sign-in of an application by its certificate.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use sha2::{Digest, Sha256};
use tidings::clock::Clock;
use tidings::sandbox::{Account, Settings, start};

use super::{Setup, taken_apart};

#[tokio::test]
async fn an_assertion_signed_for_the_certificate_takes_the_secrets_place() {
    let (certificate, key) = certificate();
    let setup = Setup::with(with(&certificate)).await;
    let now = setup.clock.now().timestamp();
    let client_id = setup.sandbox.world.account(0).client_id.clone();
    let audience = setup.url(&format!("{}/oauth2/v2.0/token", setup.sandbox.world.account(0).tenant));
    let good = json!({"aud": audience, "iss": client_id, "sub": client_id, "exp": now + 600, "nbf": now, "jti": "1"});
    for (algorithm, changes, code) in [
        (Algorithm::RS256, json!({}), None),
        (Algorithm::PS256, json!({}), None),
        (Algorithm::RS256, json!({"aud": "https://elsewhere.example/token"}), Some(700_023)),
        (Algorithm::RS256, json!({"iss": "other"}), Some(700_021)),
        (Algorithm::RS256, json!({"exp": now}), Some(700_024)),
        (Algorithm::RS384, json!({}), Some(700_027)),
    ] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let header = Header { x5t_s256: Some(thumbprint(&certificate)), ..Header::new(algorithm) };
        let assertion = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        let form = [
            ("client_secret", ""),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.as_str()),
        ];

        let (status, answer) = taken_apart(setup.sign_in("oauth2/v2.0/token", &form).await).await;

        match code {
            None => assert_eq!(status, 200, "{answer}"),
            Some(code) => assert_eq!(answer["error_codes"], json!([code]), "{changes}"),
        }
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_refused_at_the_start() {
    let settings = with("no certificate");

    let refused = start(settings, Clock::system()).await.unwrap_err();

    assert_eq!(refused.to_string(), "a certificate must be one of an RSA key, as PEM");
}

/// A certificate of a fresh key, made by the machine's own `openssl`, and that key.
fn certificate() -> (String, EncodingKey) {
    let directory = tempfile::tempdir().unwrap();
    let (key, certificate) = (directory.path().join("key.pem"), directory.path().join("certificate.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=sandbox", "-days", "1"])
        .args([std::ffi::OsStr::new("-keyout"), key.as_os_str(), std::ffi::OsStr::new("-out"), certificate.as_os_str()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = EncodingKey::from_rsa_pem(&std::fs::read(key).unwrap()).unwrap();
    (std::fs::read_to_string(certificate).unwrap(), key)
}

fn thumbprint(pem: &str) -> String {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    URL_SAFE_NO_PAD.encode(Sha256::digest(STANDARD.decode(body).unwrap()))
}

fn with(certificate: &str) -> Settings {
    let account = Account { certificate: Some(certificate.to_owned()), ..Account::default() };
    Settings { accounts: vec![account], ..Settings::default() }
}
