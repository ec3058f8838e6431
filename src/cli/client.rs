//! A client of the admin API, as anyone could write it.
//!
//! What it can't do is told with what to do about it. Each `POST` has an idempotency key of its own, so that one whose
//! answer was lost on the way can be sent again and is done once all the same.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use reqwest::header::HeaderName;
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::config::Reach;
use crate::outbound::{Guard, Outbound, describe, read_bounded};
use crate::secret::{Secret, random_token};

/// A query that is tried may take two minutes, and so may what waits for Microsoft.
const DEADLINE: Duration = Duration::from_secs(150);
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// Lists are read in pages of this many…
const PAGE: usize = 200;
/// …and no further than this.
const MOST_PAGES: usize = 100;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The admin API at one address, with a key.
pub(super) struct Client {
    outbound: Outbound,
    /// As it was given.
    url: Url,
    base: Url,
    key: Secret,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// Nobody is there.
    #[error("no service answers at {url} ({what}); start it with `tidings serve`, or set TIDINGS_URL to where it runs")]
    NoAnswer {
        /// Where it was looked for.
        url: Url,
        /// What came instead.
        what: String,
    },
    /// The key is not one of that service.
    #[error(
        "the service at {url} does not know this API key; set TIDINGS_ADMIN_KEY to one of its keys, or TIDINGS_DATA_DIR to \
         its data directory, which holds one"
    )]
    WrongKey {
        /// Where the key was shown.
        url: Url,
    },
    /// The service answered, but not as it should.
    #[error("{0} answered something unexpected; are this program and the service of the same version?")]
    Unexpected(String),
    /// The service said no.
    #[error("{0}")]
    Refused(Refusal),
}

/// What the service said when it did not do something.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: StatusCode,
    problem: Problem,
}

#[derive(Debug, Default, Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<FieldProblem>,
}

#[derive(Debug, Deserialize)]
struct FieldProblem {
    field: String,
    message: String,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl Refusal {
    fn read(status: StatusCode, body: &[u8]) -> Self {
        Self { status, problem: serde_json::from_slice(body).unwrap_or_default() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { title, detail, errors } = &self.problem;
        match (errors.as_slice(), title, detail) {
            ([], Some(title), Some(detail)) => write!(f, "{title}: {detail}"),
            ([], _, _) => write!(f, "{} without a reason", self.status),
            (fields, _, _) => {
                write!(f, "{}", if fields.len() == 1 { "a field is wrong" } else { "fields are wrong" })?;
                fields.iter().try_for_each(|FieldProblem { field, message }| write!(f, "\n  {field}: {message}"))
            }
        }
    }
}

impl Client {
    /// Speaks to the service at `url`.
    pub(super) fn new(url: &Url, key: Secret) -> anyhow::Result<Self> {
        // Whoever gives the command says where the service is: no address is forbidden.
        let outbound = Outbound::new(Guard::new(&["0.0.0.0/0".parse()?, "::/0".parse()?]), None)?;
        let mut base = url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { outbound, url: url.clone(), base: base.join("api/v1/")?, key })
    }

    /// Speaks to the service that the settings name.
    pub(super) fn reach(reach: Reach) -> anyhow::Result<Self> {
        let key = match reach.key {
            Some(key) => key,
            None => super::home::read_admin_key(&reach.data_dir)?,
        };
        Self::new(&reach.url, key)
    }

    /// Asks for one thing.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, None).await
    }

    /// Asks for the newest of a list.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        Ok(self.get::<Page<T>>(path).await?.items)
    }

    /// Asks for a whole list, or the newest `most` of it.
    pub(super) async fn all<T: DeserializeOwned>(&self, path: &str, most: usize) -> anyhow::Result<Vec<T>> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        let separator = if path.contains('?') { '&' } else { '?' };
        for _ in 0..MOST_PAGES {
            let after = cursor.take().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let limit = PAGE.min(most - items.len());
            let page: Page<T> = self.get(&format!("{path}{separator}limit={limit}{after}")).await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || items.len() >= most {
                break;
            }
        }
        Ok(items)
    }

    /// Makes something, or has something done.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Changes something.
    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// Removes something.
    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.call::<Option<Value>>(Method::DELETE, path, None).await.map(drop)
    }

    /// An answer to be read piece by piece, for as long as it takes.
    pub(super) async fn open(&self, path: &str) -> anyhow::Result<Response> {
        Ok(self.sent(&Method::GET, path, None, None).await?)
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<T> {
        let response = self.sent(&method, path, body, Some(DEADLINE)).await?;
        let (bytes, _) = read_bounded(response, MAX_ANSWER).await.map_err(|error| self.no_answer(&error))?;
        let text = if bytes.is_empty() { &b"null"[..] } else { &bytes[..] };
        let unexpected = || Failed::Unexpected(format!("{method} /api/v1/{path}"));
        serde_json::from_slice(text).with_context(unexpected)
    }

    async fn sent(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        deadline: Option<Duration>,
    ) -> Result<Response, Failed> {
        let url = self.base.join(path).map_err(|_| Failed::Unexpected(path.to_owned()))?;
        let client = self.outbound.client(&url);
        let client = client.map_err(|refused| Failed::NoAnswer { url: self.url.clone(), what: refused.to_string() })?;
        let mut request = client.request(method.clone(), url).bearer_auth(self.key.expose());
        request = if *method == Method::POST {
            request.header(IDEMPOTENCY_KEY, random_token("cli_").expose()).json(body.unwrap_or(&Value::Null))
        } else if let Some(body) = body {
            request.json(body)
        } else {
            request
        };
        if let Some(deadline) = deadline {
            request = request.timeout(deadline);
        }
        let again = request.try_clone();
        let sent = match (request.send().await, again) {
            // The answer was lost; the same key asks for the same thing.
            (Err(error), Some(again)) if !error.is_connect() && !error.is_timeout() => again.send().await,
            (sent, _) => sent,
        };
        self.done(sent.map_err(|error| self.no_answer(&error))?).await
    }

    async fn done(&self, response: Response) -> Result<Response, Failed> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(Failed::WrongKey { url: self.url.clone() });
        }
        let (bytes, _) = read_bounded(response, MAX_ANSWER).await.map_err(|error| self.no_answer(&error))?;
        Err(Failed::Refused(Refusal::read(status, &bytes)))
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failed {
        Failed::NoAnswer { url: self.url.clone(), what: describe(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &[u8]) -> String {
        Refusal::read(StatusCode::from_u16(status).unwrap(), body).to_string()
    }

    #[test]
    fn a_refusal_is_told_with_every_field() {
        let problem = br#"{"title": "Invalid fields", "detail": "name: must not be empty; grant: is needed",
            "errors": [{"field": "name", "message": "must not be empty"}, {"field": "grant", "message": "is needed"}]}"#;

        assert_eq!(told(422, problem), "fields are wrong\n  name: must not be empty\n  grant: is needed");
        assert_eq!(told(409, br#"{"title": "Conflict", "detail": "it is used"}"#), "Conflict: it is used");
        assert_eq!(told(502, b"<html>"), "502 Bad Gateway without a reason");
    }

    #[test]
    fn a_service_below_a_path_is_found_there() {
        let client = |url: &str| Client::new(&url.parse().unwrap(), Secret::new("key")).unwrap();

        assert_eq!(client("https://example.com/tidings").base.as_str(), "https://example.com/tidings/api/v1/");
        assert_eq!(client("http://127.0.0.1:8080").base.as_str(), "http://127.0.0.1:8080/api/v1/");
    }
}
