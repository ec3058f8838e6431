//! Ours: `tidings serve` as anybody runs it, with fifty reports registered at a sandbox of its own.
//!
//! The calls are genuine, so their reports' checks become due and discovery asks the sandbox, at the usual ten calls a second
//! and for as long as the load goes on: that is part of what the service does with a call, and stays part of the figure. There
//! is nothing to find: the sandbox's clockwork stands still. The limit of calls per report is lifted, as fifty reports are here
//! to stand for thousands.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings::clock::Clock;
use tidings::sandbox::{self, Sandbox};
use tokio::process::{Child, Command};

use crate::process::{free_address, listening};

const BINARY: &str = env!("CARGO_BIN_EXE_tidings");
const ADMIN_KEY: &str = "an-admin-key-for-benches-only";
/// As many as the API allows a user.
const REPORTS: usize = 50;
const QUERY: &str = "SELECT CustomerName, Month, MonthlyActiveUsers FROM OfficeUsage TIMESPAN LAST_MONTH";

/// A running service and where it is called.
pub(crate) struct Service {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
    /// Genuine addresses, as the API calls them.
    pub(crate) paths: Vec<String>,
    pub(crate) house: House,
}

/// What must outlive the service.
pub(crate) struct House {
    _sandbox: Sandbox,
    _data_dir: tempfile::TempDir,
}

impl Service {
    /// Starts it on a database and waits until all reports are registered.
    pub(crate) async fn start(database: &str) -> Self {
        let settings = sandbox::Settings { ticking: false, ..sandbox::Settings::default() };
        let sandbox = sandbox::start(settings, Clock::system()).await.unwrap();
        let (address, data_dir) = (free_address(), tempfile::tempdir().unwrap());
        let process = Command::new(BINARY)
            .arg("serve")
            .env("TIDINGS_DATABASE_URL", database)
            .env("TIDINGS_DATA_DIR", data_dir.path())
            .env("TIDINGS_LISTEN", address.to_string())
            .env("TIDINGS_ADMIN_KEY", ADMIN_KEY)
            .env("TIDINGS_ALLOW_NETWORKS", "127.0.0.0/8")
            .env("TIDINGS_CALLBACKS_PER_SECOND", "1000000")
            .env("TIDINGS_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let api = Api { url: format!("http://{address}/api/v1"), client: reqwest::Client::builder().build().unwrap() };
        api.ready(address).await;
        api.make_reports(&sandbox).await;
        let paths = addresses(&sandbox).await;
        Self { process, address, paths, house: House { _sandbox: sandbox, _data_dir: data_dir } }
    }
}

struct Api {
    url: String,
    client: reqwest::Client,
}

impl Api {
    async fn ready(&self, address: SocketAddr) {
        listening(address).await;
        let url = format!("http://{address}/readyz");
        let answer = self.client.get(url).timeout(Duration::from_secs(60)).send().await.unwrap();
        assert!(answer.status().is_success(), "the service did not start");
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(ADMIN_KEY).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert!(answer["id"].is_string(), "{path}: {answer}");
        answer
    }

    async fn make_reports(&self, sandbox: &Sandbox) {
        let user = sandbox.world.account(0).clone();
        let account = json!({
            "name": "bench", "program": "mpn", "tenant_id": user.tenant, "client_id": user.client_id,
            "client_secret": user.client_secret.expose(), "grant": "refresh_token",
            "refresh_token": user.refresh_token.expose(), "login_url": sandbox.url().as_str(),
            "api_url": sandbox.url().join("/insights/v1/mpn").unwrap().as_str(),
        });
        let account = self.post("/accounts", account).await["id"].clone();
        let query = json!({ "name": "bench", "query": QUERY });
        let query = self.post(&format!("/accounts/{}/queries", account.as_str().unwrap()), query).await["id"].clone();
        for nth in 0..REPORTS {
            let name = format!("bench {nth}");
            let report = json!({ "account_id": account, "name": name, "query_id": query, "interval_hours": 24 });
            self.post("/reports", report).await;
        }
    }
}

async fn addresses(sandbox: &Sandbox) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let reports = sandbox.world.reports();
        if reports.len() == REPORTS {
            let path = |address: &str| url::Url::parse(address).unwrap().path().to_owned();
            let called = |report: &sandbox::world::Report| report.terms.callback_url.as_deref().map(path);
            return reports.iter().map(|report| format!("{}/{}", called(report).unwrap(), report.id)).collect();
        }
        assert!(Instant::now() < deadline, "the reports were not registered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
