//! Measures what the service promises, and prints a table: `cargo bench`.
//!
//! The service runs as its own process with its private Postgres (`fsync` on), as a user would run it; the sandbox and a
//! receiver of webhooks run here. Nothing is asserted: machines differ.
#![allow(clippy::unwrap_used, reason = "a measurement that can't go on ends")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};
use tidings::clock::Clock;
use tidings::sandbox::{self, Sandbox};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

const BINARY: &str = env!("CARGO_BIN_EXE_tidings");
const ADMIN_KEY: &str = "an-admin-key-for-benches-only";
const ROUNDS: usize = 50;
const DEMOS: usize = 3;
/// About 1 GiB of decoded report with the columns asked for below.
const ROWS_OF_A_GIBIBYTE: u64 = 13_000_000;

#[tokio::main]
async fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut table = Vec::new();
    latency(&mut table).await;
    memory(&mut table).await;
    demo(&mut table).await;
    println!("\n{:<58} {:>14} {:>14}", "what", "measured", "promised");
    for (what, measured, promised) in table {
        println!("{what:<58} {measured:>14} {promised:>14}");
    }
}

type Table = Vec<(String, String, String)>;

async fn latency(table: &mut Table) {
    let bench = Bench::start(1_000).await;
    let (receiver, mut received) = receiver().await;
    bench.subscribe(&receiver).await;
    let remote = bench.report().await;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        bench.sandbox.world.run_report_now(&remote).await.unwrap();
        let began = Instant::now();
        bench.sandbox.world.tick().await;
        let came: Instant = tokio::time::timeout(Duration::from_secs(30), received.recv()).await.unwrap().unwrap();
        seconds.push(came.duration_since(began).as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let (median, worst) = (seconds[ROUNDS / 2], seconds[ROUNDS - 1]);
    table.push(("callback to first notification, median of 50".into(), milliseconds(median), "< 150 ms".into()));
    table.push(("callback to first notification, worst of 50".into(), milliseconds(worst), "< 500 ms".into()));
}

async fn memory(table: &mut Table) {
    let bench = Bench::start(ROWS_OF_A_GIBIBYTE).await;
    let (receiver, mut received) = receiver().await;
    bench.subscribe(&receiver).await;
    let remote = bench.report().await;
    let idle = memory_of(&bench.service, "VmRSS");
    let began = Instant::now();
    bench.sandbox.world.run_report_now(&remote).await.unwrap();
    bench.sandbox.world.tick().await;
    tokio::time::timeout(Duration::from_secs(600), received.recv()).await.unwrap().unwrap();
    let (seconds, peak) = (began.elapsed().as_secs_f64(), memory_of(&bench.service, "VmHWM"));
    let file = bench.get("/files").await["items"][0].clone();
    let size = file["size_bytes"].as_u64().unwrap();
    let above = peak.saturating_sub(idle) / 1024;
    table.push((format!("memory above idle, report of {} MiB", size >> 20), format!("{above} MiB"), "< 96 MiB".into()));
    let rows = file["rows"].as_u64().unwrap();
    table.push((format!("the same, from callback to told ({rows} rows)"), format!("{seconds:.1} s"), String::new()));
}

async fn demo(table: &mut Table) {
    let mut seconds = Vec::new();
    for _ in 0..DEMOS {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path());
        let began = Instant::now();
        let status = Command::new(BINARY)
            .args(["demo", "--once", "--listen", "127.0.0.1:0"])
            .env("TIDINGS_DATA_DIR", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await
            .unwrap();
        assert!(status.success(), "the demo failed");
        seconds.push(began.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[DEMOS / 2];
    table.push(("tidings demo --once, empty data directory".into(), format!("{median:.1} s"), "< 20 s".into()));
}

struct Bench {
    sandbox: Sandbox,
    service: Child,
    url: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn start(rows: u64) -> Self {
        let settings =
            sandbox::Settings { ticking: false, run_time: Duration::ZERO, rows, ..sandbox::Settings::default() };
        let sandbox = sandbox::start(settings, Clock::system()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        open(folder.path());
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let service = Command::new(BINARY)
            .arg("serve")
            .env("TIDINGS_DATA_DIR", folder.path())
            .env("TIDINGS_LISTEN", address.to_string())
            .env("TIDINGS_ADMIN_KEY", ADMIN_KEY)
            .env("TIDINGS_ALLOW_NETWORKS", "127.0.0.0/8")
            .env("TIDINGS_LOG", "warn")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let bench = Self { sandbox, service, url: format!("http://{address}"), client, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while bench.client.get(format!("{}/readyz", bench.url)).send().await.is_err() {
            assert!(Instant::now() < deadline, "the service did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bench
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.client.post(format!("{}/api/v1{path}", self.url)).bearer_auth(ADMIN_KEY).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert!(answer["id"].is_string(), "{path}: {answer}");
        answer
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}/api/v1{path}", self.url)).bearer_auth(ADMIN_KEY);
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn subscribe(&self, url: &str) {
        let endpoint = json!({ "channel": "webhook", "url": url });
        self.post("/subscriptions", json!({ "name": "bench", "endpoint": endpoint })).await;
    }

    /// Makes a report and waits until it is registered; gives its id at the sandbox.
    async fn report(&self) -> String {
        let user = self.sandbox.world.account(0).clone();
        let account = json!({
            "name": "bench", "program": "mpn", "tenant_id": user.tenant, "client_id": user.client_id,
            "client_secret": user.client_secret.expose(), "grant": "refresh_token",
            "refresh_token": user.refresh_token.expose(), "login_url": self.sandbox.url().as_str(),
            "api_url": self.sandbox.url().join("/insights/v1/mpn").unwrap().as_str(),
        });
        let account = self.post("/accounts", account).await["id"].clone();
        let query = "SELECT CustomerTenantId, CustomerName, CustomerMarket, Month, WorkloadName, MonthlyActiveUsers \
                     FROM OfficeUsage";
        let report = json!({ "account_id": account, "name": "bench", "query": query, "interval_hours": 24 });
        let id = self.post("/reports", report).await["id"].as_str().unwrap().to_owned();
        loop {
            let report = self.get(&format!("/reports/{id}")).await;
            if let Some(remote) = report["remote_id"].as_str() {
                return remote.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A webhook receiver that tells when each call came.
async fn receiver() -> (String, mpsc::UnboundedReceiver<Instant>) {
    let (send, receive) = mpsc::unbounded_channel();
    let note = move || {
        let _ = send.send(Instant::now());
        async { "ok" }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().route("/", post(note))).await });
    (url, receive)
}

/// A line of the process's memory, in KiB.
fn memory_of(service: &Child, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id().unwrap())).unwrap();
    let line = status.lines().find(|text| text.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The database's user, who is another one when we are root, must be able to enter.
fn open(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).unwrap();
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1000.0)
}
