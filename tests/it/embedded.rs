//! The private Postgres, against real servers: durable, alone in its directory, and back after any kill.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User, chown};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tidings::db::embedded::{self, Embedded, EmbeddedError, Settings};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Tells the [`owner`] which data directory to own.
const OWNED: &str = "TIDINGS_TEST_OWNED";
const PATIENCE: Duration = Duration::from_mins(2);

/// A directory that the database user can enter, and no server left in it whatever happens.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o755);
        Self(dir)
    }

    fn data_dir(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn settings(&self) -> Settings {
        Settings { data_dir: self.data_dir(), binaries: None, fsync: true, download: false }
    }

    fn without_binaries(&self) -> Settings {
        Settings { binaries: Some(self.0.path().join("no-binaries")), ..self.settings() }
    }
}

impl Drop for Scratch {
    /// Only a test that failed leaves a server here.
    fn drop(&mut self) {
        let pid_file = self.data_dir().join("postgres/data/postmaster.pid");
        let Ok(text) = std::fs::read_to_string(&pid_file) else { return };
        let Some(pid) = text.lines().next().and_then(|line| line.parse().ok()) else { return };
        let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        for _ in 0..500 {
            if pid_file.exists() {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

async fn start(settings: &Settings) -> Result<Embedded, EmbeddedError> {
    embedded::start(settings, &|line| eprintln!("{line}")).await
}

async fn start_and_listen(settings: &Settings) -> (Result<Embedded, EmbeddedError>, String) {
    let said = Mutex::new(Vec::new());
    let started = embedded::start(settings, &|line| said.lock().unwrap().push(line.to_owned())).await;
    (started, said.into_inner().unwrap().join("\n"))
}

async fn ask(options: &PgConnectOptions, question: &'static str) -> String {
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap()
}

async fn keep_a_row(options: &PgConnectOptions) {
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    sqlx::query("create table kept as select 'a row' as what").execute(&mut connection).await.unwrap();
}

async fn kept_row(options: &PgConnectOptions) -> String {
    ask(options, "select what from kept").await
}

fn kill_hard(pid: u32) {
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
}

/// Another process that owns the server of a data directory, until it is killed or its input ends.
struct Owner {
    process: Child,
    /// Kept, so that it can go on printing.
    _output: Lines<BufReader<ChildStdout>>,
    server_pid: u32,
}

impl Owner {
    async fn spawn(data_dir: &Path) -> Self {
        Self::run(Command::new(std::env::current_exe().unwrap()), data_dir).await
    }

    async fn run(mut command: Command, data_dir: &Path) -> Self {
        let mut process = command
            .args(["--exact", "embedded::owner", "--ignored", "--nocapture"])
            .env(OWNED, data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(pid) = line.strip_prefix("owns ") {
                    return pid.parse().unwrap();
                }
            }
            panic!("the owner ended before it had a server");
        };
        let server_pid = tokio::time::timeout(PATIENCE, ready).await.unwrap();
        Self { process, _output: lines, server_pid }
    }

    async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    async fn finish(mut self) {
        drop(self.process.stdin.take());
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        assert!(ended.unwrap().unwrap().success(), "the owner failed to stop its server");
    }
}

/// Not a test: what [`Owner::spawn`] runs.
#[tokio::test]
#[ignore = "a process that the tests start and kill"]
async fn owner() {
    let Some(data_dir) = std::env::var_os(OWNED) else { return };
    let settings = Settings { data_dir: data_dir.into(), binaries: None, fsync: true, download: false };
    let server = start(&settings).await.unwrap();
    println!("\nowns {}", server.server_pid());
    // Nothing else happens on this thread: the test either closes the input or kills the process.
    std::io::read_to_string(std::io::stdin()).unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart_and_storing_is_durable() {
    let scratch = Scratch::new();
    let first = start(&scratch.settings()).await.unwrap();
    let options = first.options();
    keep_a_row(&options).await;

    assert_eq!(ask(&options, "show fsync").await, "on");
    assert_eq!(ask(&options, "show synchronous_commit").await, "on");
    assert_eq!(ask(&options, "show data_checksums").await, "on");
    assert_eq!(ask(&options, "show listen_addresses").await, "");
    assert_eq!(std::fs::metadata(first.place().join("data")).unwrap().mode() & 0o777, 0o700);
    first.stop().await.unwrap();
    assert!(PgConnection::connect_with(&options).await.is_err(), "the server goes on after stop");

    let second = start(&scratch.settings()).await.unwrap();
    assert_eq!(kept_row(&second.options()).await, "a row");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_owner_of_a_data_directory_is_refused_and_told_who_the_first_is() {
    let scratch = Scratch::new();
    let owner = Owner::spawn(&scratch.data_dir()).await;

    let refusal = start(&scratch.settings()).await.unwrap_err().to_string();
    assert!(refusal.contains(scratch.data_dir().canonicalize().unwrap().to_str().unwrap()), "{refusal}");
    assert!(refusal.contains(&format!("process {}", owner.process.id().unwrap())), "{refusal}");

    let shared = embedded::running(&scratch.data_dir()).await.unwrap().expect("the owner's server runs");
    assert_eq!(ask(&shared, "select current_database()::text").await, "tidings");
    owner.finish().await;
}

#[tokio::test]
async fn a_server_that_outlived_its_service_is_taken_over_with_all_data() {
    let scratch = Scratch::new();
    let owner = Owner::spawn(&scratch.data_dir()).await;
    let outlived = owner.server_pid;
    keep_a_row(&embedded::running(&scratch.data_dir()).await.unwrap().unwrap()).await;
    owner.kill().await;
    let nobodys = embedded::running(&scratch.data_dir()).await.unwrap();

    let next = start(&scratch.settings()).await.unwrap();

    assert!(nobodys.is_none(), "a server that nobody owns is to be taken over, not shared");
    assert_eq!(next.server_pid(), outlived);
    let options = next.options();
    assert_eq!(kept_row(&options).await, "a row");
    next.stop().await.unwrap();
    assert!(PgConnection::connect_with(&options).await.is_err(), "the server goes on after stop");
}

#[tokio::test]
async fn service_and_server_killed_together_lose_nothing() {
    let scratch = Scratch::new();
    let owner = Owner::spawn(&scratch.data_dir()).await;
    let killed = owner.server_pid;
    keep_a_row(&embedded::running(&scratch.data_dir()).await.unwrap().unwrap()).await;
    owner.kill().await;
    kill_hard(killed);

    let next = start(&scratch.settings()).await.unwrap();

    assert_ne!(next.server_pid(), killed);
    assert_eq!(kept_row(&next.options()).await, "a row");
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_that_fails_after_its_start_leaves_no_server() {
    let scratch = Scratch::new();
    let server = start(&scratch.settings()).await.unwrap();
    let options = server.options();
    drop(server);

    let gone = async {
        while PgConnection::connect_with(&options).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, gone).await.is_ok(), "the server goes on");
}

#[tokio::test]
async fn a_data_directory_too_deep_for_a_socket_works() {
    let scratch = Scratch::new();
    let settings = Settings { data_dir: scratch.data_dir().join("deep/".repeat(25)), ..scratch.settings() };

    let server = start(&settings).await.unwrap();
    let options = server.options();
    let socket_dir = options.get_socket().unwrap();

    assert!(!socket_dir.starts_with(&settings.data_dir), "{}", socket_dir.display());
    assert_eq!(ask(&options, "select current_database()::text").await, "tidings");
    server.stop().await.unwrap();
    std::fs::remove_dir(socket_dir).unwrap();
}

#[tokio::test]
async fn an_ordinary_user_runs_it_as_itself() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.data_dir()).unwrap();
    let mut user = User::from_uid(Uid::effective()).unwrap().unwrap();
    let program = scratch.0.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new(&program);
    command.current_dir(scratch.0.path());
    if user.uid.is_root() {
        user = User::from_name("nobody").unwrap().unwrap();
        chown(&scratch.data_dir(), Some(user.uid), Some(user.gid)).unwrap();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }

    let owner = Owner::run(command, &scratch.data_dir()).await;

    let cluster = std::fs::metadata(scratch.data_dir().join("postgres/data/PG_VERSION")).unwrap();
    assert_eq!(cluster.uid(), user.uid.as_raw());
    owner.finish().await;
}

#[tokio::test]
async fn as_root_a_directory_that_the_database_user_cant_enter_sends_the_cluster_elsewhere() {
    if !Uid::effective().is_root() {
        eprintln!("does not apply: an ordinary user can enter its own directories");
        return;
    }
    let scratch = Scratch::new();
    set_mode(scratch.0.path(), 0o700);

    let (server, said) = start_and_listen(&scratch.settings()).await;
    let server = server.unwrap();
    let place = server.place().to_owned();
    keep_a_row(&server.options()).await;
    server.stop().await.unwrap();
    // The way is open now, and still the data is where it was.
    set_mode(scratch.0.path(), 0o755);
    let (again, _) = start_and_listen(&scratch.settings()).await;
    let again = again.unwrap();
    let kept = kept_row(&again.options()).await;
    let same_place = again.place() == place;
    again.stop().await.unwrap();
    std::fs::remove_dir_all(&place).unwrap();
    // Only if these tests made it: it is not removed while anything is in it.
    let _ = std::fs::remove_dir("/var/lib/tidings");

    assert!(place.starts_with("/var/lib/tidings"), "{}", place.display());
    assert!(said.contains(place.to_str().unwrap()), "{said}");
    assert!(said.contains(scratch.0.path().to_str().unwrap()), "{said}");
    assert!(same_place);
    assert_eq!(kept, "a row");
}

#[tokio::test]
async fn without_binaries_the_error_names_every_way_out() {
    let scratch = Scratch::new();

    let error = start(&scratch.without_binaries()).await.unwrap_err().to_string();

    for way in [
        "apt install postgresql",
        "brew install postgresql@17",
        "docker compose up",
        "TIDINGS_DATABASE_URL",
        "not allowed",
    ] {
        assert!(error.contains(way), "{way} is missing: {error}");
    }
}

#[tokio::test]
async fn a_cluster_of_a_version_that_is_not_installed_is_left_alone() {
    let scratch = Scratch::new();
    let version = scratch.data_dir().join("postgres/data/PG_VERSION");
    std::fs::create_dir_all(version.parent().unwrap()).unwrap();
    std::fs::write(&version, "9999\n").unwrap();

    let error = start(&Settings { download: true, ..scratch.settings() }).await.unwrap_err().to_string();

    assert!(error.contains("install Postgres 9999"), "{error}");
    assert!(error.contains("only Postgres 18 can be fetched"), "{error}");
    assert_eq!(std::fs::read_to_string(version).unwrap(), "9999\n");
}

#[tokio::test]
async fn with_npm_a_machine_without_postgres_gets_one_and_keeps_it() {
    if Command::new("npm").arg("--version").stdout(Stdio::null()).status().await.is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "npm is missing");
        eprintln!("SKIPPED: npm is missing");
        return;
    }
    let scratch = Scratch::new();
    let allowed = Settings { download: true, ..scratch.without_binaries() };

    let (server, said) = start_and_listen(&allowed).await;
    let server = server.unwrap();
    assert!(said.contains("with npm"), "{said}");
    assert!(ask(&server.options(), "show server_version").await.starts_with("18."));
    server.stop().await.unwrap();

    let again = start(&scratch.without_binaries()).await.unwrap();
    again.stop().await.unwrap();
}
