//! What can go wrong with the private Postgres, each with what to do next.

use std::path::{Path, PathBuf};

/// Why the private Postgres could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Neither installed nor fetched; `looked` and `fetch` say what was tried.
    #[error(
        "no usable Postgres server binaries ({looked}; {fetch}): install Postgres{} (`apt install postgresql`, \
         `brew install postgresql@17`) and set TIDINGS_PG_BIN if it lies in an unusual place, or run `docker compose up`, \
         or set TIDINGS_DATABASE_URL to a Postgres that runs already",
        version_needed(*.needed)
    )]
    NoBinaries {
        /// Where binaries were looked for, and what was wrong with those that were there.
        looked: String,
        /// Why they were not fetched.
        fetch: String,
        /// The only major version that can open the cluster that exists.
        needed: Option<u32>,
    },
    /// Another process runs this data directory's server.
    #[error(
        "the data directory {} is in use by another tidings (process {owner}): stop that one first, or set \
         TIDINGS_DATA_DIR to another directory", .data_dir.display()
    )]
    InUse {
        /// The directory that both want.
        data_dir: PathBuf,
        /// The other's process id, or `unknown`.
        owner: String,
    },
    /// Another process has been starting this server for too long.
    #[error(
        "another tidings has been starting the server of {} for a long time: wait for it, or end it", .data_dir.display()
    )]
    Starting {
        /// The directory that both want.
        data_dir: PathBuf,
    },
    /// Running as root, and the user that Postgres must run as can't get to any place for the cluster.
    #[error(
        "the database user {user} can't enter {} (Postgres refuses to run as root): run `chmod o+x {}`, or set \
         TIDINGS_DATA_DIR to a directory that every user can enter, or start tidings as an ordinary user",
        .barrier.display(), .barrier.display()
    )]
    Barred {
        /// The user that Postgres would run as.
        user: String,
        /// The directory that stops it.
        barrier: PathBuf,
    },
    /// Running as root, and there is no other user.
    #[error(
        "Postgres refuses to run as root, and this machine has neither a user postgres nor nobody: start tidings as an \
         ordinary user, or set TIDINGS_DATABASE_URL"
    )]
    NoUser,
    /// The directory for the socket is someone else's, or open to others.
    #[error("{} is not a private directory of the database user: remove it, or set TMPDIR to another place", .0.display())]
    SocketPlace(PathBuf),
    /// `initdb` failed.
    #[error("failed to make the database cluster in {}: {output}; mend that and start again", .place.display())]
    Init {
        /// Where it was to be.
        place: PathBuf,
        /// The end of what `initdb` said.
        output: String,
    },
    /// The server ended, or was not ready in time.
    #[error("the private Postgres did not start: {why}; its log is {}", .log.display())]
    NotStarted {
        /// What was seen.
        why: String,
        /// Where to read on.
        log: PathBuf,
    },
    /// Processes of a server that is gone still work in the cluster.
    #[error(
        "processes {pids:?} of an earlier server still work in {}: wait until they end, or end them, and start again",
        .data.display()
    )]
    Leftovers {
        /// The cluster.
        data: PathBuf,
        /// Who works there.
        pids: Vec<u32>,
    },
    /// The server runs with another durability than was asked for.
    #[error("the private Postgres runs with fsync={found} where {asked} was asked, and is being stopped: start again")]
    Durability {
        /// What `show fsync` said.
        found: String,
        /// What it should have said.
        asked: &'static str,
    },
    /// The server did not end in time.
    #[error("the private Postgres (process {pid}) did not stop in time: end it by hand; its data is safe")]
    NotStopped {
        /// The server.
        pid: u32,
    },
    /// The server answers, but not as it should.
    #[error("the private Postgres refused a statement; its log is {}", .log.display())]
    Refused {
        /// Where to read on.
        log: PathBuf,
        /// What it answered.
        source: sqlx::Error,
    },
    /// A file or directory could not be used.
    #[error("failed to {action} {}: check its owner, its mode and the free space", .path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl EmbeddedError {
    /// Wraps what the system said about a file.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

fn version_needed(needed: Option<u32>) -> String {
    match needed {
        Some(major) => format!(" {major}, the version of the existing cluster"),
        None => format!(" {} or newer", super::binaries::OLDEST_MAJOR),
    }
}
