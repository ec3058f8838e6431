//! `kill -9` in the middle of each stage, then a new start: the story ends right all the same.
//!
//! The real binary runs as its own process on a real database; the sandbox and a receiver of webhooks run here and see
//! the moment to kill at. What a killed process had claimed is taken up when its lease of 30 s has run out.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings::clock::Clock;
use tidings::sandbox::{self, Sandbox};
use tidings::secret::{Keyring, Secret};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::support::app::{ADMIN_KEY, QUERY};
use crate::support::database::{TestDatabase, fresh};
use crate::support::server::lasting_address;

const PATIENCE: Duration = Duration::from_secs(120);
/// A start 4 h 6 min ahead comes after about a second.
const SPEED: f64 = 15_000.0;

#[derive(Debug, Clone, Copy)]
enum Moment {
    Registering,
    CalledBack,
    Discovering,
    Downloading,
    Delivering,
}

#[tokio::test]
async fn a_kill_during_any_stage_leaves_one_report_one_file_and_one_message_id() {
    let moments =
        [Moment::Registering, Moment::CalledBack, Moment::Discovering, Moment::Downloading, Moment::Delivering];
    futures_util::future::join_all(moments.map(story)).await;
}

async fn story(moment: Moment) {
    let mut it = World::start().await;
    it.ask_for_a_report().await;

    it.until("the moment to kill", moment, |it| it.is_at(moment)).await;
    it.service.kill().await.unwrap();
    it.receiver.answer();
    it.service = it.spawn();

    it.until("the message", moment, |it| !it.receiver.ids().is_empty()).await;
    let deliveries = it.delivered(moment).await;
    assert_eq!(deliveries.len(), 1, "{moment:?}: {deliveries:?}");
    let ids: BTreeSet<String> = it.receiver.ids().into_iter().collect();
    assert_eq!(ids, BTreeSet::from([deliveries[0]["id"].as_str().unwrap().to_owned()]), "{moment:?}");
    assert_eq!(it.sandbox.world.reports().len(), 1, "{moment:?}: registered twice");
    let files = it.list("/files").await;
    assert_eq!(files.len(), 1, "{moment:?}: {files:?}");
    assert_eq!(it.list("/events").await.len(), 1, "{moment:?}");
    let archived = it.folder.path().join("archive").join(files[0]["location"].as_str().unwrap());
    assert_eq!(std::fs::metadata(archived).unwrap().len(), files[0]["stored_bytes"].as_u64().unwrap(), "{moment:?}");
}

struct World {
    sandbox: Sandbox,
    receiver: Receiver,
    database: TestDatabase,
    folder: TempDir,
    address: SocketAddr,
    secret_key: Secret,
    service: Child,
    client: reqwest::Client,
}

impl World {
    async fn start() -> Self {
        let settings = sandbox::Settings {
            speed: SPEED,
            rows: 200_000,
            run_time: Duration::from_millis(200),
            ..sandbox::Settings::default()
        };
        let sandbox = sandbox::start(settings, Clock::system()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let address = lasting_address().await;
        let database = fresh().await;
        let secret_key = Keyring::generate();
        let service = serve(&database, folder.path(), address, &secret_key);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let receiver = Receiver::start().await;
        Self { sandbox, receiver, database, folder, address, secret_key, service, client }
    }

    fn spawn(&self) -> Child {
        serve(&self.database, self.folder.path(), self.address, &self.secret_key)
    }

    fn is_at(&self, moment: Moment) -> bool {
        let counts = self.sandbox.world.counts();
        match moment {
            Moment::Registering => !self.sandbox.world.reports().is_empty(),
            Moment::CalledBack => !self.sandbox.world.callbacks().is_empty(),
            Moment::Discovering => {
                !self.sandbox.world.callbacks().is_empty() && counts.execution_questions.values().sum::<u64>() > 3
            }
            Moment::Downloading => counts.downloads > 0,
            Moment::Delivering => !self.receiver.ids().is_empty(),
        }
    }

    /// Waits for something that another process does.
    async fn until(&mut self, what: &str, moment: Moment, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            let ended = self.service.try_wait().unwrap();
            assert!(ended.is_none(), "{moment:?}: the service ended ({ended:?}) before {what}");
            assert!(Instant::now() < deadline, "{moment:?}: waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn delivered(&self, moment: Moment) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let deliveries = self.list("/deliveries").await;
            if deliveries.iter().any(|delivery| delivery["state"] == "delivered") {
                return deliveries;
            }
            assert!(Instant::now() < deadline, "{moment:?}: never delivered: {deliveries:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ask_for_a_report(&self) {
        let user = self.sandbox.world.account(0).clone();
        self.post(
            "/subscriptions",
            json!({
                "name": "kill", "endpoint": { "channel": "webhook", "url": self.receiver.url },
            }),
        )
        .await;
        let account = json!({
            "name": "Contoso", "program": "mpn", "tenant_id": user.tenant, "client_id": user.client_id,
            "client_secret": user.client_secret.expose(), "grant": "refresh_token",
            "refresh_token": user.refresh_token.expose(), "login_url": self.sandbox.url().as_str(),
            "api_url": self.sandbox.url().join("/insights/v1/mpn").unwrap().as_str(),
        });
        let account = self.post("/accounts", account).await["id"].clone();
        let report = json!({
            "account_id": account, "name": "Daily usage", "query": QUERY, "interval_hours": 2160,
        });
        self.post("/reports", report).await;
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.client.post(self.at(path)).bearer_auth(ADMIN_KEY).json(&body);
            if let Ok(answer) = request.send().await {
                let answer: Value = answer.json().await.unwrap();
                assert!(answer["id"].is_string(), "{answer}");
                return answer;
            }
            assert!(Instant::now() < deadline, "the service did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(answer) = self.client.get(self.at(path)).bearer_auth(ADMIN_KEY).send().await {
                return answer.json::<Value>().await.unwrap()["items"].as_array().unwrap().clone();
            }
            assert!(Instant::now() < deadline, "the service did not start again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn at(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.address)
    }
}

fn serve(database: &TestDatabase, folder: &std::path::Path, address: SocketAddr, secret_key: &Secret) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tidings"))
        .arg("serve")
        .env("TIDINGS_DATABASE_URL", database.url())
        .env("TIDINGS_DATA_DIR", folder)
        .env("TIDINGS_LISTEN", address.to_string())
        .env("TIDINGS_SECRET_KEY", secret_key.expose())
        .env("TIDINGS_ADMIN_KEY", ADMIN_KEY)
        .env("TIDINGS_ALLOW_NETWORKS", "127.0.0.0/8")
        .env("TIDINGS_LOG", "error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Takes webhooks; answers none before it is told to, so that a kill finds one under way.
struct Receiver {
    url: String,
    state: Arc<ReceiverState>,
}

#[derive(Default)]
struct ReceiverState {
    ids: Mutex<Vec<String>>,
    answering: tokio::sync::watch::Sender<bool>,
}

impl Receiver {
    async fn start() -> Self {
        let state = Arc::new(ReceiverState::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(receive)).with_state(state.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, state }
    }

    fn ids(&self) -> Vec<String> {
        self.state.ids.lock().unwrap().clone()
    }

    fn answer(&self) {
        self.state.answering.send_replace(true);
    }
}

async fn receive(State(state): State<Arc<ReceiverState>>, headers: HeaderMap) -> &'static str {
    state.ids.lock().unwrap().push(headers["webhook-id"].to_str().unwrap().to_owned());
    let _ = state.answering.subscribe().wait_for(|answering| *answering).await;
    "ok"
}
