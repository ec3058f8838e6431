//! The cluster on disk: made whole or not at all, never deleted, and freed from what a killed server left behind.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::place::Place;
use super::process;

/// The role that owns everything in the cluster.
pub(super) const ROLE: &str = "tidings";
const INIT_LIMIT: Duration = Duration::from_mins(5);
const LEFTOVERS_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// The major version that the cluster in this place needs, where there is one.
pub(super) fn major(place: &Place) -> Result<Option<u32>, EmbeddedError> {
    let path = place.data().join("PG_VERSION");
    match std::fs::read_to_string(&path) {
        Ok(version) => match version.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(EmbeddedError::file("read the version in", &path)(std::io::ErrorKind::InvalidData.into())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::file("read", &path)(error)),
    }
}

/// Makes the cluster beside its place and moves it there when it is complete and on disk.
pub(super) async fn init(binaries: &Binaries, place: &Place, fsync: bool) -> Result<(), EmbeddedError> {
    remove_unfinished(&place.base)?;
    // A name of its own: an initdb that outlived a killed service may still write into the one it was given.
    let unfinished = place.base.join(format!("data.init.{}", std::process::id()));
    place.make_private(&unfinished)?;
    let mut initdb = place.command(&binaries.dir.join("initdb"));
    initdb
        .arg("-D")
        .arg(&unfinished)
        .args(["-U", ROLE, "--auth=trust", "-E", "UTF8", "--locale=C", "--data-checksums"])
        .args((!fsync).then_some("--no-sync"));
    process::run(&mut initdb, INIT_LIMIT)
        .await
        .map_err(|output| EmbeddedError::Init { place: place.base.clone(), output })?;
    std::fs::rename(&unfinished, place.data()).map_err(EmbeddedError::file("rename", &unfinished))?;
    File::open(&place.base).and_then(|parent| parent.sync_all()).map_err(EmbeddedError::file("sync", &place.base))
}

/// What a running server says of itself in its cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    /// The postmaster.
    pub pid: u32,
    /// Where its socket is; empty while it is only starting.
    pub socket_dir: PathBuf,
}

impl PidFile {
    /// Reads the file, where there is one with a process id in it.
    pub(super) fn read(data: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        Some(Self { pid, socket_dir: lines.nth(3).unwrap_or_default().into() })
    }
}

/// Removes the lock files that a killed server left, once no process works in the cluster any more.
///
/// Postgres does this itself where the old process is gone, but refuses to start where its id is still taken: by a zombie that
/// nobody reaps, or by a stranger. The caller holds both locks, so nobody starts a server meanwhile.
pub(super) async fn clear_leftovers(place: &Place, socket_dir: &Path) -> Result<(), EmbeddedError> {
    let data = place.data();
    let deadline = Instant::now() + LEFTOVERS_LIMIT;
    loop {
        let mut pids = process::all_in(&data);
        pids.extend(PidFile::read(&data).map(|file| file.pid).filter(|pid| process::works_in(*pid, &data)));
        if pids.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            return Err(EmbeddedError::Leftovers { data, pids });
        }
        tokio::time::sleep(POLL).await;
    }
    remove(&data.join("postmaster.pid"))?;
    remove(&socket_dir.join(".s.PGSQL.5432.lock"))
}

/// An earlier `initdb` that was cut short never became a cluster: nothing was ever stored in it.
fn remove_unfinished(base: &Path) -> Result<(), EmbeddedError> {
    for entry in std::fs::read_dir(base).map_err(EmbeddedError::file("list", base))? {
        let path = entry.map_err(EmbeddedError::file("list", base))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("data.init.")) {
            // Where that initdb still writes, this fails: it costs space until the next new cluster, and nothing else.
            let _ = std::fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), EmbeddedError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(EmbeddedError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(base: &Path) -> Place {
        Place { base: base.to_owned(), user: None, barrier: None }
    }

    #[test]
    fn a_pid_file_names_the_process_first_and_the_socket_later() {
        let dir = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(dir.path().join("postmaster.pid"), text).unwrap();
            PidFile::read(dir.path())
        };

        let whole = PidFile { pid: 42, socket_dir: "/run/x".into() };
        assert_eq!(read("42\n/data\n1700000000\n5432\n/run/x\n\n  123 0\nready\n"), Some(whole));
        assert_eq!(read("42\n/data\n1\n5432\n"), Some(PidFile { pid: 42, socket_dir: PathBuf::new() }));
        assert_eq!(read(""), None);
    }

    #[test]
    fn only_what_initdb_left_unfinished_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["data", "data.init.17", "data.init.9", "run"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }

        remove_unfinished(dir.path()).unwrap();

        assert!(dir.path().join("data").exists() && dir.path().join("run").exists());
        assert!(!dir.path().join("data.init.17").exists() && !dir.path().join("data.init.9").exists());
    }

    #[tokio::test]
    async fn lock_files_whose_id_was_given_to_a_stranger_are_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("data")).unwrap();
        let stranger = format!("{}\n{}\n1\n5432\n{}\n", std::process::id(), base.display(), base.display());
        std::fs::write(base.join("data/postmaster.pid"), stranger).unwrap();
        std::fs::write(base.join(".s.PGSQL.5432.lock"), "1\n").unwrap();

        clear_leftovers(&place(&base), &base).await.unwrap();

        assert!(!base.join("data/postmaster.pid").exists());
        assert!(!base.join(".s.PGSQL.5432.lock").exists());
    }
}
