//! The whole service for a test: real router on a real port, real Postgres, the sandbox in Microsoft's place, a set clock.
//! Nothing sleeps: [`TestApp::drain`] runs the steps until none has anything to do.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings::app::{App, BuildError, Settings};
use tidings::callback;
use tidings::channel::MailSettings;
use tidings::clock::Clock;
use tidings::download::fetch::DownloadHosts;
use tidings::http::{self, Listeners};
use tidings::outbound::Guard;
use tidings::report::limits::Quotas;
use tidings::retention::Keep;
use tidings::sandbox::{self, Sandbox};
use tidings::secret::{Keyring, Secret};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::database::{TestDatabase, fresh};
use super::scene::until;

pub(crate) const ADMIN_KEY: &str = "an-admin-key-for-tests-only";
pub(crate) const QUERY: &str = "SELECT CustomerName, Month, MonthlyActiveUsers FROM OfficeUsage TIMESPAN LAST_MONTH";

pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Clock,
    pub(crate) url: Url,
    pub(crate) database: TestDatabase,
    pub(crate) archive: TempDir,
    pub(crate) secret_key: Secret,
    client: reqwest::Client,
    stop: DropGuard,
}

/// The time at which every test begins.
pub(crate) fn beginning() -> chrono::DateTime<chrono::Utc> {
    "2026-01-05T08:15:15Z".parse().unwrap()
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// Starts with settings of the sandbox changed.
    pub(crate) async fn with(change: impl FnOnce(&mut sandbox::Settings)) -> Self {
        Self::make(fresh().await, change, callback::Settings::default()).await
    }

    /// Starts on a database of the test's own.
    pub(crate) async fn on(database: TestDatabase, change: impl FnOnce(&mut sandbox::Settings)) -> Self {
        Self::make(database, change, callback::Settings::default()).await
    }

    /// Starts with other settings of the callback door.
    pub(crate) async fn with_door(door: callback::Settings) -> Self {
        Self::make(fresh().await, |_| {}, door).await
    }

    async fn make(
        database: TestDatabase,
        change: impl FnOnce(&mut sandbox::Settings),
        door: callback::Settings,
    ) -> Self {
        let clock = Clock::set_at(beginning());
        let mut settings = sandbox::Settings {
            ticking: false,
            smtp_listen: Some("127.0.0.1:0".parse().unwrap()),
            ..sandbox::Settings::default()
        };
        change(&mut settings);
        let sandbox = sandbox::start(settings, clock.clone()).await.unwrap();
        let archive = tempfile::tempdir().unwrap();
        let secret_key = Keyring::generate();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let smtp = Secret::new(format!("smtp://{}?tls=none", sandbox.smtp_address().unwrap()));
        let settings = Settings {
            public_url: url.clone(),
            dashboard_is_public: true,
            guard: Guard::new(&["127.0.0.0/8".parse().unwrap()]),
            proxy: None,
            download_hosts: DownloadHosts::default(),
            calls_per_second: 1000,
            quotas: Quotas::default(),
            keep: Keep::default(),
            door,
            keyring: Keyring::parse(&secret_key).unwrap(),
            admin_key: Some(Secret::new(ADMIN_KEY)),
            local_key: None,
            mail: Some(MailSettings::parse(&smtp, "Tidings <tidings@example.com>").unwrap()),
            archive: archive.path().into(),
            sandbox_page: None,
            metrics: None,
        };
        let app = App::build(database.pool.clone(), clock.clone(), settings).await.unwrap();
        let stop = CancellationToken::new();
        let listeners = Listeners { main: listener, admin: None };
        tokio::spawn(http::serve(app.clone(), listeners, stop.clone()));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        Self { app, sandbox, clock, url, database, archive, secret_key, client, stop: stop.drop_guard() }
    }

    /// The same service on the same database at another public address, as after a change of settings.
    pub(crate) async fn at(mut self, public_url: &str) -> Self {
        let settings = self.settings(public_url.parse().unwrap(), self.app.keyring.clone());
        self.app = App::build(self.database.pool.clone(), self.clock.clone(), settings).await.unwrap();
        self
    }

    /// The same service started again at the same address with other secret keys, newest first; or why it does not start.
    pub(crate) async fn with_keys(mut self, keys: &[&Secret]) -> Result<Self, (Self, BuildError)> {
        let text: Vec<&str> = keys.iter().map(|key| key.expose()).collect();
        let keyring = Keyring::parse(&Secret::new(text.join(","))).unwrap();
        let settings = self.settings(self.url.clone(), keyring);
        match App::build(self.database.pool.clone(), self.clock.clone(), settings).await {
            Ok(app) => self.app = app,
            Err(error) => return Err((self, error)),
        }
        let stop = CancellationToken::new();
        // The service before ends here and leaves its address.
        drop(std::mem::replace(&mut self.stop, stop.clone().drop_guard()));
        let address = self.url.socket_addrs(|| None).unwrap()[0];
        until("the address is free", || async { TcpListener::bind(address).await.is_ok() }).await;
        let listeners = Listeners { main: TcpListener::bind(address).await.unwrap(), admin: None };
        tokio::spawn(http::serve(self.app.clone(), listeners, stop));
        self.start_again().await;
        Ok(self)
    }

    fn settings(&self, public_url: Url, keyring: Keyring) -> Settings {
        Settings {
            public_url,
            dashboard_is_public: true,
            guard: Guard::new(&["127.0.0.0/8".parse().unwrap()]),
            proxy: None,
            calls_per_second: 1000,
            quotas: Quotas::default(),
            keep: Keep::default(),
            door: callback::Settings::default(),
            download_hosts: DownloadHosts::default(),
            keyring,
            admin_key: Some(Secret::new(ADMIN_KEY)),
            local_key: None,
            mail: None,
            archive: self.archive.path().to_owned(),
            sandbox_page: None,
            metrics: None,
        }
    }

    /// What a start of the process does first.
    pub(crate) async fn start_again(&self) {
        let mut conn = self.database.pool.acquire().await.unwrap();
        tidings::report::store::checks::expect_all(&mut conn, self.clock.now()).await.unwrap();
        tidings::report::store::comparisons::due_all(&mut conn, self.clock.now()).await.unwrap();
    }

    /// Calls the admin API; an answer without a body is `null`.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = self.url.join(&format!("/api/v1{path}")).unwrap();
        let mut request = self.client.request(method.parse().unwrap(), url).bearer_auth(ADMIN_KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("POST", path, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// The items of a list.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await["items"].as_array().unwrap().clone()
    }

    /// An account at the sandbox.
    pub(crate) async fn account(&self) -> String {
        let user = self.sandbox.world.account(0).clone();
        let account = json!({
            "name": "Contoso",
            "program": "mpn",
            "tenant_id": user.tenant,
            "client_id": user.client_id,
            "client_secret": user.client_secret.expose(),
            "grant": "refresh_token",
            "refresh_token": user.refresh_token.expose(),
            "login_url": self.sandbox.url().as_str(),
            "api_url": self.sandbox.url().join("/insights/v1/mpn").unwrap().as_str(),
        });
        self.post("/accounts", account).await["id"].as_str().unwrap().to_owned()
    }

    /// A daily report of an account, as a draft.
    pub(crate) async fn report(&self, account: &str) -> String {
        let report = json!({ "account_id": account, "name": "Daily usage", "query": QUERY, "interval_hours": 24 });
        self.post("/reports", report).await["id"].as_str().unwrap().to_owned()
    }

    /// A subscription of one channel at the sandbox's catcher.
    pub(crate) async fn subscribe(&self, channel: &str) -> Value {
        let endpoint = match channel {
            "email" => json!({ "channel": "email", "to": "someone@example.com" }),
            _ => {
                let url = self.sandbox.url().join(&format!("/catch/{channel}/T0/B0/s3cret-hook")).unwrap();
                json!({ "channel": channel, "url": url.as_str() })
            }
        };
        self.post("/subscriptions", json!({ "name": channel, "endpoint": endpoint, "first_rows": "masked" })).await
    }

    /// Moves the clock and lets the sandbox do what is due there.
    pub(crate) async fn after(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.sandbox.world.tick().await;
    }

    /// Runs all steps until none has anything to do.
    pub(crate) async fn drain(&self) {
        for _ in 0..200 {
            if !self.turn().await {
                return;
            }
        }
        panic!("the steps never came to rest");
    }

    /// Runs each step once; false if none had anything to do.
    async fn turn(&self) -> bool {
        let mut busy = false;
        for work in self.app.sign_ins.claim(10).await.unwrap() {
            busy = true;
            self.app.sign_ins.perform(work).await.unwrap();
        }
        for work in self.app.register.claim(10).await.unwrap() {
            busy = true;
            self.app.register.perform(work).await.unwrap();
        }
        for work in self.app.compare.claim(10).await.unwrap() {
            busy = true;
            self.app.compare.perform(work).await.unwrap();
        }
        for work in self.app.discover.claim(10).await.unwrap() {
            busy = true;
            self.app.discover.perform(work).await.unwrap();
        }
        for work in self.app.fetch.claim(10).await.unwrap() {
            busy = true;
            self.app.fetch.perform(work).await.unwrap();
        }
        while self.app.fan_out.run_once().await.unwrap() > 0 {
            busy = true;
        }
        for work in self.app.deliver.claim(10).await.unwrap() {
            busy = true;
            self.app.deliver.perform(work).await.unwrap();
        }
        busy
    }
}
