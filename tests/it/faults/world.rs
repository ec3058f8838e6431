//! A service in use: reports that run, callers, a subscriber, replicas that can be killed; and what must hold in the end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use tidings::clock::Clock;
use tidings::sandbox::{self, Account, Sandbox};
use tidings::secret::{Keyring, Secret};
use tokio::task::JoinSet;
use url::Url;

use super::admin::Admin;
use super::cluster::Cluster;
use super::service::{Common, Service};
use super::toll::Toll;
use crate::support::app::QUERY;
use crate::support::database::TestDatabase;

/// Fewer than the 50 that the API lets one account have: others come and go.
const REPORTS_OF_ONE: usize = 40;
/// Longer than a lease and all that comes after it.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);
const CALLERS: u64 = 4;
/// A kill repeats what was being sent to the one endpoint: not more than it takes at once.
const MOST_REPEATS: usize = 16;

pub(super) struct World {
    pub(super) sandbox: Sandbox,
    pub(super) database: TestDatabase,
    pub(super) services: Vec<Service>,
    pub(super) toll: Arc<Toll>,
    pub(super) admin: Admin,
    accounts: Vec<Value>,
    /// Reports there, by their ids, with the addresses that they call.
    targets: Vec<(String, Url)>,
    folder: TempDir,
    key: Secret,
    busy: JoinSet<()>,
    _cluster: Cluster,
}

impl World {
    /// So many replicas, all started, and so many reports, all registered.
    pub(super) async fn start(replicas: usize, reports: usize) -> Self {
        let accounts = reports.div_ceil(REPORTS_OF_ONE);
        let settings = sandbox::Settings {
            run_time: Duration::from_millis(150),
            rows: 20,
            strict_refresh: true,
            accounts: (0..accounts).map(account).collect(),
            ..sandbox::Settings::default()
        };
        let sandbox = sandbox::start(settings, Clock::system()).await.unwrap();
        // A server of its own: replicas want more connections than other tests can do without.
        let cluster = Cluster::start().await;
        tidings::db::migrate(&cluster.options()).await.unwrap();
        let database = TestDatabase::elsewhere(tidings::db::pool(cluster.options(), 5), cluster.options());
        let mut services = Vec::new();
        for _ in 0..replicas {
            services.push(Service::on(database.options.clone()).await);
        }
        let admin = Admin::of(&services);
        let (folder, key) = (tempfile::tempdir().unwrap(), Keyring::generate());
        let toll = Arc::<Toll>::default();
        let busy = JoinSet::new();
        let mut it = Self {
            sandbox,
            database,
            services,
            toll,
            admin,
            accounts: Vec::new(),
            targets: Vec::new(),
            folder,
            key,
            busy,
            _cluster: cluster,
        };
        for at in 0..replicas {
            it.start_one(at);
        }
        it.order(reports).await;
        it
    }

    /// Starts a replica that was killed.
    pub(super) fn start_one(&mut self, at: usize) {
        let public = self.services[0].address;
        let common = Common { folder: self.folder.path(), key: &self.key, public };
        self.services[at].start(&common);
    }

    async fn order(&mut self, reports: usize) {
        let url = self.toll.endpoint().await;
        self.admin
            .post("/subscriptions", json!({ "name": "all", "endpoint": { "channel": "webhook", "url": url } }))
            .await;
        for at in 0..self.sandbox.world.accounts().len() {
            let account = self.account(at).await;
            self.accounts.push(account);
        }
        let it = &*self;
        let orders = (0..reports).map(|at| (at, &it.accounts[at / REPORTS_OF_ONE]));
        stream::iter(orders)
            .for_each_concurrent(8, |(at, account)| async move {
                it.admin.post("/reports", report(account, &format!("Report {at}"))).await;
            })
            .await;
        self.until("all reports are registered", || async {
            self.number("select count(*) from reports where state = 'registered'").await
                == i64::try_from(reports).unwrap()
        })
        .await;
        self.targets = self
            .sandbox
            .world
            .reports()
            .into_iter()
            .map(|report| {
                let address = report.terms.callback_url.unwrap();
                (report.id, address.parse().unwrap())
            })
            .collect();
    }

    /// An account of ours for one there; gives its id.
    async fn account(&self, at: usize) -> Value {
        let there = &self.sandbox.world.accounts()[at];
        let account = json!({
            "name": format!("Account {at}"), "program": "mpn", "tenant_id": there.tenant, "client_id": there.client_id,
            "client_secret": there.client_secret.expose(), "grant": "refresh_token",
            "refresh_token": there.refresh_token.expose(), "login_url": self.sandbox.url().as_str(),
            "api_url": self.sandbox.url().join("/insights/v1/mpn").unwrap().as_str(),
        });
        self.admin.post("/accounts", account).await["id"].clone()
    }

    /// Lets reports run, each at most once at a time, and callers call, until [`World::come_to_rest`].
    pub(super) fn keep_busy(&mut self, between_runs: Duration) {
        let (sandbox, toll, targets) = (self.sandbox.world.clone(), self.toll.clone(), self.targets.clone());
        self.busy.spawn(async move {
            for (report, _) in targets.iter().cycle() {
                tokio::time::sleep(between_runs).await;
                if toll.busy().contains(report) {
                    continue;
                }
                let run = sandbox.run_report_now(report).await.unwrap();
                toll.runs.lock().unwrap().insert(run, report.clone());
            }
        });
        let ports: Vec<u16> = self.services.iter().map(|service| service.address.port()).collect();
        for caller in 0..CALLERS {
            let (toll, targets, ports, client) =
                (self.toll.clone(), self.targets.clone(), ports.clone(), self.admin.client.clone());
            self.busy.spawn(async move {
                for call in 0.. {
                    let at = usize::try_from(call * CALLERS + caller).unwrap();
                    let (report, mut url) = targets[at % targets.len()].clone();
                    url.set_port(Some(ports[at % ports.len()])).unwrap();
                    call_back(&client, &toll, url, &report, at).await;
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
            });
        }
    }

    /// Makes reports and removes them again, one after the other, until [`World::come_to_rest`].
    pub(super) fn keep_changing(&mut self) {
        let account = self.accounts[0].clone();
        let admin = self.admin.clone();
        self.busy.spawn(async move {
            for at in 0.. {
                let made = admin.try_to_post("/reports", report(&account, &format!("Passing {at}"))).await;
                let Some(made) = made else { continue };
                tokio::time::sleep(Duration::from_millis(500)).await;
                admin.delete(&format!("/reports/{}", made["id"].as_str().unwrap())).await;
            }
        });
    }

    /// As if the longest lease had passed since the only replica was killed.
    pub(super) async fn let_leases_run_out(&self) {
        let columns = [
            ("checks", "lease_until"),
            ("reports", "lease_until"),
            ("comparisons", "lease_until"),
            ("downloads", "lease_until"),
            ("deliveries", "lease_until"),
            ("accounts", "renewal_until"),
        ];
        for (table, until) in columns {
            let statement = format!("update {table} set {until} = null where {until} is not null");
            // What the killed one had begun may still be rolled back.
            while sqlx::query(AssertSqlSafe(&*statement)).execute(&self.database.pool).await.is_err() {}
        }
    }

    /// Ends what [`World::keep_busy`] began, and waits until all that is known has been done.
    pub(super) async fn come_to_rest(&mut self) {
        self.busy.shutdown().await;
        self.until("every run is told", || async { self.toll.untold().is_empty() }).await;
        self.until("nothing is left to be told or looked for", || async {
            let open = "select (select count(*) from deliveries where state = 'pending')
                + (select count(*) from checks where calls > done_calls)
                + (select count(*) from executions where state in ('ready', 'pending'))
                -- one that was refused, for want of room there, is looked for again in an hour
                + (select count(*) from reports where settle_at is not null and last_failure is null)";
            self.number(open).await == 0
        })
        .await;
    }

    /// What must hold at rest, whatever happened; gives the end of a summary.
    pub(super) async fn check(&self, kills: usize) -> String {
        let acknowledged = self.toll.acknowledged.lock().unwrap().clone();
        let rows = "select query from callbacks where query like 'mark=%'";
        let recorded: BTreeSet<String> = self.texts(rows).await.into_iter().collect();
        let lost: Vec<&String> = acknowledged.difference(&recorded).collect();
        let runs: BTreeSet<String> = self.toll.runs.lock().unwrap().keys().cloned().collect();
        let stored = "select remote_id from executions join downloads on execution_id = executions.id
            where executions.state = 'stored' and downloads.state = 'stored' order by 1";
        let stored = self.texts(stored).await;
        let distinct: BTreeSet<String> = stored.iter().cloned().collect();
        let files = files(&self.folder.path().join("archive"));
        let (told, doubled, repeats) = self.toll.told();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        assert_eq!(distinct, runs, "stored, and run there");
        assert_eq!(stored.len(), runs.len(), "stored twice");
        assert_eq!(files, runs.len(), "files in the archive");
        assert_eq!(doubled, 0, "told under two ids");
        assert!(repeats <= kills * MOST_REPEATS, "{repeats} repeats after {kills} kills");
        assert_eq!(self.toll.wrong(), [], "told, and never so");
        let known = self.texts("select remote_id from registrations where ended_at is null order by 1").await;
        let mut there: Vec<String> = self.sandbox.world.reports().into_iter().map(|report| report.id).collect();
        there.sort();
        assert_eq!(known, there, "reports here, and there");
        assert_eq!(self.number("select count(*) from accounts where state <> 'active'").await, 0, "locked out");
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        assert!(!log.contains("panicked"), "{log}");
        let refused = *self.toll.refused.lock().unwrap();
        format!(
            "acknowledged {}, not acknowledged {refused}, lost {}, runs {}, told {told}, doubled {doubled}, \
             repeats under the same id {repeats}",
            acknowledged.len(),
            lost.len(),
            runs.len()
        )
    }

    pub(super) async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.database.pool).await.unwrap()
    }

    async fn texts(&self, query: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&self.database.pool).await.unwrap()
    }

    pub(super) async fn until<F: Future<Output = bool>>(&self, what: &str, is_so: impl Fn() -> F) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What is asked for when a report is made.
pub(super) fn report(account: &Value, name: &str) -> Value {
    json!({ "account_id": account, "name": name, "query": QUERY, "interval_hours": 2160 })
}

fn account(at: usize) -> Account {
    Account {
        username: format!("reports{at}@contoso.example"),
        password: Secret::new(format!("sandbox-password-{at}")),
        refresh_token: Secret::new(format!("sandbox-refresh-token-{at}")),
        ..Account::default()
    }
}

async fn call_back(client: &reqwest::Client, toll: &Toll, mut url: Url, report: &str, mark: usize) {
    let mark = format!("mark={mark}");
    url.set_path(&format!("{}/{report}", url.path()));
    url.set_query(Some(&mark));
    match client.post(url).send().await {
        Ok(answer) if answer.status() == 200 => {
            toll.acknowledged.lock().unwrap().insert(mark);
        }
        _ => *toll.refused.lock().unwrap() += 1,
    }
}

/// How many files there are below, without what is being written.
fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: std::path::PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            usize::from(path.extension().is_some_and(|kind| kind == "gz" || kind == "csv"))
        }
    };
    entries.map(|entry| count(entry.unwrap().path())).sum()
}
