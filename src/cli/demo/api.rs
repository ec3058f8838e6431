//! A client of the admin API, as anyone could write it.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::outbound::{Outbound, describe, read_bounded};
use crate::secret::Secret;

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// The admin API at one address, with a key.
pub(super) struct Api {
    outbound: Outbound,
    base: Url,
    key: Secret,
}

/// A list's page; the demo never needs a second one.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
}

/// A refusal, as far as it is shown.
#[derive(Deserialize)]
struct Refusal {
    title: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<FieldRefusal>,
}

#[derive(Deserialize)]
struct FieldRefusal {
    field: String,
    message: String,
}

impl Api {
    /// Speaks to the service at `url`.
    pub(super) fn new(outbound: Outbound, url: &Url, key: Secret) -> anyhow::Result<Self> {
        Ok(Self { outbound, base: url.join("api/v1/")?, key })
    }

    /// Asks for one thing.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, None).await
    }

    /// Asks for the newest of a list.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        Ok(self.get::<Page<T>>(path).await?.items)
    }

    /// Makes something.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<T> {
        let url = self.base.join(path)?;
        let mut request = self.outbound.client(&url)?.request(method.clone(), url).timeout(DEADLINE);
        request = request.bearer_auth(self.key.expose());
        if let Some(body) = body {
            request = request.json(body);
        }
        let failed = |error: reqwest::Error| anyhow::anyhow!("{method} /api/v1/{path}: {}", describe(&error));
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let (bytes, _) = read_bounded(response, MAX_ANSWER).await.map_err(failed)?;
        if !status.is_success() {
            bail!("{method} /api/v1/{path} answered {status}: {}", reason(&bytes));
        }
        serde_json::from_slice(&bytes).with_context(|| format!("{method} /api/v1/{path} answered something unexpected"))
    }
}

fn reason(body: &[u8]) -> String {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else { return "no reason was given".into() };
    let fields = refusal.errors.iter().map(|error| format!("{}: {}", error.field, error.message));
    let texts: Vec<String> = refusal.detail.or(refusal.title).into_iter().chain(fields).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn a_refusal_is_told_with_every_field() {
        let problem = br#"{"title": "Unprocessable", "detail": "2 fields are wrong",
                           "errors": [{"field": "name", "message": "must not be empty"}]}"#;

        assert_eq!(reason(problem), "2 fields are wrong; name: must not be empty");
        assert_eq!(reason(b"<html>"), "no reason was given");
    }
}
