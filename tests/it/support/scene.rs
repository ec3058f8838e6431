//! Scenes that tests of several areas begin with, and looks into everything that is kept.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tidings::secret::Secret;
use url::Url;

use super::app::{ADMIN_KEY, TestApp};
use super::server::Server;

/// A report's first run is due 4 h 5 min after it was made, on the minute; its callback comes 2 s later.
pub(crate) const UNTIL_FIRST_RUN: u64 = 4 * 3600 + 6 * 60 + 5;
pub(crate) const DAY: u64 = 24 * 3600;
pub(crate) const HOUR: u64 = 3600;

impl TestApp {
    /// An account that reaches the sandbox through `between`.
    pub(crate) async fn account_through(&self, between: &Server) -> String {
        let account = self.account().await;
        let urls = json!({
            "login_url": between.url.as_str(),
            "api_url": between.url.join("/insights/v1/mpn").unwrap().as_str(),
        });
        let (status, answer) = self.call("PATCH", &format!("/accounts/{account}"), Some(urls)).await;
        assert_eq!(status, 200, "{answer}");
        account
    }

    /// An account of the commercial marketplace, whose datasets take short intervals.
    pub(crate) async fn marketplace_account(&self) -> String {
        let user = self.sandbox.world.account(0);
        let account = json!({
            "name": "Marketplace",
            "program": "cmp",
            "tenant_id": user.tenant,
            "client_id": user.client_id,
            "client_secret": user.client_secret.expose(),
            "grant": "client_credentials",
            "login_url": self.sandbox.url().as_str(),
            "api_url": self.sandbox.url().join("/insights/v1.1/cmp").unwrap().as_str(),
        });
        self.post("/accounts", account).await["id"].as_str().unwrap().to_owned()
    }

    /// A daily report of a fresh account that is registered there.
    pub(crate) async fn registered(&self) -> String {
        let account = self.account().await;
        let report = self.report(&account).await;
        self.drain().await;
        assert_eq!(self.get(&format!("/reports/{report}")).await["state"], "registered");
        report
    }

    /// A registered report whose first run has come to its end, and all that follows.
    pub(crate) async fn told(&self) -> String {
        let report = self.registered().await;
        self.after(UNTIL_FIRST_RUN).await;
        self.drain().await;
        report
    }

    /// The address that the sandbox has for its newest report.
    pub(crate) fn callback_address(&self) -> Url {
        self.sandbox.world.reports().last().unwrap().terms.callback_url.as_ref().unwrap().parse().unwrap()
    }

    /// Does something to the newest report at the sandbox behind the service's back: below `ScheduledReport`, `path` then its id.
    pub(crate) async fn there(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let user = self.sandbox.world.account(0);
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", user.client_id.as_str()),
            ("client_secret", user.client_secret.expose()),
            ("refresh_token", user.refresh_token.expose()),
            ("resource", "https://api.partnercenter.microsoft.com"),
        ];
        let url = self.sandbox.url().join(&format!("/{}/oauth2/token", user.tenant)).unwrap();
        let token: Value = client().post(url).form(&form).send().await.unwrap().json().await.unwrap();
        let id = self.sandbox.world.reports().last().unwrap().id.clone();
        let url = self.sandbox.url().join(&format!("/insights/v1/mpn/ScheduledReport/{path}{id}")).unwrap();
        let mut request = client().request(method.parse().unwrap(), url);
        request = request.bearer_auth(token["access_token"].as_str().unwrap_or_else(|| panic!("{token}")));
        let answer = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = answer.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.json().await.unwrap()
    }

    /// What the dashboard answers somebody who has signed in, its page after a redirect.
    pub(crate) async fn dashboard(&self, method: &str, path: &str) -> String {
        let session = self.app.access.sign_in(&Secret::new(ADMIN_KEY)).await.unwrap().unwrap();
        let request = client().request(method.parse().unwrap(), self.url.join(path).unwrap());
        let request = request.header("cookie", format!("tidings_session={}", session.expose()));
        let answer = request.header("sec-fetch-site", "same-origin").send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.text().await.unwrap()
    }

    /// How often executions were asked for.
    pub(crate) fn questions(&self) -> u64 {
        self.sandbox.world.counts().execution_questions.values().sum()
    }

    /// The kinds of the events so far, oldest first.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        let events = self.list("/events?limit=200").await;
        events.iter().rev().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    }

    /// Calls what answers only when the steps have done something, and lets them do it meanwhile.
    pub(crate) async fn call_and_drain(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let answered = Cell::new(false);
        let call = async {
            let answer = self.call(method, path, body).await;
            answered.set(true);
            answer
        };
        let steps = async {
            while !answered.get() {
                self.drain().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::join!(call, steps).0
    }

    /// Changes rows behind the service's back, as a crash or time would.
    pub(crate) async fn sql(&self, statement: &str) {
        sqlx::query(AssertSqlSafe(statement)).execute(&self.database.pool).await.unwrap();
    }

    /// One number of the database.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.database.pool).await.unwrap()
    }

    /// Every row of every table, as one text.
    pub(crate) async fn all_rows(&self) -> String {
        let tables = "select tablename::text from pg_tables where schemaname = 'public'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&self.database.pool).await.unwrap();
        let mut text = String::new();
        for table in tables {
            let rows = format!("select to_jsonb(t)::text from \"{table}\" t");
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&self.database.pool).await.unwrap();
            text.extend(rows);
        }
        text
    }
}

/// A client as anybody has one.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap()
}

/// Waits until `true`, at most ten seconds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    for _ in 0..1000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten seconds: {what}");
}
