//! Who may start and stop the server of a data directory.
//!
//! `start.lock` is held while someone decides whether a server is needed and starts it; `owner.lock` for as long as a process
//! owns the server. Both lie in the data directory, wherever the cluster is, and both vanish with their holder, however it
//! ends: the kernel keeps them, not the files.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::error::EmbeddedError;

const START_LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

/// A lock that ends when it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Closing the file is not enough: a child that was just forked holds it, and with it the lock, until it runs its program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Waits, within bounds, until nobody else starts the server of this data directory.
pub(super) async fn starting(data_dir: &Path) -> Result<Lock, EmbeddedError> {
    let file = open(data_dir, "start.lock")?;
    let deadline = Instant::now() + START_LIMIT;
    while !try_lock(&file, data_dir)? {
        if Instant::now() >= deadline {
            return Err(EmbeddedError::Starting { data_dir: data_dir.to_owned() });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(Lock { file })
}

/// Takes the data directory's server for this process, or says who has it.
pub(super) fn own(data_dir: &Path) -> Result<Lock, EmbeddedError> {
    let mut file = open(data_dir, "owner.lock")?;
    if !try_lock(&file, data_dir)? {
        let mut owner = String::new();
        // The name of the other is a courtesy; without it the refusal still stands.
        let _ = (&file).take(20).read_to_string(&mut owner);
        let owner = if owner.is_empty() { "unknown".into() } else { owner };
        return Err(EmbeddedError::InUse { data_dir: data_dir.to_owned(), owner });
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(EmbeddedError::file("write a lock file in", data_dir))?;
    Ok(Lock { file })
}

/// Whether a process owns the data directory's server. Ask only while holding [`starting`]: the question takes the lock for a
/// moment.
pub(super) fn is_owned(data_dir: &Path) -> Result<bool, EmbeddedError> {
    let file = open(data_dir, "owner.lock")?;
    let is_free = try_lock(&file, data_dir)?;
    if is_free {
        drop(Lock { file });
    }
    Ok(!is_free)
}

fn open(data_dir: &Path, name: &str) -> Result<File, EmbeddedError> {
    let path = data_dir.join(name);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(EmbeddedError::file("open the lock file", &path))
}

fn try_lock(file: &File, data_dir: &Path) -> Result<bool, EmbeddedError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(EmbeddedError::file("lock a file in", data_dir)(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owned_directory_is_refused_and_the_refusal_names_directory_and_process() {
        let dir = tempfile::tempdir().unwrap();
        let held = own(dir.path()).unwrap();

        let refusal = own(dir.path()).unwrap_err().to_string();
        assert!(refusal.contains(dir.path().to_str().unwrap()), "{refusal}");
        assert!(refusal.contains(&format!("process {}", std::process::id())), "{refusal}");

        assert!(is_owned(dir.path()).unwrap());

        drop(held);
        assert!(!is_owned(dir.path()).unwrap());
        assert!(own(dir.path()).is_ok());
    }

    #[tokio::test]
    async fn who_starts_second_waits_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = starting(dir.path()).await.unwrap();

        let second = tokio::time::timeout(Duration::from_millis(150), starting(dir.path())).await;
        assert!(second.is_err(), "two start at once");

        drop(first);
        assert!(starting(dir.path()).await.is_ok());
    }
}
