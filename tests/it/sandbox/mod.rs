//! The sandbox as a client meets it: over the wire, with its clock set by hand.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test where it stands")]

mod api;
mod catcher;
mod certificate;
mod command;
mod control;
mod documentation;
mod executions;
mod fidelity;
mod files;
mod limits;
mod real_input;
mod sign_in;

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tidings::clock::Clock;
use tidings::sandbox::{Sandbox, Settings, start};

const HOUR: Duration = Duration::from_hours(1);
const MPN: &str = "insights/v1/mpn";
const CMP: &str = "insights/v1.1/cmp";
const QUERY: &str =
    "SELECT CustomerName,CustomerTenantId,Month,MonthlyActiveUsers FROM OfficeUsage TIMESPAN LAST_MONTH ";

/// A sandbox whose clock stands still, and a client that is signed in.
struct Setup {
    sandbox: Sandbox,
    clock: Clock,
    client: Client,
    token: String,
}

impl Setup {
    async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    async fn with(settings: Settings) -> Self {
        let clock = Clock::set_at("2026-11-20T08:00:00Z".parse().unwrap());
        let sandbox = start(Settings { ticking: false, ..settings }, clock.clone()).await.unwrap();
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let mut setup = Self { sandbox, clock, client, token: String::new() };
        setup.renew_token().await;
        setup
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url())
    }

    /// Asks for a token with a refresh token, after these changes to the form.
    async fn sign_in(&self, path: &str, changes: &[(&str, &str)]) -> Response {
        let form = self.form(changes);
        let path = self.url(&format!("{}/{path}", self.sandbox.world.account(0).tenant));
        self.client.post(path).form(&form).send().await.unwrap()
    }

    /// The same at any address.
    async fn token_at(&self, path: &str, changes: &[(&str, &str)]) -> (StatusCode, Value) {
        taken_apart(self.client.post(self.url(path)).form(&self.form(changes)).send().await.unwrap()).await
    }

    fn form<'a>(&'a self, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let user = self.sandbox.world.account(0);
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("resource", "https://api.partnercenter.microsoft.com"),
            ("scope", "https://api.partnercenter.microsoft.com/user_impersonation offline_access"),
            ("client_id", &user.client_id),
            ("client_secret", user.client_secret.expose()),
            ("refresh_token", user.refresh_token.expose()),
        ];
        form.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        form.extend_from_slice(changes);
        form
    }

    /// Whether our token was got with a second factor, as the API says.
    async fn compliance(&self) -> Option<String> {
        let request = self.client.get(self.url(&format!("{CMP}/ScheduledDataset"))).bearer_auth(&self.token);
        let response = request.header("ValidateMfa", "true").send().await.unwrap();
        Some(response.headers().get("isMfaCompliant")?.to_str().unwrap().to_owned())
    }

    async fn renew_token(&mut self) {
        let answer: Value = self.sign_in("oauth2/token", &[]).await.json().await.unwrap();
        answer["access_token"].as_str().unwrap().clone_into(&mut self.token);
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        taken_apart(self.client.get(self.url(path)).bearer_auth(&self.token).send().await.unwrap()).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client.post(self.url(path)).bearer_auth(&self.token).json(body);
        taken_apart(request.send().await.unwrap()).await
    }

    async fn put(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client.put(self.url(path)).bearer_auth(&self.token).json(body);
        taken_apart(request.send().await.unwrap()).await
    }

    async fn delete(&self, path: &str) -> (StatusCode, Value) {
        taken_apart(self.client.delete(self.url(path)).bearer_auth(&self.token).send().await.unwrap()).await
    }

    async fn query(&self) -> String {
        let body = json!({"Name": "Office usage", "Description": "d", "Query": QUERY});
        let (status, answer) = self.post(&format!("{MPN}/ScheduledQueries"), &body).await;
        assert_eq!(status, 200, "{answer}");
        answer["value"][0]["queryId"].as_str().unwrap().to_owned()
    }

    /// Creates a daily report whose first occurrence is four hours from now, after these changes to the body.
    async fn report(&self, changes: Value) -> (StatusCode, Value) {
        let start = self.clock.now() + 4 * HOUR;
        let mut body = json!({
            "ReportName": "Daily usage",
            "Description": "d",
            "QueryId": self.query().await,
            "StartTime": start.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "RecurrenceInterval": 24,
            "RecurrenceCount": 3,
            "Format": "csv",
        });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.post(&format!("{MPN}/ScheduledReport"), &body).await
    }

    async fn report_id(&self, changes: Value) -> String {
        let (status, answer) = self.report(changes).await;
        assert_eq!(status, 200, "{answer}");
        answer["value"][0]["reportId"].as_str().unwrap().to_owned()
    }

    async fn executions(&self, report: &str, query: &str) -> (StatusCode, Value) {
        self.get(&format!("{MPN}/ScheduledReport/execution/{report}{query}")).await
    }

    /// Lets time pass and does what is then due.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.sandbox.world.tick().await;
    }

    /// A report that has run once, and the link to its file.
    async fn link(&self) -> String {
        let report = self.report_id(json!({"ExecuteNow": true})).await;
        self.pass(Duration::from_secs(2)).await;
        let (_, answer) = self.executions(&report, "").await;
        answer["value"][0]["reportAccessSecureLink"].as_str().unwrap().to_owned()
    }
}

async fn taken_apart(response: Response) -> (StatusCode, Value) {
    (response.status(), response.json().await.unwrap())
}

fn message(answer: &Value) -> &str {
    answer["message"].as_str().unwrap()
}

/// A receiver of callbacks: each as its method, address, body length, in the order of arrival.
async fn receiver() -> (String, Arc<Mutex<Vec<String>>>) {
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = calls.clone();
    let routes = axum::Router::new().fallback(move |request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1024).await.unwrap();
        kept.lock().unwrap().push(format!("{} {} {}", parts.method, parts.uri, body.len()));
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ready", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, calls)
}

fn lines(gzip: &[u8]) -> Vec<String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(gzip).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}
