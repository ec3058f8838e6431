//! The address that the API calls: `{public_url}/callbacks/{token}`.
//!
//! The token is the report's id under an HMAC of the service's key, so that the door can check it without the database and
//! nobody can guess one. It is a secret: only its tail is shown, and it is not stored. Old keys stay valid until removed.

use url::{Host, Url};

use crate::id::ReportId;
use crate::outbound::{Guard, is_public};
use crate::secret::{Keyring, Signer, key_named_by};

const PURPOSE: &str = "callback";

/// Makes and reads callback addresses.
#[derive(Debug, Clone)]
pub struct Addresses {
    public_url: Url,
    signer: Signer,
    guard: Guard,
}

impl Addresses {
    /// Addresses below `public_url`.
    pub fn new(public_url: Url, keyring: &Keyring, guard: Guard) -> Self {
        Self { public_url, signer: keyring.signer(PURPOSE), guard }
    }

    /// The address for a report, if an API at `api` could reach us there: from outside the allowed networks that takes a
    /// public https address.
    pub fn for_report(&self, report: ReportId, api: &Url) -> Option<Url> {
        self.reachable_from(api).then(|| self.address(&self.signer.sign(report.0.as_bytes())))
    }

    /// Whether an API at `api` could reach us.
    pub fn reachable_from(&self, api: &Url) -> bool {
        self.guard.is_inside(api) || is_public_https(&self.public_url)
    }

    /// Whether `address` is ours for this report, made with any key that is still valid.
    pub fn is_ours(&self, address: &str, report: ReportId) -> bool {
        let tokens = self.signer.sign_with_each(report.0.as_bytes());
        tokens.iter().any(|token| address.trim_end_matches('/') == self.address(token).as_str())
    }

    /// The report whose token this is.
    pub fn report_of(&self, token: &str) -> Option<ReportId> {
        let payload = self.signer.verify(token)?;
        Some(ReportId(uuid::Uuid::from_slice(&payload).ok()?))
    }

    /// The report whose token an address ends in, wherever it leads.
    pub fn owner(&self, address: &str) -> Option<ReportId> {
        let url = Url::parse(address).ok()?;
        self.report_of(url.path_segments()?.rfind(|segment| !segment.is_empty())?)
    }

    /// The last characters of a report's address, enough to compare with what the API shows.
    pub fn tail(&self, report: ReportId) -> String {
        let token = self.signer.sign(report.0.as_bytes());
        format!("…{}", &token[token.len() - 6..])
    }

    fn address(&self, token: &str) -> Url {
        let mut url = self.public_url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/callbacks/{token}"));
        url
    }
}

/// The id of the key that an address of ours was made with; another's address may name any.
pub(super) fn key_of(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    key_named_by(url.path_segments()?.rfind(|segment| !segment.is_empty())?)
}

fn is_public_https(url: &Url) -> bool {
    url.scheme() == "https"
        && match url.host() {
            Some(Host::Ipv4(address)) => is_public(address.into()),
            Some(Host::Ipv6(address)) => is_public(address.into()),
            Some(Host::Domain(name)) => name.contains('.') && name != "localhost",
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::secret::Secret;

    fn report() -> ReportId {
        ReportId::at("2026-01-05T08:15:15Z".parse().unwrap())
    }

    fn addresses(keys: &str, public_url: &str) -> Addresses {
        let keyring = Keyring::parse(&Secret::new(keys)).unwrap();
        Addresses::new(public_url.parse().unwrap(), &keyring, Guard::new(&["127.0.0.0/8".parse().unwrap()]))
    }

    #[test]
    fn an_address_leads_back_to_its_report_and_an_old_key_still_counts() {
        let (old, new, report) = (Keyring::generate(), Keyring::generate(), report());
        let before = addresses(old.expose(), "https://tidings.example/base/");
        let after = addresses(&format!("{},{}", new.expose(), old.expose()), "https://tidings.example/base/");

        let address = before.for_report(report, &"https://api.example/".parse().unwrap()).unwrap();
        let token = address.path().rsplit('/').next().unwrap();

        assert!(address.as_str().starts_with("https://tidings.example/base/callbacks/"));
        assert_eq!(after.report_of(token), Some(report));
        assert!(after.is_ours(address.as_str(), report));
        assert_eq!(addresses(new.expose(), "https://tidings.example/").report_of(token), None);
    }

    #[test]
    fn a_local_service_has_an_address_for_a_local_api_only() {
        let local = addresses(Keyring::generate().expose(), "http://127.0.0.1:8080");

        assert!(local.for_report(report(), &"http://127.0.0.1:9000/insights".parse().unwrap()).is_some());
        assert!(local.for_report(report(), &"https://api.partnercenter.microsoft.com/".parse().unwrap()).is_none());
    }
}
