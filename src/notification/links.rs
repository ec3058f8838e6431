//! Signed addresses that go out with messages: a file to fetch until it expires, and a way to end a subscription.

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;

use crate::id::{FileId, SubscriptionId};
use crate::secret::Keyring;

/// A shared file can be fetched this long.
pub const SHARE_LIFE: TimeDelta = TimeDelta::days(7);
const SHARE: &str = "share";
const UNSUBSCRIBE: &str = "unsubscribe";

/// Makes and reads signed addresses below our public one.
#[derive(Debug, Clone)]
pub struct Links {
    public_url: Url,
    keyring: Keyring,
    /// Whether the dashboard is reached at the public address too.
    dashboard: bool,
}

impl Links {
    /// Addresses below `public_url`, where the `dashboard` may be too.
    pub fn new(public_url: Url, keyring: Keyring, dashboard: bool) -> Self {
        Self { public_url, keyring, dashboard }
    }

    /// The address of a file, good until `expires_at`.
    pub fn share(&self, file: FileId, expires_at: DateTime<Utc>) -> Url {
        let payload = [&file.0.as_bytes()[..], &expires_at.timestamp().to_be_bytes()].concat();
        self.below(&format!("files/{}", self.keyring.sign(SHARE, &payload)))
    }

    /// The file that a signed text names, and until when it is good.
    pub fn shared(&self, signed: &str) -> Option<(FileId, DateTime<Utc>)> {
        let payload = self.keyring.verify(SHARE, signed)?;
        let (id, seconds) = payload.split_at_checked(16)?;
        let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
        Some((FileId(uuid::Uuid::from_slice(id).ok()?), DateTime::from_timestamp(seconds, 0)?))
    }

    /// The address that ends a subscription.
    pub fn unsubscribe(&self, subscription: SubscriptionId) -> Url {
        self.below(&format!("unsubscribe/{}", self.keyring.sign(UNSUBSCRIBE, subscription.0.as_bytes())))
    }

    /// The subscription that a signed text names.
    pub fn unsubscribed(&self, signed: &str) -> Option<SubscriptionId> {
        let payload = self.keyring.verify(UNSUBSCRIBE, signed)?;
        Some(SubscriptionId(uuid::Uuid::from_slice(&payload).ok()?))
    }

    /// A page of the dashboard, where it can be reached.
    pub fn page(&self, path: &str) -> Option<Url> {
        self.dashboard.then(|| self.below(path))
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.public_url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    #[test]
    fn a_shared_address_names_its_file_and_its_end_and_cannot_be_used_for_more() {
        let keyring = Keyring::parse(&Keyring::generate()).unwrap();
        let links = Links::new("https://t.example/x".parse().unwrap(), keyring, true);
        let end = DateTime::from_timestamp(1_795_154_531, 0).unwrap();
        let file = FileId::at(end);

        let url = links.share(file, end);
        let signed = url.path().strip_prefix("/x/files/").unwrap();

        assert_eq!(links.shared(signed), Some((file, end)));
        assert_eq!(links.unsubscribed(signed), None);
        assert_eq!(links.shared(&signed.to_uppercase()), None);
    }
}
