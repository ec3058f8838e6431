//! Signed texts: a payload that anybody may carry and nobody can make.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{KEY_ID_BYTES, Keyring, mac};

/// The id of a key, and a MAC that has only taken up the key derived for a purpose.
type Prepared = ([u8; KEY_ID_BYTES], Hmac<Sha256>);

/// Signs for one purpose, with all that is the same for every text computed beforehand.
#[derive(Clone)]
pub struct Signer {
    keys: Vec<Prepared>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

impl Signer {
    pub(super) fn of(keyring: &Keyring, purpose: &str) -> Self {
        Self { keys: keyring.keys.iter().map(|key| (key.id, mac(&key.derived(purpose), &[]))).collect() }
    }

    /// Signs `payload`, as one URL-safe text: key id, payload, HMAC-SHA256 over both.
    pub fn sign(&self, payload: &[u8]) -> String {
        signed(self.newest(), payload)
    }

    /// The texts that [`Signer::sign`] would have made with each key that is still valid.
    pub fn sign_with_each(&self, payload: &[u8]) -> Vec<String> {
        self.keys.iter().map(|key| signed(key, payload)).collect()
    }

    /// The payload of a text that a key of ours signed; compares in constant time.
    pub fn verify(&self, text: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, rest) = bytes.split_at_checked(KEY_ID_BYTES)?;
        let (payload, tag) = rest.split_at_checked(rest.len().checked_sub(32)?)?;
        // An unknown key is checked against ours all the same, so that its answer takes as long.
        let key = self.keys.iter().find(|(ours, _)| ours == id).unwrap_or_else(|| self.newest());
        key.1.clone().chain_update(id).chain_update(payload).verify_slice(tag).ok()?;
        Some(payload.to_vec())
    }

    fn newest(&self) -> &Prepared {
        self.keys.first().expect("a keyring has at least one key")
    }
}

fn signed((id, mac): &Prepared, payload: &[u8]) -> String {
    let tag = mac.clone().chain_update(id).chain_update(payload).finalize().into_bytes();
    URL_SAFE_NO_PAD.encode([&id[..], payload, &tag].concat())
}
