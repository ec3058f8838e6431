//! Where the cluster lies and as whom its processes run.
//!
//! An ordinary user runs Postgres itself, in the data directory. Postgres refuses to run as root; then it runs as the user
//! `postgres`, else `nobody`, and must be able to enter every directory above the cluster. Where it can't (a data directory
//! below `/root`), the cluster goes to `/var/lib/tidings`. A cluster that exists stays where it is and keeps its owner: a
//! service must never come up empty because a mode was changed.

use std::fs::{DirBuilder, Metadata, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::error::EmbeddedError;
use crate::secret::hex;

/// Home of the clusters whose data directory the database user can't enter.
const ELSEWHERE: &str = "/var/lib/tidings";
/// The shortest limit on a socket's path among the systems we run on (macOS; Linux allows 107).
const SOCKET_PATH_LIMIT: usize = 103;
const SOCKET_NAME: &str = ".s.PGSQL.5432.lock";

/// The directory that holds the cluster, its socket and its log, and the user that cluster and socket belong to.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Ours, not the database user's: what root writes there, no link of that user can lead astray.
    pub base: PathBuf,
    /// Whom to become; nobody when we are that user.
    pub user: Option<User>,
    /// What kept the cluster out of the data directory.
    pub barrier: Option<PathBuf>,
}

impl Place {
    /// The cluster itself (`PGDATA`).
    pub(super) fn data(&self) -> PathBuf {
        self.base.join("data")
    }

    /// What the server says; the one of the start before has `.old` behind it.
    pub(super) fn log(&self) -> PathBuf {
        self.base.join("server.log")
    }

    /// A program that runs as the database user, speaks English and does not care where we are.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.base).env("LC_ALL", "C");
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// A private directory for the socket: beside the cluster, or a short one in the temp directory where the path would be
    /// too long for a socket.
    pub(super) fn socket_dir(&self) -> Result<PathBuf, EmbeddedError> {
        let mut dir = self.base.join("run");
        if dir.join(SOCKET_NAME).as_os_str().len() > SOCKET_PATH_LIMIT {
            let inode = metadata(&self.base)?.ino();
            dir = std::env::temp_dir().join(format!("tidings-{inode:x}"));
        }
        self.make_private(&dir)?;
        Ok(dir)
    }

    /// Hands a path to the database user.
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        let Some(user) = &self.user else { return Ok(()) };
        std::os::unix::fs::lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .map_err(EmbeddedError::file("change the owner of", path))
    }

    /// Makes a directory that only the database user can enter, or checks that it is one: the temp directory is open to all.
    pub(super) fn make_private(&self, dir: &Path) -> Result<(), EmbeddedError> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Ok(()) => self.give(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let found = metadata(dir)?;
                let owner = self.user.as_ref().map_or_else(Uid::effective, |user| user.uid);
                let private = found.is_dir() && found.uid() == owner.as_raw() && found.mode() & 0o777 == 0o700;
                if private { Ok(()) } else { Err(EmbeddedError::SocketPlace(dir.to_owned())) }
            }
            Err(error) => Err(EmbeddedError::file("make the directory", dir)(error)),
        }
    }
}

/// Decides where the cluster of this (canonical) data directory lies, and makes that place.
pub(super) fn choose(data_dir: &Path) -> Result<Place, EmbeddedError> {
    let place = find(data_dir)?;
    if place.barrier.is_some() && !Path::new(ELSEWHERE).exists() {
        make_dir(Path::new(ELSEWHERE), 0o755)?;
    }
    if let Some(user) = &place.user {
        reachable(&place.base, user)?;
    }
    if !place.base.exists() {
        make_dir(&place.base, if place.user.is_some() { 0o711 } else { 0o700 })?;
    }
    Ok(place)
}

/// The same decision, without making anything.
pub(super) fn find(data_dir: &Path) -> Result<Place, EmbeddedError> {
    let home = data_dir.join("postgres");
    if !Uid::effective().is_root() {
        return Ok(Place { base: home, user: None, barrier: None });
    }
    let other = Path::new(ELSEWHERE).join(name_for(data_dir));
    if let Some(owner) = owner_of_cluster(&home) {
        return Ok(Place { base: home, user: Some(owner), barrier: None });
    }
    let user = unprivileged_user()?;
    let barrier = barrier_above(&home, &user);
    if let Some(owner) = owner_of_cluster(&other) {
        return Ok(Place { base: other, user: Some(owner), barrier: barrier.or(Some(data_dir.to_owned())) });
    }
    let base = if barrier.is_some() { other } else { home };
    Ok(Place { base, user: Some(user), barrier })
}

fn owner_of_cluster(base: &Path) -> Option<User> {
    let version = std::fs::metadata(base.join("data/PG_VERSION")).ok()?;
    User::from_uid(Uid::from_raw(version.uid())).ok().flatten().filter(|user| !user.uid.is_root())
}

fn unprivileged_user() -> Result<User, EmbeddedError> {
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .ok_or(EmbeddedError::NoUser)
}

/// Readable, and different for each data directory.
fn name_for(data_dir: &Path) -> String {
    let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    let hash = hex(&digest[..8]);
    let name = data_dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let readable: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(24).collect();
    format!("{readable}-{hash}")
}

/// Makes a directory with this mode, whatever the umask is: the database user has to pass through.
fn make_dir(dir: &Path, mode: u32) -> Result<(), EmbeddedError> {
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::set_permissions(dir, Permissions::from_mode(mode)))
        .map_err(EmbeddedError::file("make the directory", dir))
}

fn reachable(base: &Path, user: &User) -> Result<(), EmbeddedError> {
    match barrier_above(base, user) {
        Some(barrier) => Err(EmbeddedError::Barred { user: user.name.clone(), barrier }),
        None => Ok(()),
    }
}

/// The first directory above `path` that the user can't enter.
fn barrier_above(path: &Path, user: &User) -> Option<PathBuf> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    above
        .into_iter()
        .find(|dir| !std::fs::metadata(dir).is_ok_and(|found| may_enter(&found, user.uid, user.gid)))
        .map(Path::to_owned)
}

fn may_enter(found: &Metadata, uid: Uid, gid: Gid) -> bool {
    let bit = if found.uid() == uid.as_raw() {
        0o100
    } else if found.gid() == gid.as_raw() {
        0o010
    } else {
        0o001
    };
    found.mode() & bit != 0
}

fn metadata(path: &Path) -> Result<Metadata, EmbeddedError> {
    std::fs::symlink_metadata(path).map_err(EmbeddedError::file("look at", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(base: &Path) -> Place {
        Place { base: base.to_owned(), user: None, barrier: None }
    }

    #[test]
    fn a_directory_that_others_cant_enter_is_a_barrier_to_others_only() {
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("closed");
        DirBuilder::new().mode(0o700).create(&closed).unwrap();
        let found = std::fs::metadata(&closed).unwrap();
        let stranger = Uid::from_raw(found.uid() + 1);

        assert!(may_enter(&found, Uid::from_raw(found.uid()), Gid::from_raw(found.gid())));
        assert!(!may_enter(&found, stranger, Gid::from_raw(found.gid() + 1)));
        assert!(!may_enter(&found, stranger, Gid::from_raw(found.gid())));
    }

    #[test]
    fn each_data_directory_has_a_name_of_its_own_elsewhere() {
        let name = name_for(Path::new("/root/my data/tidings-data"));

        assert!(name.starts_with("tidings-data-"), "{name}");
        assert_eq!(name, name_for(Path::new("/root/my data/tidings-data")));
        assert_ne!(name, name_for(Path::new("/root/other/tidings-data")));
    }

    #[test]
    fn the_socket_of_a_deep_directory_goes_to_a_short_private_one() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();

        let near = place(dir.path()).socket_dir().unwrap();
        let far = place(&deep).socket_dir().unwrap();
        let mode = std::fs::metadata(&far).unwrap().mode();
        std::fs::set_permissions(&far, Permissions::from_mode(0o755)).unwrap();
        let opened = place(&deep).socket_dir();
        std::fs::remove_dir(&far).unwrap();

        assert_eq!(near, dir.path().join("run"));
        assert!(far.join(SOCKET_NAME).as_os_str().len() <= SOCKET_PATH_LIMIT, "{}", far.display());
        assert_eq!(mode & 0o777, 0o700);
        assert!(matches!(opened, Err(EmbeddedError::SocketPlace(_))));
    }
}
