//! Where a file is: an address that is a secret.

use url::Url;

/// An expiring download address. It is a secret: whoever has it has the file.
#[derive(Clone)]
pub struct SecureLink(Url);

impl SecureLink {
    pub(super) fn read(text: &str) -> Option<Self> {
        Url::parse(text).ok().map(Self)
    }

    /// The address itself: for the download, nowhere else.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl std::fmt::Debug for SecureLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secure link]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secure_link_shows_nothing() {
        let link = SecureLink::read("https://a.example/b.csv?se=2026-01-07T20:00:00Z&sig=abc").unwrap();

        assert_eq!(format!("{link:?}"), "[secure link]");
    }
}
