//! The Partner Insights protocol: what we send, what we read, and what an answer means.
//!
//! This module takes a token and keeps no state; [`crate::account`] is the only one that hands it one. The API is read
//! generously: keys in any case and with stray blanks, numbers as texts, unknown fields and statuses, PascalCase and
//! camelCase. It is written to strictly: PascalCase, no nulls, times as `yyyy-MM-ddTHH:mm:ssZ`.
//!
//! | call | function | what its 404 means |
//! |---|---|---|
//! | `GET ScheduledDataset` | [`Api::datasets`], [`Api::probe`] with `ValidateMfa` | none |
//! | `GET ScheduledQueries` | [`Api::queries`] | none |
//! | … with the system's own | [`Api::all_queries`] | none |
//! | `POST ScheduledQueries` | [`Api::create_query`] | an error |
//! | `DELETE ScheduledQueries/{id}` | [`Api::delete_query`] | gone already |
//! | `GET ScheduledQueries/testQueryResult` | [`Api::test_query`] | no rows |
//! | `GET ScheduledReport` | [`Api::reports`] | none |
//! | `POST ScheduledReport` | [`Api::create_report`] | an error |
//! | `PUT ScheduledReport/{id}` | [`Api::update_report`] | an error |
//! | `DELETE ScheduledReport/{id}` | [`Api::delete_report`] | gone already |
//! | `PUT ScheduledReport/pause/{id}`, `…/resume/{id}` | [`Api::pause`], [`Api::resume`] | an error |
//! | `GET ScheduledReport/execution/{id}` | [`Api::executions`] | none yet |
#![doc = include_str!("covered.md")]

mod error;
pub mod language;
mod link;
mod pace;
mod probe;
#[cfg(test)]
mod properties;
mod terms;
mod token;
mod wire;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::outbound::{self, Outbound};
use crate::secret::{Secret, random_bytes};

pub use error::Error;
pub use link::SecureLink;
pub use pace::Pace;
pub use probe::Probe;
pub use terms::{ReportTerms, When};
pub use token::{
    Application, BadCertificate, Certificate, DeviceCode, DeviceProgress, Grant, Proof, Token, TokenVersion,
    begin_device, poll_device, request_token,
};
pub use wire::{Dataset, Execution, Progress, Query, Report};

/// The API closes a test of a query after 100 s; everything else answers sooner.
const TEST_TIMEOUT: Duration = Duration::from_secs(110);
const TIMEOUT: Duration = Duration::from_secs(45);
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;
const MOST_PAGES: usize = 50;
const MOST_ROWS: usize = 100_000;
/// How many rows a test of a query is documented to give.
const MOST_TEST_ROWS: usize = 100;

/// The id of a report at the API: opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReportId(pub String);

/// The id of a query at the API: opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueryId(pub String);

/// The id of an execution at the API: opaque.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecutionId(pub String);

/// How an execution of a report is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Partner Insights, on behalf of a user.
    Mpn,
    /// Commercial marketplace analytics, as an application.
    Cmp,
}

impl Program {
    /// Where the API of a program is when the account does not say otherwise.
    pub fn default_url(self) -> &'static str {
        match self {
            Self::Mpn => "https://api.partnercenter.microsoft.com/insights/v1/mpn",
            Self::Cmp => "https://api.partnercenter.microsoft.com/insights/v1.1/cmp",
        }
    }
}

/// Where the data of a query begins and ends, instead of its TIMESPAN.
pub type Window = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// Which executions to ask for.
#[derive(Debug, Clone, Copy)]
pub struct ExecutionFilter<'a> {
    /// One status: lists of them are documented, but nobody was seen using them.
    pub status: &'a str,
    /// Only the latest, or all of the last 90 days.
    pub latest: bool,
}

/// The API, for one account, with one token.
pub struct Api {
    outbound: Outbound,
    base: Url,
    token: Secret,
    pace: Arc<Pace>,
}

impl Api {
    /// Calls go below `base`, signed in with `token`, and no faster than `pace`.
    pub fn new(outbound: Outbound, base: Url, token: Secret, pace: Arc<Pace>) -> Self {
        Self { outbound, base, token, pace }
    }

    /// All datasets.
    pub async fn datasets(&self) -> Result<Vec<Dataset>, Error> {
        let rows = self.list("ScheduledDataset", &[]).await?;
        Ok(rows.iter().map(Dataset::read).filter(|dataset| !dataset.name.is_empty()).collect())
    }

    /// The queries of the caller, without the system's own.
    pub async fn queries(&self) -> Result<Vec<Query>, Error> {
        let query = [("includeSystemQueries", "false")];
        self.list("ScheduledQueries", &query).await.map(|rows| rows.iter().filter_map(Query::read).collect())
    }

    /// All queries that the caller can use, the system's own too.
    pub async fn all_queries(&self) -> Result<Vec<Query>, Error> {
        let query = [("includeSystemQueries", "true")];
        self.list("ScheduledQueries", &query).await.map(|rows| rows.iter().filter_map(Query::read).collect())
    }

    /// Creates a query. Not safe to repeat blindly.
    pub async fn create_query(&self, name: &str, text: &str) -> Result<Query, Error> {
        let body = json!({ "Name": name, "Query": text });
        let rows = self.call(Method::POST, "ScheduledQueries", Some(body)).await?;
        first(&rows, Query::read)
    }

    /// Deletes a query; one that is gone already is fine.
    pub async fn delete_query(&self, id: &QueryId) -> Result<(), Error> {
        gone_is_fine(self.call(Method::DELETE, &format!("ScheduledQueries/{}", encoded(&id.0)), None).await)
    }

    /// Runs a query and gives its first rows as the API sent them; a window replaces its TIMESPAN. The API gives up after
    /// 100 s: [`Error::TimedOut`] says nothing of the query.
    pub async fn test_query(&self, text: &str, window: Window) -> Result<Vec<Value>, Error> {
        let (start, end) = (window.0.map(time), window.1.map(time));
        let mut query = vec![("exportQuery", text)];
        query.extend(start.as_deref().map(|start| ("startTime", start)));
        query.extend(end.as_deref().map(|end| ("endTime", end)));
        let url = self.asking("ScheduledQueries/testQueryResult", &query);
        // One answer has all the rows that there are for a test; whatever it leads on to is not asked for.
        let mut rows = match self.send(Method::GET, url, None, TEST_TIMEOUT).await {
            Ok(answer) => answer.value,
            Err(Error::NotFound(_)) => Vec::new(),
            Err(error) => return Err(error.of_a_test()),
        };
        rows.truncate(MOST_TEST_ROWS);
        Ok(rows)
    }

    /// All reports of the caller.
    pub async fn reports(&self) -> Result<Vec<Report>, Error> {
        self.list("ScheduledReport", &[]).await.map(|rows| rows.iter().filter_map(Report::read).collect())
    }

    /// Creates a report. Not safe to repeat blindly: look for one of ours first.
    pub async fn create_report(&self, query: &QueryId, terms: &ReportTerms<'_>) -> Result<Report, Error> {
        let mut body = terms::body_of(terms);
        body.insert("QueryId".into(), query.0.clone().into());
        let rows = self.call(Method::POST, "ScheduledReport", Some(Value::Object(body))).await?;
        first(&rows, Report::read)
    }

    /// Changes a report, all but its query. Whether what is left out stays as it was is not documented: say everything.
    pub async fn update_report(&self, id: &ReportId, terms: &ReportTerms<'_>) -> Result<Option<Report>, Error> {
        let path = format!("ScheduledReport/{}", encoded(&id.0));
        let rows = self.call(Method::PUT, &path, Some(Value::Object(terms::body_of(terms)))).await?;
        Ok(rows.iter().find_map(Report::read))
    }

    /// Deletes a report and its executions there; one that is gone already is fine.
    pub async fn delete_report(&self, id: &ReportId) -> Result<(), Error> {
        gone_is_fine(self.call(Method::DELETE, &format!("ScheduledReport/{}", encoded(&id.0)), None).await)
    }

    /// Stops a report from running.
    pub async fn pause(&self, id: &ReportId) -> Result<(), Error> {
        self.call(Method::PUT, &format!("ScheduledReport/pause/{}", encoded(&id.0)), None).await.map(drop)
    }

    /// Lets a report run again.
    pub async fn resume(&self, id: &ReportId) -> Result<(), Error> {
        self.call(Method::PUT, &format!("ScheduledReport/resume/{}", encoded(&id.0)), None).await.map(drop)
    }

    /// The executions of a report; none yet is an empty list.
    pub async fn executions(&self, id: &ReportId, filter: ExecutionFilter<'_>) -> Result<Vec<Execution>, Error> {
        let latest = if filter.latest { "true" } else { "false" };
        let query = [("executionStatus", filter.status), ("getLatestExecution", latest)];
        let path = format!("ScheduledReport/execution/{}", encoded(&id.0));
        self.list(&path, &query).await.map(|rows| rows.iter().filter_map(Execution::read).collect())
    }

    /// One execution, with a fresh secure link where it is completed.
    pub async fn execution(&self, report: &ReportId, id: &ExecutionId) -> Result<Option<Execution>, Error> {
        let query = [("executionId", id.0.as_str()), ("getLatestExecution", "false")];
        let path = format!("ScheduledReport/execution/{}", encoded(&report.0));
        let rows = self.list(&path, &query).await?;
        Ok(rows.iter().filter_map(Execution::read).find(|execution| execution.id == *id))
    }

    /// Blanks as `%20`: not every server takes a plus for one.
    fn asking(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.url(path);
        if !query.is_empty() {
            let query =
                url.query_pairs_mut().extend_pairs(query).finish().query().map(|query| query.replace('+', "%20"));
            url.set_query(query.as_deref());
        }
        url
    }

    async fn list(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<wire::Fields>, Error> {
        let mut url = self.asking(path, query);
        let mut rows = Vec::new();
        // A list that is cut would be read as "there is no other": whoever looks for one of ours would make it again.
        let cut = |why: &str| Error::Malformed(format!("the list has no end that can be reached: {why}"));
        let mut read = HashSet::new();
        for page in 1..=MOST_PAGES {
            let answer = match self.send(Method::GET, url.clone(), None, TIMEOUT).await {
                Ok(answer) => answer,
                Err(Error::NotFound(_)) if page == 1 => return Ok(rows),
                Err(Error::NotFound(why)) => return Err(cut(&why)),
                Err(error) => return Err(error),
            };
            rows.extend(answer.value.into_iter().map(wire::Fields::of));
            if rows.len() > MOST_ROWS {
                return Err(cut("it has too many rows"));
            }
            let Some(next) = answer.next_link else { return Ok(rows) };
            let next = self.same_origin(&url, &next).ok_or_else(|| cut("its next page is at another place"))?;
            if next == url {
                return Ok(rows);
            }
            if !read.insert(std::mem::replace(&mut url, next)) || read.contains(&url) {
                return Err(cut("its next page was read already"));
            }
        }
        Err(cut("it has too many pages"))
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Vec<wire::Fields>, Error> {
        let envelope = self.send(method, self.url(path), body, TIMEOUT).await?;
        Ok(envelope.value.into_iter().map(wire::Fields::of).collect())
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<Value>,
        timeout: Duration,
    ) -> Result<wire::Envelope, Error> {
        self.send_with(method, url, body, timeout, &[]).await
    }

    async fn send_with(
        &self,
        method: Method,
        url: Url,
        body: Option<Value>,
        timeout: Duration,
        headers: &[(&str, &str)],
    ) -> Result<wire::Envelope, Error> {
        let (correlation, reading) = (guid(), method == Method::GET);
        let client = self.outbound.client(&url).map_err(|refused| Error::refused_address(&refused))?;
        let mut request = client
            .request(method, url)
            .timeout(timeout)
            .bearer_auth(self.token.expose())
            .header("MS-CorrelationId", &correlation)
            .header("MS-RequestId", guid())
            .header("Accept", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.pace.turn().await;
        read(request, reading).await.map_err(|error| error.traced(&correlation))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }

    fn same_origin(&self, from: &Url, next: &str) -> Option<Url> {
        from.join(next).ok().filter(|next| next.origin() == self.base.origin())
    }
}

/// A time as the API wants it: UTC, whole seconds.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn first<T>(rows: &[wire::Fields], read: impl Fn(&wire::Fields) -> Option<T>) -> Result<T, Error> {
    rows.iter().find_map(read).ok_or_else(|| Error::Malformed("the answer holds no such object with an id".into()))
}

fn gone_is_fine<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Ok(_) | Err(Error::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Sends a request and reads its answer. `reading` tells whether nothing is to be changed by it.
async fn read(request: reqwest::RequestBuilder, reading: bool) -> Result<wire::Envelope, Error> {
    let answer = request.send().await.map_err(|error| Error::no_answer(&error, reading))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let reason = answer.extensions().get::<hyper::ext::ReasonPhrase>().cloned();
    let body = outbound::read_bounded(answer, LARGEST_ANSWER).await;
    let (body, cut) = body.map_err(|error| Error::no_answer(&error, reading))?;
    if cut {
        return Err(Error::Malformed("the answer is larger than 16 MiB".into()));
    }
    let reason = reason.as_ref().map_or(&b""[..], |reason| reason.as_bytes());
    error::judge(status, reason, &headers, &body, reading)
}

/// A random GUID: Microsoft finds our calls by such.
fn guid() -> String {
    uuid::Builder::from_random_bytes(random_bytes()).into_uuid().to_string()
}

fn encoded(segment: &str) -> String {
    url::form_urlencoded::byte_serialize(segment.as_bytes()).collect::<String>().replace('+', "%20")
}
