//! The query of an address: names in any case, values trimmed, several of them with semicolons between.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// The parameters of one request.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// The value under this name (in lower case); an empty one counts as missing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// The values under this name; none means that it was not asked for.
    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.text(name).map(split)
    }

    /// True or false under this name; what is neither counts as missing.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name)?.to_ascii_lowercase().parse().ok()
    }
}

/// The parts of a list with semicolons.
pub(super) fn split(list: &str) -> Vec<&str> {
    list.split(';').map(str::trim).filter(|part| !part.is_empty()).collect()
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        Ok(Self(pairs.collect()))
    }
}
