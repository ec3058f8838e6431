//! A Postgres of a test's own, which it may stop, fill and start again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;
use tidings::db::embedded::{self, Embedded, Settings};

use crate::support::peers::Skipped;

/// What a cluster and some log of its own need, and little more.
const DISK: &str = "size=200m,mode=0755";

pub(super) struct Cluster {
    server: Option<Embedded>,
    _disk: Option<Disk>,
    folder: TempDir,
}

impl Cluster {
    /// Made and started.
    pub(super) async fn start() -> Self {
        let mut it = Self { server: None, _disk: None, folder: folder() };
        it.go_on().await;
        it
    }

    /// The same on a disk that is easily full.
    pub(super) async fn on_a_small_disk() -> Result<Self, Skipped> {
        let folder = folder();
        let disk = Disk::mount(folder.path())?;
        let mut it = Self { server: None, _disk: Some(disk), folder };
        it.go_on().await;
        Ok(it)
    }

    /// The way to its database.
    pub(super) fn options(&self) -> PgConnectOptions {
        self.server.as_ref().unwrap().options()
    }

    /// Starts it where it was stopped.
    pub(super) async fn go_on(&mut self) {
        let settings =
            Settings { data_dir: self.folder.path().join("data"), binaries: None, fsync: false, download: true };
        self.server = Some(embedded::start(&settings, &|_| {}).await.unwrap());
    }

    /// Stops it; open sessions are rolled back.
    pub(super) async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await.unwrap();
        }
    }

    /// Does something as the one who looks after it.
    pub(super) async fn run(&self, statements: &[&str]) {
        let mut admin = PgConnection::connect_with(&self.options()).await.unwrap();
        for statement in statements {
            sqlx::query(AssertSqlSafe(*statement)).execute(&mut admin).await.unwrap();
        }
        admin.close().await.unwrap();
    }

    /// Takes all the connections that it has left.
    pub(super) async fn take_all(&self) -> Vec<PgConnection> {
        let mut taken = Vec::new();
        while let Ok(one) = PgConnection::connect_with(&self.options()).await {
            taken.push(one);
        }
        taken
    }

    /// Fills its disk to the last byte.
    pub(super) fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).unwrap();
        let block = vec![1; 64 * 1024];
        while std::io::Write::write_all(&mut ballast, &block).is_ok() {}
        while std::io::Write::write_all(&mut ballast, b"1").is_ok() {}
    }

    /// Makes room on its disk again.
    pub(super) fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

/// A directory that the database's user can enter.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Result<Self, Skipped> {
        let mounted = ["mount", "sudo -n mount"].into_iter().any(|mount| {
            let arguments = ["-t", "tmpfs", "-o", DISK, "tidings-test"];
            command(mount).args(arguments).arg(at).status().is_ok_and(|status| status.success())
        });
        if mounted { Ok(Self(at.to_owned())) } else { Err(Skipped::needs("somebody who may mount a small disk")) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for umount in ["umount -l", "sudo -n umount -l"] {
            let _ = command(umount).arg(&self.0).status();
        }
    }
}

fn command(words: &str) -> Command {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
