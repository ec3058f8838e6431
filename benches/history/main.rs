//! Fills a database with ten million callbacks and what belongs to them, and measures that history has no weight: every list
//! and page, the plan of every query, and what the door notices while old rows are removed. `cargo bench --bench history`.
//!
//! Takes about 12 GB in a private Postgres in a temporary folder (`fsync` on), or in the empty database that
//! `TIDINGS_BENCH_DATABASE_URL` names, whose user must be a superuser; one that this bench has filled before is used as it
//! is. `-- --scale 0.01` fills a hundredth. Nothing is asserted: machines differ.
#![allow(clippy::unwrap_used, reason = "a measurement that can't go on ends")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures for people")]

mod lists;
mod plans;
mod prune;

use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};
use tidings::app::{App, Settings};
use tidings::callback;
use tidings::clock::Clock;
use tidings::db::{self, embedded};
use tidings::download::fetch::DownloadHosts;
use tidings::http::{self, Listeners};
use tidings::outbound::Guard;
use tidings::report::limits::Quotas;
use tidings::retention::Keep;
use tidings::secret::{Keyring, Secret};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

const CALLBACKS: f64 = 10_000_000.0;
const EXECUTIONS: f64 = 1_000_000.0;
const DELIVERIES: f64 = 5_000_000.0;
const ADMIN_KEY: &str = "an-admin-key-for-benches-only";
/// Where the history that is filled in ends.
const END: &str = "2026-11-21T00:00:00Z";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let scale = arguments.iter().skip_while(|argument| *argument != "--scale").nth(1);
    let scale = scale.map_or(1.0, |scale| scale.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (options, server) = database(folder.path()).await;
    let pool = fill(&options, scale).await;
    let bench = Bench::start(pool, folder.path()).await;

    print_plans(&bench).await;
    lists::print(&bench).await;
    prune::print(&bench).await;

    bench.app.pool.close().await;
    if let Some(server) = server {
        server.stop().await.unwrap();
    }
}

async fn print_plans(bench: &Bench) {
    let mut conn = bench.app.pool.acquire().await.unwrap().detach();
    let seen = plans::look(&mut conn).await;
    println!("\n{} queries; how many of them use each index of the large tables:", seen.queries);
    for (index, times) in &seen.used {
        println!("{times:>4}  {index}");
    }
    for (how, query) in &seen.unserved {
        println!("!  {how}\n{query}\n");
    }
}

/// The service on the filled database: its edges, but nothing that works by itself.
struct Bench {
    app: App,
    url: Url,
    client: reqwest::Client,
}

impl Bench {
    async fn start(pool: PgPool, folder: &Path) -> Self {
        sqlx::query("delete from secret_keys").execute(&pool).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let settings = Settings {
            public_url: url.clone(),
            dashboard_is_public: true,
            guard: Guard::new(&["127.0.0.0/8".parse().unwrap()]),
            proxy: None,
            download_hosts: DownloadHosts::default(),
            calls_per_second: 10,
            quotas: Quotas::default(),
            door: callback::Settings::default(),
            keep: all_but_ten_days(&pool).await,
            keyring: Keyring::parse(&Keyring::generate()).unwrap(),
            admin_key: Some(Secret::new(ADMIN_KEY)),
            local_key: None,
            mail: None,
            archive: folder.join("archive"),
            sandbox_page: None,
            metrics: None,
        };
        let app = App::build(pool, Clock::set_at(END.parse().unwrap()), settings).await.unwrap();
        let listeners = Listeners { main: listener, admin: None };
        tokio::spawn(http::serve(app.clone(), listeners, CancellationToken::new()));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap();
        Self { app, url, client }
    }

    /// One text of the database.
    async fn text(&self, query: &str) -> String {
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.app.pool).await.unwrap()
    }
}

/// Each run on the same database removes ten days more.
async fn all_but_ten_days(pool: &PgPool) -> Keep {
    let oldest = sqlx::query_scalar("select received_at from callbacks order by id limit 1").fetch_one(pool).await;
    let oldest: DateTime<Utc> = oldest.unwrap();
    let age = (END.parse::<DateTime<Utc>>().unwrap() - oldest).num_days();
    let days = u32::try_from(age - 9).unwrap();
    Keep { callbacks: days, attempts: days, deliveries: days, events: days, audit: days }
}

async fn database(folder: &Path) -> (PgConnectOptions, Option<embedded::Embedded>) {
    if let Ok(url) = std::env::var("TIDINGS_BENCH_DATABASE_URL") {
        return (PgConnectOptions::from_str(&url).unwrap(), None);
    }
    // The server's user, who is another one when we are root, must be able to enter.
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let settings = embedded::Settings { data_dir: folder.join("data"), binaries: None, fsync: true, download: true };
    let server = embedded::start(&settings, &|text| println!("{text}")).await.unwrap();
    (server.options(), Some(server))
}

/// Brings the database up to date, and fills it if it is empty.
async fn fill(options: &PgConnectOptions, scale: f64) -> PgPool {
    db::migrate(options).await.unwrap();
    let mut conn = options.connect().await.unwrap();
    let is_filled: bool = sqlx::query_scalar("select exists (select from reports)").fetch_one(&mut conn).await.unwrap();
    if !is_filled {
        let began = Instant::now();
        let set = |name, most: f64| format!("set fill.{name} = '{}';", (most * scale) as i64);
        let counts = [set("callbacks", CALLBACKS), set("executions", EXECUTIONS), set("deliveries", DELIVERIES)];
        let script = format!("{}\n{}", counts.concat(), include_str!("fill.sql"));
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut conn).await.unwrap();
        sqlx::raw_sql("vacuum analyze").execute(&mut conn).await.unwrap();
        println!("filled in {:.0} s", began.elapsed().as_secs_f64());
    }
    let size: String = sqlx::query_scalar("select pg_size_pretty(pg_database_size(current_database()))")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    println!("the database has {size}");
    PgPoolOptions::new().max_connections(24).connect_with(options.clone()).await.unwrap()
}

/// A moment of the middle, in milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
