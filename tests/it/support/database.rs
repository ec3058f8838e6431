//! A database of its own for each test, in one throwaway Postgres for all tests of a run.
//!
//! Whoever comes first starts the server (fsync off) and leaves it to a watchdog: this test binary once more. Each process
//! that uses the server holds a shared lock; when nobody has held it for a while, the watchdog stops the server and removes
//! it. So it does not matter whether the tests of a run share a process or have one each, nor how they end.
//!
//! `TIDINGS_TEST_DATABASE_URL` names a server to use instead; there each test drops its database.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgPool};
use tidings::db::embedded::{self, Settings};
use tokio::sync::OnceCell;
use uuid::Uuid;

const EXTERNAL: &str = "TIDINGS_TEST_DATABASE_URL";
const WATCHDOG: &str = "TIDINGS_TEST_WATCHDOG";
/// Long enough for the next test of a run to begin.
const GRACE: Duration = Duration::from_secs(2);

static MIGRATOR: std::sync::LazyLock<Migrator> = std::sync::LazyLock::new(tidings::db::migrator);
static SERVER: OnceCell<Server> = OnceCell::const_new();

struct Server {
    options: PgConnectOptions,
    template: String,
    /// Held until the process ends: what tells the watchdog that somebody is there.
    _user: Option<File>,
}

/// A migrated database that belongs to one test.
pub(crate) struct TestDatabase {
    /// A small pool on it.
    pub(crate) pool: PgPool,
    /// The way to it, for what makes its own pool.
    pub(crate) options: PgConnectOptions,
    /// To drop it, where the server outlives the tests.
    drop_through: Option<PgConnectOptions>,
}

impl TestDatabase {
    /// One of a server that the test looks after itself.
    pub(crate) fn elsewhere(pool: PgPool, options: PgConnectOptions) -> Self {
        Self { pool, options, drop_through: None }
    }

    /// The way to it as a setting of `tidings serve`.
    pub(crate) fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some(admin) = self.drop_through.take() else { return };
        let name = self.options.get_database().unwrap_or_default().to_owned();
        // A runtime of its own: the test's may be on its way out.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect_with(&admin).await?;
                sqlx::query(AssertSqlSafe(format!("drop database \"{name}\" with (force)")))
                    .execute(&mut connection)
                    .await
            })
        });
        if let Ok(Err(error)) = dropping.join() {
            eprintln!("could not drop the database of a test: {error}");
        }
    }
}

/// A database as the migrations leave it, with nobody else in it.
pub(crate) async fn fresh() -> TestDatabase {
    let server = SERVER.get_or_init(server).await;
    let name = format!("test_{}", Uuid::now_v7().simple());
    let mut admin = PgConnection::connect_with(&server.options).await.unwrap();
    let create = format!("create database \"{name}\" template \"{}\"", server.template);
    sqlx::query(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    let options = server.options.clone().database(&name);
    let pool = PgPoolOptions::new().max_connections(5).connect_with(options.clone()).await.unwrap();
    let drop_through = std::env::var_os(EXTERNAL).map(|_| server.options.clone());
    TestDatabase { pool, options, drop_through }
}

async fn server() -> Server {
    let (options, user) = if let Ok(url) = std::env::var(EXTERNAL) {
        (PgConnectOptions::from_str(&url).unwrap(), None)
    } else {
        let (options, user) = throwaway().await;
        (options, Some(user))
    };
    let template = template(&options).await;
    Server { options, template, _user: user }
}

/// Joins the users of the throwaway server; the first one starts it.
async fn throwaway() -> (PgConnectOptions, File) {
    let user = lock_file("users");
    let user = blocking(move || user.lock_shared().map(|()| user)).await;
    let door = lock_file("door");
    let _door = blocking(move || door.lock().map(|()| door)).await;
    let settings = settings();
    // Before the server, and whether it runs already or not: whoever came first may have been killed on the way.
    if lock_file("watchdog").try_lock().is_ok() {
        spawn_watchdog();
    }
    let options = match embedded::running(&settings.data_dir).await.unwrap() {
        Some(options) => options,
        None => start(&settings).await,
    };
    (options, user)
}

async fn start(settings: &Settings) -> PgConnectOptions {
    let started = embedded::start(settings, &|_| {}).await.unwrap();
    let options = started.options();
    // It is the watchdog's from now on; our lock on it ends with this process.
    std::mem::forget(started);
    options
}

fn settings() -> Settings {
    Settings { data_dir: dir().join("data"), binaries: None, fsync: false, download: true }
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres")
}

fn lock_file(name: &str) -> File {
    std::fs::create_dir_all(dir()).unwrap();
    File::create(dir().join(format!("{name}.lock"))).unwrap()
}

async fn blocking(take: impl FnOnce() -> std::io::Result<File> + Send + 'static) -> File {
    tokio::task::spawn_blocking(take).await.unwrap().unwrap()
}

#[expect(clippy::zombie_processes, reason = "it ends after this process")]
fn spawn_watchdog() {
    use std::os::unix::process::CommandExt;
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "support::database::watchdog", "--ignored"])
        .env(WATCHDOG, "1")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
}

/// Not a test: what [`spawn_watchdog`] runs.
#[tokio::test]
#[ignore = "the watchdog of the tests' server, started by them"]
async fn watchdog() {
    if std::env::var_os(WATCHDOG).is_none() {
        return;
    }
    let users = lock_file("users");
    // Declared second, so released first: who comes next finds no watchdog and starts one.
    let only_one = lock_file("watchdog");
    if only_one.try_lock().is_err() {
        return;
    }
    loop {
        users.lock().unwrap();
        users.unlock().unwrap();
        tokio::time::sleep(GRACE).await;
        if users.try_lock().is_ok() {
            break;
        }
    }
    let settings = settings();
    // Takes it over: whoever owned it has ended.
    let server = embedded::start(&settings, &|_| {}).await.unwrap();
    let place = server.place().to_owned();
    server.stop().await.unwrap();
    std::fs::remove_dir_all(place).unwrap();
    std::fs::remove_dir_all(settings.data_dir).unwrap();
}

/// The database that fresh ones are copied from, made once for each state of the migrations.
async fn template(server: &PgConnectOptions) -> String {
    let name = format!("template_{}", hash_of_migrations());
    let mut admin = PgConnection::connect_with(server).await.unwrap();
    // The lock ends with the connection.
    sqlx::query("select pg_advisory_lock(hashtext($1))").bind(&name).execute(&mut admin).await.unwrap();
    let exists = "select exists (select from pg_database where datname = $1)";
    if !sqlx::query_scalar::<_, bool>(exists).bind(&name).fetch_one(&mut admin).await.unwrap() {
        // Under another name until it is whole: the next run must not take half a template.
        let unfinished = format!("{name}_unfinished");
        for statement in [
            format!("drop database if exists \"{unfinished}\" with (force)"),
            format!("create database \"{unfinished}\""),
        ] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await.unwrap();
        }
        let mut connection = PgConnection::connect_with(&server.clone().database(&unfinished)).await.unwrap();
        MIGRATOR.run(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let rename = format!("alter database \"{unfinished}\" rename to \"{name}\"");
        sqlx::query(AssertSqlSafe(rename)).execute(&mut admin).await.unwrap();
    }
    admin.close().await.unwrap();
    name
}

fn hash_of_migrations() -> String {
    let mut hasher = Sha256::new();
    for migration in MIGRATOR.iter() {
        hasher.update(migration.version.to_be_bytes());
        hasher.update(&migration.checksum);
    }
    hasher.finalize().iter().take(8).fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"))
}

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    let (one, other) = (fresh().await, fresh().await);

    sqlx::query("create table only_here (id int)").execute(&one.pool).await.unwrap();

    let known = "select to_regclass('only_here') is not null";
    let applied = "select count(*) from _sqlx_migrations";
    assert!(sqlx::query_scalar::<_, bool>(known).fetch_one(&one.pool).await.unwrap());
    assert!(!sqlx::query_scalar::<_, bool>(known).fetch_one(&other.pool).await.unwrap());
    let applied: i64 = sqlx::query_scalar(applied).fetch_one(&other.pool).await.unwrap();
    assert_eq!(applied, i64::try_from(MIGRATOR.iter().count()).unwrap());
    let through_url = PgConnection::connect(&one.url()).await;
    assert!(through_url.is_ok());
}
