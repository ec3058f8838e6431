//! A certificate in the place of a client secret: a signed statement that we hold its key.
//!
//! The statement is a JWT as Entra wants it: PS256, the certificate named by its thumbprints, good for ten minutes and for
//! one token endpoint. A PEM that holds no certificate, no RSA key, or a key of another certificate is refused when it is
//! read, in words that show nothing of it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use url::Url;

use super::super::guid;
use crate::secret::Secret;

const LIFE: TimeDelta = TimeDelta::minutes(10);
/// The clocks of others differ a little from ours.
const SKEW: TimeDelta = TimeDelta::minutes(1);
const LEAST_KEY_BITS: usize = 2048;

/// Why a PEM can't be signed in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// There is no certificate in it.
    #[error("must hold a certificate as PEM")]
    NoCertificate,
    /// There is no private key in it, or one of another kind.
    #[error("must hold the certificate's RSA private key as PEM, without a passphrase")]
    NoKey,
    /// Keys below 2048 bits are not taken.
    #[error("must hold a key of at least 2048 bits")]
    Weak,
    /// The key is that of another certificate.
    #[error("holds a private key that does not belong to its certificate")]
    NotAPair,
}

/// A certificate with its private key.
#[derive(Debug)]
pub struct Certificate {
    der: CertificateDer<'static>,
    key: RsaKeyPair,
}

impl Certificate {
    /// Reads the first certificate and the first private key of a PEM, in any order.
    pub fn read(pem: &Secret) -> Result<Self, BadCertificate> {
        let pem = pem.expose().as_bytes();
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| BadCertificate::NoCertificate)?;
        let key = match PrivateKeyDer::from_pem_slice(pem).map_err(|_| BadCertificate::NoKey)? {
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(BadCertificate::NoKey),
        };
        let certificate = Self { der, key: key.map_err(|_| BadCertificate::NoKey)? };
        if certificate.key.public_modulus_len() * 8 < LEAST_KEY_BITS {
            return Err(BadCertificate::Weak);
        }
        certificate.check_pair()?;
        Ok(certificate)
    }

    /// What the key signs must be good by the certificate.
    fn check_pair(&self) -> Result<(), BadCertificate> {
        let text = b"one pair";
        let public = webpki::EndEntityCert::try_from(&self.der).map_err(|_| BadCertificate::NoCertificate)?;
        let kind = webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY;
        public.verify_signature(kind, text, &self.sign(text)).map_err(|_| BadCertificate::NotAPair)
    }

    /// States to `audience`, a token endpoint, that we are the application `client_id`.
    pub(super) fn assertion(&self, client_id: &str, audience: &Url, now: DateTime<Utc>) -> Secret {
        let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest(algorithm, &self.der));
        let header = json!({
            "alg": "PS256", "typ": "JWT",
            "x5t": thumbprint(&SHA1_FOR_LEGACY_USE_ONLY), "x5t#S256": thumbprint(&SHA256),
        });
        let claims = json!({
            "aud": audience.as_str(), "iss": client_id, "sub": client_id, "jti": guid(),
            "nbf": (now - SKEW).timestamp(), "iat": now.timestamp(), "exp": (now + LIFE - SKEW).timestamp(),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(text.as_bytes()));
        Secret::new(format!("{text}.{signature}"))
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text, &mut signature);
        signed.expect("a key of 2048 bits has room for any PSS signature");
        signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate with its key, each as PEM.
    fn made() -> (String, String) {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let made = rcgen::CertificateParams::new(vec!["tidings".into()]).unwrap().self_signed(&key).unwrap();
        (made.pem(), key.serialize_pem())
    }

    fn read(parts: &[&str]) -> Result<Certificate, BadCertificate> {
        Certificate::read(&Secret::new(parts.concat()))
    }

    #[test]
    fn a_pem_holds_a_certificate_and_its_own_key_in_any_order() {
        let ((certificate, key), (_, other)) = (made(), made());

        assert!(read(&[&certificate, &key]).is_ok());
        assert!(read(&[&key, &certificate]).is_ok());
        assert_eq!(read(&[&key]).unwrap_err(), BadCertificate::NoCertificate);
        assert_eq!(read(&[&certificate]).unwrap_err(), BadCertificate::NoKey);
        assert_eq!(read(&[&certificate, &other]).unwrap_err(), BadCertificate::NotAPair);
        let curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        assert_eq!(read(&[&certificate, &curve]).unwrap_err(), BadCertificate::NoKey);
    }

    #[test]
    fn an_assertion_is_signed_and_good_for_one_endpoint_and_at_most_ten_minutes() {
        let (certificate, key) = made();
        let certificate = read(&[&certificate, &key]).unwrap();
        let now: DateTime<Utc> = "2026-01-05T08:00:00Z".parse().unwrap();
        let at: Url = "https://login.example/contoso/oauth2/v2.0/token".parse().unwrap();

        let assertion = certificate.assertion("app", &at, now);

        let parts: Vec<&str> = assertion.expose().split('.').collect();
        let bytes = |at: usize| URL_SAFE_NO_PAD.decode(parts[at]).unwrap();
        let value = |at: usize| serde_json::from_slice::<Value>(&bytes(at)).unwrap();
        let (header, claims) = (value(0), value(1));
        assert_eq!(header["alg"], "PS256");
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate.der));
        assert_eq!(header["x5t#S256"], thumbprint.as_str());
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("app"), &json!("app")));
        assert_eq!(claims["aud"], at.as_str());
        let seconds = |name: &str| claims[name].as_i64().unwrap() - now.timestamp();
        assert!(seconds("nbf") <= 0 && seconds("exp") - seconds("nbf") <= 600, "{claims}");
        let text = format!("{}.{}", parts[0], parts[1]);
        let public = webpki::EndEntityCert::try_from(&certificate.der).unwrap();
        let kind = webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY;
        assert!(public.verify_signature(kind, text.as_bytes(), &bytes(2)).is_ok());
        assert_ne!(assertion.expose(), certificate.assertion("app", &at, now).expose());
    }
}
