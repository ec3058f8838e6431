//! A client of the admin API, as anyone could write it.
//!
//! What it can't do is told with what to do about it. Each `POST` has an idempotency key of its own, so that one whose
//! answer was lost on the way can be sent again and is done once all the same.
//!
//! The key goes to nobody who has not answered a question without it as this service does, and by plain http only within
//! private networks: a wrong address is no reason to give it away.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use reqwest::header::HeaderName;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use super::say::clean;
use crate::config::Reach;
use crate::outbound::{Guard, Outbound, Refused, describe, read_bounded};
use crate::secret::{Secret, random_token};

/// A query that is tried may take two minutes, and so may what waits for Microsoft.
const DEADLINE: Duration = Duration::from_secs(150);
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// Lists are read in pages of this many…
const PAGE: usize = 200;
/// …and a whole one has no more of them than this.
const MOST: usize = 100 * PAGE;
/// Where plain http may lead: this machine, its network, containers beside it.
const PRIVATE: [&str; 8] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
];
/// What the service says to whoever shows no key.
const UNAUTHORIZED: &str = "urn:tidings:problem:unauthorized";
/// Whoever is there says so soon.
const MEETING: Duration = Duration::from_secs(20);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The admin API at one address, with a key.
pub(super) struct Client {
    outbound: Outbound,
    /// As it was given.
    url: Url,
    base: Url,
    key: Secret,
    /// Whether the service has shown itself to be one, and was there ever since.
    met: AtomicBool,
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
    /// The key would be readable on its way.
    #[error("{url} may not be asked: it {why}. Set TIDINGS_URL to the service's https address")]
    Unsafe {
        /// Where it was to go.
        url: Url,
        /// Why it does not.
        why: Refused,
    },
    /// Somebody else is there. Shown no key.
    #[error("this is no tidings service: {url} answered {status}; set TIDINGS_URL to where the service runs")]
    Stranger {
        /// Where it was looked for.
        url: Url,
        /// What came instead.
        status: StatusCode,
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
    /// A whole list was asked for, and a part of it would be taken for the whole.
    #[error(
        "there are {MOST} or more in /api/v1/{0}, too many to look through: give an id in place of a name, or read the list \
         page by page from the API"
    )]
    TooLong(String),
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
    r#type: Option<String>,
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

/// The status with which the service said no, if it did.
pub(super) fn refused(error: &anyhow::Error) -> Option<StatusCode> {
    match error.downcast_ref::<Failed>() {
        Some(Failed::Refused(refusal)) => Some(refusal.status),
        _ => None,
    }
}

/// Whether the same may be answered later: nobody was there, or somebody who could not answer just then.
pub(super) fn passes(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Failed>() {
        Some(Failed::NoAnswer { .. }) => true,
        Some(Failed::Stranger { status, .. } | Failed::Refused(Refusal { status, .. })) => {
            status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
        }
        _ => false,
    }
}

impl Failed {
    fn unexpected(method: &Method, path: &str) -> Self {
        Self::Unexpected(format!("{method} /api/v1/{path}"))
    }
}

impl Refusal {
    /// What was wrong, field by field; nothing where that was not it.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.problem.errors.iter().map(|wrong| (wrong.field.as_str(), wrong.message.as_str()))
    }

    fn read(status: StatusCode, body: &[u8]) -> Self {
        Self { status, problem: serde_json::from_slice(body).unwrap_or_default() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { title, detail, errors, .. } = &self.problem;
        match (errors.as_slice(), title, detail) {
            ([], Some(title), Some(detail)) => write!(f, "{}: {}", clean(title), clean(detail)),
            ([], _, _) => write!(f, "{} without a reason", self.status),
            (fields, _, _) => {
                write!(f, "{}", if fields.len() == 1 { "a field is wrong" } else { "fields are wrong" })?;
                fields.iter().try_for_each(|FieldProblem { field, message }| {
                    write!(f, "\n  {}: {}", clean(field), clean(message))
                })
            }
        }
    }
}

impl Client {
    /// Speaks to the service at `url`.
    pub(super) fn new(url: &Url, key: Secret) -> anyhow::Result<Self> {
        let private = PRIVATE.iter().map(|network| network.parse()).collect::<Result<Vec<_>, _>>()?;
        let outbound = Outbound::new(Guard::new(&private), None)?;
        let mut base = url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { outbound, url: url.clone(), base: base.join("api/v1/")?, key, met: AtomicBool::new(false) })
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

    /// Asks for a whole list; fails where it is too long to be read whole.
    pub(super) async fn all<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        let (items, rest) = self.pages(path, MOST).await?;
        anyhow::ensure!(rest.is_none(), Failed::TooLong(path.to_owned()));
        Ok(items)
    }

    /// Asks for the newest `most` of a list.
    pub(super) async fn newest<T: DeserializeOwned>(&self, path: &str, most: usize) -> anyhow::Result<Vec<T>> {
        Ok(self.pages(path, most).await?.0)
    }

    /// Makes something, or has something done.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Changes something.
    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// Removes something. What is not there when it is asked for again was removed by the first request.
    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let (response, is_again) = self.answered(&Method::DELETE, path, None, Some(DEADLINE)).await?;
        if is_again && response.status() == StatusCode::NOT_FOUND {
            return Ok(());
        }
        let response = self.done(response).await?;
        anyhow::ensure!(response.status() == StatusCode::NO_CONTENT, Failed::unexpected(&Method::DELETE, path));
        Ok(())
    }

    /// An answer to be read piece by piece, for as long as it takes.
    pub(super) async fn open(&self, path: &str) -> anyhow::Result<Response> {
        Ok(self.sent(&Method::GET, path, None, None).await?)
    }

    /// Up to `most` of a list, and where it goes on if it does.
    async fn pages<T: DeserializeOwned>(&self, path: &str, most: usize) -> anyhow::Result<(Vec<T>, Option<String>)> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        let separator = if path.contains('?') { '&' } else { '?' };
        for _ in 0..most.div_ceil(PAGE) {
            let after = cursor.take().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let limit = PAGE.min(most - items.len());
            let page: Page<T> = self.get(&format!("{path}{separator}limit={limit}{after}")).await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || items.len() >= most {
                break;
            }
        }
        Ok((items, cursor))
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<T> {
        let response = self.sent(&method, path, body, Some(DEADLINE)).await?;
        let (bytes, _) = read_bounded(response, MAX_ANSWER).await.map_err(|error| self.no_answer(&error))?;
        // Whatever is answered is an object, also where its fields are only shown.
        let answer = serde_json::from_slice::<Map<String, Value>>(&bytes);
        let read = answer.and_then(|fields| serde_json::from_value(Value::Object(fields)));
        read.with_context(|| Failed::unexpected(&method, path))
    }

    async fn sent(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        deadline: Option<Duration>,
    ) -> Result<Response, Failed> {
        let (response, _) = self.answered(method, path, body, deadline).await?;
        self.done(response).await
    }

    /// Whatever is answered, and whether it was asked for again because the first answer was lost.
    async fn answered(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        deadline: Option<Duration>,
    ) -> Result<(Response, bool), Failed> {
        if !self.met.load(Ordering::Relaxed) {
            self.meet().await?;
        }
        let mut request = self.request(method, path)?.bearer_auth(self.key.expose());
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
        let (sent, is_again) = match (request.send().await, again) {
            // The answer was lost; the same key asks for the same thing.
            (Err(error), Some(again)) if !error.is_connect() && !error.is_timeout() => (again.send().await, true),
            (sent, _) => (sent, false),
        };
        Ok((sent.map_err(|error| self.no_answer(&error))?, is_again))
    }

    /// Asks without the key: the service says that it wants one, in words of its own.
    async fn meet(&self) -> Result<(), Failed> {
        let answer = self.request(&Method::GET, "status")?.timeout(MEETING).send().await;
        let answer = answer.map_err(|error| self.no_answer(&error))?;
        let status = answer.status();
        let (bytes, _) = read_bounded(answer, MAX_ANSWER).await.map_err(|error| self.no_answer(&error))?;
        let says = Refusal::read(status, &bytes).problem.r#type;
        match says.as_deref() {
            Some(UNAUTHORIZED) => {
                self.met.store(true, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(Failed::Stranger { url: self.url.clone(), status }),
        }
    }

    fn request(&self, method: &Method, path: &str) -> Result<RequestBuilder, Failed> {
        let url = self.base.join(path).map_err(|_| Failed::unexpected(method, path))?;
        let client = self.outbound.client(&url).map_err(|why| Failed::Unsafe { url: self.url.clone(), why })?;
        Ok(client.request(method.clone(), url))
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

    /// Whoever answers there next may be somebody else.
    fn no_answer(&self, error: &reqwest::Error) -> Failed {
        self.met.store(false, Ordering::Relaxed);
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
        let hostile = br#"{"title": "Conflict", "detail": "\"\u001b[2Jx\nerror: y\""}"#;
        assert_eq!(told(409, hostile), "Conflict: \" [2Jx error: y\"");
        assert_eq!(told(502, b"<html>"), "502 Bad Gateway without a reason");
    }

    #[test]
    fn a_service_below_a_path_is_found_there() {
        let client = |url: &str| Client::new(&url.parse().unwrap(), Secret::new("key")).unwrap();

        assert_eq!(client("https://example.com/tidings").base.as_str(), "https://example.com/tidings/api/v1/");
        assert_eq!(client("http://127.0.0.1:8080").base.as_str(), "http://127.0.0.1:8080/api/v1/");
    }
}
