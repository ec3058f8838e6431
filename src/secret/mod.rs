//! Secrets: values that no log, error or page can show, sealed when they rest.
//!
//! A [`Secret`] has no `Display` and no `Serialize`; [`Secret::expose`] is easy to search for. The [`Keyring`] holds the
//! service's keys: the first seals and signs, all of them open and verify, and each purpose uses a key of its own that is
//! derived from them, so that a signature made for one thing is worth nothing for another.

mod signer;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use rand::Rng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub use signer::Signer;

const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;

/// A text that must not be shown. Compare with [`Secret::matches`], in constant time.
#[derive(Clone, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for the wire and for sealing, nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is the same text, taking the same time whatever differs.
    pub fn matches(&self, other: &Secret) -> bool {
        let (ours, theirs) = (Sha256::digest(&self.0), Sha256::digest(&other.0));
        ours.ct_eq(&theirs).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

/// A secret as it rests in the database: key id, nonce, ciphertext.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

/// What [`Keyring::reseal`] made.
#[derive(Debug)]
pub struct Resealed {
    /// The secret, sealed with the newest key.
    pub sealed: Sealed,
    /// The print beside it.
    pub print: Option<Vec<u8>>,
}

/// Why a sealed value could not be opened, or a key not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The text is no list of base64 keys of 32 bytes.
    #[error("expected 32 bytes as base64, or several such keys with commas between them")]
    BadKey,
    /// No key of ours made this, or it was changed since, or it belongs elsewhere.
    #[error("sealed with a key that TIDINGS_SECRET_KEY does not hold, or damaged")]
    CannotOpen,
}

#[derive(Clone)]
struct Key {
    id: [u8; KEY_ID_BYTES],
    bytes: [u8; KEY_BYTES],
}

impl Key {
    fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let digest = mac(&bytes, &[b"key id"]).finalize().into_bytes();
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Self { id, bytes }
    }

    fn derived(&self, purpose: &str) -> [u8; KEY_BYTES] {
        mac(&self.bytes, &[b"tidings/", purpose.as_bytes()]).finalize().into_bytes().into()
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// The service's keys, newest first.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<Key>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} keys)", self.keys.len())
    }
}

impl Keyring {
    /// Reads one or more base64 keys with commas between them; the first signs and seals.
    pub fn parse(text: &Secret) -> Result<Self, SecretError> {
        let keys = text
            .expose()
            .split(',')
            .map(|part| {
                let bytes = STANDARD.decode(part.trim()).map_err(|_| SecretError::BadKey)?;
                Ok(Key::new(bytes.try_into().map_err(|_| SecretError::BadKey)?))
            })
            .collect::<Result<Vec<_>, SecretError>>()?;
        Ok(Self { keys })
    }

    /// The base64 text of a fresh random key.
    pub fn generate() -> Secret {
        Secret::new(STANDARD.encode(random_bytes::<KEY_BYTES>()))
    }

    fn newest(&self) -> &Key {
        self.keys.first().expect("parse leaves at least one key")
    }

    fn by_id(&self, id: &[u8]) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The id of the key that seals and signs, as it stands at the head of what it sealed.
    pub fn newest_id(&self) -> &[u8] {
        &self.newest().id
    }

    /// The ids (hex) of all keys, newest first; an id tells nothing of its key.
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| hex(&key.id)).collect()
    }

    /// Each key's id (hex) and a value that only its holder can compute: how a database notices a wrong key.
    pub fn check_values(&self) -> Vec<(String, Vec<u8>)> {
        self.keys.iter().map(|key| (hex(&key.id), key.derived("check value").to_vec())).collect()
    }

    /// Seals a secret for rest; `place` (table, column, id) must be given again to open it.
    pub fn seal(&self, place: &str, secret: &Secret) -> Sealed {
        let key = self.newest();
        let nonce = random_bytes::<NONCE_BYTES>();
        let cipher = XChaCha20Poly1305::new(&key.derived("seal").into());
        let payload = Payload { msg: secret.expose().as_bytes(), aad: place.as_bytes() };
        let text = cipher.encrypt(&XNonce::from(nonce), payload).expect("a secret is far below the cipher's limit");
        Sealed([&key.id[..], &nonce, &text].concat())
    }

    /// Opens what [`Keyring::seal`] made for the same place.
    pub fn open(&self, place: &str, sealed: &Sealed) -> Result<Secret, SecretError> {
        let (id, rest) = sealed.0.split_at_checked(KEY_ID_BYTES).ok_or(SecretError::CannotOpen)?;
        let (nonce, text) = rest.split_at_checked(NONCE_BYTES).ok_or(SecretError::CannotOpen)?;
        let key = self.by_id(id).ok_or(SecretError::CannotOpen)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| SecretError::CannotOpen)?;
        let cipher = XChaCha20Poly1305::new(&key.derived("seal").into());
        let plain = cipher
            .decrypt(&XNonce::from(nonce), Payload { msg: text, aad: place.as_bytes() })
            .map_err(|_| SecretError::CannotOpen)?;
        String::from_utf8(plain).map(Secret).map_err(|_| SecretError::CannotOpen)
    }

    /// What rests under an older key, sealed with the newest; and the print that is kept beside it, made anew with the newest
    /// key where it is one of this secret.
    pub fn reseal(&self, place: &str, rests: &Sealed, print: Option<&[u8]>) -> Result<Resealed, SecretError> {
        let secret = self.open(place, rests)?;
        let is_of_it = |print: &&[u8]| self.fingerprints(&secret).iter().any(|known| known == print);
        let anew = print.filter(is_of_it).map(|_| self.fingerprint(&secret));
        Ok(Resealed { sealed: self.seal(place, &secret), print: anew.or_else(|| print.map(<[u8]>::to_vec)) })
    }

    /// A keyed hash of a value as it was given, so that the same value again can be told from a new one.
    pub fn fingerprint(&self, secret: &Secret) -> Vec<u8> {
        fingerprint(self.newest(), secret)
    }

    /// The [`Keyring::fingerprint`] by each key, newest first: one that was kept may have been made by an older key.
    pub fn fingerprints(&self, secret: &Secret) -> Vec<Vec<u8>> {
        self.keys.iter().map(|key| fingerprint(key, secret)).collect()
    }

    /// Signs `payload` for one purpose; see [`Signer::sign`].
    pub fn sign(&self, purpose: &str, payload: &[u8]) -> String {
        self.signer(purpose).sign(payload)
    }

    /// The payload of a text that was signed for this purpose; see [`Signer::verify`].
    pub fn verify(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        self.signer(purpose).verify(text)
    }

    /// Signs for one purpose again and again.
    pub fn signer(&self, purpose: &str) -> Signer {
        Signer::of(self, purpose)
    }
}

fn fingerprint(key: &Key, secret: &Secret) -> Vec<u8> {
    mac(&key.derived("fingerprint"), &[secret.expose().as_bytes()]).finalize().into_bytes().to_vec()
}

/// The id (hex) of the key that a signed text names; what is no such text may name any.
pub fn key_named_by(signed: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(signed).ok()?;
    bytes.get(..KEY_ID_BYTES).map(hex)
}

/// Random bytes of the operating system's generator.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A random token of 256 bits after a prefix that tells what it is for.
pub fn random_token(prefix: &str) -> Secret {
    Secret::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>())))
}

/// SHA-256 of a secret: how keys and sessions of 256 random bits are kept.
pub fn digest(secret: &Secret) -> Vec<u8> {
    Sha256::digest(secret.expose()).to_vec()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(keys: &[Secret]) -> Keyring {
        let text: Vec<&str> = keys.iter().map(Secret::expose).collect();
        Keyring::parse(&Secret::new(text.join(","))).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_in_its_place_only() {
        let keys = keyring(&[Keyring::generate()]);

        let sealed = keys.seal("accounts:secret:1", &Secret::new("s3cret"));

        assert_eq!(keys.open("accounts:secret:1", &sealed).unwrap().expose(), "s3cret");
        assert!(keys.open("accounts:secret:2", &sealed).is_err());
    }

    #[test]
    fn an_old_key_still_opens_and_verifies_and_a_removed_one_does_not() {
        let (old, new) = (Keyring::generate(), Keyring::generate());
        let before = keyring(std::slice::from_ref(&old));
        let sealed = before.seal("place", &Secret::new("x"));
        let signed = before.sign("callback", b"payload");

        let rotated = keyring(&[new.clone(), old]);
        let removed = keyring(&[new]);

        assert_eq!(rotated.open("place", &sealed).unwrap().expose(), "x");
        assert_eq!(rotated.verify("callback", &signed).unwrap(), b"payload");
        assert!(removed.open("place", &sealed).is_err());
        assert!(removed.verify("callback", &signed).is_none());
    }

    #[test]
    fn a_value_is_known_again_after_its_key_was_replaced() {
        let (old, new) = (Keyring::generate(), Keyring::generate());
        let kept = keyring(std::slice::from_ref(&old)).fingerprint(&Secret::new("given"));

        let rotated = keyring(&[new, old]);

        assert!(rotated.fingerprints(&Secret::new("given")).contains(&kept));
        assert!(!rotated.fingerprints(&Secret::new("other")).contains(&kept));
        assert_eq!(rotated.fingerprints(&Secret::new("given"))[0], rotated.fingerprint(&Secret::new("given")));
    }

    #[test]
    fn what_was_resealed_needs_the_old_key_no_more() {
        let (old, new) = (Keyring::generate(), Keyring::generate());
        let (before, given) = (keyring(std::slice::from_ref(&old)), Secret::new("given"));
        let (rests, print) = (before.seal("place", &given), before.fingerprint(&given));
        let rotated = keyring(&[new.clone(), old]);

        let done = rotated.reseal("place", &rests, Some(&print)).unwrap();
        let other = rotated.reseal("place", &rests, Some(b"print of another")).unwrap();

        let alone = keyring(&[new]);
        assert_eq!(alone.open("place", &done.sealed).unwrap().expose(), "given");
        assert_eq!(done.print, Some(alone.fingerprint(&given)));
        assert_eq!(other.print.as_deref(), Some(&b"print of another"[..]));
        assert!(alone.reseal("place", &rests, None).is_err());
    }

    #[test]
    fn a_signed_text_names_its_key() {
        let keys = keyring(&[Keyring::generate()]);

        assert_eq!(key_named_by(&keys.sign("callback", b"payload")), keys.ids().pop());
        assert_eq!(key_named_by("no signed text"), None);
    }

    #[test]
    fn a_signature_is_worth_nothing_for_another_purpose_or_when_changed() {
        let keys = keyring(&[Keyring::generate()]);
        let signed = keys.sign("callback", b"payload");

        assert!(keys.verify("share", &signed).is_none());
        for at in 0..signed.len() {
            let mut forged = signed.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(forged == signed || keys.verify("callback", &forged).is_none(), "byte {at}");
        }
        assert!(keys.verify("callback", "").is_none());
    }

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let secret = Secret::new("hunter2");

        assert_eq!(format!("{secret:?} {:?}", Sealed(vec![1])), "[secret] [sealed]");
    }
}
