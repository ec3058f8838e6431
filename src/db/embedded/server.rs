//! The running server: found, started, asked and stopped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use tokio::process::Child;
use tokio::time::Instant;

use super::binaries::Binaries;
use super::cluster::{self, PidFile, ROLE};
use super::error::EmbeddedError;
use super::place::Place;
use super::{Say, process};

/// Recovery after a crash replays what was written since the last checkpoint: minutes at worst.
const START_LIMIT: Duration = Duration::from_mins(10);
/// A start that takes longer than this is worth a word.
const SLOW_START: Duration = Duration::from_secs(5);
/// A fast shutdown writes a checkpoint; an immediate one only ends.
const FAST_STOP_LIMIT: Duration = Duration::from_mins(1);
const IMMEDIATE_STOP_LIMIT: Duration = Duration::from_secs(10);
const PING_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(30);

/// A server that answers.
#[derive(Debug)]
pub(super) struct Server {
    /// The postmaster.
    pub pid: u32,
    /// Where its socket is.
    pub socket_dir: PathBuf,
    /// Ours to reap, where this process started it.
    child: Option<Child>,
}

/// How to reach a database of the server behind this socket.
pub(super) fn options(socket_dir: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket_dir)
        .port(5432)
        .username(ROLE)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

/// The server of this place, where one runs; waits while it starts or ends.
pub(super) async fn find(place: &Place) -> Result<Option<Server>, EmbeddedError> {
    let data = place.data();
    let deadline = Instant::now() + START_LIMIT;
    while let Some(PidFile { pid, socket_dir }) = PidFile::read(&data) {
        if !process::works_in(pid, &data) {
            break;
        }
        if answers(&socket_dir, &data).await {
            return Ok(Some(Server { pid, socket_dir, child: None }));
        }
        if Instant::now() >= deadline {
            return Err(not_started(place, format!("process {pid} runs and does not answer")));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(None)
}

/// Starts a server and waits until it answers.
pub(super) async fn launch(
    binaries: &Binaries,
    place: &Place,
    fsync: bool,
    say: Say<'_>,
) -> Result<Server, EmbeddedError> {
    let socket_dir = place.socket_dir()?;
    cluster::clear_leftovers(place, &socket_dir).await?;
    let mut child = spawn(binaries, place, &socket_dir, fsync)?;
    let began = Instant::now();
    let mut told = false;
    while !answers(&socket_dir, &place.data()).await {
        if let Some(status) = child.try_wait().map_err(EmbeddedError::file("wait for", &binaries.dir))? {
            let said = std::fs::read_to_string(place.log()).unwrap_or_default();
            return Err(not_started(place, format!("it ended with {status}: {}", process::tail(&said))));
        }
        if began.elapsed() >= START_LIMIT {
            return Err(not_started(place, format!("no answer within {START_LIMIT:?}")));
        }
        if !told && began.elapsed() >= SLOW_START {
            say("the private Postgres is still starting; after a crash it first replays what was written last");
            told = true;
        }
        tokio::time::sleep(POLL).await;
    }
    let pid = child.id().ok_or_else(|| not_started(place, "it ended at once".into()))?;
    Ok(Server { pid, socket_dir, child: Some(child) })
}

/// Connects to one database.
pub(super) async fn connect(socket_dir: &Path, database: &str) -> Result<PgConnection, sqlx::Error> {
    let options = options(socket_dir, database);
    tokio::time::timeout(PING_LIMIT, PgConnection::connect_with(&options))
        .await
        .map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))?
}

impl Server {
    /// Begins a fast shutdown: no new sessions, the open ones rolled back. Never signals a stranger with the server's id.
    pub(super) fn begin_stop(&self, place: &Place) {
        self.signal(place, Signal::SIGINT);
    }

    /// Ends the server and waits until it is gone: fast, and where that takes too long, at once (then the next start replays).
    pub(super) async fn stop(&mut self, place: &Place) -> Result<(), EmbeddedError> {
        for (signal, limit) in [(Signal::SIGINT, FAST_STOP_LIMIT), (Signal::SIGQUIT, IMMEDIATE_STOP_LIMIT)] {
            self.signal(place, signal);
            if tokio::time::timeout(limit, self.gone(place)).await.is_ok() {
                return Ok(());
            }
        }
        Err(EmbeddedError::NotStopped { pid: self.pid })
    }

    async fn gone(&mut self, place: &Place) {
        match &mut self.child {
            // It failed only if it was reaped before.
            Some(child) => drop(child.wait().await),
            None => {
                while process::works_in(self.pid, &place.data()) {
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    }

    fn signal(&self, place: &Place, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().filter(|pid| *pid > 1);
        if let Some(pid) = pid.filter(|_| process::works_in(self.pid, &place.data())) {
            // It may have ended in between; whether it is gone is looked at afterwards.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

fn spawn(binaries: &Binaries, place: &Place, socket_dir: &Path, fsync: bool) -> Result<Child, EmbeddedError> {
    let path = place.log();
    // The one before may tell why it ended; more than two starts are not kept.
    let _ = std::fs::rename(&path, path.with_extension("log.old"));
    let log = File::create(&path).map_err(EmbeddedError::file("write", &path))?;
    let second = log.try_clone().map_err(EmbeddedError::file("write", &path))?;
    let program = binaries.dir.join("postgres");
    let mut command = place.command(&program);
    command.arg("-D").arg(place.data());
    for (name, value) in parameters(fsync) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    let mut directory = std::ffi::OsString::from("unix_socket_directories=");
    directory.push(socket_dir);
    command
        .arg("-c")
        .arg(directory)
        // Its own group: a terminal's ^C must not reach the server before the service has drained.
        .process_group(0)
        .stdin(std::process::Stdio::null())
        .stdout(log)
        .stderr(second)
        .spawn()
        .map_err(EmbeddedError::file("run", &program))
}

/// What is set on the command line, where neither a file nor `ALTER SYSTEM` can override it.
fn parameters(fsync: bool) -> [(&'static str, &'static str); 13] {
    [
        ("fsync", on_off(fsync)),
        ("synchronous_commit", "on"),
        ("listen_addresses", ""),
        ("port", "5432"),
        ("unix_socket_permissions", "0700"),
        ("max_connections", "100"),
        ("shared_buffers", "128MB"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        // The log holds the server's own life only: statements that fail are told to the service, which logs them, and their
        // texts may hold what belongs in no log.
        ("log_min_messages", "log"),
        ("log_min_error_statement", "panic"),
        ("log_checkpoints", "off"),
        ("log_destination", "stderr"),
    ]
}

pub(super) fn on_off(fsync: bool) -> &'static str {
    if fsync { "on" } else { "off" }
}

/// Whether the server behind this socket answers, and works on this cluster.
async fn answers(socket_dir: &Path, data: &Path) -> bool {
    let Ok(mut connection) = connect(socket_dir, "postgres").await else { return false };
    let asked = sqlx::query_scalar::<_, String>("select current_setting('data_directory')").fetch_one(&mut connection);
    let directory = tokio::time::timeout(PING_LIMIT, asked).await;
    // What the server thinks of a closed connection changes nothing.
    let _ = connection.close().await;
    matches!(directory, Ok(Ok(directory)) if Path::new(&directory) == data)
}

fn not_started(place: &Place, why: String) -> EmbeddedError {
    EmbeddedError::NotStarted { why, log: place.log() }
}
