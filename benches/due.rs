//! Makes ten thousand reports due at once, and measures how fast they are asked for and what the brake is:
//! `cargo bench --bench due`.
//!
//! The service runs here with all its steps, on a private Postgres with `fsync`. The API is a process of its own that answers
//! that there are no executions yet, after as long as an API far away takes; the sandbox would be a brake of its own. Each
//! account has fifty reports, the most that Microsoft allows. Measured is the first question about each report, which is
//! three questions of the API; those that follow seconds later are beside it. Nothing is asserted: machines differ.
//! `BENCH_REPORTS` (10000) says how many.
#![allow(clippy::unwrap_used, reason = "a measurement that can't go on ends")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

#[allow(dead_code, reason = "the comparison of the door looks at more")]
#[path = "door/process.rs"]
mod process;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sqlx::PgPool;
use tidings::account::{self, Credentials, Grant, ProgramName, TokenVersion};
use tidings::app::{App, Settings};
use tidings::clock::Clock;
use tidings::db::{self, embedded};
use tidings::download::fetch::DownloadHosts;
use tidings::outbound::Guard;
use tidings::report::limits::Quotas;
use tidings::retention::Keep;
use tidings::secret::{Keyring, Secret};
use tidings::{callback, worker};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const PER_ACCOUNT: i32 = 50;
/// As many connections as `tidings serve` has.
const CONNECTIONS: u32 = 24;
const MOST: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["api", address, away] => answer(address, Duration::from_millis(away.parse().unwrap())).await,
        _ if arguments.contains(&"--bench") => compare().await,
        _ => {}
    }
}

async fn compare() {
    let folder = tempfile::tempdir().unwrap();
    // The server's user, who is another one when we are root, must be able to enter.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let settings =
        embedded::Settings { data_dir: folder.path().join("data"), binaries: None, fsync: true, download: true };
    let server = embedded::start(&settings, &|_| {}).await.unwrap();
    db::migrate(&server.options()).await.unwrap();
    let pool = db::connect(server.options(), CONNECTIONS, &|_| {}).await.unwrap();
    let most = std::env::var("BENCH_REPORTS").map_or(10_000, |text| text.parse().unwrap());
    println!("each report is asked for once\n{HEAD}");
    for (pace, away, reports) in [(1000, 0, most), (1000, 100, most), (10, 100, most), (10, 100, PER_ACCOUNT)] {
        let bench = Bench::start(&pool, folder.path(), (pace, away, reports)).await;
        bench.print().await;
    }
    pool.close().await;
    server.stop().await.unwrap();
}

const HEAD: &str = "reports  accounts  calls/s each  answer after  seconds  reports/s  questions/s  our CPU  Postgres";

/// The API's side: a token for everyone, and no executions for any report.
async fn answer(address: &str, away: Duration) {
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let none = json!({ "value": [], "totalCount": 0, "message": "There are no executions.", "statusCode": 404 });
    let reply = move |request: Request| {
        let (counted, none) = (counted.clone(), none.clone());
        async move {
            if request.uri().path().ends_with("/oauth2/token") {
                let token = json!({ "token_type": "Bearer", "expires_in": "3599", "access_token": "a-token" });
                return (StatusCode::OK, Json(token));
            }
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(away).await;
            (StatusCode::NOT_FOUND, Json::<Value>(none))
        }
    };
    let count = get(move || async move { asked.load(Ordering::Relaxed).to_string() });
    let listener = TcpListener::bind(address).await.unwrap();
    axum::serve(listener, Router::new().route("/asked", count).fallback(reply)).await.unwrap();
}

struct Bench<'a> {
    pool: &'a PgPool,
    app: App,
    api: SocketAddr,
    postmaster: u32,
    terms: (u32, u64, i32),
    _api: tokio::process::Child,
}

impl<'a> Bench<'a> {
    async fn start(pool: &'a PgPool, folder: &Path, terms: (u32, u64, i32)) -> Self {
        let (pace, away, reports) = terms;
        let address = process::free_address();
        let api = process::role(&["api", &address.to_string(), &away.to_string()]).spawn().unwrap();
        process::listening(address).await;
        sqlx::raw_sql("truncate accounts, secret_keys cascade").execute(pool).await.unwrap();
        let settings = Settings {
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            dashboard_is_public: true,
            guard: Guard::new(&["127.0.0.0/8".parse().unwrap()]),
            proxy: None,
            download_hosts: DownloadHosts::default(),
            calls_per_second: pace,
            quotas: Quotas::default(),
            keep: Keep::default(),
            door: callback::Settings::default(),
            keyring: Keyring::parse(&Keyring::generate()).unwrap(),
            admin_key: None,
            local_key: None,
            mail: None,
            archive: folder.join("archive"),
            sandbox_page: None,
            metrics: None,
        };
        let app = App::build(pool.clone(), Clock::system(), settings).await.unwrap();
        let file = std::fs::read_to_string(folder.join("data/postgres/data/postmaster.pid")).unwrap();
        let postmaster = file.lines().next().unwrap().parse().unwrap();
        let bench = Self { pool, app, api: address, postmaster, terms, _api: api };
        bench.fill(reports).await;
        bench
    }

    /// Accounts with fifty reports each, all of them registered and due.
    async fn fill(&self, reports: i32) {
        let mut conn = self.pool.acquire().await.unwrap();
        for number in 0..(reports / PER_ACCOUNT).max(1) {
            let draft = account::Draft {
                name: format!("Account {number}"),
                program: ProgramName::Mpn,
                tenant_id: "contoso".into(),
                client_id: "client".into(),
                grant: Grant::RefreshToken,
                token_version: TokenVersion::One,
                client_secret_expires_at: None,
                login_url: Some(format!("http://{}/", self.api)),
                api_url: Some(format!("http://{}/insights", self.api)),
                username: None,
                credentials: Credentials {
                    client_secret: Some(Secret::new("secret")),
                    refresh_token: Some(Secret::new("refresh-token")),
                    ..Credentials::default()
                },
            };
            let checked = draft.check(&self.app.guard, None).unwrap();
            account::store::insert(&mut conn, &self.app.clock, &self.app.keyring, &checked).await.unwrap();
        }
        for statement in FILL {
            sqlx::query(*statement).bind(self.app.clock.now()).bind(PER_ACCOUNT).execute(&mut *conn).await.unwrap();
        }
        sqlx::raw_sql("analyze").execute(&mut *conn).await.unwrap();
    }

    async fn print(self) {
        let (pace, away, reports) = self.terms;
        let stop = CancellationToken::new();
        let cpu = || (process::cpu_of_this(), process::cpu_of_family(self.postmaster));
        let (began, before) = (Instant::now(), cpu());
        let worker = tokio::spawn(worker::run(self.app.clone(), stop.clone()));
        while self.left().await > 0 && began.elapsed() < MOST {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (seconds, after, asked) = (began.elapsed().as_secs_f64(), cpu(), self.asked().await);
        let share = |used: f64| format!("{:.0}%", used / seconds * 100.0);
        println!(
            "{reports:>7} {:>9} {pace:>13} {:>13} {seconds:>8.1} {:>10.0} {:>12.0} {:>8} {:>9}",
            (reports / PER_ACCOUNT).max(1),
            format!("{away} ms"),
            f64::from(reports) / seconds,
            asked as f64 / seconds,
            share(after.0 - before.0),
            share(after.1 - before.1)
        );
        stop.cancel();
        worker.await.unwrap();
    }

    async fn left(&self) -> i64 {
        sqlx::query_scalar("select count(*) from checks where good_at is null").fetch_one(self.pool).await.unwrap()
    }

    async fn asked(&self) -> u64 {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{}/asked", self.api)).send().await.unwrap();
        answer.text().await.unwrap().parse().unwrap()
    }
}

/// `$1` is now, `$2` how many reports an account has.
const FILL: &[&str] = &[
    "insert into queries (id, account_id, name, text, remote_id, created_at)
     select gen_random_uuid(), id, 'Usage', 'SELECT Month FROM OfficeUsage', 'query', $1 from accounts where $2 > 0",
    "insert into reports (id, account_id, query_id, name, slug, start_at, interval_hours, execute_now, format,
         callback_method, state, there, expected_at, created_at, updated_at)
     select gen_random_uuid(), account_id, id, 'Usage ' || number, 'usage', $1, 24, false, 'csv', 'POST', 'registered',
         'active', $1, $1, $1
     from queries, generate_series(1, $2) as number",
    "insert into registrations (id, report_id, remote_id, created_at)
     select gen_random_uuid(), id, id::text, $1 from reports where $2 > 0",
    "insert into checks (report_id, due_at, expected_since) select id, $1, $1 from reports where $2 > 0",
];
